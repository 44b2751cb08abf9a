"""Impossible: tasks whose right answers are drawn at random, so that whoever does better than chance has seen them.

A family has nothing to be learned. Each task offers the same four buttons, one of which is right; which one is drawn
afresh for each task, and neither the task nor anything that came before it depends on the draw. So whatever a memory
and an agent do, each task that is played is right with probability `CHANCE`, and all of a stream's together are
binomial: see `meta_agent.leak`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from sandbox.streams.base import MOST_TASKS, SPLITS, Environment, Observation, Split, Stream, Task, generator

NAME = "impossible"
COMMANDS = ("press red", "press green", "press blue", "press amber")
CHANCE = 1.0 / len(COMMANDS)
"""Of any task to be right, whatever is known."""
GOAL = "press the button that is connected today"
SCENE = "There is a panel with four buttons."


@dataclass(frozen=True, slots=True)
class ImpossibleSettings:
    """What an impossible stream is made of.

    Attributes:
        tasks_count: tasks of a stream; each takes one action.
    """

    tasks_count: int = 40


class ImpossibleEnvironment:
    """One task: the first command ends it, and only then it shows whether it was right."""

    def __init__(self, right: str) -> None:
        self._right = right
        self._done = False

    def reset(self) -> Observation:
        self._done = False
        return Observation("", SCENE, "", COMMANDS)

    def step(self, command: str) -> Observation:
        if self._done or command not in COMMANDS:
            return Observation("Nothing happens.", SCENE, "", () if self._done else COMMANDS, 0.0, self._done)
        self._done = True
        right = command == self._right
        return Observation("A bell rings." if right else "Nothing happens.", SCENE, "", (), float(right), True)

    def close(self) -> None:
        return None


class ImpossibleSource:
    """Streams of tasks that nobody can know the answers of."""

    name = NAME

    def __init__(self, settings: ImpossibleSettings | None = None) -> None:
        self.settings = settings or ImpossibleSettings()
        if not 1 <= self.settings.tasks_count <= MOST_TASKS:
            raise ValueError(f"tasks_count is {self.settings.tasks_count}, not 1 to {MOST_TASKS}")
        text = json.dumps(asdict(self.settings), sort_keys=True)
        self._tag = hashlib.sha256(text.encode()).hexdigest()[:8]

    def stream_name(self, split: Split, seed: int, index: int) -> str:
        return f"{self.name}:{self._tag}/{split}/{seed}/{index}"

    def stream(self, split: Split, seed: int, index: int) -> Stream:
        if split not in SPLITS:
            raise ValueError(f"split is {split!r}, not one of {', '.join(SPLITS)}")
        name = self.stream_name(split, seed, index)
        drawn = generator("impossible answers", self._tag, split, seed, index)
        rights = [COMMANDS[int(place)] for place in drawn.integers(len(COMMANDS), size=self.settings.tasks_count)]
        tasks = tuple(Task(f"{name}/{i}", GOAL, 1, {"right": right}) for i, right in enumerate(rights))
        return Stream(name, self.name, split, hashlib.sha256(name.encode()).hexdigest()[:16], tasks)

    def environment(self, task: Task) -> Environment:
        return ImpossibleEnvironment(str(task.payload["right"]))
