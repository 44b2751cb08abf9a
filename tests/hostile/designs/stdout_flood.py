"""Prints without end, on both pipes.

docker: output_flood | embedded: output_flood
"""

import os

from design_space import Memory, Recall


class StdoutFlood(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        while True:
            os.write(1, b"x" * 4096)
            os.write(2, b"x" * 4096)
