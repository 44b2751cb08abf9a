"""Calls itself until the stack is full.

docker: crashed | embedded: crashed
"""

import sys

from design_space import Memory, Recall

sys.setrecursionlimit(10**9)


class DeepRecursion(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        def deeper(value):
            return sorted([value], key=deeper)

        deeper(0)
