"""What each part is worth, learned while a search goes on: Bayesian linear regression of scores on parts.

A design's score is taken to be the sum of what its parts are worth. That is crude, since parts interact, but a few
dozen scores already tell which parts to try more often; weights are drawn from their posterior, so that parts of which
little is known go on being tried (linear Thompson sampling, Agrawal & Goyal 2013, arXiv 1209.3352).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from design_space.compose import ENCODERS, RETRIEVE, SLOTS, Genome

Vector = NDArray[np.float64]

PARTS: tuple[str, ...] = (*ENCODERS, *(name for names in SLOTS.values() for name in names), *RETRIEVE)
PRIOR_SD = 0.08
"""Of what one part adds, in reward units."""
NOISE_SD = 0.08
"""Of one score around the sum of its parts: chance, and all that a sum cannot express."""
LEVEL_SD = 1.0
"""Of the level that all designs share; wide, since nothing is known of it before the first score."""


class PartWorth:
    """The posterior of the parts' worths. Each score costs the same time, however many came before."""

    def __init__(self) -> None:
        size = len(PARTS) + 1
        self._precision = np.diag([*[PRIOR_SD**-2] * len(PARTS), LEVEL_SD**-2])
        self._evidence: Vector = np.zeros(size)
        self.count = 0

    def learn(self, genome: Genome, score: float) -> None:
        """Take the score of a design, in reward units."""
        row = features(genome)
        self._precision += np.outer(row, row) / NOISE_SD**2
        self._evidence += row * (score / NOISE_SD**2)
        self.count += 1

    def draw(self, rng: np.random.Generator) -> Vector:
        """Weights drawn from the posterior; shape (parts + 1,), to be multiplied with `features`."""
        lower = np.linalg.cholesky(self._precision)
        mean = np.linalg.solve(self._precision, self._evidence)
        return np.asarray(mean + np.linalg.solve(lower.T, rng.standard_normal(len(mean))), dtype=np.float64)


def features(genome: Genome) -> Vector:
    """Which parts a design has, 1 or 0 in the order of `PARTS`, then a 1 for the level."""
    present = {gene.part for gene in genome.genes.values()} | {genome.retrieve}
    return np.array([*(float(name in present) for name in PARTS), 1.0])


def best(genomes: Sequence[Genome], weights: Vector) -> int:
    """Place of the genome whose parts are worth most; of equals the first."""
    return int(np.argmax([features(genome) @ weights for genome in genomes]))
