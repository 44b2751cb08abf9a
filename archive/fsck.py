"""Looks through all that a run keeps, and names whatever is not what was written; it changes nothing.

The designs are known from the ledger's rows and from the repository's refs; each must be there, whole, under both.
"""

from __future__ import annotations

import json
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from archive.card import check_id
from archive.errors import ArchiveError, ArchiveVersion
from archive.images import Images
from archive.ledger import Ledger
from archive.objects import ObjectStore
from archive.raw_repository import CONFIG, DESIGNS, HEAD, MAIN, TAGS, Refs, leftovers, read_design, sequence_of
from archive.repository import Repository
from archive.salvage import Salvaged, checked, rows_of, same_schema
from archive.schema import VERSION
from archive.wal import check_wal

Part = Literal["config", "locks", "head", "objects", "refs", "ledger", "lost"]

_REMEDIES: dict[Part, str] = {
    "config": "put the file back that the run was started with",
    "locks": "--repair removes it",
    "head": "--repair writes it anew",
    "objects": "--repair keeps what is whole of it, and makes the rest anew where its exact bytes can be had",
    "refs": "--repair makes the refs anew from the ledger and the commits",
    "ledger": "--repair makes a new file of the rows that can be read; `mnemogen resume` makes lost evaluations again",
    "lost": "restore it from a backup or a clone of the run",
}
_OPENED = "no repair makes up for it: the sealed split was opened once more than is told"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was written.

    Attributes:
        part: which repair it needs.
        where: the file, within the run's folder.
        problem: what is wrong with it.
        harmless: the run goes on as if it were not so.
    """

    part: Part
    where: str
    problem: str
    harmless: bool = False
    remedy: str = ""

    def __str__(self) -> str:
        remedy = self.remedy or _REMEDIES[self.part]
        return f"{self.where}: {self.problem}; {remedy}"


class Examination:
    """What was found in a run's folder.

    Attributes:
        findings: in the order of mending.
        rows: what SQLite itself can read of the ledger.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.ledger, self.repository = run / "ledger.sqlite", run / "archive.git"
        self.findings: list[Finding] = []
        self.images = Images.of(self.ledger)
        self.store = ObjectStore.read(self.repository)
        self.refs = Refs(self.repository)
        self.rows = self._examine_ledger()
        self.commits: dict[str, str] = {str(v[1]): str(v[3]) for v in self.rows.values("designs")}
        self._examine_leftovers()
        if self.repository.is_dir() and any(self.repository.iterdir()):
            self._examine_head()
            self._examine_objects()
            self._examine_refs()
            if not self._found("head", "objects", "refs", "lost"):
                self._ask_git()
        elif self.commits:
            self._tell("lost", self.repository, f"it is missing, with {len(self.commits)} designs")

    @property
    def damage(self) -> list[Finding]:
        return [finding for finding in self.findings if not finding.harmless]

    def _tell(self, part: Part, path: Path, problem: str, harmless: bool = False, remedy: str = "") -> None:
        where = path.relative_to(self.run).as_posix()
        self.findings.append(Finding(part, where, " ".join(problem.split()), harmless, remedy))

    def _found(self, *parts: Part) -> bool:
        return any(finding.part in parts and not finding.harmless for finding in self.findings)

    # -- the ledger

    def _examine_ledger(self) -> Salvaged:
        log = self.ledger.with_name(self.ledger.name + "-wal")
        if not self.images.seen:
            if self.refs.names or log.is_file():
                self._tell("ledger", self.ledger, "it is missing or empty, though designs have commits")
            return Salvaged()
        if not self.ledger.is_file() or not self.ledger.stat().st_size:
            self._tell("ledger", self.ledger, "it is missing or empty; its write-ahead log holds what was written")
        try:
            check_wal(log)
        except ArchiveError as error:
            self._tell("ledger", log, str(error.args[0]).removeprefix(f"{log} is damaged: "))
        else:
            if self.images.torn:
                problem = "its last transaction is not whole: the machine went down in it, or it was damaged since"
                self._tell("ledger", log, problem, True, "`mnemogen resume` makes again what it recorded")
        image = _up_to_date(self.images.seen)
        rows = rows_of(image)
        for problem in rows.problems:
            self._tell("ledger", self.ledger, problem)
        try:
            checked(image)
        except ArchiveVersion:
            if not _is_ours(image):
                raise
            self._tell("ledger", self.ledger, "its version is not that of its tables")
        except ArchiveError as error:
            problem = re.sub(r"^ledger \S+, ", "", str(error.args[0]))
            if problem.startswith("openings"):
                self._tell("lost", self.ledger, problem, remedy=_OPENED)
            elif not rows.problems:
                self._tell("ledger", self.ledger, problem)
        openings = [(json.loads(str(v[1])), json.loads(str(v[2]))) for v in rows.values("openings")]
        for values in rows.values("evaluations"):
            design, stream, purpose = values[2], values[3], values[11]
            if purpose == "sealed" and not any(design in designs and stream in names for designs, names in openings):
                problem = f"row {values[0]!r} of evaluations: no opening of the sealed split lists it"
                self._tell("lost", self.ledger, problem, remedy=_OPENED)
        return rows

    # -- the repository

    def _examine_leftovers(self) -> None:
        for path in leftovers(self.repository):
            lock = not path.name.startswith("tmp_")
            self._tell("locks", path, "left behind by a process that is gone", harmless=not lock)

    def _examine_head(self) -> None:
        head, config = self.repository / "HEAD", self.repository / "config"
        if not head.is_file() or head.read_bytes() != HEAD.encode():
            self._tell("head", head, "it is not what was written")
        elif not config.is_file() or config.read_bytes() != CONFIG.encode():
            try:
                Repository(self.repository, read_only=True)
            except ArchiveError:
                self._tell("head", config, "git cannot read it")
            else:
                self._tell("head", config, "it is not as it was written, but git can read it", True, "leave it")

    def _examine_objects(self) -> None:
        for path, problem in self.store.damaged.items():
            self._tell("objects", path, problem)
        for id_, commit in self.commits.items():
            problem = self.problem_of(id_, commit)
            if problem:
                self._tell("objects", self.repository, f"design {id_}: {problem}")

    def problem_of(self, id_: str, commit: str) -> str:
        """What is wrong with a commit of a design; empty if nothing is."""
        try:
            card, _, parents = read_design(self.store, commit)
        except ValueError as error:
            return str(error)
        if card.id != id_:
            return f"commit {commit} is of design {card.id}"
        known = [self.commits.get(p) or self.refs.names.get(DESIGNS + p) for p in card.parents]
        if parents != known and None not in known:
            return f"the parents of commit {commit} are not those of its card"
        return ""

    def _examine_refs(self) -> None:
        packed, names = self.repository / "packed-refs", self.refs.names
        for path, problem in self.refs.damaged.items():
            self._tell("refs", path, problem)
        for id_, commit in self.commits.items():
            for ref in (DESIGNS + id_, TAGS + id_):
                if names.get(ref) != commit:
                    self._tell("refs", packed, f"{ref} names {names.get(ref, 'nothing')}, wanted {commit}")
        for ref, commit in names.items():
            id_ = ref.removeprefix(DESIGNS)
            if ref.startswith(DESIGNS) and id_ not in self.commits:
                try:
                    problem = self.problem_of(check_id(id_), commit)
                except ValueError as error:
                    problem = str(error)
                if problem:
                    self._tell("refs", packed, f"{ref}: {problem}")
                else:
                    told = f"commit {commit} of design {id_} has no row in the ledger"
                    first = ", after the ledger's repair," if self._found("ledger") else ""
                    self._tell("refs", self.repository, told, True, f"`mnemogen resume`{first} adopts it")
            elif not ref.startswith(DESIGNS) and commit not in self.store.objects:
                self._tell("refs", packed, f"{ref} names {commit}, which is not there")
        latest = max((v for v in self.rows.values("designs")), key=lambda v: str(v[0]).zfill(20), default=None)
        if latest is not None and sequence_of(self.store, names.get(MAIN, "")) < int(str(latest[0])):
            self._tell(
                "refs", packed, f"{MAIN} names {names.get(MAIN, 'nothing')}, wanted {latest[3]!r} or a later one"
            )

    def _ask_git(self) -> None:
        try:
            Repository(self.repository, read_only=True).verify()
        except ArchiveError as error:
            self._tell("objects", self.repository, str(error.args[0]))


def _is_ours(image: bytes) -> bool:
    try:
        return same_schema(image)
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return False


def _up_to_date(image: bytes) -> bytes:
    """The file as this version would have it; as it is, if it cannot be brought up to date."""
    if not 0 < int.from_bytes(image[60:64], "big") < VERSION:
        return image
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        path.write_bytes(image)
        try:
            Ledger(path).close()
        except ArchiveError:
            return image
        return path.read_bytes()
