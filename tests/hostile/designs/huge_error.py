"""Fails with a message of four million characters.

docker: crashed | embedded: crashed
"""

import os
import sys

from design_space import Memory, Recall


def say(body):
    """Write a frame where only the guest's own code should."""
    rest = len(body).to_bytes(4, "big") + body
    while rest:
        rest = rest[os.write(4, rest) :]


def number():
    """Of the request that is open, as the guest's own code knows it."""
    frame = sys._getframe()
    while not isinstance(frame.f_locals.get("request"), dict):
        frame = frame.f_back
    return frame.f_locals["request"]["id"]


class HugeError(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        text = b"x" * 4_000_000
        say(b'{"id":%d,"error":{"kind":"crashed","message":"%s","traceback":"%s"}}' % (number(), text, text))
        os._exit(0)
