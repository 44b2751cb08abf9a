"""ExpRAG: templated texts of past tasks, the most similar ones as examples in context.

Evo-Memory: Benchmarking LLM Agent Test-time Learning with Self-Evolving Memory, 2025, arXiv 2511.20857. Written from
its description, since there is no official code. Departures: the number of examples is not published, 4 is ours; the
embedding is whatever the kit offers (without a model: hashed words); observations are cut at 160 characters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from design_space import Float, Int, Space
from design_space.parts import (
    Cosine,
    GoalKey,
    ImmediateCredit,
    KeepAll,
    ModularMemory,
    NoValue,
    Parts,
    TrajectoryEncoder,
)


class ExpRAG(ModularMemory):
    """Appends every experience, recalls the `recall_count` with the most similar tasks."""

    SPACE = Space(recall_count=Int(1, 12, 4), lines=Int(4, 60, 30), floor=Float(0.0, 0.9, 0.0))
    RETRIEVE = "task"

    def compose(self, p: Mapping[str, Any]) -> Parts:
        return Parts(
            encoders=(TrajectoryEncoder(lines=p["lines"], admit="all"),),
            key=GoalKey(),
            retriever=Cosine(self.kit, floor=p["floor"]),
            value=NoValue(),
            credit=ImmediateCredit(),
            manager=KeepAll(),
            recall_count=p["recall_count"],
        )
