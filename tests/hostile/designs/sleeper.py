"""Sleeps for ever.

docker: timed_out | embedded: timed_out
"""

import time

from design_space import Memory, Recall


class Sleeper(Memory):
    def retrieve(self, query):
        time.sleep(3600.0)
        return Recall()

    def update(self, episode):
        return
