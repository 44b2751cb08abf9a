"""Every model call of a run, in the run's SQLite file: what it was charged, and what it was answered.

It serves twice: as the account of what was spent, and as the record from which a run is repeated without a provider.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from archive.rows import TABLES, Stored, finite, seal_of, storable
from archive.store import Store

CHARGED = ", ".join(f"coalesce(sum({name}), 0)" for name in ("charged_calls", "charged_tokens", "charged_nanodollars"))
CallOutcome = Literal["open", "answered", "refused"]


@dataclass(frozen=True, slots=True)
class CallRow:
    """One call.

    Attributes:
        scope, role, position, content: its name; `content` is a digest of what was asked.
        request: what was asked, where it is worth keeping; empty otherwise.
        answer: of a refused call, why.
        vectors: float32, little-endian, row after row.
        cut: the answer ends where its limit of tokens did.
        dollars: of the answer; None if the price is not known.
        seconds: of the attempt that answered.
        charged_calls, charged_tokens, charged_nanodollars: over all attempts, lost ones included.
    """

    scope: str
    role: str
    position: int
    content: str
    model: str
    outcome: CallOutcome = "open"
    request: str = ""
    answer: str = ""
    vectors: bytes = b""
    cut: bool = False
    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    dollars: float | None = None
    seconds: float = 0.0
    charged_calls: int = 0
    charged_tokens: int = 0
    charged_nanodollars: int = 0


@dataclass(frozen=True, slots=True)
class RoleCost:
    """What one model has cost in one role.

    Attributes:
        calls: attempts that were charged.
        dollars: None where the price is not known.
    """

    role: str
    model: str
    calls: int
    tokens: int
    dollars: float | None
    seconds: float


class CallBook(Store):
    """The table of calls. Takes and raises what `archive.store.Store` does."""

    def find(self, scope: str, role: str, position: int, content: str) -> CallRow | None:
        """Return a call that was answered or refused, None if it is open or was never made."""
        with self._translated():
            row = self._call(scope, role, position, content)
        return None if row is None or row.outcome == "open" else row

    def write(self, rows: Sequence[CallRow]) -> None:
        """Record calls, all or nothing; durable when it returns.

        What a row says it was charged is added to what is there; its answer replaces an open one.

        Raises:
            ArchiveFull, ArchiveUnwritable, ArchiveDamaged: the file could not be written.
        """
        with self._writing():
            for row in rows:
                earlier = self._call(row.scope, row.role, row.position, row.content)
                if earlier is None:
                    self._insert("model_calls", _values(row))
                else:
                    self._replace(_joined(earlier, row))

    def charged(self) -> tuple[int, int, int]:
        """Return the attempts, tokens and billionths of a dollar that were charged so far."""
        with self._translated():
            calls, tokens, nanodollars = self._db.execute(f"SELECT {CHARGED} FROM model_calls").fetchone()
        return calls, tokens, nanodollars

    def calls(self, scope: str | None = None) -> Iterator[CallRow]:
        """Yield calls by scope, role and position, all or those of one scope."""
        where, given = ("1", ()) if scope is None else ("scope = ?", (scope,))
        with self._translated():
            for row in self._rows("model_calls", f"{where} ORDER BY scope, role, position, content", *given):
                yield _row(row)

    def costs(self) -> tuple[RoleCost, ...]:
        """Return what each model has cost in each role."""
        with self._translated():
            without = "total(outcome = 'answered' AND dollars IS NULL)"
            columns = f"role, model, {CHARGED}, total(seconds), {without}"
            rows = self._db.execute(f"SELECT {columns} FROM model_calls GROUP BY 1, 2 ORDER BY 1, 2").fetchall()
        return tuple(
            RoleCost(role, model, calls, tokens, None if unpriced else nano / 1e9, seconds)
            for role, model, calls, tokens, nano, seconds, unpriced in rows
        )

    def _call(self, *name: Stored) -> CallRow | None:
        row = self._one("model_calls", "scope = ? AND role = ? AND position = ? AND content = ?", *name)
        return None if row is None else _row(row)

    def _replace(self, row: CallRow) -> None:
        values = _values(row)
        columns = TABLES["model_calls"]
        changes = ", ".join(f"{name} = ?" for name in (*columns[4:], "seal"))
        sql = f"UPDATE model_calls SET {changes} WHERE scope = ? AND role = ? AND position = ? AND content = ?"
        self._db.execute(sql, (*values[4:], seal_of(values), *values[:4]))


def _joined(earlier: CallRow, later: CallRow) -> CallRow:
    """An answer stays; charges add up."""
    row = later if earlier.outcome == "open" else earlier
    return replace(
        row,
        request=row.request or earlier.request,
        charged_calls=earlier.charged_calls + later.charged_calls,
        charged_tokens=earlier.charged_tokens + later.charged_tokens,
        charged_nanodollars=earlier.charged_nanodollars + later.charged_nanodollars,
    )


def _values(row: CallRow) -> tuple[Stored, ...]:
    return (
        *(row.scope, row.role, row.position, row.content, storable(row.model), row.outcome),
        zlib.compress(row.request.encode("utf-8", "replace")) if row.request else None,
        zlib.compress(row.answer.encode("utf-8", "replace")),
        *(row.vectors, int(row.cut), row.attempts, row.input_tokens, row.output_tokens),
        None if row.dollars is None else finite(row.dollars, "dollars"),
        *(finite(row.seconds, "seconds"), row.charged_calls, row.charged_tokens, row.charged_nanodollars),
    )


def _row(values: Any) -> CallRow:
    scope, role, position, content, model, outcome, request, answer, vectors, cut, *rest = values
    asked = "" if request is None else zlib.decompress(request).decode()
    told = zlib.decompress(answer).decode()
    return CallRow(scope, role, position, content, model, outcome, asked, told, vectors, bool(cut), *rest)
