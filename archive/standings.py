"""Designs side by side on the same streams: scores, ranks, and how sure the ranks are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from archive.certificate import to_json
from archive.statistics import Interval, by_stream, mean_interval, paired_difference
from design_space import Evaluation

RESAMPLES = 4_000
"""Draws of streams behind a rank's interval."""

Floats = NDArray[np.float64]
Scores = Mapping[str, Mapping[str, float]]
"""By design and stream."""


@dataclass(frozen=True, slots=True)
class Placed:
    """One design on one kind of tasks.

    Attributes:
        rank: 1 is the best by mean score; designs of equal means share the middle of their places.
        rank_low, rank_high: between which it lies in 95 % of resamples of the streams (Efron's bootstrap, drawn wider
            where streams are few, as Student's t is); all places, where there are fewer than three streams.
        gain: over no memory, paired; due_to_memory, due_to_family: what amnesia, and another family's experience, do
            not bring; None where not measured.
        found: share of questions whose gold stood in the recall; None where tasks are played.
        failed: evaluations that did not end as scored.
    """

    name: str
    design: str
    score: Interval
    gain: Interval
    rank: float
    rank_low: float
    rank_high: float
    due_to_memory: Interval | None
    due_to_family: Interval | None
    found: Interval | None
    failed: int


@dataclass(frozen=True, slots=True)
class Table:
    """One kind of tasks with one agent.

    Attributes:
        spread_p: Friedman's test over all designs: how often ranks would differ so much by chance alone; None if fewer
            than three designs, or if all streams rank them equally.
    """

    stream: str
    agent: str
    protocol: str
    streams: int
    tasks: int
    note: str
    placed: tuple[Placed, ...]
    spread_p: float | None

    @property
    def told_spread(self) -> str:
        """The test's result in words; empty if there is none."""
        if self.spread_p is None:
            return ""
        p = "p < 0.001" if self.spread_p < 0.001 else f"p = {self.spread_p:.2g}"
        return f"designs that are all equal would differ so with {p} (Friedman)"


@dataclass(frozen=True, slots=True)
class Standings:
    """All tables of an arena, and what is needed to get them again."""

    name: str
    seed: int
    tables: tuple[Table, ...]
    backend: str
    guest: str
    versions: Mapping[str, str]

    def to_json(self) -> str:
        """Return it as JSON; no figure in it is a time, so equal evaluations give equal text."""
        return to_json(self)


@dataclass(frozen=True, slots=True)
class Entrant:
    """One design's evaluations on the streams of a table; those of its controls are empty where not made."""

    name: str
    design: str
    own: Sequence[Evaluation]
    amnesia: Sequence[Evaluation] = ()
    shuffled: Sequence[Evaluation] = ()


def place(entrants: Sequence[Entrant], baseline: str) -> tuple[Placed, ...]:
    """Rank designs on the streams that all of them saw, the best first.

    Args:
        baseline: name of the entrant that gains are measured against.

    Raises:
        ValueError: the entrants share no stream, or the baseline is not among them.
    """
    scores = {entrant.name: by_stream(entrant.own) for entrant in entrants}
    if baseline not in scores:
        raise ValueError(f"the baseline {baseline!r} is not among the entrants")
    shared = [stream for stream in scores[baseline] if all(stream in theirs for theirs in scores.values())]
    if not shared:
        raise ValueError("the entrants share no stream")
    grid = np.array([[scores[entrant.name][stream] for stream in shared] for entrant in entrants])
    means = grid.mean(axis=1)
    ranks = _ranks(means)
    low, high = _likely_ranks(grid, means)
    placed = []
    for i, entrant in enumerate(entrants):
        own = scores[entrant.name]
        shares = [sum(evaluation.found) / len(evaluation.found) for evaluation in entrant.own if evaluation.found]
        placed.append(
            Placed(
                name=entrant.name,
                design=entrant.design,
                score=mean_interval(grid[i].tolist()),
                gain=paired_difference(own, scores[baseline]),
                rank=float(ranks[i]),
                rank_low=float(low[i]),
                rank_high=float(high[i]),
                due_to_memory=paired_difference(own, by_stream(entrant.amnesia)) if entrant.amnesia else None,
                due_to_family=paired_difference(own, by_stream(entrant.shuffled)) if entrant.shuffled else None,
                found=mean_interval(shares) if shares else None,
                failed=sum(evaluation.outcome.value != "scored" for evaluation in entrant.own),
            )
        )
    return tuple(sorted(placed, key=lambda one: (one.rank, one.name)))


def _likely_ranks(grid: Floats, means: Floats) -> tuple[Floats, Floats]:
    """Args: grid: scores, shape (designs, streams)."""
    designs, n = grid.shape
    if n < 3:  # two can be resampled in two ways that differ, and each is the other one's mirror
        return np.full(designs, 1.0), np.full(designs, float(designs))
    draws = np.random.default_rng(n).integers(n, size=(RESAMPLES, n))
    # A sample's spread is too small by n - 1 in n, and how far it lies from the true one is what Student's t is about.
    wider = math.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1) / stats.norm.ppf(0.975)
    resampled = np.stack([_ranks(means + wider * (grid[:, draw].mean(axis=1) - means)) for draw in draws])
    low, high = np.quantile(resampled, (0.025, 0.975), axis=0)
    return low, high


def spread(entrants: Sequence[Entrant]) -> float | None:
    """Friedman's p over the streams that all entrants saw; see `Table`."""
    scores = [by_stream(entrant.own) for entrant in entrants]
    shared = [stream for stream in scores[0] if all(stream in theirs for theirs in scores)]
    rows = [[theirs[stream] for stream in shared] for theirs in scores]
    if len(rows) < 3 or len(shared) < 2 or all(len(set(column)) == 1 for column in zip(*rows, strict=True)):
        return None
    return float(stats.friedmanchisquare(*rows).pvalue)


def _ranks(means: Floats) -> Floats:
    """Mid-ranks, 1 for the highest; means that differ by rounding alone are equal."""
    return np.asarray(stats.rankdata(-np.round(means, 9)), dtype=np.float64)
