"""The last k episodes, raw: the control that says what any selection adds to a short memory of the recent past.

Ours; it has no paper. Observations are cut at 160 characters, since what exceeds the recall's cap is dropped whole.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from design_space import Episode, Int, Item, Kit, Memory, Query, Recall, Snapshot, Space
from design_space.parts import TrajectoryEncoder


class LastK(Memory):
    """Recalls the k latest trajectories, the latest first, whatever is asked."""

    SPACE = Space(k=Int(1, 10, 3), lines=Int(4, 60, 30))

    def __init__(self, kit: Kit, **params: Any) -> None:
        super().__init__(kit, **params)
        self._encoder = TrajectoryEncoder(lines=self.params["lines"])
        self._items: list[Item] = []
        self._episodes = 0

    def retrieve(self, query: Query) -> Recall:
        return Recall(tuple(reversed(self._items)))

    def update(self, episode: Episode) -> None:
        self._episodes += 1
        for entry in self._encoder.encode(episode):
            self._items.append(Item(f"m{self._episodes}", entry.text, value=entry.value))
        self._items = self._items[-self.params["k"] :]

    def snapshot(self) -> Snapshot:
        return Snapshot({"items": [asdict(item) for item in self._items], "episodes": self._episodes})

    def restore(self, snapshot: Snapshot) -> None:
        self._items = [Item(**row) for row in snapshot.data["items"]]
        self._episodes = snapshot.data["episodes"]
