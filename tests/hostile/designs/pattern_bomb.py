"""Recalls two items that the agent can read in more ways than it has time for.

docker: scored | embedded: scored
"""

from design_space import Item, Memory, Recall

PATTERNS = "\n".join(f"{{{a}}} {{{b}}}" for a, b in zip("acegi", "bdfhj", strict=True))


class PatternBomb(Memory):
    def retrieve(self, query):
        return Recall((Item("1", "", PATTERNS, "{a}"), Item("2", "", PATTERNS, "{b}")))

    def update(self, episode):
        return
