"""Ends in the middle of a frame.

docker: protocol | embedded: protocol
"""

import os

from design_space import Memory, Recall


class HalfFrame(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        os.write(4, b"\0\0\1\0{")
        os._exit(0)
