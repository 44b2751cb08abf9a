"""Is wrong about what a module of ours takes.

docker: crashed | embedded: crashed
"""

from design_space import Memory, Recall


class WrongArgument(Memory):
    def retrieve(self, query):
        return Recall(things=[query.goal])

    def update(self, episode):
        return
