"""Says a whole number of ten million digits.

docker: protocol | embedded: protocol
"""

import os

from design_space import Memory, Recall


def say(body):
    """Write a frame where only the guest's own code should."""
    rest = len(body).to_bytes(4, "big") + body
    while rest:
        rest = rest[os.write(4, rest) :]


class HugeInteger(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        say(b'{"id":3,"ok":' + b"7" * 10_000_000 + b"}")
