"""Computes for ever, in threads, deaf to every signal and to every exception.

docker: timed_out | embedded: timed_out
"""

import contextlib
import signal
import threading

from design_space import Memory


def spin():
    while True:
        with contextlib.suppress(BaseException):
            while True:
                pass


class DeafSpin(Memory):
    def retrieve(self, query):
        for number in range(1, 65):
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_IGN)
        for _ in range(4):
            threading.Thread(target=spin).start()
        spin()

    def update(self, episode):
        return
