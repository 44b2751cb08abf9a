"""Managers: what is merged and what is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from design_space.parts.entries import Entry
from design_space.parts.values import ValueTerm
from design_space.space import Float, Int, Space
from design_space.text import words


class Manager(Protocol):
    """Owes: the entries to keep, in their order; called after each episode. May change the kept ones."""

    SPACE: ClassVar[Space]

    def manage(self, entries: Sequence[Entry], value: ValueTerm, episode: int) -> list[Entry]: ...


class KeepAll:
    """Nothing is ever forgotten."""

    SPACE: ClassVar[Space] = Space()

    def manage(self, entries: Sequence[Entry], value: ValueTerm, episode: int) -> list[Entry]:
        return list(entries)


class Fifo:
    """The oldest goes first.

    Args:
        capacity: entries kept.
    """

    SPACE: ClassVar[Space] = Space(capacity=Int(5, 2_000, 300, log=True))

    def __init__(self, capacity: int = 300) -> None:
        self._capacity = capacity

    def manage(self, entries: Sequence[Entry], value: ValueTerm, episode: int) -> list[Entry]:
        return list(entries[-self._capacity :])


class UtilityPruning:
    """What was used often and helped seldom goes, as in ReMe (freq >= 5 and utility / freq < 0.5).

    Args:
        least_uses: uses before an entry is judged.
        threshold: value below which it goes.
        period: episodes between two prunings.
    """

    SPACE: ClassVar[Space] = Space(least_uses=Int(1, 20, 5), threshold=Float(0.0, 0.6, 0.3), period=Int(1, 20, 5))

    def __init__(self, least_uses: int = 5, threshold: float = 0.3, period: int = 5) -> None:
        self._least_uses = least_uses
        self._threshold = threshold
        self._period = period

    def manage(self, entries: Sequence[Entry], value: ValueTerm, episode: int) -> list[Entry]:
        if episode % self._period:
            return list(entries)
        return [e for e in entries if e.uses < self._least_uses or value.of(e) >= self._threshold]


class MergeSimilar:
    """Entries that advise the same in nearly the same words become one, which keeps the earlier's id.

    Args:
        threshold: Jaccard similarity of situation and text from which on two entries are one.
        capacity: entries kept after merging, the most observed ones.
    """

    SPACE: ClassVar[Space] = Space(threshold=Float(0.5, 1.0, 0.85), capacity=Int(20, 2_000, 500, log=True))

    def __init__(self, threshold: float = 0.85, capacity: int = 500) -> None:
        self._threshold = threshold
        self._capacity = capacity
        self._checked: set[str] = set()

    def manage(self, entries: Sequence[Entry], value: ValueTerm, episode: int) -> list[Entry]:
        kept: list[Entry] = []
        by_action: dict[str, list[tuple[Entry, frozenset[str]]]] = {}
        for entry in entries:
            bag = frozenset(words(entry.situation or entry.text))
            rivals = by_action.setdefault(entry.action, [])
            if entry.id not in self._checked:
                self._checked.add(entry.id)
                twin = next((e for e, other in rivals if _jaccard(bag, other) >= self._threshold), None)
                if twin is not None:
                    _absorb(twin, entry)
                    continue
            kept.append(entry)
            rivals.append((entry, bag))
        if len(kept) > self._capacity:
            order = sorted(range(len(kept)), key=lambda i: (kept[i].count + kept[i].uses, i))
            dropped = set(order[: len(kept) - self._capacity])
            kept = [entry for i, entry in enumerate(kept) if i not in dropped]
        return kept

    def state(self) -> Any:
        return sorted(self._checked)

    def set_state(self, state: Any) -> None:
        self._checked = set(state)


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b) if a or b else 1.0


def _absorb(twin: Entry, entry: Entry) -> None:
    twin.observe(entry)
    twin.uses += entry.uses
    twin.wins += entry.wins
