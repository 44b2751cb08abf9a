"""Thompson sampling from narrowed posteriors, with a discount for designs that have many children."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archive.selection.base import Candidates, Choice, check_request


@dataclass(frozen=True, slots=True)
class Thompson:
    """Choose each parent by one draw from every posterior; the default.

    For each of the `count` places, candidate i gets the value

        draw_i - discount * spread * ln(1 + children_i),    draw_i ~ Normal(mean_i, breadth * sd_i)

    and the highest wins. `spread` is the standard deviation of the posterior means, at least .01: so the discount is in
    reward units and does not depend on how rewards are scaled. `children_i` includes those that this call has given it.
    A design of which little is known is drawn high now and then; one that is known to be bad is not.

    Plain Thompson sampling (breadth 1) is made for a search without end: where designs are many and alike, the highest
    of their draws is mostly that of one of which little is known, and a search of some hundred designs ends before that
    pays. Always the best (breadth 0) gets stuck. Where children are much like their parents a quarter is best
    (`benchmarks/controllers.py`), where a change of one part makes or breaks a design it is too narrow
    (`benchmarks/alternatives.py`, household); a half is near the best of both.

    Attributes:
        breadth: share of each standard deviation that is drawn with, at least 0.
        discount: at .25, 6 children cost about half the spread; 0 is none.
    """

    breadth: float = 0.5
    discount: float = 0.25

    def choose(self, candidates: Candidates, count: int, rng: np.random.Generator) -> list[Choice]:
        check_request(candidates, count)
        order = candidates.order()
        mean, sd = candidates.mean[order], candidates.sd[order]
        children = candidates.children[order].astype(np.float64)
        scale = self.discount * max(float(mean.std()), 0.01)
        draws = rng.normal(mean, self.breadth * sd, size=(count, len(order)))
        choices = []
        for draw in draws:
            penalty = scale * np.log1p(children)
            best = int(np.argmax(draw - penalty))
            reason = f"Thompson: drew {draw[best]:.3f} from {mean[best]:.3f} ± {sd[best]:.3f}"
            choices.append(
                Choice(int(order[best]), f"{reason}, minus {penalty[best]:.3f} for {children[best]:.0f} children")
            )
            children[best] += 1
        return choices
