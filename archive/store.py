"""The run's SQLite file, whatever is kept in it: opened, migrated, written durably, read with every seal checked."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, cast

from archive.errors import (
    ArchiveDamaged,
    ArchiveError,
    ArchiveFull,
    ArchiveMissing,
    ArchiveOutdated,
    ArchiveUnwritable,
    ArchiveVersion,
)
from archive.rows import NUMBERED, TABLES, Stored, seal_of
from archive.schema import APPLICATION_ID, MIGRATIONS, VERSION
from archive.wal import HEADER, check_wal

_REMEDY = "`mnemogen fsck RUN --repair` saves what can be read; designs are still in the run's git repository"


class Store:
    """One connection to the file.

    An instance belongs to the thread that made it. Writers exclude each other by SQLite's lock for the length of one
    call; that all of them are of one process is the caller's business (the lock of the run's folder).

    Args:
        path: the file; it is made if it is absent.
        read_only: for viewers: never writes, sees what the writer has committed.
        check: look for damage in the write-ahead log first; not where another connection of this process writes it.

    Raises:
        ArchiveMissing: read-only, and there is no file, or nothing in it.
        ArchiveDamaged: the file is no ledger, or bytes in it or in its write-ahead log are not what was written.
        ArchiveVersion: another version of the program wrote it (an older one is migrated, unless read-only).
        ArchiveFull, ArchiveUnwritable: the disk refuses.
    """

    def __init__(self, path: Path | str, *, read_only: bool = False, check: bool = True) -> None:
        self.path = Path(path).absolute()
        self.read_only = read_only
        self._failed = False
        empty = not self.path.is_file() or self.path.stat().st_size == 0
        log = self.path.with_name(self.path.name + "-wal")
        if read_only and empty:
            raise self._missing()
        if empty and log.is_file() and log.stat().st_size > HEADER:  # SQLite would throw the log away
            raise self._damaged("the file", "it is missing or empty, though its write-ahead log is not")
        if check and not read_only:
            check_wal(log)
        with self._translated():
            self._db = self._connect()
        try:
            with self._translated():
                self._migrate()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file; the last one to close it folds the write-ahead log in."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- rows

    def rows(self, table: str, where: str = "1") -> Iterator[tuple[Stored, ...]]:
        """Yield the columns of a table, as `archive.rows.TABLES` has them.

        Args:
            where: a condition in SQL, of our own making.

        Raises:
            ArchiveDamaged: a row's seal does not fit.
        """
        with self._translated():
            yield from self._rows(table, where)

    def _next(self, table: str) -> int:
        return self._scalar(f"SELECT coalesce(max({NUMBERED[table]}), 0) + 1 FROM {table}")

    def _scalar(self, sql: str) -> int:
        return cast(int, self._db.execute(sql).fetchone()[0])

    def _insert(self, table: str, values: tuple[Stored, ...]) -> None:
        columns = TABLES[table]
        marks = ", ".join("?" * (len(columns) + 2))
        sql = f"INSERT INTO {table} ({', '.join(columns)}, seal, recorded_at) VALUES ({marks})"
        self._db.execute(sql, (*values, seal_of(values), time.time()))

    def _rows(self, table: str, where: str, *values: Stored) -> Iterator[Any]:
        """Yield the columns of rows whose seal holds."""
        columns = TABLES[table]
        for row in self._db.execute(f"SELECT {', '.join(columns)}, seal FROM {table} WHERE {where}", values):
            if seal_of(row[:-1]) != row[-1]:
                raise self._damaged(f"row {row[0]!r} of {table}", "its seal does not fit")
            yield row[:-1]

    def _one(self, table: str, where: str, *values: Stored) -> Any:
        return next(self._rows(table, f"{where} LIMIT 1", *values), None)

    # -- the file

    def _connect(self) -> sqlite3.Connection:
        if self.read_only:
            uri = self.path.as_uri() + "?mode=ro"
            db = self._open(uri)
            try:
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            except sqlite3.OperationalError as error:
                db.close()
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN:
                    raise
                db = self._open(uri + "&immutable=1")  # a folder that may not be written, left in order by its writer
            return db
        db = self._open(self.path.as_uri())
        try:
            db.execute("PRAGMA journal_mode = WAL").fetchone()
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            db.close()
            raise
        return db

    @staticmethod
    def _open(uri: str) -> sqlite3.Connection:
        db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10.0)
        db.text_factory = lambda content: content.decode("utf-8", "replace")  # damage shows as a seal that does not fit
        return db

    def _migrate(self) -> None:
        """Check whose file it is, and bring an older one up to date."""
        version = self._scalar("PRAGMA user_version")
        tables = self._scalar("SELECT count(*) FROM sqlite_master")
        if version > VERSION:
            raise ArchiveVersion(
                f"{self.path} has schema version {version}, this program knows {VERSION}", hint="update mnemogen"
            )
        if version < 0 or (tables and self._scalar("PRAGMA application_id") != APPLICATION_ID):
            raise self._damaged("its header", "it is a SQLite file, but no ledger of Mnemogen")
        strangers = self._db.execute("SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view') LIMIT 1")
        for kind, name in strangers:
            raise self._damaged(
                f"the {kind} {name!r}", "no version of Mnemogen made it, and it could change what is written"
            )
        if version == VERSION:
            return
        if self.read_only and not tables:
            raise self._missing()
        if self.read_only:
            raise ArchiveOutdated(
                f"{self.path} has schema version {version}, wanted {VERSION}", hint="open the run for writing once"
            )
        with self._writing():
            for statements in MIGRATIONS[version:]:
                for statement in statements:
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One durable transaction; whatever goes wrong in it, nothing of it is kept."""
        if self.read_only:
            raise ValueError("the ledger was opened read-only")
        if self._failed:
            raise ArchiveUnwritable(
                f"{self.path}: an earlier write failed", hint="stop, check the disk, resume the run"
            )
        with self._translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what SQLite raises into what it means."""
        try:
            yield
        except sqlite3.IntegrityError as error:
            raise ValueError(f"the ledger refuses this row: {error}") from error
        except (sqlite3.ProgrammingError, sqlite3.InterfaceError, OverflowError) as error:
            raise ValueError(f"the ledger cannot hold this value: {error}") from error
        except UnicodeDecodeError as error:  # SQLite quotes a damaged schema in its message
            raise self._damaged("the file", str(error)) from error
        except sqlite3.DatabaseError as error:
            raise self._meaning(error) from error

    def _meaning(self, error: sqlite3.DatabaseError) -> ArchiveError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return ArchiveFull(f"{self.path}: {error}", hint="free some disk space, then resume the run")
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT):
            return self._damaged("the file", str(error))
        if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            self._failed = True
            return ArchiveUnwritable(f"{self.path}: {error}", hint="is the disk writable and whole?")
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return ArchiveUnwritable(f"{self.path}: {error}", hint="does another process write to this run?")
        return self._damaged("the file", str(error))

    def _missing(self) -> ArchiveMissing:
        return ArchiveMissing(f"no ledger at {self.path}, or nothing in it")

    def _damaged(self, part: str, problem: str) -> ArchiveDamaged:
        return ArchiveDamaged(f"ledger {self.path}, {part},", problem, hint=_REMEDY)
