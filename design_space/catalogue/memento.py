"""Memento: a case bank of all attempts, successes and failures, recalled by similarity of the task.

Memento: Fine-tuning LLM Agents without Fine-tuning LLMs, 2025, arXiv 2508.16153; the non-parametric memory, 8 cases.
Departures: SimCSE vectors are whatever the kit embeds with; a case is the trajectory, not a planner's plan, since
the agent need not be a planner; the reward stands in each case, in place of two blocks of positive and negative ones.
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


class Memento(ModularMemory):
    """Append-only case bank."""

    SPACE = Space(recall_count=Int(1, 16, 8), floor=Float(0.0, 0.9, 0.0), lines=Int(4, 60, 12))
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
