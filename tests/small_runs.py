"""Small experiments with real parts: a real sandbox, a real repository, a real ledger."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from archive.ledger import Ledger
from archive.repository import Repository
from meta_agent import worker
from meta_agent.config import Config, load
from meta_agent.driver import Driver
from meta_agent.evaluations import worker_spec
from meta_agent.pool import SerialPool
from meta_agent.progress import Progress
from meta_agent.run import RunFolder, create
from meta_agent.verdict import Final
from sandbox.backend import Limits
from sandbox.inprocess import InProcessBackend

PROJECT = Path(__file__).parents[1]
SMALL = (
    "name=small",
    "seed=0",
    "sandbox.backend=embedded",
    "stream.settings={tasks_count: 6, max_steps: 12}",
    "search.seeds=[exprag, memento]",
    "search.generation_size=3",
    "search.rungs=[1, 2]",
    "search.prompts.policy=fixed",
    "final={candidates: 2, confirm_streams: 1, validation_streams: 3, impossible_streams: 0}",
    "budget={evaluations: 60, wall_seconds: null}",
)


class Silence:
    """A watcher that remembers the last it was told."""

    def __init__(self) -> None:
        self.progress = Progress()

    def begun(self, backend: str, caveat: str) -> None:
        assert backend
        assert caveat

    def moved(self, progress: Progress) -> None:
        self.progress = progress


def small_config(*overrides: str) -> Config:
    """An experiment of some seconds."""
    return load(PROJECT / "configs" / "quickstart.yaml", (*SMALL, *overrides))


def finish(
    path: Path,
    config: Config,
    stopping: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Final:
    """Run, or go on with, an experiment in this process."""
    folder = RunFolder(path)
    with folder.held():
        create(folder, config)
        with Ledger(folder.ledger) as ledger, SerialPool(worker_spec(config)) as pool:
            return Driver(config, ledger, Repository(folder.repository), pool, Silence(), stopping, clock).run()


@contextmanager
def in_process() -> Iterator[None]:
    """Designs run in this process: for claims about what is around the sandbox, with designs of our own."""

    def choose(kind: str, limits: Limits, *_: object, **__: object) -> InProcessBackend:
        return InProcessBackend(limits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "choose", choose)
        yield


def archive_of(path: Path) -> tuple[dict[str, str], dict[str, tuple[float, ...]]]:
    """What two runs of one experiment must share: refs, and rewards by evaluation."""
    with Ledger(RunFolder(path).ledger, read_only=True) as ledger:
        rewards = {r.evaluation.key.digest: r.evaluation.rewards for r in ledger.evaluations()}
    return dict(Repository(RunFolder(path).repository, read_only=True).refs()), rewards


def mnemogen(*arguments: str, cwd: Path, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
    """The command, as a user calls it."""
    return subprocess.run(
        [sys.executable, "-m", "meta_agent.cli", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env={**os.environ, "COLUMNS": "200", "PYTHONPATH": str(PROJECT)},
    )
