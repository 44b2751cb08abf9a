"""What modular memories are made of: stored entries, and the returns that give them their value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from design_space.memory import Episode, Step


@dataclass(slots=True)
class Entry:
    """One stored item with its bookkeeping.

    Attributes:
        goal: the task in which it was learned.
        objects: the things it is about, as words.
        situation, action, text: as in `Item`.
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

    @property
    def identity(self) -> tuple[str, str, str]:
        """Entries that agree in it say the same, and are stored once."""
        return (self.situation, self.action, "" if self.action else self.text)

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
    """Turns returns into values: 0.5 is what steps earned on the average so far, 1 the most that any earned."""

    def __init__(self) -> None:
        self.total = 0.0
        self.count = 0
        self.most = 0.0

    def take(self, earned: float) -> float:
        """Take `earned` into the average, and return its value in [0, 1]."""
        self.total += earned
        self.count += 1
        self.most = max(self.most, earned)
        mean = self.total / self.count
        return max(0.0, 0.5 + 0.5 * (earned - mean) / (self.most - mean)) if self.most > mean else 0.5


DOCUMENT_LINES = 3
"""An answer of so many lines is something that was read, not just what an action did."""


def told_lines(episode: Episode) -> Iterator[tuple[Step, list[str]]]:
    """Each step with what the task had demanded by then: the lines of the goal and of the documents read so far."""
    told = [line for line in episode.goal.splitlines() if line.strip()]
    for step in episode.steps:
        yield step, list(told)
        lines = [line for line in step.observation.splitlines() if line.strip()]
        if len(lines) >= DOCUMENT_LINES:
            told += [line for line in lines if line not in told]
