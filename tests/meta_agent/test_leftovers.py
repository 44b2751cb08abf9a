"""Claims about what a killed run leaves in its folder: locks, drafts and half a pack do not hold the next one up."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path

import pytest
from small_runs import archive_of, finish

from meta_agent.config import Config
from meta_agent.errors import Interrupted
from meta_agent.run import RunFolder


def dead_pid() -> int:
    """Of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_stale_locks_and_drafts_hold_nobody_up(small: Config, tmp_path: Path, trusted: None) -> None:
    folder, looks = RunFolder(tmp_path / "run"), itertools.count()
    with pytest.raises(Interrupted):
        finish(folder.path, small, stopping=lambda: next(looks) == 4)
    (folder.path / "lock").touch()
    folder.holder.write_text(json.dumps({"pid": dead_pid()}))
    folder.config.with_suffix(".tmp").write_text("name: hal")
    draft = folder.repository.with_name(f".{folder.repository.name}.new")
    draft.mkdir()
    for name in ("packed-refs.lock", "HEAD.lock", "refs/heads/main.lock", "packed-refs.new", "objects/pack/tmp_pack_x"):
        left = folder.repository / name
        left.parent.mkdir(parents=True, exist_ok=True)
        left.write_bytes(b"half")
    assert not folder.busy()
    finish(folder.path, small)
    finish(tmp_path / "whole", small)
    assert archive_of(folder.path) == archive_of(tmp_path / "whole")
    assert not list(folder.repository.rglob("*.lock"))
    assert not list(folder.repository.rglob("tmp_*"))
