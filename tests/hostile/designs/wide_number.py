"""Keeps a digest as a whole number, wider than a message may hold.

docker: invalid | embedded: invalid
"""

import hashlib

from design_space import Memory, Recall, Snapshot


class WideNumber(Memory):
    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.seen = []

    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        self.seen.append(int(hashlib.sha256(episode.goal.encode()).hexdigest(), 16))

    def snapshot(self):
        return Snapshot(self.seen)

    def restore(self, snapshot):
        self.seen = list(snapshot.data)
