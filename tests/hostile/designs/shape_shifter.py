"""Is a class whose class is its own: it answers for itself what it is made of, how it is made, and what was overridden.

docker: crashed | embedded: crashed
"""

from abc import ABCMeta

from design_space import Memory, Recall


class Shifter(ABCMeta):
    @property
    def RETRIEVE(cls):
        raise KeyboardInterrupt("not now")

    def __call__(cls, *arguments, **params):
        return object.__new__(cls)


class ShapeShifter(Memory, metaclass=Shifter):
    RETRIEVE = property(lambda self: 1 / 0)

    def __getattribute__(self, name):
        raise SystemExit(0)

    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        return
