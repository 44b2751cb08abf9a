"""Gives a snapshot that is wrong in fields whose names are millions of characters long, to be told of in full.

docker: protocol | embedded: protocol
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


class HugeKeys(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        return

    def snapshot(self):
        say(b'{"id":%d,"ok":{"data":null,"arrays":{"a":{"%s":1}}}}' % (number(), b"k" * 4_000_000))
        os._exit(0)

    def restore(self, snapshot):
        return
