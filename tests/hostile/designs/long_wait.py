"""Sleeps just under the limit at each call, and would for as long as a stream has calls.

docker: timed_out | embedded: timed_out
"""

import time

from design_space import Memory, Recall


class LongWait(Memory):
    RETRIEVE = "step"

    def retrieve(self, query):
        time.sleep(1.7)
        return Recall()

    def update(self, episode):
        time.sleep(1.7)
