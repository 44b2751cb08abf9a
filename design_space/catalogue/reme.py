"""ReMe: tips under "when to use", kept only while they help: utility over frequency.

Remember Me, Refine Me: A Dynamic Procedural Memory Framework for Experience-Driven Agent Evolution, 2025,
arXiv 2512.10696. The frequency-utility core: only gains are admitted, 5 tips are recalled, each recall counts, a
success of the task counts for all that was recalled, and every 10 tasks what was recalled 5 times or more and helped
in less than half of them is deleted.

Departures: without a language model a tip is one step (in this situation this command earned more than average), not a
paragraph, there is no comparison of attempts, no validation and no rewriting; since a tip is that small, it is asked
for before each step. Success counts by the reward, not only when it is 1. Pruning works as the paper means it: in the
published code the counts of failed tasks never reach the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from design_space import Float, Int, Space
from design_space.parts import (
    BothKey,
    Cosine,
    ImmediateCredit,
    ModularMemory,
    Parts,
    StepEncoder,
    Utility,
    UtilityPruning,
)


class ReMe(ModularMemory):
    """Admits gains, prunes what is often recalled and seldom helps."""

    SPACE = Space(
        recall_count=Int(1, 20, 5),
        discount=Float(0.0, 1.0, 0.8),
        recent_count=Int(0, 20, 3),
        prior=Float(0.2, 10.0, 1.0, log=True),
        weight=Float(0.0, 1.0, 0.0),
        least_uses=Int(1, 20, 5),
        threshold=Float(0.0, 0.6, 0.5),
        period=Int(1, 20, 10),
    )
    RETRIEVE = "step"

    def compose(self, p: Mapping[str, Any]) -> Parts:
        return Parts(
            encoders=(StepEncoder(discount=p["discount"], admit="gains"),),
            key=BothKey(recent_count=p["recent_count"]),
            retriever=Cosine(self.kit, floor=0.0),
            value=Utility(prior=p["prior"], weight=p["weight"]),
            credit=ImmediateCredit(),
            manager=UtilityPruning(least_uses=p["least_uses"], threshold=p["threshold"], period=p["period"]),
            recall_count=p["recall_count"],
        )
