"""Recalls a hundred items, each of which the agent can read in as many ways as it looks at of one.

docker: scored | embedded: scored
"""

from design_space import Item, Memory, Recall


class ManyReadings(Memory):
    RETRIEVE = "step"

    def retrieve(self, query):
        situation = "{a} {b}\n{c} {d}\n{e} {f}" + "\n!{a} q" * 6 + "\n!{b} q" * 6
        return Recall(tuple(Item(str(i), "", situation, "go to {f}", 1.0) for i in range(75)))

    def update(self, episode):
        return
