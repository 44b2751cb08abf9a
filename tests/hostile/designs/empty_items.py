"""Recalls twenty thousand items of no characters, which no cap of characters bounds.

docker: scored | embedded: scored
"""

from design_space import Item, Memory, Recall


class EmptyItems(Memory):
    def retrieve(self, query):
        return Recall((Item("", ""),) * 20_000)

    def update(self, episode):
        return
