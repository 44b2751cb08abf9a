"""Runs as child processes of a benchmark: how they are started, what they recorded, what they left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from archive.errors import ArchiveMissing, ArchiveOutdated
from archive.ledger import Ledger
from archive.repository import Repository
from sandbox.backend import SandboxUnavailable
from sandbox.docker_backend import connect

PROJECT = Path(__file__).resolve().parents[1]
COMMAND = (sys.executable, "-m", "meta_agent.cli")

Rows = dict[str, tuple[int, tuple[float, ...]]]


def snapshot(run: Path) -> tuple[dict[str, str], Rows]:
    """Refs, and by evaluation its place of arrival and rewards; empty before there is a ledger."""
    try:
        with Ledger(run / "ledger.sqlite", read_only=True) as ledger:
            rows = {r.evaluation.key.digest: (r.sequence, r.evaluation.rewards) for r in ledger.evaluations()}
    except (ArchiveMissing, ArchiveOutdated):  # in its first moment the file has no tables
        return {}, {}
    if not (run / "archive.git").exists():
        return {}, rows
    return {str(name): commit for name, commit in Repository(run / "archive.git", read_only=True).refs().items()}, rows


def start(
    arguments: Sequence[str], cwd: Path, command: Sequence[str] = COMMAND, errors: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Begin the command, in a session of its own."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    stderr = subprocess.DEVNULL if errors is None else errors
    return subprocess.Popen([*command, *arguments], cwd=cwd, env=environment, stderr=stderr, start_new_session=True)


def containers(run: str) -> int | None:
    """Containers of a run, running or not; None where no daemon answers."""
    try:
        client = connect(5.0)
    except SandboxUnavailable:
        return None
    try:
        return len(client.containers.list(all=True, filters={"label": f"mnemogen.run={run}"}))
    finally:
        client.close()
