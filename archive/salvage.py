"""What can still be read of a damaged ledger: every row whose seal fits, whatever lies around it."""

from __future__ import annotations

import sqlite3
import struct
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory

from archive.images import PAGE
from archive.ledger import Ledger
from archive.rows import NUMBERED, TABLES, Stored, seal_of
from archive.store import Store

Values = tuple[Stored, ...]

_SKIPPED = 1_000
"""So many unreadable places in a row are the end of a table."""
_UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)  # SQLite quotes a damaged schema in its message
_KEYS = {"designs": (1,), "evaluations": (1,), "parents": (0, 1), "episodes": (0, 1), "trials": (0, 1)} | {
    "model_calls": (0, 1, 2, 3)
}
_LAST = 2**63 - 1
_COMPRESSED = {"episodes": (2,), "model_calls": (6, 7)}


@dataclass(slots=True)
class Salvaged:
    """Rows of a ledger.

    Attributes:
        rows: by table and key, in the order of writing; each with its `recorded_at`.
        problems: what of it could not be read, at most a few a table.
        lost: by table, how many rows there were besides, at least; a table is absent where nothing is known to be lost.
    """

    rows: dict[str, dict[Values, tuple[Values, float]]] = field(default_factory=lambda: {name: {} for name in TABLES})
    problems: list[str] = field(default_factory=list)
    lost: dict[str, int] = field(default_factory=dict)

    def values(self, table: str) -> list[Values]:
        return [values for values, _ in self.rows[table].values()]

    def key(self, table: str, values: Values) -> Values:
        return tuple(values[place] for place in _KEYS.get(table, (0,)))

    def add(self, table: str, values: Values, recorded_at: float | None = None) -> None:
        """Keep a row; one that is there under its key stays."""
        stamp = time.time() if recorded_at is None else recorded_at
        self.rows[table].setdefault(self.key(table, values), (values, stamp))

    def join(self, older: Salvaged) -> None:
        """Take over what an earlier state of the file has besides."""
        for table, rows in older.rows.items():
            for values, stamp in rows.values():
                self.add(table, values, stamp)


def told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} of {table}" for table, number in counts.items())


def rows_of(image: bytes) -> Salvaged:
    """Read every row of a ledger whose seal fits, whatever lies around it."""
    with TemporaryDirectory() as folder:
        found = _read(image, Path(folder))
        if any(problem.startswith("its tables") for problem in found.problems):
            patched = _read(_with_our_schema(image, Path(folder)), Path(folder))
            found.rows, found.lost = patched.rows, patched.lost
    return found


def checked(image: bytes) -> None:
    """Run `Ledger.check` on a copy.

    Raises:
        ArchiveError: as `Ledger` and its check.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        path.write_bytes(image)
        with Ledger(path) as ledger:
            ledger.check()


def same_schema(image: bytes) -> bool:
    """Whether the tables are those of this version, whatever the file's version number says."""
    with TemporaryDirectory() as folder:
        schemas = []
        for content in (image, _empty(Path(folder))):
            with closing(_open(content, Path(folder))) as db:
                schemas.append(db.execute("SELECT name, sql FROM sqlite_master ORDER BY 1").fetchall())
    return schemas[0] == schemas[1]


def write(salvaged: Salvaged, path: Path) -> dict[str, int]:
    """Make a new ledger of the rows; return by table how many were left out, as they name rows that are lost.

    Orders of arrival lose their gaps, since nothing may be missing in them. Insights end before a gap: the resume
    writes what follows again, in order. Openings of the sealed split keep their numbers: a lost one stays noticed.
    """
    left: dict[str, int] = {}
    with _Copy(path) as ledger:
        for table in TABLES:
            rows = list(salvaged.rows[table].values())
            if table in NUMBERED:
                rows.sort(key=lambda row: str(row[0][0]).zfill(20))
            if table == "insights":
                rows = [row for number, row in enumerate(rows, 1) if row[0][0] == number]
            elif table in ("evaluations", "decisions"):
                rows = [((number, *values[1:]), stamp) for number, (values, stamp) in enumerate(rows, 1)]
            missing = len(salvaged.rows[table]) - ledger.copy(table, rows)
            if missing:
                left[table] = missing
    return left


class _Copy(Store):
    def copy(self, table: str, rows: Sequence[tuple[Values, float]]) -> int:
        """Write rows, but for those that the table refuses; return how many were written."""
        columns = TABLES[table]
        marks = ", ".join("?" * (len(columns) + 2))
        sql = f"INSERT INTO {table} ({', '.join(columns)}, seal, recorded_at) VALUES ({marks})"
        written = 0
        with self._writing():
            for values, stamp in rows:
                try:
                    self._db.execute(sql, (*values, seal_of(values), stamp))
                except sqlite3.IntegrityError:
                    continue
                written += 1
        return written


# -- reading a damaged file


def _open(image: bytes, folder: Path) -> sqlite3.Connection:
    path = folder / "image.sqlite"
    path.write_bytes(image)
    db = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
    db.text_factory = lambda content: content.decode("utf-8", "replace")
    db.execute("PRAGMA writable_schema = ON")  # reads a file that is shorter than it says
    return db


def _read(image: bytes, folder: Path) -> Salvaged:
    found = Salvaged()
    try:
        with closing(_open(image, folder)) as db:
            for table in TABLES:
                _read_table(db, table, found)
    except _UNREADABLE as error:
        found.problems.append(f"its tables cannot be read ({error})")
    return found


def _read_table(db: sqlite3.Connection, table: str, found: Salvaged) -> None:
    bad = []
    stamps: dict[int, object] = {}  # apart, since a row is whole without it
    with suppress(*_UNREADABLE):
        stamps.update(db.execute(f"SELECT rowid, recorded_at FROM {table} NOT INDEXED"))
    problems = len(found.problems)
    scanned = _scan(db, table, found)
    partly = len(found.problems) > problems
    for (*row, seal), place in scanned:
        values, stamp = tuple(row), stamps.get(place)
        if seal_of(values) != seal:
            bad.append(f"row {values[0]!r} of {table}: its seal does not fit")
        elif (problem := _compressed(table, values)) is not None:
            bad.append(f"row {values[:2]!r} of {table}: {problem}")
        else:
            found.add(table, values, stamp if isinstance(stamp, float) else None)
    found.problems += bad[:5]
    if len(bad) > 5:
        found.problems.append(f"{len(bad) - 5} more rows of {table}: they cannot be read either")
    there = _count(db, table)
    numbers = [v[0] for v in found.values(table) if table in NUMBERED and isinstance(v[0], int)]
    lost = max([there or 0, *numbers]) - len(found.rows[table])
    lost = max(lost, len(bad), partly and there is None)
    if lost:
        found.lost[table] = lost


def _scan(db: sqlite3.Connection, table: str, found: Salvaged) -> list[tuple[Values, int]]:
    """Return all rows of a table that SQLite can reach from either end, or from any place in between.

    Each with its seal, and its place in the table, in that order.
    """
    sql = f"SELECT rowid, {', '.join(TABLES[table])}, seal FROM {table} NOT INDEXED"
    reached: dict[Values, int] = {}
    after, skipped, end = -1, 0, _LAST
    try:
        for place, *row in db.execute(f"{sql} ORDER BY rowid"):
            reached[tuple(row)], after = place, max(after, place)
        return list(reached.items())
    except _UNREADABLE as error:
        if "no such" in str(error):
            found.problems.append(f"its tables are not those of a ledger ({error})")
            return []
        found.problems.append(f"a part of {table} cannot be read ({error})")
    with suppress(*_UNREADABLE):
        for place, *row in db.execute(f"{sql} ORDER BY rowid DESC"):
            reached[tuple(row)] = end = place
    while skipped < _SKIPPED and after < end:
        try:
            for place, *row in db.execute(f"{sql} WHERE rowid > ? ORDER BY rowid", (after,)):
                if place <= after:
                    break
                reached[tuple(row)], after, skipped = place, place, 0
            else:
                break
        except _UNREADABLE:
            pass
        after, skipped = after + 1, skipped + 1
    return sorted(reached.items(), key=itemgetter(1))


def _count(db: sqlite3.Connection, table: str) -> int | None:
    """The number of rows by the table's index; None if that cannot be read either."""
    try:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except _UNREADABLE:
        return None


def _compressed(table: str, values: Values) -> str | None:
    for place in _COMPRESSED.get(table, ()):
        content = values[place]
        try:
            if isinstance(content, bytes):
                zlib.decompress(content)
        except zlib.error as error:
            return f"it cannot be decompressed ({error})"
    return None


def _empty(folder: Path) -> bytes:
    path = folder / "empty.sqlite"
    Ledger(path).close()
    return path.read_bytes()


def _with_our_schema(image: bytes, folder: Path) -> bytes:
    """Put the pages that name the tables in place of the file's own: every ledger of one version begins the same.

    If this one does not, no seal will fit.
    """
    empty = _empty(folder)
    with closing(_open(empty, folder)) as db:
        roots = {page for (page,) in db.execute("SELECT rootpage FROM sqlite_master")}
    patched = bytearray(image.ljust(len(empty), b"\0"))
    for start in range(0, len(empty), PAGE):
        if start // PAGE + 1 not in roots:
            patched[start : start + PAGE] = empty[start : start + PAGE]
    patched[28:32] = struct.pack(">I", len(patched) // PAGE)
    patched[32:40] = bytes(8)  # no free pages: nothing is written to it
    return bytes(patched)
