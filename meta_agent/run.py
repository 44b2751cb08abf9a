"""The folder of a run: who holds it, what is in it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from archive.content import BEGUN_WITH
from archive.errors import ArchiveDamaged, ArchiveMissing, ArchiveOutdated
from archive.ledger import Ledger
from archive.repository import Repository
from meta_agent.config import Config, dump, load
from meta_agent.errors import BadInput, RunBusy

CAPS = ("dollars", "tokens", "calls", "wall_seconds")
"""Of the budget: what a run may be given more of; its evaluations decide what it comes to."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one run.

    Attributes:
        path: the folder itself.
    """

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.sqlite"

    @property
    def repository(self) -> Path:
        return self.path / "archive.git"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def holder(self) -> Path:
        return self.path / "holder.json"

    def read_config(self) -> Config:
        """The config that the run was started with.

        Raises:
            BadInput: there is no run here, or its config was damaged.
        """
        if not self.config.is_file():
            raise BadInput(f"{self.path} is no run: it has no config.yaml", "`mnemogen run CONFIG` starts one")
        return load(self.config)

    def open_ledger(self) -> Ledger:
        """The ledger for reading, also while the run goes on; one of an older version is brought up to date first.

        Raises:
            RunBusy: it is of an older version, and its holder is too.
        """
        self.read_config()
        try:
            return Ledger(self.ledger, read_only=True)
        except ArchiveOutdated:
            with self.held():
                Ledger(self.ledger).close()
            return Ledger(self.ledger, read_only=True)

    def open_repository(self) -> Repository:
        """The repository for reading, also while the run goes on."""
        return Repository(self.repository, read_only=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the one writer of this folder; the lock dies with its holder.

        Raises:
            RunBusy: another process is it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            pid = self.holder_pid()
            who = f"process {pid}" if pid else "another process"
            raise RunBusy(
                f"{self.path} is held by {who}", "wait for it, `mnemogen stop` it, or name another run"
            ) from error
        try:
            self.holder.write_text(json.dumps({"pid": os.getpid()}), encoding="utf-8")
            yield
        finally:
            self.holder.unlink(missing_ok=True)
            lock.release()

    def busy(self) -> bool:
        """Whether a process holds the folder."""
        lock = FileLock(self.path / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return True
        except OSError:  # a folder that may not be written: only what its holder says is known
            return self.holder_pid() is not None
        lock.release()
        return False

    def holder_pid(self) -> int | None:
        """The process that holds the folder, if it says so."""
        try:
            return int(json.loads(self.holder.read_text(encoding="utf-8"))["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def create(folder: RunFolder, config: Config) -> None:
    """Begin a run in `folder`, which must be held, or make sure that the one that it holds can go on.

    A run that was refused before its first design holds nothing, and gives way to another config.

    Raises:
        BadInput: there is a run with another config.
        ArchiveDamaged: its ledger is gone or empty, and its designs are not.
    """
    _check_ledger(folder)
    if folder.config.exists() and folder.read_config() == config:
        return
    if not _has_designs(folder):
        for part in ("", "-wal", "-shm"):  # what it holds is of the config that was refused
            folder.ledger.with_name(folder.ledger.name + part).unlink(missing_ok=True)
    elif folder.config.exists():
        raise BadInput(
            f"{folder.path} holds a run with another config",
            f"`mnemogen resume {folder.path}` goes on with that one; --name gives the new run another folder",
        )
    else:
        with Ledger(folder.ledger) as ledger:
            check_unchanged(ledger, config)
    write_config(folder, config)


def _has_designs(folder: RunFolder) -> bool:
    """Whether anything was recorded that another config would be mixed with."""
    if folder.repository.is_dir() and folder.open_repository().refs():
        return True
    if not folder.ledger.exists():
        return False
    with Ledger(folder.ledger) as ledger:
        return ledger.counts().proposals > 0


def _check_ledger(folder: RunFolder) -> None:
    """A ledger is whole before the first design is committed: one that holds nothing has lost what it held."""
    count = len(folder.open_repository().refs()) if folder.repository.is_dir() else 0
    if not count:
        return
    try:
        Ledger(folder.ledger, read_only=True).close()
    except ArchiveMissing as error:
        hint = f"`mnemogen fsck {folder.path}` says what is left and what can be made anew"
        problem = f"it is empty, and {count} designs are in the repository"
        raise ArchiveDamaged(str(folder.ledger), problem, hint=hint) from error
    except ArchiveOutdated:
        return


def write_config(folder: RunFolder, config: Config) -> None:
    """Put the config into the folder, whole or not at all."""
    temporary = folder.config.with_suffix(".tmp")
    temporary.write_text(dump(config), encoding="utf-8")
    temporary.replace(folder.config)


_FREE = ("name", "workers", "sandbox", *(f"budget.{name}" for name in CAPS))
"""What may differ between two sessions of a run; that both have the same in the sandbox is checked elsewhere."""


def check_unchanged(ledger: Ledger, config: Config) -> None:
    """Make sure that a run goes on with the config that it was begun with, whatever config.yaml says now.

    Raises:
        BadInput: it says something else: results before and after would not be of one experiment.
    """
    now = dict(_leaves(config.model_dump(mode="json")))
    known = ledger.meta(BEGUN_WITH)
    if known is None:
        ledger.set_meta(BEGUN_WITH, json.dumps(now, sort_keys=True))
        return
    began = json.loads(known)
    for key in sorted(began.keys() & now.keys()):
        if began[key] != now[key]:
            raise BadInput(
                f"config.yaml says {key}: {json.dumps(now[key])}, the run was begun with {json.dumps(began[key])}",
                "put that back, or start another run: scores of the two would not compare",
            )


def _leaves(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a config by their whole keys, but for those that are free to change."""
    for key, value in data.items():
        place = prefix + key
        if place in _FREE:
            continue
        if isinstance(value, dict) and place != "stream.settings":
            yield from _leaves(value, f"{place}.")
        else:
            yield place, value


def recap(folder: RunFolder, overrides: tuple[str, ...]) -> None:
    """Change what a run may spend; the folder must be held.

    Raises:
        BadInput: something else is to be changed, or a value is out of range.
    """
    caps = tuple(f"budget.{name}" for name in CAPS)
    for override in overrides:
        key = override.partition("=")[0]
        if key not in caps:
            raise BadInput(
                f"--set {key}: of a run that was begun only {', '.join(caps)} can change",
                "another value of that makes another run: `mnemogen run` with --name",
            )
    write_config(folder, load(folder.config, overrides))


def find(name: str, runs: Path) -> RunFolder:
    """The run of this name or path.

    Raises:
        BadInput: there is none.
    """
    for path in (Path(name), runs / name):
        if (path / "config.yaml").is_file():
            return RunFolder(path)
    known = sorted(p.parent.name for p in runs.glob("*/config.yaml")) if runs.is_dir() else []
    hint = f"known runs: {', '.join(known)}" if known else "`mnemogen run CONFIG` starts one"
    raise BadInput(f"there is no run {name!r}", hint)
