"""Models whose answers are a function of the call."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from sandbox.calls import Call, CallRefused, ModelFault, Reply

DIMENSIONS = 12
DOLLARS = 0.001


class ScriptedModels:
    """`sandbox.calls.Models` without a provider: remembers what it was asked.

    Args:
        answer: an exception that it returns is raised.
    """

    def __init__(self, answer: Callable[[Call], Reply | CallRefused | ModelFault]) -> None:
        self._answer = answer
        self.calls: list[Call] = []

    def ask(self, call: Call) -> Reply:
        self.calls.append(call)
        answer = self._answer(call)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask_all(self, calls: Sequence[Call]) -> list[Reply | CallRefused]:
        answers: list[Reply | CallRefused] = []
        for call in calls:
            try:
                answers.append(self.ask(call))
            except CallRefused as refused:
                answers.append(refused)
        return answers

    def of(self, scope: str, role: str = "memory") -> list[Call]:
        return [call for call in self.calls if (call.scope, call.role) == (scope, role)]


def echo(call: Call) -> Reply:
    """Says what it was asked, or a vector for each text; a word is a token."""
    words = sum(len(message.content.split()) for message in call.messages)
    if call.role == "embedding":
        rows = np.stack([_vector(message.content) for message in call.messages])
        return Reply("", words, 0, DOLLARS, vectors=rows.astype("<f4").tobytes())
    return Reply(f"you say {call.messages[-1].content[:200]}", words, 5, DOLLARS)


def _vector(text: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).normal(size=DIMENSIONS) * 3.0
