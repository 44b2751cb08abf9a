"""Holds a constant of 2 GB.

docker: out_of_memory | embedded: crashed

Without a cgroup the one allocation is refused whole: no memory was used, which leaves no evidence but its word.
"""

from design_space import Memory, Recall

TABLE = bytearray(b"x") * (2 << 30)


class ImportBomb(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        return
