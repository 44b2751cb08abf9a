"""Leaves ten thousand dead children that nobody asks about.

docker: crashed | embedded: crashed
"""

import os

from design_space import Memory, Recall


class ZombieFarm(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        for _ in range(10_000):
            if os.fork() == 0:
                os._exit(0)
