"""Asks the model ten thousand times, past the guest's own code, and never reads an answer.

docker: protocol | embedded: protocol
"""

import os

from design_space import Memory, Recall


class UpcallFlood(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        body = b'{"call":1,"op":"ask","arg":{"prompt":"hello","max_tokens":9}}'
        for _ in range(10_000):
            os.write(4, len(body).to_bytes(4, "big") + body)
