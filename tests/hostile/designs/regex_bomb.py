"""Matches a pattern that takes for ever, with the interpreter's lock held.

docker: timed_out | embedded: timed_out
"""

import re

from design_space import Memory, Recall


class RegexBomb(Memory):
    def retrieve(self, query):
        re.match("(a+)+$", "a" * 60 + "b")
        return Recall()

    def update(self, episode):
        return
