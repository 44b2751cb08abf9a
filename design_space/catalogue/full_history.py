"""The full history: every episode, uncut, as the long-context baseline of the memory benchmarks has it.

The "full context" of, for one, MemoryAgentBench (Evaluating Memory in LLM Agents via Incremental Multi-Turn
Interactions, 2025, arXiv 2507.05257). Departure: the latest episode comes first, so that the cap on a recall cuts off
the oldest; there is nothing to tune.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from design_space import Episode, Item, Kit, Memory, Query, Recall, Snapshot


class FullHistory(Memory):
    """Recalls everything, the latest first."""

    def __init__(self, kit: Kit, **params: Any) -> None:
        super().__init__(kit, **params)
        self._items: list[Item] = []

    def retrieve(self, query: Query) -> Recall:
        return Recall(tuple(reversed(self._items)))

    def update(self, episode: Episode) -> None:
        told = [f"{step.action}\n  {step.observation}" for step in episode.steps]
        worth = "unknown" if episode.reward is None else f"{episode.reward:.2f}"
        text = "\n".join([f"Task: {episode.goal}", *told, f"Reward: {worth}"])
        self._items.append(Item(f"m{len(self._items)}", text, value=episode.reward))

    def snapshot(self) -> Snapshot:
        return Snapshot([asdict(item) for item in self._items])

    def restore(self, snapshot: Snapshot) -> None:
        self._items = [Item(**row) for row in snapshot.data]
