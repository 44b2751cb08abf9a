"""A player that takes advice at its word: the second agent, to see whether a memory serves another than its own."""

from __future__ import annotations

import numpy as np

from design_space.memory import Item, Recall
from design_space.text import normal
from sandbox.agents.extract import ANSWER_WORDS
from sandbox.streams.base import Observation
from sandbox.streams.grading import NOT_TOLD


class LiteralAgent:
    """Does what the first item says that names an untried command on offer; otherwise it draws one.

    It reads neither conditions nor patterns: an item's action, or else the lines of its text. To a question it answers
    with the beginning of the first item. Deterministic by its seed.

    Args:
        rng: owned by the agent from here on.
    """

    name = "literal"

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._tried: set[str] = set()

    def begin(self, goal: str) -> None:
        """Start a task."""
        self._tried = set()

    def choose(self, observation: Observation, recall: Recall) -> str:
        """Pick one of the commands on offer."""
        untried = [command for command in observation.commands if command not in self._tried] or observation.commands
        offered = {normal(command): command for command in untried}
        for item in recall.items:
            if item.value is None or item.value > 0.5:
                for line in _advice(item):
                    if line in offered:
                        return offered[line]
        return untried[int(self._rng.integers(len(untried)))]

    def learn(self, command: str, before: Observation, after: Observation) -> None:
        """Try again what was tried, once something is earned."""
        self._tried = set() if after.reward > 0.0 else self._tried | {command}

    def answer(self, question: str, recall: Recall) -> str:
        """Quote the first item."""
        return " ".join(recall.items[0].text.split()[:ANSWER_WORDS]) if recall.items else NOT_TOLD


def _advice(item: Item) -> list[str]:
    return [normal(item.action)] if item.action else [normal(line) for line in item.text.splitlines()]
