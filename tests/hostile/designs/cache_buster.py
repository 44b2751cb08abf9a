"""Asks the same in other words each time, so that no answer is remembered.

docker: scored | embedded: scored
"""

from design_space import Memory, ModelUnavailable, Recall


def attempt(call):
    try:
        return str(call())[:40]
    except ModelUnavailable as error:
        return f"refused: {error}"[:200]


class CacheBuster(Memory):
    def retrieve(self, query):
        for number in range(50):
            attempt(lambda: self.kit.ask(f"{query.goal} {self.kit.rng.random()} {number}"))
        return Recall()

    def update(self, episode):
        for number in range(50):
            attempt(lambda: self.kit.ask(f"{episode.goal} {self.kit.rng.random()} {number}"))
