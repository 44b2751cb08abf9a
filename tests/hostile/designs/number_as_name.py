"""Names its items by number, where a text is wanted.

docker: invalid | embedded: invalid
"""

from design_space import Item, Memory, Recall


class NumberAsName(Memory):
    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.told = []

    def retrieve(self, query):
        return Recall(tuple(Item(place, text) for place, text in enumerate(self.told)))

    def update(self, episode):
        self.told.append(episode.goal)
