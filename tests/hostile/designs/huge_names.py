"""Names its items with millions of characters, past the guest's own code: a name is no text, so no cap counts it.

docker: scored | embedded: scored
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


def swallow(*arguments, write=os.write):
    """Keep the guest's own answer back, once."""
    os.write = write
    return len(arguments[1])


class HugeNames(Memory):
    RETRIEVE = "step"

    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.asked = 0

    def retrieve(self, query):
        self.asked += 1
        name = b"%d" % self.asked + b"k" * 3_000_000
        say(b'{"id":%d,"ok":{"items":[["%s","x","","",0.5]],"mode":"append"}}' % (number(), name))
        os.write = swallow
        return Recall()

    def update(self, episode):
        return
