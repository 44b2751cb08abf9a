"""What modular memories are made of: stored entries, and the returns that give them their value."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from design_space.memory import Episode, Step


@runtime_checkable
class Learner(Protocol):
    """A part that learns apart from the entries; what it learned belongs into a memory's snapshot.

    Owes: a part that was given another's `state` goes on exactly as that one would have.
    """

    def state(self) -> Any:
        """All that was learned, as JSON; a copy."""
        ...

    def set_state(self, state: Any) -> None: ...


@dataclass(slots=True)
class Entry:
    """One stored item with its bookkeeping.

    Attributes:
        goal: the task in which it was learned.
        objects: the things it is about, as words.
        situation, action, text: as in `Item`.
        quote: what `text` quotes, if it says more than that.
        value: mean of what was observed of it, in [0, 1]; 0.5 is average.
        count: observations behind `value`; 0 says that `value` is a whole estimate, which replaces an earlier one.
        q: value by credit for its use, in [0, 1].
        uses, wins: how often it was recalled, and in how many of those the task (or the step) went well.
        born: the episode in which it was stored; used: the episode of its last recall.
    """

    id: str
    text: str
    goal: str
    objects: str
    situation: str
    action: str
    value: float
    count: int = 1
    q: float = 0.5
    uses: int = 0
    wins: float = 0.0
    born: int = 0
    used: int = 0
    quote: str = ""

    @property
    def identity(self) -> tuple[str, str, str]:
        """Entries that agree in it say the same, and are stored once."""
        return (self.situation, self.action, "" if self.action else self.quote or self.text)

    def observe(self, other: Entry) -> None:
        """Take what another entry of the same identity observed."""
        self.text = other.text
        if other.count == 0:
            self.value = other.value
            return
        total = self.count + other.count
        self.value += (other.value - self.value) * other.count / total
        self.count = total


def returns(episode: Episode, discount: float) -> list[float]:
    """Discounted reward from each step on; where steps tell no reward, the task's comes at its last step."""
    told = any(step.reward is not None for step in episode.steps)
    total, found = 0.0, []
    for i, step in enumerate(reversed(episode.steps)):
        last = (episode.reward or 0.0) if i == 0 else 0.0
        total = ((step.reward or 0.0) if told else last) + discount * total
        found.append(total)
    return found[::-1]


class Baseline:
    """Turns returns into values: 0.5 is what steps earned on the average so far; two deviations above are nearly 1."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self.squares = 0.0

    def take(self, earned: float) -> float:
        """Take `earned` into the average, and return its value in [0, 1]."""
        self.count += 1
        before = earned - self.mean
        self.mean += before / self.count
        self.squares += before * (earned - self.mean)
        deviation = math.sqrt(max(0.0, self.squares) / self.count)
        return 0.5 + 0.5 * math.tanh((earned - self.mean) / deviation) if deviation > 1e-9 else 0.5

    def state(self) -> Any:
        return [self.count, self.mean, self.squares]

    def set_state(self, state: Any) -> None:
        self.count, self.mean, self.squares = state


DOCUMENT_LINES = 3
"""An answer of so many lines is something that was read, not just what an action did."""


def is_document(answer: str) -> bool:
    """Whether an answer of the environment is long enough to be something that was read."""
    return sum(1 for line in answer.splitlines() if line.strip()) >= DOCUMENT_LINES


def told_lines(episode: Episode) -> Iterator[tuple[Step, list[str]]]:
    """Each step with what the task had demanded by then: the lines of the goal and of the documents read so far."""
    told = [line for line in episode.goal.splitlines() if line.strip()]
    for step in episode.steps:
        yield step, list(told)
        if is_document(step.observation):
            told += [line for line in step.observation.splitlines() if line.strip() and line not in told]
