"""Says what is no JSON.

docker: protocol | embedded: protocol
"""

import os

from design_space import Memory, Recall


def say(body):
    """Write a frame where only the guest's own code should."""
    rest = len(body).to_bytes(4, "big") + body
    while rest:
        rest = rest[os.write(4, rest) :]


class NotJson(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        say(b"{'id': 1, ok: \xff}")
