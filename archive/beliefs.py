"""What is believed of every design's true score, all evidence together: an exact posterior over the lineage.

A design's true mean reward is what its traits are worth plus something of its own, which is its parent's plus a step; a
score is that, plus how easy the stream is, plus noise:

    own(root)  ~ Normal(level, level_sd)
    own(child) ~ Normal(own(parent) + drift, step_sd)
    true(design) = own(design) + the sum of worth(trait) over its traits,  worth(trait) ~ Normal(0, trait_sd)
    score(design, stream) ~ Normal(true(design) + ease(stream), noise_sd),  ease(stream) ~ Normal(0, ease_sd)

So a child begins where its parent is believed to be, children speak for or against their parent, designs that have
something in common speak for each other, and a design that was dropped after a few streams still counts. As the prior
and all scores are in it, choosing the highest is not choosing the luckiest: what is believed of a design does not
depend on its having been chosen (Smith & Winkler 2006). The tree is solved by one pass to the roots and one back (Pearl
1988), level by level, in time linear in designs. That is done again once they have grown by one in a hundred; until
then, a new design is believed in by its parent, its traits and its own scores, so that the time for each design does
not grow with their number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archive.statistics import SD_FLOOR, Posterior, posterior

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STEP_WEIGHT = 4.0
NOISE_WEIGHT = 4.0
ROOT_WEIGHT = 4.0
TRAIT_WEIGHT = 4.0
"""Observations that each starting value of a scale counts for when it is learned anew."""
GROWTH = 0.01
"""Share of new designs from which on all are solved anew."""


@dataclass(frozen=True, slots=True)
class Scales:
    """What the model takes to be known, in reward units; a starting value until there is data.

    Attributes:
        level, level_sd: of designs without a parent.
        step_sd: how far one change moves a design; drift: by how much on average, below 0 if most changes do harm.
        noise_sd: of a design's score on one stream; ease_sd: of streams; trait_sd: of what one trait is worth.
    """

    level: float = 0.4
    level_sd: float = 0.25
    step_sd: float = 0.06
    drift: float = 0.0
    noise_sd: float = 0.1
    ease_sd: float = 0.05
    trait_sd: float = 0.03


@dataclass(frozen=True, slots=True)
class _Solved:
    """The posterior; shapes (designs,), (streams,) for `ease`, (traits,) for `worth`.

    Attributes:
        own: the mean without what the traits are worth.
        given: variance of each design were ease and worth known; shared: covariance with its parent, likewise.
        doubt: variance of what each design is expected to earn on each stream.
    """

    mean: Floats
    sd: Floats
    own: Floats
    given: Floats
    shared: Floats
    ease: Floats
    ease_variance: Floats
    worth: Floats
    worth_covariance: Floats
    doubt: Floats


class Beliefs:
    """Posterior of designs, named by the order in which they were added.

    Args:
        scales: what is taken for known before `learn` was called.
    """

    def __init__(self, scales: Scales | None = None) -> None:
        self.scales = scales or Scales()
        self._start = self.scales
        self._parents: list[int] = []
        self._levels: list[list[int]] = []
        self._depth: list[int] = []
        self._table: Floats = np.full((64, 8), np.nan)
        self._traits: dict[str, int] = {}
        self._has: Floats = np.zeros((64, 64))
        self._streams = 0
        self._solved: _Solved | None = None
        self._new: dict[int, Posterior | None] = {}
        self._learned = 0

    def __len__(self) -> int:
        return len(self._parents)

    def add(self, parent: int | None = None, traits: Iterable[str] = ()) -> int:
        """Add a design and return its number: 0, 1, ...

        Args:
            traits: what it may have in common with others, each by a name.

        Raises:
            ValueError: the parent was not added before.
        """
        number = len(self._parents)
        if parent is not None and not 0 <= parent < number:
            raise ValueError(f"parent is {parent!r}, wanted a design among the {number} that were added")
        depth = 0 if parent is None else self._depth[parent] + 1
        self._parents.append(-1 if parent is None else parent)
        self._depth.append(depth)
        if depth == len(self._levels):
            self._levels.append([])
        self._levels[depth].append(number)
        self._table = _grown(self._table, number + 1, self._streams, np.nan)
        has = [self._traits.setdefault(trait, len(self._traits)) for trait in traits]
        self._has = _grown(self._has, number + 1, len(self._traits), 0.0)
        self._has[number, has] = 1.0
        self._new[number] = None
        return number

    def tell(self, design: int, scores: Mapping[int, float]) -> None:
        """Take a design's scores by stream position; one that is told again replaces the former.

        Raises:
            ValueError: a score is not finite.
        """
        for stream, score in scores.items():
            if not math.isfinite(score):
                raise ValueError(f"the score on stream {stream} is {score!r}, wanted a finite number")
            self._streams = max(self._streams, stream + 1)
            self._table = _grown(self._table, len(self), self._streams, np.nan)
            self._table[design, stream] = score
        self._changed(design)

    def forget(self, design: int) -> None:
        """Take a design's scores out of the evidence: it failed, and says nothing of its parent's worth."""
        self._table[design] = np.nan
        self._changed(design)

    def of(self, design: int) -> Posterior:
        """What is believed of a design's true mean reward."""
        solved = self._solve()
        if design in self._new:
            return self._by_its_parent(design, solved)
        return Posterior(float(solved.mean[design]), float(solved.sd[design]))

    def all(self) -> tuple[Floats, Floats]:
        """Posterior means and standard deviations of all designs, each of shape (n,)."""
        solved = self._solve()
        new = np.array([self._by_its_parent(design, solved) for design in self._new]).reshape(-1, 2)
        return np.concatenate([solved.mean, new[:, 0]]), np.concatenate([solved.sd, new[:, 1]])

    def ease(self, stream: int) -> float:
        """By how much more than on the average stream a design is believed to earn on this one."""
        ease = self._solve().ease
        return float(ease[stream]) if stream < len(ease) else 0.0

    def learn(self, rounds: int = 1) -> None:
        """Learn the scales from what was told: rounds of expectation and maximisation, drawn to the starting values.

        Nothing is done unless the designs have grown by `GROWTH` since the last time.
        """
        if len(self) < (1 + GROWTH) * self._learned:
            return
        self._learned = len(self)
        for _ in range(rounds):
            self._solved = self._posterior()
            self.scales = self._improved(self._solved)
        self._solved = None

    def _improved(self, solved: _Solved) -> Scales:
        was, start = self.scales, self._start
        table = self._table[: len(self), : self._streams]
        seen = ~np.isnan(table)
        spoken = seen.any(axis=1)
        if not spoken.any():
            return was
        parents = np.array(self._parents)
        roots, children = spoken & (parents < 0), spoken & (parents >= 0)
        left = np.where(seen, table - solved.mean[:, None] - solved.ease, 0.0)
        doubt = (seen * solved.doubt).sum()
        noise = _drawn(start.noise_sd, NOISE_WEIGHT, float((left**2).sum() + doubt), int(seen.sum()))
        # Were all streams easier and all designs worth less, the scores would be the same; so ease is 0 on the average.
        easy = float(solved.ease.mean())
        squares = float(((solved.ease - easy) ** 2 + solved.ease_variance).sum())
        ease_sd = _drawn(start.ease_sd, NOISE_WEIGHT, squares, self._streams)
        level, level_sd, step, drift = was.level, was.level_sd, was.step_sd, was.drift
        if roots.any():
            level = float(solved.own[roots].mean())
            squares = float(((solved.own[roots] - level) ** 2 + solved.given[roots]).sum())
            level_sd = _drawn(start.level_sd, ROOT_WEIGHT, squares, int(roots.sum()))
            level += easy
        if children.any():
            above = parents[children]
            steps = solved.own[children] - solved.own[above]
            count = int(children.sum())
            drift = (STEP_WEIGHT * start.drift + float(steps.sum())) / (STEP_WEIGHT + count)
            spread = solved.given[children] + solved.given[above] - 2 * solved.shared[children]
            step = _drawn(start.step_sd, STEP_WEIGHT, float(((steps - drift) ** 2 + spread).sum()), count)
        squares = float((solved.worth**2).sum() + np.trace(solved.worth_covariance))
        trait_sd = _drawn(start.trait_sd, TRAIT_WEIGHT, squares, len(solved.worth))
        return Scales(level, level_sd, step, drift, noise, ease_sd, trait_sd)

    def _changed(self, design: int) -> None:
        if design not in self._new:
            self._solved = None
            return
        moved = {design}
        for newer in self._new:  # in the order of adding, so that a design comes after its parent
            if newer in moved or self._parents[newer] in moved:
                moved.add(newer)
                self._new[newer] = None

    def _solve(self) -> _Solved:
        """All but the newest designs: solved anew if one was told something, they are many, or a stream is new."""
        solved = self._solved
        if solved is None or len(self._new) > GROWTH * len(self) or self._streams > len(solved.ease):
            solved = self._solved = self._posterior()
            self._new.clear()
        return solved

    def _by_its_parent(self, design: int, solved: _Solved) -> Posterior:
        """What its parent, its traits and its own scores say of a design that is not solved with the others yet."""
        known = self._new[design]
        if known is None:
            scales, parent = self.scales, self._parents[design]
            traits, above, sd = self._has[design], Posterior(scales.level, 0.0), scales.level_sd
            if parent >= 0:
                above, sd = self.of(parent), scales.step_sd
                above = Posterior(above.mean + scales.drift, above.sd)
                traits = traits - self._has[parent]
            traits, newer = traits[: len(solved.worth)], traits[len(solved.worth) :]
            spread = float(traits @ solved.worth_covariance @ traits + (newer**2).sum() * scales.trait_sd**2)
            prior = Posterior(above.mean + float(traits @ solved.worth), math.sqrt(above.sd**2 + sd**2 + spread))
            row = self._table[design, : len(solved.ease)]
            own = (row - solved.ease)[~np.isnan(row)]
            known = self._new[design] = posterior(own.tolist(), prior.mean, prior.sd, scales.noise_sd)
        return known

    def _posterior(self) -> _Solved:
        """Solve for all designs, streams and traits at once.

        The right-hand sides of the tree are what the scores say (column 0), and how often each stream and each trait
        has a part in them (the others): with all solved, streams and traits are a small dense system, and what they
        explain is taken out of the designs' own.
        """
        scales, n = self.scales, len(self)
        noise, step = scales.noise_sd**2, scales.step_sd**2
        table, has = self._table[:n, : self._streams], self._has[:n, : len(self._traits)]
        seen = ~np.isnan(table)
        scores = np.where(seen, table, 0.0)
        counts = seen.sum(axis=1)
        effects = np.concatenate([seen, counts[:, None] * has], axis=1) / noise
        weight = counts / noise
        told = np.concatenate([scores.sum(axis=1, keepdims=True) / noise, effects], axis=1)
        parents = np.array(self._parents, dtype=np.int64)
        levels = [np.array(level, dtype=np.int64) for level in self._levels]
        for level in reversed(levels[1:]):
            shrink = 1.0 / (1.0 + weight[level] * step)
            message = told[level] * shrink[:, None]
            message[:, 0] -= weight[level] * shrink * scales.drift
            np.add.at(told, parents[level], message)
            np.add.at(weight, parents[level], weight[level] * shrink)
        solved, given, shared = np.empty_like(told), np.empty(n), np.zeros(n)
        for depth, level in enumerate(levels):
            before = 1.0 / (scales.level_sd**2 if depth == 0 else step)
            precision = weight[level] + before
            right = told[level]
            if depth == 0:
                right[:, 0] += scales.level * before
                given[level] = 1.0 / precision
            else:
                above, pull = parents[level], before / precision
                right += solved[above] * before
                right[:, 0] += scales.drift * before
                shared[level] = pull * given[above]
                given[level] = 1.0 / precision + pull * shared[level]
            solved[level] = right / precision[:, None]
        return self._with_effects(solved, given, shared, scores, seen, effects)

    def _with_effects(
        self, solved: Floats, given: Floats, shared: Floats, scores: Floats, seen: NDArray[np.bool_], effects: Floats
    ) -> _Solved:
        """Args: effects: precision that each design's scores have of each stream and each trait."""
        scales, streams, has = self.scales, seen.shape[1], self._has[: len(seen), : len(self._traits)]
        noise = scales.noise_sd**2
        alone, by_effect = solved[:, 0], solved[:, 1:]
        told, both = effects[:, streams:], effects[:, :streams].T @ has
        within = np.block([[np.diag(seen.sum(axis=0) / noise), both], [both.T, told.T @ has]])
        prior = np.repeat([scales.ease_sd**-2, scales.trait_sd**-2], [streams, has.shape[1]])
        covariance = np.linalg.inv(np.diag(prior) + within - effects.T @ by_effect)
        right = np.concatenate([scores.sum(axis=0), has.T @ scores.sum(axis=1)]) / noise
        found = covariance @ (right - effects.T @ alone)
        moved = by_effect.copy()  # by how much less a design is believed to earn, for each effect
        moved[:, streams:] -= has
        apart = moved @ covariance
        variance, ease_variance = given + (apart * moved).sum(axis=1), np.diag(covariance)[:streams]
        return _Solved(
            mean=alone - moved @ found,
            sd=np.sqrt(variance),
            own=alone - by_effect @ found,
            given=given,
            shared=shared,
            ease=found[:streams],
            ease_variance=ease_variance,
            worth=found[streams:],
            worth_covariance=covariance[streams:, streams:],
            doubt=variance[:, None] + ease_variance - 2.0 * apart[:, :streams],
        )


def _drawn(start: float, weight: float, squares: float, count: int) -> float:
    """A standard deviation from a sum of squares, drawn to a starting value."""
    return max(SD_FLOOR, math.sqrt((weight * start**2 + squares) / (weight + count)))


def _grown(table: Floats, height: int, width: int, empty: float) -> Floats:
    """The table with room for so much; it doubles, so that growing costs nothing in the long run."""
    rows, columns = table.shape
    if height <= rows and width <= columns:
        return table
    larger = np.full((rows if height <= rows else 2 * height, columns if width <= columns else 2 * width), empty)
    larger[:rows, :columns] = table
    return larger
