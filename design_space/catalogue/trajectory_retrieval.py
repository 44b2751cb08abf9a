"""Trajectory retrieval: the one trajectory that began most like the present task.

The `similarity` baseline of ALMA (Learning to Continually Learn via Meta-learning Agentic Memory Designs, 2026,
arXiv 2602.07755): a table from a task's beginning to its trajectory and reward, cosine, the best one above 0.3.
Departures: the beginning is goal and first situation as text, not serialised JSON; a key is embedded once, not at each
query. As there, a later attempt from the same beginning replaces the earlier one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from design_space import Episode, Float, Int, Item, Kit, Memory, Query, Recall, Snapshot, Space
from design_space.parts import Cosine, TrajectoryEncoder


class TrajectoryRetrieval(Memory):
    """Recalls the `recall_count` trajectories with the most similar beginnings."""

    SPACE = Space(recall_count=Int(1, 5, 1), floor=Float(0.0, 0.9, 0.3), lines=Int(4, 60, 30))

    def __init__(self, kit: Kit, **params: Any) -> None:
        super().__init__(kit, **params)
        self._encoder = TrajectoryEncoder(lines=self.params["lines"])
        self._retriever = Cosine(kit, floor=self.params["floor"])
        self._kept: dict[str, tuple[str, float]] = {}

    def retrieve(self, query: Query) -> Recall:
        scores = self._retriever.scores(_beginning(query.goal, query.situation))
        order = np.argsort(-scores, kind="stable")[: self.params["recall_count"]]
        kept = list(self._kept.values())
        return Recall(tuple(Item(f"m{i}", kept[i][0], value=kept[i][1]) for i in order if scores[i] > 0.0))

    def update(self, episode: Episode) -> None:
        beginning = _beginning(episode.goal, episode.steps[0].situation if episode.steps else "")
        for entry in self._encoder.encode(episode):
            if beginning not in self._kept:
                self._retriever.add(beginning)
            self._kept[beginning] = (entry.text, entry.value)

    def snapshot(self) -> Snapshot:
        return Snapshot([[beginning, text, value] for beginning, (text, value) in self._kept.items()])

    def restore(self, snapshot: Snapshot) -> None:
        self._kept = {beginning: (text, value) for beginning, text, value in snapshot.data}
        self._retriever.reset(list(self._kept))


def _beginning(goal: str, situation: str) -> str:
    return f"{goal}\n{situation}"
