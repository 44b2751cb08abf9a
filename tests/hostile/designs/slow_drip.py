"""Stays just under the limit of each call, and adds up.

docker: timed_out | embedded: timed_out
"""

import time

from design_space import Memory, Recall


def burn():
    end = time.process_time() + 0.8
    while time.process_time() < end:
        pass


class SlowDrip(Memory):
    def retrieve(self, query):
        burn()
        return Recall()

    def update(self, episode):
        burn()
