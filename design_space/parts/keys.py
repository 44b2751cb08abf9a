"""Keys: the text by which an entry is found, and the text of a query it is compared with. The key is not the payload."""

from __future__ import annotations

from typing import ClassVar, Protocol

from design_space.memory import Query
from design_space.parts.entries import Entry
from design_space.space import Int, Space


class Key(Protocol):
    """Owes: texts that depend on the argument alone."""

    SPACE: ClassVar[Space]

    def of(self, entry: Entry) -> str: ...

    def probe(self, query: Query) -> str: ...


def recent(query: Query, count: int) -> str:
    """What the last `count` actions of the task were answered."""
    return "\n".join(observation for _, observation in query.history[-count:]) if count else ""


class GoalKey:
    """The task in which it was learned. Memento, MemRL."""

    SPACE = Space()

    def of(self, entry: Entry) -> str:
        return entry.goal

    def probe(self, query: Query) -> str:
        return query.goal


class SituationKey:
    """What was before the agent. ReMe's `when_to_use`.

    Args:
        recent_count: answers of the environment that belong to the present situation.
    """

    SPACE = Space(recent_count=Int(0, 20, 3))

    def __init__(self, recent_count: int = 3) -> None:
        self._recent_count = recent_count

    def of(self, entry: Entry) -> str:
        return entry.situation

    def probe(self, query: Query) -> str:
        return f"{query.situation}\n{recent(query, self._recent_count)}"


class BothKey:
    """Task and situation together.

    Args:
        recent_count: answers of the environment that belong to the present situation.
    """

    SPACE = Space(recent_count=Int(0, 20, 8))

    def __init__(self, recent_count: int = 8) -> None:
        self._recent_count = recent_count

    def of(self, entry: Entry) -> str:
        return f"{entry.goal}\n{entry.situation}"

    def probe(self, query: Query) -> str:
        return f"{query.goal}\n{query.situation}\n{recent(query, self._recent_count)}"


class ObjectKey:
    """The things it is about, against the things that the task and the latest answers name.

    Args:
        recent_count: answers of the environment that are looked through for names.
    """

    SPACE = Space(recent_count=Int(0, 20, 8))

    def __init__(self, recent_count: int = 8) -> None:
        self._recent_count = recent_count

    def of(self, entry: Entry) -> str:
        return entry.objects

    def probe(self, query: Query) -> str:
        return f"{query.goal}\n{recent(query, self._recent_count)}"
