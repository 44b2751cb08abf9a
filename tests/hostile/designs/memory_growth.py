"""Keeps 10 MB of each episode.

docker: out_of_memory | embedded: out_of_memory
"""

from design_space import Memory, Recall


class MemoryGrowth(Memory):
    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.kept = []

    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        self.kept.append(b"%d" % len(self.kept) * 10_000_000)
