"""Stops its own process, as if to be debugged: it neither computes, nor sleeps, nor wants to run.

docker: timed_out | embedded: timed_out
"""

import os
import signal

from design_space import Memory


class StopsItself(Memory):
    def retrieve(self, query):
        os.kill(os.getpid(), signal.SIGSTOP)

    def update(self, episode):
        return
