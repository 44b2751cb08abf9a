"""Keys: the text by which an entry is found, and the text of a query that it is compared with; neither is shown."""

from __future__ import annotations

from typing import ClassVar, Protocol

from design_space.memory import Query
from design_space.parts.entries import Entry, is_document
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

    SPACE: ClassVar[Space] = Space()

    def of(self, entry: Entry) -> str:
        return entry.goal

    def probe(self, query: Query) -> str:
        return query.goal


class SituationKey:
    """What was before the agent. ReMe's `when_to_use`.

    Args:
        recent_count: answers of the environment that belong to the present situation.
    """

    SPACE: ClassVar[Space] = Space(recent_count=Int(0, 20, 3))

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

    SPACE: ClassVar[Space] = Space(recent_count=Int(0, 20, 8))

    def __init__(self, recent_count: int = 8) -> None:
        self._recent_count = recent_count

    def of(self, entry: Entry) -> str:
        return f"{entry.goal}\n{entry.situation}"

    def probe(self, query: Query) -> str:
        return f"{query.goal}\n{query.situation}\n{recent(query, self._recent_count)}"


class ObjectKey:
    """The things it is about, against the things that the task and the documents read name.

    Args:
        recent_count: answers of the environment among which documents are looked for.
    """

    SPACE: ClassVar[Space] = Space(recent_count=Int(0, 20, 20))

    def __init__(self, recent_count: int = 20) -> None:
        self._recent_count = recent_count

    def of(self, entry: Entry) -> str:
        return entry.objects

    def probe(self, query: Query) -> str:
        answers = [answer for _, answer in query.history[-self._recent_count :]] if self._recent_count else []
        return "\n".join([query.goal, *filter(is_document, answers)])
