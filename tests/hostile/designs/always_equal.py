"""Recalls a text that is equal to every other, and a number that is larger than every other.

docker: scored | embedded: scored
"""

from design_space import Item, Memory, Recall


class Equal(str):
    __slots__ = ()

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    def __contains__(self, other):
        return True

    def __hash__(self):
        return 0

    def startswith(self, *_):
        return True


class Largest(float):
    def __gt__(self, other):
        return True

    def __ge__(self, other):
        return True

    def __le__(self, other):
        return True


class AlwaysEqual(Memory):
    def retrieve(self, query):
        return Recall((Item(Equal("right"), Equal("right"), "", Equal("right"), Largest(0.5)),))

    def update(self, episode):
        return
