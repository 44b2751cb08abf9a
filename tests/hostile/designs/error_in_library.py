"""Hands a set to a library that takes lists: its own error, not one of what it returns.

docker: crashed | embedded: crashed
"""

import json

from design_space import Item, Memory, Recall


class ErrorInLibrary(Memory):
    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.seen = set()

    def retrieve(self, query):
        return Recall((Item("seen", json.dumps(self.seen)),))

    def update(self, episode):
        self.seen.add(episode.goal)
