"""A memory composed of parts: encode, store, retrieve, manage (the design space of MemEvolve, arXiv 2512.18746)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from design_space.memory import Episode, Item, Kit, Memory, Query, Recall, Snapshot
from design_space.parts.encoders import Encoder
from design_space.parts.entries import Entry, Learner
from design_space.parts.keys import Key
from design_space.parts.managers import Manager
from design_space.parts.retrievers import Retriever
from design_space.parts.values import Credit, ValueTerm


@dataclass(frozen=True, slots=True)
class Parts:
    """What a modular memory is composed of.

    Attributes:
        recall_count: items returned for a query.
    """

    encoders: tuple[Encoder, ...]
    key: Key
    retriever: Retriever
    value: ValueTerm
    credit: Credit
    manager: Manager
    recall_count: int = 10


class ModularMemory(Memory):
    """Stores what its encoders make of episodes, recalls by similarity and value, credits what was recalled.

    A subclass gives SPACE, RETRIEVE and `compose`. Entries that say the same are stored once; their value is the
    mean of what was observed.
    """

    def __init__(self, kit: Kit, **params: Any) -> None:
        super().__init__(kit, **params)
        self._parts = self.compose(self.params)
        self._entries: list[Entry] = []
        self._known: dict[tuple[str, str, str], Entry] = {}
        self._episodes = 0
        self._named = 0

    @abstractmethod
    def compose(self, p: Mapping[str, Any]) -> Parts:
        """Return the parts, made with the parameters `p`."""

    def retrieve(self, query: Query) -> Recall:
        if not self._entries:
            return Recall()
        value = self._parts.value
        similar = self._parts.retriever.scores(self._parts.key.probe(query))
        candidates = np.flatnonzero(similar > 0.0)
        scores = similar[candidates]
        if value.weight > 0.0:
            worth = np.array([value.of(self._entries[i]) for i in candidates])
            scores = (1.0 - value.weight) * scores + value.weight * worth
        order = np.argsort(-scores, kind="stable")[: self._parts.recall_count]
        chosen = [self._entries[candidates[i]] for i in order]
        for entry in chosen:
            entry.used = self._episodes
        return Recall(
            tuple(Item(e.id, e.text, e.situation if e.action else "", e.action, _unit(value.of(e))) for e in chosen)
        )

    def update(self, episode: Episode) -> None:
        self._episodes += 1
        by_id = {entry.id: entry for entry in self._entries}
        for name, earned in self._parts.credit.assign(episode):
            if name in by_id:
                self._parts.value.credit(by_id[name], _unit(earned))
        for encoder in self._parts.encoders:
            for entry in encoder.encode(episode):
                self._store(entry)
        kept = self._parts.manager.manage(self._entries, self._parts.value, self._episodes)
        if len(kept) != len(self._entries):
            self._load(kept)

    def snapshot(self) -> Snapshot:
        return Snapshot(
            {
                "entries": [asdict(entry) for entry in self._entries],
                "episodes": self._episodes,
                "named": self._named,
                "parts": [part.state() for part in self._learners()],
            }
        )

    def restore(self, snapshot: Snapshot) -> None:
        self._episodes = snapshot.data["episodes"]
        self._named = snapshot.data["named"]
        self._load([Entry(**row) for row in snapshot.data["entries"]])
        for part, state in zip(self._learners(), snapshot.data["parts"], strict=True):
            part.set_state(state)

    def _learners(self) -> list[Learner]:
        """The parts that remember more than the entries do, in a fixed order."""
        parts = self._parts
        candidates = (*parts.encoders, parts.key, parts.retriever, parts.value, parts.credit, parts.manager)
        return [part for part in candidates if isinstance(part, Learner)]

    def _store(self, entry: Entry) -> None:
        known = self._known.get(entry.identity)
        if known is not None:
            known.observe(entry)
            return
        self._named += 1
        entry.id = f"m{self._named}"
        entry.born = entry.used = self._episodes
        self._entries.append(entry)
        self._known[entry.identity] = entry
        self._parts.retriever.add(self._parts.key.of(entry))

    def _load(self, entries: list[Entry]) -> None:
        self._entries = entries
        self._known = {entry.identity: entry for entry in entries}
        self._parts.retriever.reset([self._parts.key.of(entry) for entry in entries])


def _unit(value: float) -> float:
    return min(1.0, max(0.0, float(value)))
