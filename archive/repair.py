"""Mends what is damaged of a run, without inventing anything: an object by its hash, a row by its seal, or not at all.

Whatever is changed is copied to `damaged-<n>` in the run's folder first.
"""

from __future__ import annotations

import os
import shutil
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from archive.card import Card
from archive.fsck import Examination, Finding
from archive.images import Images
from archive.novelty import fingerprint
from archive.objects import GitObject
from archive.raw_repository import (
    CONFIG,
    DESIGNS,
    HEAD,
    MAIN,
    TAGS,
    commit_objects,
    leftovers,
    read_design,
    sequence_of,
)
from archive.rows import NUMBERED, to_design, to_proposal
from archive.salvage import Salvaged, Values, rows_of, told, write
from design_space import Design, DesignId, Outcome, catalogue

_ROUNDS = 3
_SETTLED = 3.0


def repair(run: Path) -> tuple[list[str], list[Finding]]:
    """Mend what can be mended of a run that is held, and look again.

    Returns:
        What was done, in lines for people; and what is damaged still.

    Raises:
        ArchiveError, OSError: the disk refuses.
    """
    done: list[str] = []
    tried: set[Finding] = set()
    examination = Examination(run)
    for _ in range(_ROUNDS):
        findings = [f for f in examination.damage if f.part not in ("config", "lost")]
        findings += [f for f in examination.findings if f.part == "locks" and f.harmless]
        if not set(findings) - tried:
            break
        tried |= set(findings)
        done += _Repair(examination, {finding.part for finding in findings}).all()
        examination = Examination(run)
    remedy = "it cannot be mended; restore it from a backup or a clone of the run"
    return done, [replace(finding, remedy=finding.remedy or remedy) for finding in examination.damage]


class _Repair:
    def __init__(self, examination: Examination, parts: set[str]) -> None:
        self._seen = examination
        self._parts = parts
        self._run = examination.run
        self._repository = examination.repository
        self._store = examination.store
        self._done: list[str] = []

    def all(self) -> list[str]:
        if "locks" in self._parts:
            self._remove_leftovers()
        if "head" in self._parts:
            self._write_head()
        if self._parts & {"refs", "objects"}:
            self._loosen()
            self._remake()
            self._write_refs()
        if "ledger" in self._parts:
            self._write_ledger()
        return self._done

    # -- files

    @cached_property
    def _aside(self) -> Path:
        """Where copies of what is changed are kept."""
        number = 1
        while (folder := self._run / f"damaged-{number}").exists():
            number += 1
        folder.mkdir()
        self._done.append(f"{folder.name}: holds what was changed, as it was")
        return folder

    def _keep(self, path: Path) -> None:
        kept = self._aside / path.relative_to(self._run)
        if path.is_file() and not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, kept)
            _sync(kept)

    def _put(self, path: Path, content: bytes) -> None:
        """Write a file whole or not at all, durably."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"tmp_{path.name}")
        draft.write_bytes(content)
        _sync(draft)
        draft.replace(path)
        _sync(path.parent)

    # -- the repository

    def _remove_leftovers(self) -> None:
        for path in leftovers(self._repository):
            time.sleep(max(0.0, min(_SETTLED, path.stat().st_mtime + _SETTLED - time.time())))  # its git may end yet
            path.unlink(missing_ok=True)
            self._done.append(f"{path.relative_to(self._run)}: removed")

    def _write_head(self) -> None:
        for name, text in (("HEAD", HEAD), ("config", CONFIG)):
            path = self._repository / name
            if not path.is_file() or path.read_bytes() != text.encode():
                self._keep(path)
                self._put(path, text.encode())
                self._done.append(f"{path.relative_to(self._run)}: written anew")

    def _loosen(self) -> None:
        """Write what is whole in damaged files as files of its own, then put those out of the way."""
        for path in self._store.damaged:
            family = [path]
            if path in self._store.holding:  # a pack is nothing without its index
                family = [path.with_suffix(suffix) for suffix in (".pack", ".idx", ".rev", ".bitmap")]
            for member in family:
                self._keep(member)
            kept = self._store.holding.get(path, set())
            for sha in sorted(kept):
                self._put_object(self._store.objects[sha])
            for member in family:
                member.unlink(missing_ok=True)
            self._done.append(f"{path.relative_to(self._run)}: {len(kept)} objects of it kept")

    def _put_object(self, found: GitObject) -> None:
        path = self._repository / "objects" / found.sha[:2] / found.sha[2:]
        content = zlib.compress(b"%s %d\0%s" % (found.kind.encode(), len(found.content), found.content))
        if path.is_file() and path not in self._store.damaged:
            return
        self._put(path, content)
        path.chmod(0o444)
        self._store.objects[found.sha] = found

    def _remake(self) -> None:
        """Make missing objects of designs anew from card and source, where that comes to the very same commit."""
        for id_, commit in self._wanted().items():
            if self._seen.problem_of(id_, commit) == "":
                continue
            for card, design in self._candidates(id_):
                made = commit_objects(card, design, [self._wanted().get(p, "") for p in card.parents])
                if made[-1].sha == commit:
                    for found in made:
                        self._put_object(found)
                    self._done.append(f"design {id_}: made anew, with the same commit {commit}")
                    break

    def _wanted(self) -> dict[str, str]:
        """The commit of every design, by the ledger or, without a row, by the refs."""
        refs = self._seen.refs.names.items()
        return {ref.removeprefix(DESIGNS): c for ref, c in refs if ref.startswith(DESIGNS)} | self._seen.commits

    def _candidates(self, id_: str) -> Iterator[tuple[Card, Design]]:
        cards = [card for card in self._cards if card.id == id_]
        for values in self._seen.rows.values("designs"):
            if values[1] == id_:
                cards += self._cards_of_row(values)
        for card in cards:
            for source in self._sources:
                design = Design(source, card.params, card.name)
                if design.id == id_:
                    yield card, design

    def _cards_of_row(self, values: Values) -> Iterator[Card]:
        """Cards that a row of the ledger may have come from: only parameters are not told there."""
        rows = self._seen.rows
        parents = sorted((int(str(p[1])), DesignId(str(p[2]))) for p in rows.values("parents") if p[0] == values[1])
        row = to_design(values, [parent for _, parent in parents])
        proposals = map(to_proposal, rows.values("proposals"))
        note = next((proposal.note for proposal in proposals if proposal.sequence == row.sequence), "")
        origin = (row.parents, row.proposer, row.operator, note)
        try:
            yield Card(row.id, row.name, row.sequence, row.generation, *origin)
        except ValueError:
            return

    @cached_property
    def _cards(self) -> list[Card]:
        found = []
        for blob in self._texts:
            try:
                found.append(Card.from_json(blob))
            except ValueError:
                continue
        return found

    @cached_property
    def _sources(self) -> list[str]:
        return [*self._texts, *(catalogue.load(name).source for name in catalogue.names())]

    @cached_property
    def _texts(self) -> list[str]:
        blobs = (found.content for found in self._store.objects.values() if found.kind == "blob")
        return [blob.decode("utf-8", "surrogatepass") for blob in blobs if _is_text(blob)]

    def _write_refs(self) -> None:
        """Name every design by the ledger or by its own card; other refs stay if what they name is there."""
        store, seen = self._store, self._seen
        names = {ref: c for ref, c in seen.refs.names.items() if c in store.objects and not ref.startswith(DESIGNS)}
        designs = {}
        for sha, found in store.objects.items():
            if found.kind == "commit":
                try:
                    designs[str(read_design(store, sha)[0].id)] = sha
                except ValueError:
                    continue
        designs |= {id_: commit for id_, commit in seen.commits.items() if commit in store.objects}
        for id_, commit in designs.items():
            names |= {DESIGNS + id_: commit, TAGS + id_: commit}
        if designs:
            names[MAIN] = max(designs.values(), key=lambda commit: sequence_of(store, commit))
        if names == seen.refs.names and not seen.refs.damaged:
            return
        for ref in sorted(set(seen.refs.names) - set(names)):
            self._done.append(f"{ref}: removed; it named {seen.refs.names[ref]}, and no such design is there")
        packed = self._repository / "packed-refs"
        old = [p for p in (self._repository / "refs").rglob("*") if p.is_file() and not _symbolic(p)]
        for path in (packed, *old):
            self._keep(path)
        lines = [f"{commit} {ref}\n" for ref, commit in sorted(names.items(), key=lambda item: item[0].encode())]
        plain = all(store.objects[commit].kind == "commit" for commit in names.values())
        header = f"# pack-refs with:{' peeled fully-peeled' if plain else ''} sorted \n"
        self._put(packed, (header + "".join(lines)).encode())
        for path in old:
            path.unlink()
        (self._repository / "refs" / "heads").mkdir(parents=True, exist_ok=True)
        self._done.append(f"{packed.relative_to(self._run)}: made anew, names {len(designs)} designs")

    # -- the ledger

    def _write_ledger(self) -> None:
        """Put a new ledger of all rows that can be read in the place of the damaged one."""
        ledger, draft = self._seen.ledger, self._run / "ledger.mended"
        files = [ledger, *(ledger.with_name(ledger.name + suffix) for suffix in ("-wal", "-shm"))]
        for path in files:
            self._keep(path)
        rows, before = self._salvage()
        remade = self._rows_of_cards(rows)
        for path in self._run.glob(f"{draft.name}*"):
            path.unlink()
        left = write(rows, draft)
        _sync(draft)
        for path in files:  # in this order: a new file never meets the old log, nor the old file none
            path.unlink(missing_ok=True)
        draft.replace(ledger)
        _sync(self._run)
        kept = {table: len(found) - left.get(table, 0) for table, found in rows.rows.items() if found}
        lost = {table: number - kept.get(table, 0) for table, number in before.items() if number > kept.get(table, 0)}
        self._done.append(f"{ledger.name}: made anew, with {told(kept) or 'no rows'}")
        if remade:
            self._done.append(f"{ledger.name}: {remade} rows of designs are from their commits")
        if left:
            self._done.append(f"{ledger.name}: left out {told(left)}, which need rows that are lost")
        if lost:
            remedy = "`mnemogen resume` makes lost evaluations again, with what belongs to them"
            self._done.append(f"{ledger.name}: lost at least {told(lost)}; {remedy}")
        elif self._seen.images.torn:
            torn = f"{self._seen.images.torn} pages could not be read"
            self._done.append(f"{ledger.name}-wal: {torn}; what nothing else holds of them is lost")
        elif not before:
            self._done.append(f"{ledger.name}: nothing of it could be read; how much is lost is not known")

    def _salvage(self) -> tuple[Salvaged, dict[str, int]]:
        """All rows, newest first; and how many of each table there were, as far as that is known."""
        newest = [*self._seen.images.others, self._seen.images.seen]
        if not self._seen.images.seen:
            for path in self._run.glob("damaged-*/ledger.sqlite"):  # of a repair that was cut short
                copy = Images.of(path)
                newest += [*copy.others, copy.seen]
        rows = Salvaged()
        before: dict[str, int] = {}
        for image in newest:
            found = rows_of(image)
            for table, there in found.rows.items():
                before[table] = max(before.get(table, 0), len(there) + found.lost.get(table, 0))
            rows.join(found)
        for table in NUMBERED:
            before[table] = max([before.get(table, 0), *(int(str(v[0])) for v in rows.values(table))])
        return rows, {table: number for table, number in before.items() if number}

    def _rows_of_cards(self, rows: Salvaged) -> int:
        """Add the rows of designs that are lost, and of their parents, from their commits."""
        there = {str(values[1]) for values in rows.values("designs")}
        taken = {values[0] for values in rows.values("designs")}
        found = []
        for ref, commit in self._seen.refs.names.items():
            if ref.startswith(DESIGNS):
                try:
                    card, design, _ = read_design(self._store, commit)
                except ValueError:
                    continue
                found.append((card, design, commit))
        thrown_out, made = _thrown_out(rows), 0
        for card, design, commit in sorted(found, key=lambda item: item[0].sequence):
            if card.id not in there and card.sequence not in taken:
                identity = (card.sequence, card.id, card.name, commit, _fingerprint(design))
                status = ("invalid", thrown_out[card.id]) if card.id in thrown_out else ("valid", "")
                rows.add("designs", (*identity, card.generation, card.proposer, card.operator, *status))
                made += 1
            for position, parent in enumerate(card.parents):
                rows.add("parents", (card.id, position, parent))
        return made


def _thrown_out(rows: Salvaged) -> dict[str, str]:
    """Designs that raised the leak alarm, with the reason; one that broke its contract has no score to lead with."""
    return {str(v[3]): f"{Outcome.POLICY}: {v[4]!s}" for v in rows.values("decisions") if v[2] == "alarm"}


def _fingerprint(design: Design) -> str | None:
    try:
        return fingerprint(design.source, design.params)
    except ValueError:
        return None


def _symbolic(path: Path) -> bool:
    return path.read_bytes().startswith(b"ref: refs/")


def _is_text(content: bytes) -> bool:
    try:
        content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
