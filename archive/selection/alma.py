"""ALMA's rule, for comparison."""

from __future__ import annotations

import numpy as np

from archive.selection.base import Candidates, Choice, check_request


class Alma:
    """Choose different parents by ALMA's softmax (arXiv:2602.07755).

    The probability of candidate i is softmax((sigmoid(r_i - r0) - 0.5 ln(1 + visits_i)) / 0.5), where r_i is its score
    and r0 the null memory's; up to `count` are drawn without replacement. Rewards in [0, 1] make it close to
    1 / (1 + visits): the score hardly counts.
    """

    def choose(self, candidates: Candidates, count: int, rng: np.random.Generator) -> list[Choice]:
        check_request(candidates, count)
        order = candidates.order()
        probability = probabilities(candidates)[order]
        drawn = rng.choice(len(order), size=min(count, len(order)), replace=False, p=probability)
        return [
            Choice(int(order[i]), f"ALMA: softmax gave it {probability[i]:.3f}, visits {candidates.visits[order[i]]}")
            for i in drawn
        ]


def probabilities(candidates: Candidates) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the probability of each candidate to be drawn first; shape (n,), sums to 1."""
    normalised = 1.0 / (1.0 + np.exp(-(candidates.mean - candidates.baseline)))
    logits = (normalised - 0.5 * np.log1p(candidates.visits)) / 0.5
    weights = np.exp(logits - logits.max())
    return np.asarray(weights / weights.sum(), dtype=np.float64)
