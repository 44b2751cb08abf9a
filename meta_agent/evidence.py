"""What speaks for a lesson: differences that designs made, and the effect that they add up to, shrunk."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from archive.plain import number
from design_space import DesignId

EFFECT_SD = 0.05
"""Of what a lesson is worth, before anything is known, in reward units."""
DESIGN_SD = 0.05
"""Of what two designs make of one lesson."""
STREAM_SD = 0.15
"""Of the difference between two designs on one stream, by chance."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What doing as a lesson describes made of one design.

    Attributes:
        difference: of the design's reward from its parent's, paired, the mean over `n` streams; in [-1, 1].
        n: streams, at least 1.
        weight: what the piece counts for, in (0, 1]; below 1 where it was brought from another run.

    Raises:
        ValueError: a number is out of its range.
    """

    design: DesignId
    parent: DesignId
    difference: float
    n: int
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not -1.0 <= self.difference <= 1.0:
            raise ValueError(f"difference of design {self.design} is {self.difference!r}, wanted a number in [-1, 1]")
        if self.n < 1 or not 0.0 < self.weight <= 1.0:
            raise ValueError(f"n is {self.n!r}, weight {self.weight!r}: wanted at least 1, and a number in (0, 1]")

    @property
    def precision(self) -> float:
        """Of its difference as a measure of a lesson's worth."""
        return self.weight / (DESIGN_SD**2 + STREAM_SD**2 / self.n)


@dataclass(frozen=True, slots=True)
class Effect:
    """What is believed of a lesson: a normal distribution, in reward units.

    Attributes:
        mean: shrunk towards 0.0; below 0.0 if doing as described costs reward.
    """

    mean: float
    sd: float

    def right(self, helps: bool) -> float:
        """How probably it is on the side that was claimed, in [0, 1]; .5 without evidence."""
        side = self.mean if helps else -self.mean
        return 0.5 * (1.0 + math.erf(side / (self.sd * math.sqrt(2.0))))

    def __str__(self) -> str:
        sign = "+" if self.mean >= 0.0 else ""
        return f"{sign}{number(self.mean)} ± {number(1.96 * self.sd)}"


@lru_cache(maxsize=65_536)
def effect(evidence: tuple[Evidence, ...]) -> Effect:
    """Weigh evidence by its precision, against a worth of 0.0 that `EFFECT_SD` speaks for."""
    precision = EFFECT_SD**-2 + sum(piece.precision for piece in evidence)
    return Effect(sum(piece.precision * piece.difference for piece in evidence) / precision, precision**-0.5)


def union(*parts: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """All evidence, each pair of designs once, in one order whatever the order of the parts.

    Of two measurements of one pair the one that counts for more streams stays; of equals the one that promises less.
    """
    best: dict[tuple[DesignId, DesignId], Evidence] = {}
    for piece in (piece for part in parts for piece in part):
        pair = piece.design, piece.parent
        if pair not in best or _worth(piece) > _worth(best[pair]):
            best[pair] = piece
    return tuple(best[pair] for pair in sorted(best))


def _worth(piece: Evidence) -> tuple[float, float, int, float]:
    return piece.weight * piece.n, -abs(piece.difference), piece.n, -piece.difference
