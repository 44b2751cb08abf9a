"""What a source of tasks owes: streams of tasks by split and seed, and an environment for each task."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from design_space.memory import Episode
from sandbox.streams.grading import Question

Split = Literal["search", "validation", "sealed"]
SPLITS: tuple[Split, ...] = ("search", "validation", "sealed")

MOST_TASKS, MOST_STEPS = 100_000, 10_000
"""Of a stream and of a task, where they are generated: a worker holds a whole stream."""


class SourceFault(Exception):
    """A source of tasks is not what it owes to be. Its results would mean nothing, and no design is at fault."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the agent sees after an action (or at the beginning).

    Attributes:
        feedback: what the environment answered to the action.
        scene: where the agent is and what is there, one fact a line.
        inventory: what it holds, one thing a line.
        commands: everything that may be typed now.
        reward: what this action earned; the rewards of a task sum up to at most 1.
        done: no further action is possible.
    """

    feedback: str
    scene: str
    inventory: str
    commands: tuple[str, ...]
    reward: float = 0.0
    done: bool = False


class Environment(Protocol):
    """One attempt at one task; deterministic. Used by one thread."""

    def reset(self) -> Observation: ...

    def step(self, command: str) -> Observation:
        """Carry out one of the commands on offer."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Task:
    """One thing that the agent is asked to do: to act in an environment, or to answer a question.

    Never leaves the worker.

    Attributes:
        id: stable across runs; designs never see it.
        goal: what the agent is told; of a question, the question itself.
        max_steps: actions it may take; of no meaning for a question.
        payload: what the source's `environment` needs, picklable.
        question: how the answer is judged; None where the task is played.
    """

    id: str
    goal: str
    max_steps: int
    payload: Mapping[str, Any] = field(default_factory=dict)
    question: Question | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """An ordered sequence of tasks of one family.

    Attributes:
        name: says source, settings, split, seed and position; equal names mean equal tasks.
        family: names the hidden regularities that its tasks share; splits share no family.
        sessions: what the memory is told before the first task, oldest first: dialogue sessions, whose steps have an
            observation and nothing else; in data of one's own also episodes with actions and rewards.
    """

    name: str
    source: str
    split: Split
    family: str
    tasks: tuple[Task, ...]
    sessions: tuple[Episode, ...] = ()


def seen(task: Task, found: object, earned: float = 0.0) -> Observation:
    """What an environment gave, if an agent can go on from there.

    Args:
        earned: of this task so far.

    Raises:
        SourceFault: it cannot, or the rewards are none: they would be cut to [0, 1], and nobody would know.
    """
    if not isinstance(found, Observation):
        raise SourceFault(f"the environment of task {task.id!r} gave a {type(found).__name__}, wanted an Observation")
    reward: object = found.reward
    if not isinstance(reward, int | float) or not math.isfinite(reward) or earned + reward > 1.0 + 1e-6:
        raise SourceFault(f"task {task.id!r} had earned {earned:g}, then {reward!r}: rewards are numbers, 1 in all")
    if not found.done and not found.commands:
        raise SourceFault(f"the environment of task {task.id!r} is not done, and has no command on offer")
    return found


class Source(Protocol):
    """A named maker of streams. Equal settings and arguments give equal streams, on every machine.

    Attributes:
        name: as in a config.
    """

    name: str

    def stream_name(self, split: Split, seed: int, index: int) -> str:
        """The name that `stream` gives its stream, without making any task."""
        ...

    def stream(self, split: Split, seed: int, index: int) -> Stream:
        """Return the `index`-th stream of a split; `seed` is the run's.

        Raises:
            ValueError: the split has no such stream.
        """
        ...

    def environment(self, task: Task) -> Environment:
        """Return a fresh environment for one of this source's tasks."""
        ...


@runtime_checkable
class Finite(Protocol):
    """What a source of data that is there, not generated, says beside: how many streams each split has."""

    def stream_count(self, split: Split) -> int: ...


def neighbour(source: Source, split: Split, index: int) -> int:
    """The stream whose family is another one: the next of the split, and the first after the last.

    Raises:
        ValueError: the split has one stream only.
    """
    if not isinstance(source, Finite):
        return index + 1
    count = source.stream_count(split)
    if count < 2:
        raise ValueError(f"the split {split!r} of {source.name!r} has {count} stream, so there is no other family")
    return (index + 1) % count


def generator(*parts: object) -> np.random.Generator:
    """A random generator that depends on `parts` alone, not on the process."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
