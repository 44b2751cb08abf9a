"""Fills the scratch with empty files.

docker: disk_full | embedded: disk_full
"""

from design_space import Memory, Recall


class InodeFill(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        for number in range(10**6):
            (self.kit.folder / str(number)).touch()
