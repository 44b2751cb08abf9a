"""How others choose parents, re-implemented from their papers and code, to be run beside ours by `controllers.py`.

Each is a `Selection` over what a procedure believes. None keeps state; all draw with replacement.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from archive.selection import Alma, Candidates, Choice, Greedy, Selection, Thompson, Uniform

Weights = Callable[[Candidates], NDArray[np.float64]]


class Weighted:
    """Draws each parent by weights."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    def choose(self, candidates: Candidates, count: int, rng: np.random.Generator) -> list[Choice]:
        weights = self._weights(candidates)
        drawn = rng.choice(len(candidates), size=count, p=weights / weights.sum())
        return [Choice(int(index), "") for index in drawn]


def darwin_goedel(candidates: Candidates) -> NDArray[np.float64]:
    """Darwin Goedel Machine (arXiv:2505.22954): sigmoid(10 (score - .5)) / (1 + children)."""
    return np.asarray(_sigmoid(10 * (candidates.mean - 0.5)) / (1 + candidates.children))


def shinka(candidates: Candidates) -> NDArray[np.float64]:
    """ShinkaEvolve (arXiv:2509.19349), weighted sampling: sigmoid(10 (score - median)) / (1 + children)."""
    return np.asarray(_sigmoid(10 * (candidates.mean - np.median(candidates.mean))) / (1 + candidates.children))


def open_evolve(candidates: Candidates) -> NDArray[np.float64]:
    """OpenEvolve's default: with probability .7 one of the best tenth, else any; one island, no cells."""
    n = len(candidates)
    best = np.argsort(-candidates.mean, kind="stable")[: math.ceil(0.1 * n)]
    weights = np.full(n, 0.3 / n)
    weights[best] += 0.7 / len(best)
    return weights


class Gepa:
    """GEPA (arXiv:2507.19457): any that is best on some stream, in proportion to the streams that it is best on.

    Args:
        table: scores, shape (designs, streams), nan where not seen; in the order of the candidates.
    """

    def __init__(self, table: Callable[[], NDArray[np.float64]]) -> None:
        self._table = table

    def choose(self, candidates: Candidates, count: int, rng: np.random.Generator) -> list[Choice]:
        table = self._table()
        best = np.nanmax(table, axis=0)
        wins = (table >= best).sum(axis=1).astype(np.float64)
        return [Choice(int(i), "") for i in rng.choice(len(candidates), size=count, p=wins / wins.sum())]


class Pareto:
    """Any that on some stream no other dominates in (reward, tokens, seconds), in proportion to those streams.

    MemEvolve (arXiv:2512.18746) has such a front, of means.

    Args:
        table: as of `Gepa`; costs: shape (designs, 2).
    """

    def __init__(self, table: Callable[[], NDArray[np.float64]], costs: Callable[[], NDArray[np.float64]]) -> None:
        self._table, self._costs = table, costs

    def choose(self, candidates: Candidates, count: int, rng: np.random.Generator) -> list[Choice]:
        table, costs = self._table(), self._costs()
        cheaper = (costs[:, None] <= costs[None]).all(axis=2) & (costs[:, None] < costs[None]).any(axis=2)
        equal = (costs[:, None] == costs[None]).all(axis=2)
        wins = np.zeros(len(candidates))
        for scores in table.T:
            more, least = scores[:, None] > scores[None], scores[:, None] >= scores[None]
            beaten = ((cheaper & least) | (equal & more)).any(axis=0)
            wins += ~beaten & ~np.isnan(scores)
        return [Choice(int(i), "") for i in rng.choice(len(candidates), size=count, p=wins / wins.sum())]


class Cells:
    """Quality-diversity (MAP-Elites, arXiv:1504.04909) over lineages: a cell at random, in it by Thompson sampling.

    Args:
        cells: of each candidate, which of the first designs it descends from.
    """

    def __init__(self, cells: Callable[[], NDArray[np.int64]]) -> None:
        self._cells = cells

    def choose(self, candidates: Candidates, count: int, rng: np.random.Generator) -> list[Choice]:
        cells = self._cells()
        chosen = []
        for cell in rng.choice(np.unique(cells), size=count):
            inside = np.flatnonzero(cells == cell)
            draws = rng.normal(candidates.mean[inside], candidates.sd[inside])
            chosen.append(Choice(int(inside[int(np.argmax(draws))]), ""))
        return chosen


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-x)))


OURS: dict[str, Callable[[], Selection]] = {
    "thompson": Thompson,
    "plain thompson": lambda: Thompson(breadth=1.0, discount=0.0),
    "narrow thompson": lambda: Thompson(breadth=0.25, discount=0.1),
    "greedy": Greedy,
    "alma": Alma,
    "random": Uniform,
}
WEIGHTED: dict[str, Weights] = {"dgm": darwin_goedel, "shinka": shinka, "openevolve": open_evolve}
