"""What the search itself learns, in the run's SQLite file: its prompts, and how its insights came to be.

A run that was killed does everything again from its beginning, and so records the same rows again: nothing changes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from archive.errors import AlreadyRecorded
from archive.records import Json
from archive.rows import Stored, to_json
from archive.store import Store

InsightOperation = Literal["add", "modify", "merge", "delete"]


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One node of the prompt tree. Its texts are kept whole, but for lone surrogates.

    Attributes:
        parent: the prompt that it was made of; None for a root.
        generation: in which it was made.
        origin: how it was made, or where it comes from.
        data: what belongs to it; what JSON has no form for (tuples, whole keys) comes back as JSON's.
    """

    id: str
    parent: str | None
    generation: int
    origin: str
    content: str
    data: Json = None


@dataclass(frozen=True, slots=True)
class InsightRow:
    """One operation on the insight store.

    Attributes:
        sequence: place in the order of operations; 1 for the first, without gaps.
        insight: the one that it makes, changes or deletes.
        content: what the insight says from now on; of a deletion, why.
        data: what belongs to it, as for prompts.
    """

    sequence: int
    operation: InsightOperation
    insight: str
    generation: int
    content: str
    data: Json = None


class SearchBook(Store):
    """The tables of prompts and of insights. Takes and raises what `archive.store.Store` does."""

    def record_prompts(self, rows: Sequence[PromptRow]) -> None:
        """Record prompts, parents before their children, all or nothing; durable when it returns.

        One that is there with the same content is passed over.

        Raises:
            AlreadyRecorded: one is there with another content. The first one stays.
            ValueError: a parent is not there, or data is not JSON.
            ArchiveFull, ArchiveUnwritable, ArchiveDamaged: the file could not be written.
        """
        with self._writing():
            for row in rows:
                values = _prompt_values(row)
                if self._is_there("prompts", f"prompt {row.id}", "id = ?", values):
                    continue
                if row.parent is not None and self._one("prompts", "id = ?", row.parent) is None:
                    raise ValueError(f"parent of prompt {row.id} is {row.parent}, which is not recorded")
                self._insert("prompts", values)

    def prompts(self) -> tuple[PromptRow, ...]:
        """Return all prompts in the order of recording, so parents before their children."""
        with self._translated():
            return tuple(
                PromptRow(id_, parent, generation, origin, content, json.loads(data))
                for id_, parent, generation, origin, content, data in self._rows("prompts", "1 ORDER BY rowid")
            )

    def record_insights(self, rows: Sequence[InsightRow]) -> None:
        """Record operations on insights, all or nothing; durable when it returns.

        One that is there under its sequence number with the same content is passed over.

        Raises:
            AlreadyRecorded: another one is there under its sequence number. The first one stays.
            ValueError: a sequence number would leave a gap, the operation is not known, or data is not JSON.
            ArchiveFull, ArchiveUnwritable, ArchiveDamaged: the file could not be written.
        """
        with self._writing():
            for row in rows:
                values = _insight_values(row)
                if self._is_there("insights", f"operation {row.sequence} on insights", "sequence = ?", values):
                    continue
                wanted = self._next("insights")
                if row.sequence != wanted:
                    raise ValueError(f"sequence number of an operation on insights is {row.sequence}, wanted {wanted}")
                self._insert("insights", values)

    def insights(self) -> tuple[InsightRow, ...]:
        """Return all operations on insights, by their sequence numbers."""
        with self._translated():
            return tuple(
                InsightRow(sequence, operation, insight, generation, content, json.loads(data))
                for sequence, operation, insight, generation, content, data in self._rows(
                    "insights", "1 ORDER BY sequence"
                )
            )

    def _is_there(self, table: str, what: str, where: str, values: tuple[Stored, ...]) -> bool:
        earlier: Any = self._one(table, where, values[0])
        if earlier is not None and earlier != values:
            raise AlreadyRecorded(
                f"{what} is recorded already, with another content",
                hint="the first one counts; the run was repeated with another config or program",
            )
        return earlier is not None


def _prompt_values(row: PromptRow) -> tuple[Stored, ...]:
    origin, content = _storable(row.origin), _storable(row.content)
    return row.id, row.parent, row.generation, origin, content, to_json(row.data)


def _insight_values(row: InsightRow) -> tuple[Stored, ...]:
    content = _storable(row.content)
    return row.sequence, row.operation, row.insight, row.generation, content, to_json(row.data)


def _storable(text: str) -> str:
    """Whole: what was cut off could not be rebuilt from the record."""
    return text.encode("utf-8", "replace").decode()
