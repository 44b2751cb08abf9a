"""Does not define `update`.

docker: invalid | embedded: invalid
"""

from design_space import Memory, Recall


class MissingMethod(Memory):
    def retrieve(self, query):
        return Recall()
