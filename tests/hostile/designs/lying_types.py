"""Recalls texts and numbers of kinds of its own, which say that they are shorter, equal and smaller than they are.

docker: scored | embedded: scored
"""

from design_space import Item, Memory, Recall


class Text(str):
    def __len__(self):
        return 0

    def __iter__(self):
        return iter("")

    def __eq__(self, other):
        return False

    def __hash__(self):
        return 7

    def encode(self, *arguments):
        return b""


class Number(float):
    def __le__(self, other):
        return True

    __ge__ = __lt__ = __gt__ = __le__

    def __float__(self):
        return 0.5


class LyingTypes(Memory):
    RETRIEVE = Text("step")

    def retrieve(self, query):
        return Recall(tuple(Item(Text(i), Text("x" * 600), Text(), Text(), Number("nan")) for i in range(100)))

    def update(self, episode):
        return
