"""What to evaluate next: pure functions of results told in the order of asking."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from design_space import DesignId
from sandbox.evaluate import Experience


@dataclass(frozen=True, slots=True)
class Request:
    """One design on some streams of a split.

    Attributes:
        streams: positions in the split's one nested order.
        bench: which of the benches; order, experience: as in `Job`.
    """

    design: DesignId
    streams: tuple[int, ...]
    bench: int = 0
    order: int = 0
    experience: Experience = "own"


def first_rung(designs: Sequence[DesignId], rungs: Sequence[int]) -> list[Request]:
    """Every design of a generation on the streams of the first rung."""
    return [Request(design, tuple(range(rungs[0]))) for design in designs]


def next_rung(standing: Mapping[DesignId, float | None], rung: int, rungs: Sequence[int], keep: float) -> list[Request]:
    """Promote the better part of those that saw rung `rung - 1` (successive halving, arXiv 1502.07943).

    Args:
        standing: posterior mean of each, in the order of asking; None for a design that failed.
        keep: share that is promoted, rounded up; ties go to what was asked for first.
    """
    alive = [design for design, mean in standing.items() if mean is not None]
    count = math.ceil(Fraction(str(keep)) * len(alive))  # as it is written: .14 of 50 are 7, and not 8
    ranked = sorted(alive, key=lambda design: -(standing[design] or 0.0))
    promoted = set(ranked[:count])
    streams = tuple(range(rungs[rung - 1], rungs[rung]))
    return [Request(design, streams) for design in standing if design in promoted]


def within(requests: Sequence[Request], allowance: int) -> list[Request]:
    """The requests that an allowance of evaluations pays for: whole ones, in order, up to the first it does not."""
    paid = []
    for request in requests:
        allowance -= len(request.streams)
        if allowance < 0:
            break
        paid.append(request)
    return paid
