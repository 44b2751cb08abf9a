"""What a memory design is: the `Memory` interface and the values that pass through it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from design_space.space import Space


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a memory shows to the agent.

    Attributes:
        id: names the item inside its memory; credit is assigned by it.
        text: what a reader (a person, an LLM) is shown.
        situation: when the advice applies, as text; ``{x}`` stands for any one phrase. Empty: always.
        action: the command that the item speaks about; ``{x}`` is what the situation bound. Empty: none.
        value: how good that action proved, in [0, 1]; 0.5 is neutral, None unknown.
    """

    id: str
    text: str
    situation: str = ""
    action: str = ""
    value: float | None = None

    def __post_init__(self) -> None:
        if self.value is not None and not 0.0 <= self.value <= 1.0:
            raise ValueError(f"item {self.id!r} has value {self.value!r}, wanted None or a number in [0, 1]")


@dataclass(frozen=True, slots=True)
class Recall:
    """What a memory returns for a query, best item first.

    Attributes:
        mode: ``append`` adds to the agent's own history of the task, ``replace`` stands in its place.
    """

    items: tuple[Item, ...] = ()
    mode: Literal["append", "replace"] = "append"


@dataclass(frozen=True, slots=True)
class Query:
    """What the agent knows when it asks its memory.

    Attributes:
        goal: the task, in words.
        situation: what is before the agent now, one fact a line; empty before the first observation.
        step: 0 before the first action.
        history: the latest (action, observation) pairs of this task, oldest first.
        role: which of the agent's roles asks; ``actor`` chooses actions, ``reader`` answers questions.
    """

    goal: str
    situation: str = ""
    step: int = 0
    history: tuple[tuple[str, str], ...] = ()
    role: str = "actor"


@dataclass(frozen=True, slots=True)
class Step:
    """One action of the agent and what came of it.

    Attributes:
        situation: what was before the agent when it chose, one fact a line.
        action: the command; empty in a dialogue session, where only `observation` speaks.
        observation: what the environment answered.
        reward: what this step alone earned, in [0, 1]; None if the environment does not say.
        recall: what the memory had returned for this step (for a design that is asked once per task: that recall).
    """

    situation: str
    action: str
    observation: str
    reward: float | None = None
    recall: Recall = field(default_factory=Recall)


@dataclass(frozen=True, slots=True)
class Episode:
    """What a memory is told of one attempt at a task.

    Attributes:
        id: an opaque name that differs between evaluations of the same task.
        reward: the whole task's, in [0, 1]; None where the protocol does not show it.
        recall: what the memory had returned before the task.
    """

    id: str
    goal: str
    steps: tuple[Step, ...] = ()
    reward: float | None = None
    recall: Recall = field(default_factory=Recall)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a memory has learned: JSON data and named arrays."""

    data: Any = None
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tool:
    """An operation that a memory offers to the agent.

    Attributes:
        parameters: name of each argument (all are strings) and what it means.
        call: takes the arguments by name, returns text for the agent.
    """

    name: str
    description: str
    parameters: Mapping[str, str]
    call: Callable[..., str]


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left of a design's allowance for `ask`: calls in this task, tokens in this stream; None is unlimited."""

    calls: int | None = 0
    tokens: int | None = 0


class ModelUnavailable(RuntimeError):
    """The design asked for what this run does not offer, or more than its allowance grants."""


class Kit(Protocol):
    """All that a design may touch besides its own objects and numpy.

    Attributes:
        rng: the memory's own random generator; the only source of chance a design may use.
        folder: scratch for files, empty at the start of a stream, gone at its end.
        budget: what is left of the allowance for `ask`.
    """

    @property
    def rng(self) -> np.random.Generator: ...
    @property
    def folder(self) -> Path: ...
    @property
    def budget(self) -> Budget: ...

    def ask(self, prompt: str, *, max_tokens: int = 512) -> str:
        """Ask the memory's language model.

        Raises:
            ModelUnavailable: the run is key-free, the allowance does not grant it, or the model refuses to answer.
        """
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts: float32, shape (n, d), rows of unit norm (all zeros for a text without words).

        What a run embeds with, and so d, differs from run to run. Very long texts may be cut.

        Raises:
            ModelUnavailable: the run embeds outside the sandbox, and the allowance does not grant it.
        """
        ...


class Memory(ABC):
    """A memory design: a module defines exactly one concrete subclass.

    The agent works through a stream of tasks with one instance. Class attributes:

    * ``SPACE``: the tunable parameters with ranges and defaults; they arrive as keyword arguments.
    * ``RETRIEVE``: ``task`` asks once before each task, ``step`` before each action.
    """

    SPACE: ClassVar[Space] = Space()
    RETRIEVE: ClassVar[Literal["task", "step"]] = "task"

    def __init__(self, kit: Kit, **params: Any) -> None:
        self.kit = kit
        self.params: dict[str, Any] = {**self.SPACE.fill(params)}

    @abstractmethod
    def retrieve(self, query: Query) -> Recall:
        """Return what helps with `query`, best first."""

    def observe(self, step: Step) -> None:
        """Take note of what happened inside a task; called after each action if overridden."""
        return

    @abstractmethod
    def update(self, episode: Episode) -> None:
        """Learn from a finished task."""

    def tools(self) -> Sequence[Tool]:
        """Operations that an agent that is a model may call before it decides; asked for once, before all tasks."""
        return ()

    def snapshot(self) -> Snapshot:
        """Return all that was learned; `restore` of a new instance takes it back."""
        return Snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Replace what was learned by `snapshot`."""
        return
