"""Random recall: the control that says what selecting by anything adds to showing experience at all.

Ours, after the random baselines of retrieval-augmented agents; it has no paper. It shows `recall_count` stored pieces,
whole trajectories or single steps, drawn anew for each query.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from design_space import Choice, Episode, Int, Item, Kit, Memory, Query, Recall, Snapshot, Space
from design_space.parts import TrajectoryEncoder


class RandomRecall(Memory):
    """Recalls what chance picks.

    Args:
        unit: what is stored and drawn; `step` shows each with its situation and command.
    """

    SPACE = Space(recall_count=Int(1, 20, 4), unit=Choice(("trajectory", "step"), "trajectory"))

    def __init__(self, kit: Kit, **params: Any) -> None:
        super().__init__(kit, **params)
        self._encoder = TrajectoryEncoder()
        self._items: list[Item] = []

    def retrieve(self, query: Query) -> Recall:
        count = min(self.params["recall_count"], len(self._items))
        chosen = self.kit.rng.choice(len(self._items), count, replace=False) if count else ()
        return Recall(tuple(self._items[int(i)] for i in chosen))

    def update(self, episode: Episode) -> None:
        if self.params["unit"] == "trajectory":
            for entry in self._encoder.encode(episode):
                self._items.append(Item(f"m{len(self._items)}", entry.text, value=entry.value))
            return
        for step in episode.steps:
            earned = episode.reward if step.reward is None else step.reward
            text = f"Task: {episode.goal}\nDone: {step.action}\nAnswered: {step.observation}"
            situation = f"{episode.goal}\n{step.situation}" if step.action else ""
            self._items.append(Item(f"m{len(self._items)}", text, situation, step.action, earned))

    def snapshot(self) -> Snapshot:
        # The generator's state goes as text: its whole numbers are longer than a frame takes.
        chance = json.dumps(self.kit.rng.bit_generator.state)
        return Snapshot({"items": [asdict(item) for item in self._items], "chance": chance})

    def restore(self, snapshot: Snapshot) -> None:
        self._items = [Item(**row) for row in snapshot.data["items"]]
        self.kit.rng.bit_generator.state = json.loads(snapshot.data["chance"])
