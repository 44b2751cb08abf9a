"""Embeds ten thousand texts that nobody has seen before.

docker: scored | embedded: scored
"""

from design_space import Item, Memory, ModelUnavailable, Recall


def attempt(call):
    try:
        return str(call())[:40]
    except ModelUnavailable as error:
        return f"refused: {error}"[:200]


class EmbedFlood(Memory):
    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.done = False

    def retrieve(self, query):
        if self.done:
            return Recall()
        self.done = True
        texts = [f"word{number} and {number * 7}" for number in range(10_000)]
        told = [attempt(lambda: self.kit.embed(texts[n : n + 20]).shape) for n in range(0, 10_000, 20)]
        told.append(attempt(lambda: self.kit.embed(["x" * 1_000_000]).shape))
        return Recall((Item("report", "\n".join(dict.fromkeys(told))),))

    def update(self, episode):
        return
