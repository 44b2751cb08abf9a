"""Asks what it knows will be refused, at length and over and over: little work for it, and much for who refuses.

docker: timed_out | embedded: timed_out
"""

import os

from design_space import Memory


def say(body):
    """Write a frame where only the guest's own code should."""
    rest = len(body).to_bytes(4, "big") + body
    while rest:
        rest = rest[os.write(4, rest) :]


def hear(count):
    """Throw away so many bytes of what the worker says."""
    while count:
        count -= len(os.read(3, count))


class RefusedForEver(Memory):
    def retrieve(self, query):
        body = b'{"call":1,"op":"ask","arg":{"prompt":"%s","max_tokens":1}}' % (b"\\u00e9" * 1_000_000)
        while True:
            say(body)
            hear(int.from_bytes(os.read(3, 4), "big"))

    def update(self, episode):
        return
