"""Recalls what is made when it is looked at, where a tuple is wanted.

docker: invalid | embedded: invalid
"""

from design_space import Item, Memory, Recall


class LazyItems(Memory):
    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.told = []

    def retrieve(self, query):
        return Recall(Item(str(place), text) for place, text in enumerate(self.told))

    def update(self, episode):
        self.told.append(episode.goal)
