"""MemRL: first what is similar, then what has proved worth recalling, by values learned from rewards.

MemRL: Self-Evolving Agents via Runtime Reinforcement Learning on Episodic Memory, 2026, arXiv 2601.03192. Phase A takes
the most similar tasks, phase B ranks all that was stored of them by 0.5 z(similarity) + 0.5 z(Q); every recalled
item's Q moves by alpha = 0.3 towards the task's reward.

Departures, all for want of a language model or of a measured data set: the trajectory strategy (no script of a
success, no reflection on a failure); z(similarity) by the candidates' own mean and deviation, not by constants
measured per benchmark; Q begins at the reward of the stored attempt, not at one number for all; no exploration
(epsilon 0, as its ALFWorld setting has it); no merging of nearly equal tasks into one key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from design_space import Float, Int, Item, Query, Recall, Space
from design_space.parts import (
    Cosine,
    GoalKey,
    ImmediateCredit,
    KeepAll,
    ModularMemory,
    Parts,
    QValue,
    TrajectoryEncoder,
)


class MemRL(ModularMemory):
    """Two-phase, value-aware recall.

    Args:
        similar_count: tasks that phase A lets through.
        recall_count: items that phase B recalls.
        weight: of z(Q) against z(similarity).
    """

    SPACE = Space(
        similar_count=Int(1, 20, 5),
        recall_count=Int(1, 10, 3),
        floor=Float(0.0, 0.9, 0.35),
        alpha=Float(0.02, 0.9, 0.3),
        weight=Float(0.0, 1.0, 0.5),
        lines=Int(4, 60, 30),
    )
    RETRIEVE = "task"

    def compose(self, p: Mapping[str, Any]) -> Parts:
        return Parts(
            encoders=(TrajectoryEncoder(lines=p["lines"], admit="all"),),
            key=GoalKey(),
            retriever=Cosine(self.kit, floor=p["floor"]),
            value=QValue(alpha=p["alpha"], weight=p["weight"]),
            credit=ImmediateCredit(),
            manager=KeepAll(),
            recall_count=p["recall_count"],
        )

    def retrieve(self, query: Query) -> Recall:
        if not self._entries:
            return Recall()
        similar = self._parts.retriever.scores(query.goal)
        near: dict[str, list[int]] = {}
        for i in np.argsort(-similar, kind="stable"):
            goal = self._entries[i].goal
            if similar[i] > 0.0 and (goal in near or len(near) < self.params["similar_count"]):
                near.setdefault(goal, []).append(int(i))
        candidates = [i for found in near.values() for i in found]
        q = np.array([self._parts.value.of(self._entries[i]) for i in candidates])
        weight = self.params["weight"]
        scores = (1.0 - weight) * _z(similar[candidates]) + weight * _z(q)
        best = np.argsort(-scores, kind="stable")[: self.params["recall_count"]]
        chosen = [(self._entries[candidates[i]], float(q[i])) for i in best]
        return Recall(tuple(Item(entry.id, entry.text, value=min(1.0, max(0.0, value))) for entry, value in chosen))


def _z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standardised among themselves and clipped to 3; all zeros if they are equal."""
    spread = float(values.std()) if len(values) else 0.0
    return np.clip((values - values.mean()) / spread, -3.0, 3.0) if spread > 1e-9 else np.zeros(len(values))
