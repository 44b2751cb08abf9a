"""Says small frames without end.

docker: protocol | embedded: protocol
"""

import os

from design_space import Memory, Recall


class FrameFlood(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        body = b'{"call":1,"op":"nothing","arg":null}'
        while True:
            os.write(4, len(body).to_bytes(4, "big") + body)
