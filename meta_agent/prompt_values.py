"""What prompts are worth: the mean reward of the designs that they produced, shrunk, free of what others contributed.

A design's reward is what it gained over the parent that it was given, if it gained anything. That depends on the
generation, since gains become rarer, and on the parent. So designs that were given the same parent in the same
generation form a block; what a block's designs have in common says nothing of their prompts, and is taken out (a mixed
model, Henderson 1975). What is left is shrunk: prompts that are alike are taken to be worth about the same (a Gaussian
process over prompts, Rasmussen & Williams 2006).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Likeness = Callable[[str, str], float]
"""How alike two prompts are: 1 for equal ones, 0 for such as have nothing in common; positive definite."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How far things are taken to lie apart before anything is known, in reward units.

    Attributes:
        level_sd: of what all prompts have in common.
        prompt_sd: of a prompt's worth around that level.
        block_sd: of what the designs of a block have in common.
        noise_sd: of one design's reward; what is seen of it takes over by and by.
        noise_weight: designs that `noise_sd` counts for.
        fading: what is left of the evidence after each generation: which prompt is best changes as a search goes on
            (discounted bandits, Garivier & Moulines 2011, arXiv 0805.3415).
    """

    level_sd: float = 0.05
    prompt_sd: float = 0.02
    block_sd: float = 0.05
    noise_sd: float = 0.05
    noise_weight: float = 10.0
    fading: float = 0.97

    def __post_init__(self) -> None:
        for name in ("level_sd", "prompt_sd", "block_sd", "noise_sd", "noise_weight"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}, wanted more than 0")
        if not 0.0 < self.fading <= 1.0:
            raise ValueError(f"fading is {self.fading}, wanted more than 0 and at most 1")


@dataclass(frozen=True, slots=True)
class _Solved:
    """The posterior as it is asked for.

    Attributes:
        told, seen: with a prompt's prior covariances c, c @ told is its mean, and c @ seen @ c what is known of it.
        mean, sd: of the prompts that there are.
    """

    told: Matrix
    seen: Matrix
    mean: Matrix
    sd: Matrix


class PromptValues:
    """The posterior of the prompts' worths.

    What is kept grows with the number of prompts, never with the number of designs.
    """

    def __init__(self, scale: Scale, likeness: Likeness) -> None:
        self._scale = scale
        self._likeness = likeness
        self._contents: list[str] = []
        self._prior: Matrix = np.zeros((0, 0))
        self._within: Matrix = np.zeros((0, 0))  # precision of what was seen, in units of 1 / noise variance
        self._evidence: Matrix = np.zeros(0)
        self._squares = 0.0
        self._freedom = 0
        self._solved: _Solved | None = None

    def __len__(self) -> int:
        return len(self._contents)

    def add(self, content: str) -> int:
        """A new prompt; returns its place."""
        row = self._covariances(content)
        self._contents.append(content)
        self._prior = np.pad(self._prior, (0, 1))
        self._prior[-1, :-1] = self._prior[:-1, -1] = row
        self._prior[-1, -1] = self._variance
        self._within = np.pad(self._within, (0, 1))
        self._evidence = np.pad(self._evidence, (0, 1))
        self._solved = None
        return len(self) - 1

    def fade(self) -> None:
        """A generation has passed."""
        self._within *= self._scale.fading
        self._evidence *= self._scale.fading
        self._solved = None

    def learn(self, places: Sequence[int], rewards: Sequence[float]) -> None:
        """Take the rewards of one block's designs, each beside the place of its prompt."""
        count = len(places)
        rows = np.zeros((count, len(self)))
        rows[np.arange(count), places] = 1.0
        told = np.asarray(rewards, dtype=np.float64)
        # What the block has in common is kept as far as it is believed to be the prompts' (Sherman and Morrison).
        ratio = self._scale.block_sd**2 / (self._scale.noise_sd**2 + count * self._scale.block_sd**2)
        centred = np.eye(count) - ratio
        self._within += rows.T @ centred @ rows
        self._evidence += rows.T @ centred @ told
        # How prompts differ is in it too; that is little, and errs on the side of caution.
        self._squares += float(((told - told.mean()) ** 2).sum())
        self._freedom += count - 1
        self._solved = None

    @property
    def noise_sd(self) -> float:
        """Of one design's reward, as far as it is known."""
        weight = self._scale.noise_weight
        return math.sqrt((weight * self._scale.noise_sd**2 + self._squares) / (weight + self._freedom))

    def estimate(self) -> tuple[Matrix, Matrix]:
        """Posterior means and standard deviations, in the order of adding."""
        solved = self._solve()
        return solved.mean, solved.sd

    def foresee(self, content: str) -> tuple[float, float]:
        """Posterior mean and standard deviation of a prompt that nothing was made by yet."""
        row, solved = self._covariances(content), self._solve()
        variance = self._variance - row @ solved.seen @ row
        return float(row @ solved.told), math.sqrt(max(float(variance), 0.0))

    @property
    def _variance(self) -> float:
        return self._scale.level_sd**2 + self._scale.prompt_sd**2

    def _covariances(self, content: str) -> Matrix:
        alike = np.array([self._likeness(content, other) for other in self._contents], dtype=np.float64)
        return self._scale.level_sd**2 + self._scale.prompt_sd**2 * alike

    def _solve(self) -> _Solved:
        """Solved anew once something was added or learned, as the cost is cubic in the number of prompts."""
        if self._solved is None:
            gain = self._gain()
            told, seen = gain @ self._evidence, gain @ self._within
            variance = self._variance - np.einsum("ij,jk,ik->i", self._prior, seen, self._prior, optimize=True)
            self._solved = _Solved(told, seen, self._prior @ told, np.sqrt(np.maximum(variance, 0.0)))
        return self._solved

    def _gain(self) -> Matrix:
        """(noise + within prior)^-1: with it, the prior covariance, which may be singular, need not be inverted."""
        precision = np.eye(len(self)) * self.noise_sd**2 + self._within @ self._prior
        return np.asarray(np.linalg.inv(precision), dtype=np.float64)
