"""Returns a list where a recall is wanted.

docker: invalid | embedded: invalid
"""

from design_space import Memory


class WrongReturn(Memory):
    def retrieve(self, query):
        return ["go to the shelf"]

    def update(self, episode):
        return
