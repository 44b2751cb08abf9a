"""Gives its process a name that is no text, for whoever reads a list of processes.

docker: scored | embedded: scored
"""

import ctypes

from design_space import Item, Memory, Recall

NAMES = (b"\xff\xfe\x85", b"\x0bVmPeak: 999999", b"a) R 1 1 1 (b", b"a\nThreads: 99", b"\x1b]0;owned\x07")


class OddProcessName(Memory):
    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.names = list(NAMES)

    def retrieve(self, query):
        set_name = 15
        done = ctypes.CDLL(None).prctl(set_name, self.names[0], 0, 0, 0)
        return Recall((Item("name", "named" if done == 0 else "refused"),))

    def update(self, episode):
        self.names = self.names[1:] + self.names[:1]

    def snapshot(self):
        ctypes.CDLL(None).prctl(15, NAMES[0], 0, 0, 0)
        return super().snapshot()

    def restore(self, snapshot):
        return
