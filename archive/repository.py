"""Every design of a run as a git repository in which lineage is history.

One design is one commit that holds `design.py` and `card.json`; its git parents are its parent designs' commits;
`refs/designs/<id>` names it; `main` is the latest. So `git log --graph --all` draws the evolution, `git diff` compares
two designs and `git clone` shares an archive. Nothing here executes or imports a design.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archive.card import Card, check_id
from archive.errors import (
    ArchiveDamaged,
    ArchiveError,
    ArchiveMissing,
    ArchiveUnwritable,
    UnknownDesign,
)
from archive.git_process import RESTORE, Git
from design_space import Design, DesignId

__all__ = ["Card", "Committed", "Repository"]

EPOCH = 1_577_836_800
"""Date of the commit with sequence 0 (2020-01-01); one second per sequence number."""

PERSON = "Mnemogen <mnemogen@localhost>"
_REFS = "refs/designs/"
_PACKS = 32
_STALE = 3.0
_FILES = ("design.py", "card.json")

REPOSITORY_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n\tfsync = all\n"


@dataclass(frozen=True, slots=True)
class Committed:
    """What `Repository.commit` did with one design.

    Attributes:
        commit: SHA-1 of the commit.
        new: False if the design had been committed before; that commit, and its card, stay.
    """

    id: DesignId
    commit: str
    new: bool


class Repository:
    """The designs of one run, each a commit.

    One process writes (the holder of the run's lock), any number reads, also while it writes. An instance is not
    thread-safe. The commits that a sequence of batches yields depend on nothing but the batches.

    Args:
        folder: where the bare repository is, or is made if it is absent.
        read_only: never write; `commit` is refused, and an absent repository is an error.

    Raises:
        ArchiveMissing: read-only, and there is none.
        ArchiveDamaged: there is something else, or a repository that git does not take for one.
    """

    def __init__(self, folder: Path | str, *, read_only: bool = False) -> None:
        self.folder = Path(folder).absolute()
        self.read_only = read_only
        self._git = Git(self.folder)
        self._cleared = False
        self._known: dict[DesignId, str] | None = None  # what `refs` says, as long as only this writer writes
        if not self.folder.is_dir() or not any(self.folder.iterdir()):
            if read_only:
                raise ArchiveMissing(f"no design repository at {self.folder}")
            self._create()
        self._git.run("rev-parse", "--git-dir")

    # -- writing

    def commit(self, entries: Sequence[tuple[Card, Design]]) -> tuple[Committed, ...]:
        """Write a batch of designs durably, one commit each, by one `git fast-import`.

        A design that is here already, or earlier in the batch, is adopted: that commit stays. So a batch that a crash
        cut short is simply committed again. When the call returns, all of it is on disk.

        Args:
            entries: in the order of their sequence numbers; parents are here already or earlier in the batch.

        Returns:
            One report per entry, in order.

        Raises:
            ValueError: card and design do not belong together, or the sequence number of a new design is not above
                those of all designs before it.
            UnknownDesign: a parent is neither here nor earlier in the batch; nothing is written.
            ArchiveFull, ArchiveUnwritable, ArchiveDamaged: git could not write. After the second of these nothing is
                written any more: what a disk says once it has failed to keep something is worth nothing.
        """
        if self.read_only:
            raise ValueError("the repository was opened read-only")
        if self._git.failed:
            raise ArchiveUnwritable(
                f"{self.folder}: an earlier write failed", hint="stop, check the disk, resume the run"
            )
        if not entries:
            return ()
        self._clear_stale_locks()
        known, self._known = self.refs() if self._known is None else self._known, None
        main, sequence = self._main()
        new = self._new_entries(entries, known, sequence)
        if new:
            known |= self._import(new, known)
        commits = {card.id: known[card.id] for card, _ in entries}
        # What is new comes after all that was there; of what a crash left there, git is asked.
        latest = known[new[-1][0].id] if len(new) == len(commits) else self._latest([*main, *commits.values()])
        self._name(commits, latest)
        self._repack()
        added = {card.id for card, _ in new}
        reports = []
        for card, _ in entries:
            reports.append(Committed(card.id, known[card.id], card.id in added))
            added.discard(card.id)
        self._known = known
        return tuple(reports)

    def _main(self) -> tuple[list[str], int]:
        """Return the commit that `main` points to and its design's sequence number; none and -1 at first."""
        told = self._git.run("for-each-ref", "--format=%(objectname) %(committerdate:unix)", "refs/heads/main").split()
        return ([told[0].decode()], int(told[1]) - EPOCH) if told else ([], -1)

    def _latest(self, commits: Sequence[str]) -> str:
        """Return the one with the highest sequence number."""
        told = self._git.run("rev-list", "--no-walk=sorted", "--max-count=1", *dict.fromkeys(commits), "--")
        return told.decode().strip()

    @staticmethod
    def _new_entries(
        entries: Sequence[tuple[Card, Design]], known: Mapping[DesignId, str], latest: int
    ) -> list[tuple[Card, Design]]:
        """Return the entries that are not here yet, each design once, after checking all of them.

        Args:
            latest: sequence number of the last design before them.
        """
        new: dict[DesignId, tuple[Card, Design]] = {}
        for card, design in entries:
            if card.id != design.id or dict(card.params) != dict(design.params):
                raise ValueError(f"card is of design {card.id}, not of {design.id}")
            if card.id in known or card.id in new:
                continue
            for parent in card.parents:
                if parent not in known and parent not in new:
                    raise UnknownDesign(
                        f"parent {parent} of design {card.id} is not in the archive", hint="commit the parent first"
                    )
            if card.sequence <= latest:
                raise ValueError(f"design {card.id} has sequence {card.sequence}, wanted more than {latest}")
            latest = card.sequence
            new[card.id] = (card, design)
        return list(new.values())

    def _import(self, new: Sequence[tuple[Card, Design]], known: Mapping[DesignId, str]) -> dict[DesignId, str]:
        """Write commits and `refs/designs`; return the commits."""
        marks = {card.id: f":{number}" for number, (card, _) in enumerate(new, 1)}
        with tempfile.TemporaryFile() as stream:
            stream.write(b"feature done\n")
            for card, design in new:
                parents = [marks.get(parent) or known[parent] for parent in card.parents]
                stream.writelines(_commit_command(card, design, marks[card.id], parents))
            stream.writelines(f"get-mark {mark}\n".encode() for mark in marks.values())
            stream.write(b"done\n")
            stream.seek(0)
            output = self._git.run("fast-import", "--quiet", "--date-format=raw", stdin=stream, writes=True)
        commits = output.decode().split()
        if len(commits) != len(marks):
            raise ArchiveUnwritable(f"git fast-import named {len(commits)} commits, wanted {len(marks)}")
        return dict(zip(marks, commits, strict=True))

    def _name(self, commits: Mapping[DesignId, str], latest: str) -> None:
        """Point `main` to the latest design, tag the batch (a plain `git clone` brings tags along), pack the refs.

        All of it also follows from what is there, so that committing a batch again completes what a crash cut short.
        """
        updates = {f"refs/tags/{id_}": commit for id_, commit in commits.items()} | {"refs/heads/main": latest}
        with tempfile.TemporaryFile() as stream:
            stream.writelines(f"update {ref} {commit}\n".encode() for ref, commit in updates.items())
            stream.seek(0)
            self._git.run("update-ref", "--stdin", stdin=stream, writes=True)
        self._git.run("pack-refs", "--all", "--prune", writes=True)

    def _repack(self) -> None:
        """Join the packs when they have become many: a reader looks into each."""
        if len(list((self.folder / "objects" / "pack").glob("*.pack"))) > _PACKS:
            self._git.run("repack", "-a", "-d", "-q", writes=True)

    def _create(self) -> None:
        """Make an empty repository; it appears under its name only when it is complete."""
        draft = self.folder.with_name(f".{self.folder.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        try:
            for part in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
                (draft / part).mkdir(parents=True)
            for name, text in (("config", REPOSITORY_CONFIG), ("HEAD", "ref: refs/heads/main\n")):
                with (draft / name).open("w", newline="\n") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
            draft.replace(self.folder)
        except OSError as error:
            raise ArchiveUnwritable(f"cannot make a repository at {self.folder}: {error.strerror}") from error

    def _clear_stale_locks(self) -> None:
        """Before the first write, remove what a killed writer left behind.

        Its git may outlive it for a moment, hence the wait; it never matters what such a git still writes, since
        nothing of it was acknowledged and the same batch yields the same commits.
        """
        if self._cleared:
            return
        deadline = time.monotonic() + _STALE
        while (locks := self._locks()) and time.monotonic() < deadline:
            ages = [time.time() - lock.stat().st_mtime for lock in locks if lock.exists()]
            if all(age > _STALE for age in ages):
                break
            time.sleep(0.05)
        for leftover in (*locks, *(self.folder / "objects" / "pack").glob("tmp_*")):
            leftover.unlink(missing_ok=True)
        self._cleared = True

    def _locks(self) -> list[Path]:
        new = self.folder / "packed-refs.new"
        locks = [*self.folder.glob("*.lock"), *(self.folder / "refs").rglob("*.lock")]
        return [*locks, new] if new.exists() else locks

    # -- reading

    def refs(self) -> dict[DesignId, str]:
        """Return the commit of every design, in the order of sequence numbers.

        Raises:
            ArchiveDamaged: a ref, or the commit it names, cannot be read.
        """
        output = self._git.run("for-each-ref", "--sort=committerdate", "--format=%(refname) %(objectname)", _REFS)
        refs: dict[DesignId, str] = {}
        for line in output.decode(errors="replace").splitlines():
            name, commit = line.split(" ")
            try:
                refs[check_id(name.removeprefix(_REFS))] = commit
            except ValueError as error:
                raise ArchiveDamaged(name, str(error)) from error
        return refs

    def ids(self) -> tuple[DesignId, ...]:
        """Return the ids of all designs, in the order of sequence numbers."""
        return tuple(self.refs())

    def load(self, id_: DesignId) -> Design:
        """Return a design; its id is recomputed, so what comes back is what was committed.

        Raises:
            UnknownDesign: it is not here.
            ArchiveDamaged: it cannot be read, or is not what was written.
        """
        ((_, design),) = self._entries([id_])
        return design

    def card(self, id_: DesignId) -> Card:
        """Return the card of a design; raises as `load` does."""
        ((card, _),) = self._entries([id_])
        return card

    def cards(self) -> tuple[Card, ...]:
        """Return all cards, in the order of sequence numbers, by one git process."""
        return tuple(card for card, _ in self.entries())

    def entries(self) -> Iterator[tuple[Card, Design]]:
        """Yield all cards with their designs, in the order of sequence numbers, by one git process."""
        return self._entries(self.ids())

    def parents(self, id_: DesignId) -> tuple[DesignId, ...]:
        """Return the ids of a design's parents, the main one first."""
        return self.card(id_).parents

    def diff(self, a: DesignId, b: DesignId) -> str:
        """Return how design `b` differs from `a`, as a unified diff without any control character."""
        commits = [self._commit_of(a), self._commit_of(b)]
        options = ["--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--text"]
        return _harmless(self._git.run("diff", *options, *commits, "--"))

    def log_graph(self) -> str:
        """Return the whole lineage as a graph of one line per design, latest first: id, name, operator."""
        line = "--format=%(trailers:key=Design,valueonly,separator=%x2C) %s"
        return _harmless(
            self._git.run("log", "--graph", "--glob=refs/designs", "--date-order", "--no-color", line, "--")
        )

    def verify(self) -> None:
        """Read everything: objects, refs, cards, and that git's parents are the cards' parents.

        Raises:
            ArchiveDamaged: names the first object that is not what was written.
        """
        self._git.run("fsck", "--full", "--no-dangling", "--no-progress")
        refs = self.refs()
        lines = self._git.run("log", "--no-walk=unsorted", "--format=%H %P", *refs.values(), "--") if refs else b""
        parents = {commit: rest for commit, *rest in map(str.split, lines.decode().splitlines())}
        for card, _ in self._entries(tuple(refs)):
            if parents[refs[card.id]] != [refs.get(parent) for parent in card.parents]:
                raise ArchiveDamaged(f"commit {refs[card.id]}", f"its parents are not those of design {card.id}")

    def _commit_of(self, id_: DesignId) -> str:
        ref = f"{_REFS}{_known_form(id_)}"
        output = self._git.run("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", accept=(0, 1)).decode().strip()
        if not output:
            raise self._absent(id_)
        return output

    def _absent(self, id_: DesignId) -> ArchiveError:
        if id_ in self.refs():
            return ArchiveDamaged(f"{_REFS}{id_}", "what it names is not there", hint=RESTORE)
        return UnknownDesign(f"no design {id_} in {self.folder}")

    def _entries(self, ids: Sequence[DesignId]) -> Iterator[tuple[Card, Design]]:
        """Yield card and design of each id, read by one `git cat-file --batch`."""
        if not ids:
            return
        with tempfile.TemporaryFile() as stream:
            stream.writelines(f"{_REFS}{_known_form(id_)}:{name}\n".encode() for id_ in ids for name in _FILES)
            stream.seek(0)
            output = self._git.run("cat-file", "--batch", stdin=stream)
        blobs = _blobs(output)
        for id_ in ids:
            source, text = next(blobs, None), next(blobs, None)
            if source is None or text is None:
                raise self._absent(id_)
            try:
                card = Card.from_json(text.decode("ascii"))
                design = Design(source.decode("utf-8", "surrogatepass"), card.params, card.name)
            except ValueError as error:
                raise ArchiveDamaged(f"{_REFS}{id_}", str(error), hint=RESTORE) from error
            if not card.id == design.id == id_:
                raise ArchiveDamaged(f"{_REFS}{id_}", f"it holds design {design.id}", hint=RESTORE)
            yield card, design


def _known_form(id_: DesignId) -> DesignId:
    try:
        return check_id(id_)
    except ValueError as error:
        raise UnknownDesign(str(error)) from error


def _commit_command(card: Card, design: Design, mark: str, parents: Sequence[str]) -> Iterator[bytes]:
    """Yield the fast-import commands for one design; whatever people or models wrote is inside counted data."""
    date = f"{EPOCH + card.sequence} +0000"
    operator = f" [{card.operator}]" if card.operator else ""
    message = f"{card.name}{operator}\n\nDesign: {card.id}\n"
    yield f"commit {_REFS}{card.id}\nmark {mark}\n".encode()
    yield f"author {PERSON} {date}\ncommitter {PERSON} {date}\n".encode()
    yield _data(message.encode())
    for word, parent in zip(["from", *["merge"] * len(parents)], parents, strict=False):
        yield f"{word} {parent}\n".encode()
    yield b"deleteall\n"
    for name, content in zip(
        _FILES, (design.source.encode("utf-8", "surrogatepass"), card.to_json().encode()), strict=True
    ):
        yield f"M 100644 inline {name}\n".encode() + _data(content)


def _data(content: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(content), content)


def _blobs(output: bytes) -> Iterator[bytes | None]:
    """Yield what `git cat-file --batch` printed, None for each name that it did not find."""
    position = 0
    while position < len(output):
        end = output.index(b"\n", position)
        words = output[position:end].split(b" ")
        position = end + 1
        if words[-1].isdigit() and words[-2:-1] == [b"blob"]:
            size = int(words[-1])
            yield output[position : position + size]
            position += size + 1
        else:
            yield None


def _harmless(output: bytes) -> str:
    """Return git's output for a terminal: what could steer one is replaced."""
    text = output.decode("utf-8", "replace")
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else "\ufffd" for c in text)
