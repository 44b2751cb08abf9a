"""SuperLocalMemory: several rankings fused by reciprocal ranks, and a forgetting curve; all mathematics, no model.

SuperLocalMemory: Information-Geometric Foundations for Zero-LLM Enterprise Agent Memory, 2026, arXiv 2603.14588; the
forgetting curve is that of V3.3 (The Living Brain, 2026, arXiv 2604.04514).
Weighted fusion with constant 15 of cosine (1.5), BM25 (1) and recency (1), the best 20; what was stored fades as
R = exp(-t / S), strength S growing with the logarithm of its uses and with its importance (Ebbinghaus 1885).

Departures: the entity, spreading and Hopfield channels and the Fisher-Rao and sheaf mathematics are left out: the parts
have no such rankings, and on unit vectors the sheaf test is a threshold on the cosine. Time is counted in episodes, not
in hours, since a design has no clock. A fact is one step, its importance how far its value is from the average.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from design_space import Episode, Float, Int, Item, Query, Recall, Space
from design_space.parts import (
    BothKey,
    ImmediateCredit,
    KeepAll,
    ModularMemory,
    NoValue,
    Parts,
    RankFusion,
    StepEncoder,
)

ZONES = ((0.8, 1.0), (0.5, 0.7), (0.2, 0.3), (0.0, 0.0))
"""Retention from which on an entry counts so much: active, warm, cold, archived."""


class SuperLocalMemory(ModularMemory):
    """Fused ranking, weighted by what is left of each memory.

    Args:
        span: episodes after which a memory that was never used is down to 1/e.
        use_gain: what the logarithm of the uses and of the repeated observations adds to its strength.
        importance_gain: what importance adds.
    """

    SPACE = Space(
        recall_count=Int(1, 50, 20),
        constant=Int(1, 100, 15),
        bm25_weight=Float(0.0, 2.0, 1.0),
        cosine_weight=Float(0.0, 2.0, 1.5),
        recency_weight=Float(0.0, 2.0, 1.0),
        discount=Float(0.0, 1.0, 0.8),
        recent_count=Int(0, 20, 3),
        span=Float(2.0, 200.0, 30.0, log=True),
        use_gain=Float(0.0, 4.0, 1.0),
        importance_gain=Float(0.0, 4.0, 1.0),
    )
    RETRIEVE = "step"

    def compose(self, p: Mapping[str, Any]) -> Parts:
        return Parts(
            encoders=(StepEncoder(discount=p["discount"], admit="all"),),
            key=BothKey(recent_count=p["recent_count"]),
            retriever=RankFusion(
                self.kit,
                constant=p["constant"],
                bm25_weight=p["bm25_weight"],
                cosine_weight=p["cosine_weight"],
                recency_weight=p["recency_weight"],
            ),
            value=NoValue(),
            credit=ImmediateCredit(),
            manager=KeepAll(),
            recall_count=p["recall_count"],
        )

    def retrieve(self, query: Query) -> Recall:
        if not self._entries:
            return Recall()
        scores = self._parts.retriever.scores(self._parts.key.probe(query))
        scores = scores * self._weights()
        best = [i for i in np.argsort(-scores, kind="stable") if scores[i] > 0.0][: self._parts.recall_count]
        chosen = [self._entries[i] for i in best]
        for entry in chosen:
            entry.used = self._episodes
        return Recall(
            tuple(
                Item(e.id, e.text, e.situation if e.action else "", e.action, self._parts.value.of(e)) for e in chosen
            )
        )

    def update(self, episode: Episode) -> None:
        before = {entry.id: entry.count for entry in self._entries}
        super().update(episode)
        for entry in self._entries:
            if entry.count != before.get(entry.id):
                entry.used = self._episodes  # what is met again is refreshed as what is recalled

    def _weights(self) -> NDArray[np.float64]:
        """For each entry, by the zone that its retention is in."""
        entries, p = self._entries, self.params
        importance = np.abs(2.0 * np.array([self._parts.value.of(entry) for entry in entries]) - 1.0)
        met = np.array([entry.uses + entry.count - 1.0 for entry in entries])
        age = self._episodes - np.array([entry.used for entry in entries])
        growth = p["use_gain"] * np.log1p(met) + p["importance_gain"] * importance
        retention = np.exp(-age / (p["span"] * (1.0 + growth)))
        return np.select([retention >= least for least, _ in ZONES], [weight for _, weight in ZONES])
