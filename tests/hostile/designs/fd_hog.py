"""Opens files until no more can be opened, and keeps them.

docker: crashed | embedded: crashed
"""

from design_space import Memory, Recall


class FdHog(Memory):
    def retrieve(self, query):
        return Recall()

    def update(self, episode):
        held = []
        while True:
            held.append(open("/dev/null", "rb"))
