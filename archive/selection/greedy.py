"""Always the best."""

from __future__ import annotations

import numpy as np

from archive.selection.base import Candidates, Choice, check_request


class Greedy:
    """Choose the highest posterior mean, every time; of equals the one with fewer children, then the lower id."""

    def choose(self, candidates: Candidates, count: int, rng: np.random.Generator) -> list[Choice]:
        check_request(candidates, count)
        order = candidates.order()
        best = int(order[np.lexsort((candidates.children[order], -candidates.mean[order]))[0]])
        return [Choice(best, f"greedy: highest posterior mean, {candidates.mean[best]:.3f}")] * count
