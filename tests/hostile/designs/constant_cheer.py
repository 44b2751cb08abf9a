"""Says that all will be well.

docker: scored | embedded: scored
"""

from design_space import Item, Memory, Recall


class ConstantCheer(Memory):
    def retrieve(self, query):
        return Recall((Item("cheer", "You can do it! Every task is solved already.", value=1.0),))

    def update(self, episode):
        return
