"""Any design, for comparison."""

from __future__ import annotations

import numpy as np

from archive.selection.base import Candidates, Choice, check_request


class Uniform:
    """Choose every parent with the same probability, with replacement."""

    def choose(self, candidates: Candidates, count: int, rng: np.random.Generator) -> list[Choice]:
        check_request(candidates, count)
        order = candidates.order()
        reason = f"random: one of {len(order)}"
        return [Choice(int(order[i]), reason) for i in rng.integers(len(order), size=count)]
