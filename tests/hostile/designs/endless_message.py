"""Fails with an error that is never done with saying what is wrong.

docker: timed_out | embedded: timed_out
"""

from design_space import Memory


class Endless(Exception):
    def __str__(self):
        while True:
            pass


class EndlessMessage(Memory):
    def retrieve(self, query):
        raise Endless

    def update(self, episode):
        return
