"""Computes for ever.

docker: timed_out | embedded: timed_out
"""

from design_space import Memory, Recall


class Spin(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        while True:
            pass
