"""Claims about a disk that fails to sync: the run stops at once, and nothing is acknowledged afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from shims import FSYNC, preloaded
from small_runs import PROJECT, archive_of, finish

from archive.ledger import Ledger
from archive.repository import Repository
from meta_agent.config import Config, dump

WRITER = """
import os, sys
from pathlib import Path
from archive.card import Card
from archive.errors import ArchiveUnwritable
from archive.ledger import Ledger
from archive.records import Purpose
from archive.repository import Repository
from design_space import Design, Evaluation, EvaluationKey, Outcome

folder, what, sick = Path(sys.argv[1]), sys.argv[2], Path(os.environ["SICK"])
ledger, repository = Ledger(folder / "ledger.sqlite"), Repository(folder / "archive.git")

def write(number):
    design = Design(f"x = {number}")
    if what == "git":
        repository.commit([(Card.of(design, sequence=number, generation=0), design)])
    else:
        key = EvaluationKey(design.id, "s", "search", 0, "online", "a", 0, "g", "c")
        ledger.record_evaluation(Evaluation(key, Outcome.SCORED, (0.5,), (1,)), Purpose.SEARCH)
    print("kept", design.id, flush=True)

write(0)
sick.touch()
for number in (1, 2):
    try:
        write(number)
    except ArchiveUnwritable as error:
        print("refused", error, flush=True)
    sick.unlink(missing_ok=True)  # it is said to be well again: too late
"""
RUN = """
import os, sys
from pathlib import Path
from archive.errors import ArchiveUnwritable
from meta_agent.config import load
from small_runs import finish, in_process

looks = 0

def look():
    global looks
    looks += 1
    if looks == 5:
        Path(os.environ["SICK"]).touch()
    return False

with in_process():
    try:
        finish(Path(sys.argv[1]), load(Path(sys.argv[2])), stopping=look)
    except ArchiveUnwritable as error:
        print("stopped after", looks, error.hint)
"""


def child(program: str, *arguments: Path | str, folder: Path) -> list[str]:
    """What a program says on a disk that is well until it says otherwise."""
    environment = preloaded(folder, FSYNC) | {"SICK": str(folder / "sick")}
    environment["PYTHONPATH"] = os.pathsep.join((str(PROJECT), str(PROJECT / "tests")))
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_ledger_acknowledges_nothing_once_a_sync_has_failed(tmp_path: Path) -> None:
    kept, failed, refused = child(WRITER, tmp_path, "ledger", folder=tmp_path)
    assert (kept.split()[0], failed.split()[0], refused.split()[0]) == ("kept", "refused", "refused")
    assert "an earlier write failed" in refused
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.check()
        assert kept.split()[1] in {row.evaluation.key.design for row in ledger.evaluations()}
        assert len(ledger.evaluations()) <= 2


def test_the_repository_acknowledges_nothing_once_a_sync_has_failed(tmp_path: Path) -> None:
    kept, failed, refused = child(WRITER, tmp_path, "git", folder=tmp_path)
    assert (kept.split()[0], failed.split()[0], refused.split()[0]) == ("kept", "refused", "refused")
    assert "an earlier write failed" in refused
    repository = Repository(tmp_path / "archive.git")
    repository.verify()
    assert kept.split()[1] in repository.ids()
    assert len(repository.ids()) <= 2


def test_a_run_stops_at_once_and_resumes_to_the_same_archive(small: Config, tmp_path: Path, trusted: None) -> None:
    config, path, whole = tmp_path / "config.yaml", tmp_path / "sick-run", tmp_path / "whole"
    config.write_text(dump(small))
    (said,) = child(RUN, path, config, folder=tmp_path)
    assert int(said.split()[2]) <= 6, "at most the one evaluation that was under way came after the failure"
    _, stopped = archive_of(path)
    finish(path, small)
    finish(whole, small)
    assert archive_of(path) == archive_of(whole)
    assert stopped.items() <= archive_of(path)[1].items()
