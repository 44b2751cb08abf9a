"""Synthetic worlds of designs, in which the truth is known: what `controllers.py` searches. The whole specification:

A design has a genotype, which its landscape gives a true worth in [0, 1]; a child's genotype is its parent's, changed.
A search begins with four designs that the landscape draws.

* `nk-N-K` (Kauffman 1993): N bits; each contributes a Uniform(0, 1) number, drawn for each setting of itself and of K
  others (drawn without replacement); f is their mean; worth = clip(.3 + 1.5 (f - .5)). A change flips each bit with
  probability 1/N, at least one. N in 12, 24, 48; K in 0, 2, 5, 8.
* `plateau-B-S`: B blocks of S bits; worth = .3 + .5 (share of the blocks that are all ones). Same changes.
* `trap-B-S`: B blocks of S bits; a block of u ones is worth 1 if u = S, else .8 (S - 1 - u) / (S - 1): it leads away
  from its best (Deb & Goldberg 1993); worth = .2 + .6 (mean over blocks). Same changes.
* `needle-N`: N bits; worth .8 if all are ones, else .3. Same changes.
* `walk-calm`, `walk-wild`: no genotype but the worth itself: child = clip(parent + Normal(m, s)), with (m, s) of
  (-.01, .04) and (-.04, .10): what lineages have in common is all there is.
* `walk-rare`: child = clip(parent + x): with probability .1, x = Exponential(.08), else x = -|Normal(0, .03)|.
* `walk-tiring`: the same with probability .25 and Exponential(.08 (1 - parent)).
* `null`: every design is worth .4.

Walks begin at Normal(.3, .05). Everything else is common to all. A design's chance at a task of stream s is
clip(worth + ease(s) + whim), ease ~ Normal(0, .08) for each stream and whim ~ Normal(0, .06) for each design and
stream. A stream has 10 tasks, each solved or not: its score is their mean. Of all changed designs 15 % do not work:
the first stream shows it, and they score 0 there. No change repairs another: they are nobody's parents.

A design also takes tokens and seconds, which say nothing of its worth: the first ones 1 of each, a child its parent's
times exp(Normal(0, .3)) of each, drawn apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.int64]
TASKS, BROKEN, EASE_SD, WHIM_SD, COST_SD, STARTS = 10, 0.15, 0.08, 0.06, 0.3, 4


class Landscape(Protocol):
    """What designs there are, and what they are worth."""

    def draw(self, rng: np.random.Generator) -> Bits | float: ...

    def change(self, genotype: Bits | float, rng: np.random.Generator) -> Bits | float: ...

    def worth(self, genotype: Bits | float) -> float: ...


class _Bits:
    """Strings of bits, changed by flips."""

    def __init__(self, length: int) -> None:
        self.length = length

    def draw(self, rng: np.random.Generator) -> Bits:
        return rng.integers(2, size=self.length)

    def change(self, genotype: Bits | float, rng: np.random.Generator) -> Bits:
        assert isinstance(genotype, np.ndarray)
        flips = rng.random(self.length) < 1 / self.length
        flips[rng.integers(self.length)] |= not flips.any()
        return np.asarray(np.where(flips, 1 - genotype, genotype))


class NK(_Bits):
    def __init__(self, n: int, k: int, rng: np.random.Generator) -> None:
        super().__init__(n)
        self._near = np.array([[i, *rng.permutation([j for j in range(n) if j != i])[:k]] for i in range(n)])
        self._powers = 2 ** np.arange(k + 1)
        self._parts = rng.random((n, 2 ** (k + 1)))

    def worth(self, genotype: Bits | float) -> float:
        settings = np.asarray(genotype)[self._near] @ self._powers
        return _clip(0.3 + 1.5 * (float(self._parts[np.arange(self.length), settings].mean()) - 0.5))


class Plateau(_Bits):
    def __init__(self, blocks: int, size: int) -> None:
        super().__init__(blocks * size)
        self._shape = (blocks, size)

    def worth(self, genotype: Bits | float) -> float:
        return 0.3 + 0.5 * float(np.asarray(genotype).reshape(self._shape).all(axis=1).mean())


class Trap(_Bits):
    def __init__(self, blocks: int, size: int) -> None:
        super().__init__(blocks * size)
        self._shape, self._size = (blocks, size), size

    def worth(self, genotype: Bits | float) -> float:
        ones = np.asarray(genotype).reshape(self._shape).sum(axis=1)
        away = 0.8 * (self._size - 1 - ones) / (self._size - 1)
        return 0.2 + 0.6 * float(np.where(ones == self._size, 1.0, away).mean())


class Needle(_Bits):
    def worth(self, genotype: Bits | float) -> float:
        return 0.8 if np.asarray(genotype).all() else 0.3


@dataclass(frozen=True, slots=True)
class Walk:
    """A genotype is its own worth; `step` draws what a change adds to it."""

    step: Callable[[float, np.random.Generator], float]

    def draw(self, rng: np.random.Generator) -> float:
        return _clip(float(rng.normal(0.3, 0.05)))

    def change(self, genotype: Bits | float, rng: np.random.Generator) -> float:
        assert isinstance(genotype, float)
        return _clip(genotype + self.step(genotype, rng))

    def worth(self, genotype: Bits | float) -> float:
        return float(genotype)


class Null:
    def draw(self, rng: np.random.Generator) -> float:
        return 0.4

    def change(self, genotype: Bits | float, rng: np.random.Generator) -> float:
        return 0.4

    def worth(self, genotype: Bits | float) -> float:
        return 0.4


def _rare(share: float, size: Callable[[float], float]) -> Callable[[float, np.random.Generator], float]:
    def step(at: float, rng: np.random.Generator) -> float:
        gained = rng.random() < share
        return float(rng.exponential(size(at))) if gained else -abs(float(rng.normal(0.0, 0.03)))

    return step


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))


GENERATORS: dict[str, Callable[[np.random.Generator], Landscape]] = {
    **{f"nk-{n}-{k}": (lambda rng, n=n, k=k: NK(n, k, rng)) for n in (12, 24, 48) for k in (0, 2, 5, 8)},  # type: ignore[misc]
    "plateau-4-3": lambda rng: Plateau(4, 3),
    "plateau-6-4": lambda rng: Plateau(6, 4),
    "trap-4-3": lambda rng: Trap(4, 3),
    "trap-5-4": lambda rng: Trap(5, 4),
    "needle-8": lambda rng: Needle(8),
    "walk-calm": lambda rng: Walk(lambda at, rng: float(rng.normal(-0.01, 0.04))),
    "walk-wild": lambda rng: Walk(lambda at, rng: float(rng.normal(-0.04, 0.10))),
    "walk-rare": lambda rng: Walk(_rare(0.1, lambda at: 0.08)),
    "walk-tiring": lambda rng: Walk(_rare(0.25, lambda at: 0.08 * (1 - at))),
}
"""All but `null`, in which there is nothing to find."""


@dataclass(slots=True)
class Thing:
    """One design.

    Attributes:
        scores: by stream, what was seen; parent: None for those that a search begins with.
        costs: tokens and seconds.
    """

    genotype: Bits | float
    worth: float
    works: bool
    parent: int | None
    costs: tuple[float, float]
    scores: dict[int, float] = field(default_factory=dict)

    @property
    def traits(self) -> tuple[str, ...]:
        """The bits that are ones, by place; a walk has none."""
        return tuple(map(str, np.flatnonzero(self.genotype))) if isinstance(self.genotype, np.ndarray) else ()


class World:
    """A landscape, the designs made in it so far, and the streams that they are seen on.

    Equal seeds have equal landscapes and streams, whatever is asked of them.

    Args:
        noisy: otherwise a score is the design's worth.

    Attributes:
        things: all designs; spent: streams seen, all designs together.
    """

    def __init__(self, generator: str, seed: int, noisy: bool = True) -> None:
        self.landscape: Landscape
        made = Null if generator == "null" else GENERATORS[generator]
        self.landscape = made() if generator == "null" else made(np.random.default_rng([seed, 0]))  # type: ignore[call-arg]
        self._seed = seed
        self._noisy = noisy
        self._eases: dict[int, float] = {}
        self._rng = np.random.default_rng([seed, 2])
        self._dear = np.random.default_rng([seed, 4])
        self.things: list[Thing] = []
        self.spent = 0
        starts = np.random.default_rng([seed, 3])
        for _ in range(STARTS):
            self._enter(self.landscape.draw(starts), None, works=True)

    def child(self, parent: int) -> int:
        """Change a design; the new one's number."""
        genotype = self.landscape.change(self.things[parent].genotype, self._rng)
        return self._enter(genotype, parent, works=bool(self._rng.random() >= BROKEN))

    def see(self, thing: int, streams: Sequence[int]) -> bool:
        """Have a design work on streams; whether it works. One that does not costs its first stream only."""
        one = self.things[thing]
        for stream in streams:
            if stream in one.scores:
                continue
            self.spent += 1
            if not one.works:
                one.scores[stream] = 0.0
                return False
            if not self._noisy:
                one.scores[stream] = one.worth
                continue
            chance = _clip(one.worth + self._ease(stream) + float(self._rng.normal(0.0, WHIM_SD)))
            one.scores[stream] = float(self._rng.binomial(TASKS, chance)) / TASKS
        return one.works

    def _ease(self, stream: int) -> float:
        if stream not in self._eases:
            self._eases[stream] = float(np.random.default_rng([self._seed, 1, stream]).normal(0.0, EASE_SD))
        return self._eases[stream]

    def _enter(self, genotype: Bits | float, parent: int | None, works: bool) -> int:
        worth = self.landscape.worth(genotype) if works else 0.0
        costs = (1.0, 1.0)
        if parent is not None:
            tokens, seconds = self.things[parent].costs * np.exp(self._dear.normal(0.0, COST_SD, size=2))
            costs = (float(tokens), float(seconds))
        self.things.append(Thing(genotype, worth, works, parent, costs))
        return len(self.things) - 1
