"""What an agent owes, and how what it sees is told to a memory."""

from __future__ import annotations

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
