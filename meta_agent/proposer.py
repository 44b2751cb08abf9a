"""What a proposer owes: source code from parents, without any promise that it is good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from archive.selection import Selection
from design_space import Design, DesignId

if TYPE_CHECKING:
    from meta_agent.search import Search


@dataclass(frozen=True, slots=True)
class Parent:
    """A design that something is to be made of.

    Attributes:
        score: posterior mean reward.
    """

    design: Design
    score: float


@dataclass(frozen=True, slots=True)
class Draft:
    """A design as proposed, before anything is known of it.

    Attributes:
        parents: ids, the one that it was mostly made of first; empty for a seed.
        operator: what was done, in a word or two.
        note: what was done, in a sentence.
        problem: why there is no design that works; empty if the proposer knows of nothing.
    """

    design: Design
    parents: tuple[DesignId, ...]
    proposer: str
    operator: str
    note: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """One design that is to be proposed.

    Attributes:
        parents: at least one.
        scope: names the place in the search, the same in every repetition.
        guide: the prompt that steers how it is improved; empty for the root one.
    """

    parents: tuple[Parent, ...]
    scope: str
    guide: str = ""


class Proposer(Protocol):
    """Makes designs from designs.

    An implementer owes: equal drafts for equal arguments and an equal history of `observe`; no I/O but through what it
    was given; a `Draft` even where it can do nothing useful (novelty is judged by the caller).

    Attributes:
        name: as in a config.
    """

    name: str

    def propose(self, parents: tuple[Parent, ...], rng: np.random.Generator, prompt: str = "") -> Draft:
        """Make one design of one or two parents.

        Args:
            prompt: how; empty leaves it to the proposer.
        """
        ...

    def selection(self, prompt: str) -> Selection | None:
        """How a prompt wants the parent to be chosen; None leaves it to the run."""
        ...

    def observe(self, design: Design, score: float | None) -> None:
        """Hear what became of one of its drafts: mean reward on the streams that it saw, None if it failed."""
        ...


@runtime_checkable
class BatchProposer(Protocol):
    """Makes all of a generation's designs at once, since it waits for others: models, sandboxes.

    An implementer owes what one of `Proposer` does; its drafts depend on nothing that the same generation brings.
    """

    name: str

    def propose_all(self, orders: Sequence[Order], search: Search) -> list[Draft]:
        """Make a design for each order.

        Args:
            search: that asks; to be read, not to be changed.
        """
        ...

    def selection(self, prompt: str) -> Selection | None:
        """How a prompt wants the parent to be chosen, see `Proposer`."""
        ...

    def observe(self, design: Design, score: float | None) -> None:
        """Hear what became of one of its drafts, see `Proposer`."""
        ...
