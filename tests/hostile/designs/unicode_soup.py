"""Recalls and stores text in all scripts, with odd characters: unusual, and right.

docker: scored | embedded: scored
"""

from design_space import Item, Memory, Recall, Snapshot

SOUP = "na\u00efve \u2603 \u4efb\u52d9 \u202e\x00 \U0001f0a1 \u200b\ufeff e\u0301 \ud800"


class UnicodeSoup(Memory):
    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.seen = {}

    def retrieve(self, query):
        return Recall((Item(SOUP, SOUP + query.goal, SOUP, SOUP, 0.5),))

    def update(self, episode):
        self.seen[SOUP + episode.id] = SOUP

    def snapshot(self):
        return Snapshot(self.seen)

    def restore(self, snapshot):
        self.seen = snapshot.data
