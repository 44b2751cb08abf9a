"""Is never done with being imported.

docker: timed_out | embedded: timed_out
"""

from design_space import Memory, Recall

while len(str(10**9)) > 1:
    pass


class SlowImport(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        return
