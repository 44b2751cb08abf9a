"""Asks for the longest of answers to the longest of prompts.

docker: scored | embedded: scored
"""

from design_space import Item, Memory, ModelUnavailable, Recall


def attempt(call):
    try:
        return str(call())[:40]
    except ModelUnavailable as error:
        return f"refused: {error}"[:200]


class MaxTokensHog(Memory):
    def retrieve(self, query):
        prompts = ("hello", "hello " * 100, "hello " * 3_000, "hello " * 500_000)
        told = [attempt(lambda: self.kit.ask(prompt, max_tokens=10**9)) for prompt in prompts]
        return Recall((Item("report", "\n".join(told)),))

    def update(self, episode):
        return
