"""Operations on insights as the rows that record them: whoever carries out the rows again has the insights again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from archive.search_book import InsightOperation, InsightRow
from meta_agent.evidence import Evidence, union
from meta_agent.lessons import Insight, Lesson


class Told(BaseModel):
    """The data of an operation's row, but for a deletion, which has none.

    Attributes:
        made_of: ids of the insights that are no more, now that there is this one.
        evidence: what joins theirs and its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    situation: str
    helps: bool
    born: int
    confirmed: int
    origin: str
    made_of: tuple[str, ...]
    evidence: tuple[Evidence, ...]


class Draft:
    """Changes that are not made yet.

    Attributes:
        insights: as they will be.
        sequence: of the last operation.
        generation: of those that come.
        rows: the operations so far.
    """

    def __init__(self, insights: dict[str, Insight], sequence: int, generation: int) -> None:
        self.insights = dict(insights)
        self.sequence = sequence
        self.generation = generation
        self.rows: list[InsightRow] = []

    @property
    def made(self) -> tuple[Insight, ...]:
        """The insights that came with this draft."""
        ids = (row.insight for row in self.rows if row.operation in ("add", "merge"))
        return tuple(self.insights[id_] for id_ in ids if id_ in self.insights)

    def make(
        self,
        lesson: Lesson,
        made_of: Sequence[Insight],
        helps: bool,
        confirmed: int,
        born: int | None = None,
        origin: str = "",
    ) -> None:
        """A new insight, of a lesson alone, or in the place of others whose evidence it takes over."""
        if len(origins := {insight.origin for insight in made_of}) == 1:
            (origin,) = origins
        old = tuple(insight.id for insight in made_of)
        pieces = [(piece.design, piece.parent) for piece in lesson.evidence]
        told = Told(
            situation=lesson.situation,
            helps=helps,
            born=self.generation if born is None else born,
            confirmed=confirmed,
            origin=origin,
            made_of=old,
            evidence=lesson.evidence,
        )
        id_ = _hash(self.sequence, lesson.text, lesson.situation, pieces, old, origin)
        self._write("merge" if old else "add", id_, lesson.text, told)

    def modify(self, insight: Insight, lesson: Lesson, helps: bool, confirmed: int) -> None:
        """Another text for an insight, or further evidence."""
        told = Told(
            situation=lesson.situation,
            helps=helps,
            born=insight.born,
            confirmed=max(insight.confirmed, confirmed),
            origin=insight.origin,
            made_of=(),
            evidence=lesson.evidence,
        )
        self._write("modify", insight.id, lesson.text, told)

    def confirm(self, insight: Insight, evidence: tuple[Evidence, ...], confirmed: int) -> None:
        """Further evidence for an insight, which goes on saying what it said; it may have had more in this draft."""
        insight = self.insights[insight.id]
        self.modify(insight, Lesson(insight.text, insight.situation, evidence), insight.helps, confirmed)

    def delete(self, insight: Insight, reason: str) -> None:
        """Away with an insight; the rows keep it."""
        self._write("delete", insight.id, reason, None)

    def _write(self, operation: InsightOperation, insight: str, content: str, told: Told | None) -> None:
        data = None if told is None else told.model_dump(mode="json")
        self.do(InsightRow(self.sequence + 1, operation, insight, self.generation, content, data))

    def do(self, row: InsightRow) -> None:
        """Carry out a row, the next one.

        Raises:
            ValueError: it names an insight that is not there, makes one that is, or is not as rows are.
        """
        what = f"operation {row.sequence} ({row.operation})"
        if row.sequence != self.sequence + 1:
            raise ValueError(f"{what} on insights comes after operation {self.sequence}")
        told = None if row.operation == "delete" else Told.model_validate_json(json.dumps(row.data))
        changed = row.operation in ("modify", "delete")
        for id_, wanted in ((row.insight, changed), *((other, True) for other in (told.made_of if told else ()))):
            if (id_ in self.insights) != wanted:
                raise ValueError(f"{what} names insight {id_!r}, which is {'not there' if wanted else 'there already'}")
        earlier = [self.insights[row.insight]] if changed else []
        earlier += [self.insights.pop(other) for other in dict.fromkeys(told.made_of if told else ())]
        if told is None:
            del self.insights[row.insight]
        else:
            self.insights[row.insight] = _insight(row, told, earlier)
        self.sequence = row.sequence
        self.rows.append(row)


def _insight(row: InsightRow, told: Told, earlier: Sequence[Insight]) -> Insight:
    evidence = union(told.evidence, *(insight.evidence for insight in earlier))
    about = (told.situation, evidence, told.born, told.confirmed, told.origin, told.helps)
    return Insight(row.insight, row.content, *about)


def _hash(*born_from: object) -> str:
    """Twelve hexadecimal digits of what an insight was born from."""
    return hashlib.sha256(json.dumps(born_from).encode()).hexdigest()[:12]
