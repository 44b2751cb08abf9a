"""What every strategy of parent selection is given, and what it owes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from design_space import DesignId


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The designs that can become parents, one place in every array each.

    They are used in the order of their ids, so that it does not matter in which order results arrived.

    Attributes:
        mean, sd: posterior of the true mean reward; float64.
        children: how many designs were made from it so far; int64.
        visits: how often it was chosen; int64.
        baseline: score of the null memory on the same streams.

    Raises:
        ValueError: arrays of different lengths, an id twice, a number that is not finite, a negative sd or count.
    """

    ids: tuple[DesignId, ...]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    children: NDArray[np.int64]
    visits: NDArray[np.int64]
    baseline: float = 0.0

    def __post_init__(self) -> None:
        for name, kind in (("mean", np.float64), ("sd", np.float64), ("children", np.int64), ("visits", np.int64)):
            array = np.array(getattr(self, name), dtype=kind)
            array.flags.writeable = False
            if array.shape != (len(self.ids),):
                raise ValueError(f"{name} has shape {array.shape}, wanted ({len(self.ids)},)")
            if not np.isfinite(array).all() or (name != "mean" and (array < 0).any()):
                raise ValueError(f"{name} is {array!r}, wanted finite numbers, and none below 0 but in mean")
            object.__setattr__(self, name, array)
        object.__setattr__(self, "ids", tuple(self.ids))
        if len(set(self.ids)) != len(self.ids) or not np.isfinite(self.baseline):
            raise ValueError("a design is listed twice, or the baseline is not finite")

    def __len__(self) -> int:
        return len(self.ids)

    def order(self) -> NDArray[np.int64]:
        """Return the indices in the order of ids."""
        return np.array(sorted(range(len(self)), key=self.ids.__getitem__), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Choice:
    """One chosen parent.

    Attributes:
        index: place in the candidates.
        reason: why, for people; goes to the ledger's decisions.
    """

    index: int
    reason: str


class Selection(Protocol):
    """Chooses parents.

    An implementer owes: no state between calls; randomness from `rng` only; the same designs for the same candidates
    and generator, in whatever order the candidates are listed; a time that grows no faster than candidates times
    count. A design may be chosen more than once.
    """

    def choose(self, candidates: Candidates, count: int, rng: np.random.Generator) -> list[Choice]:
        """Return up to `count` parents, `count` unless the strategy never takes one twice.

        Raises:
            ValueError: there are no candidates, or `count` is negative.
        """
        ...


def check_request(candidates: Candidates, count: int) -> None:
    """Raise what `Selection.choose` promises to raise."""
    if not len(candidates):
        raise ValueError("there is no design to choose a parent from")
    if count < 0:
        raise ValueError(f"count is {count!r}, wanted at least 0")
