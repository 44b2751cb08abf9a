"""Fills the scratch.

docker: disk_full | embedded: disk_full
"""

from design_space import Memory, Recall


class DiskFill(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        with open(self.kit.folder / "big", "wb", buffering=0) as file:
            while True:
                file.write(b"x" * (1 << 20))
