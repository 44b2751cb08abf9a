"""Announces 2 GiB, and sends without end.

docker: protocol | embedded: protocol
"""

import os

from design_space import Memory, Recall


class HugeFrame(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        os.write(4, b"\x7f\xff\xff\xff")
        while True:
            os.write(4, b"x" * 65_536)
