"""What an agent owes, and how what it sees is told to a memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from design_space.memory import Recall
from sandbox.calls import Line
from sandbox.streams.base import Observation


class Agent(Protocol):
    """Plays one task: chooses commands. Owes: no knowledge of designs; equal seeds, equal choices.

    A choice that is not on offer is a step without effect.

    Attributes:
        name: as in a config and in the evaluation key.
    """

    name: str

    def begin(self, goal: str) -> None: ...

    def choose(self, observation: Observation, recall: Recall) -> str: ...

    def learn(self, command: str, before: Observation, after: Observation) -> None: ...


@runtime_checkable
class Reader(Protocol):
    """What an agent offers beside, if it is to answer questions."""

    def answer(self, question: str, recall: Recall) -> str:
        """Return what it says to the question, knowing nothing but the recall."""
        ...


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool that a memory offers.

    Attributes:
        parameters: name of each argument and what it means.
    """

    name: str
    description: str
    parameters: Mapping[str, str]


class Toolbox(Protocol):
    """The tools of the memory that an agent plays with."""

    @property
    def offers(self) -> Sequence[Offer]: ...

    def use(self, name: str, arguments: Mapping[str, str]) -> str:
        """What the tool says, or what is wrong with the call."""
        ...


@runtime_checkable
class ToolUser(Protocol):
    """What an agent offers beside, if it uses tools of its memory."""

    def equip(self, toolbox: Toolbox) -> None:
        """Say what is offered; comes before the task, and only where something is."""
        ...


@runtime_checkable
class Modelled(Protocol):
    """What an agent offers beside, if it asks a language model."""

    def connect(self, line: Line) -> None:
        """Say whom it asks; comes before anything else."""
        ...


def situation(observation: Observation) -> str:
    """What is before the agent, one fact a line; what it holds comes last and begins with "carrying"."""
    held = [f"carrying {line}" for line in observation.inventory.splitlines()] or ["carrying nothing"]
    return "\n".join([*observation.scene.splitlines(), *held])
