"""Lets the model solve the task, and recalls what that says: allowed, and it counts.

docker: scored | embedded: scored
"""

from design_space import Item, Memory, ModelUnavailable, Recall


def attempt(call):
    try:
        return str(call())[:40]
    except ModelUnavailable as error:
        return f"refused: {error}"[:200]


class SolveInMemory(Memory):
    def retrieve(self, query):
        return Recall((Item("plan", attempt(lambda: self.kit.ask(f"Solve this: {query.goal}"))),))

    def update(self, episode):
        return
