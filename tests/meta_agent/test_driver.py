"""Claims about whole runs, with a real sandbox, repository and ledger."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from small_runs import PROJECT, archive_of, finish, small_config
from threadpoolctl import threadpool_info

from archive.episodes import episodes
from archive.errors import ArchiveDamaged
from archive.ledger import Ledger
from archive.overview import overview
from archive.records import DesignStatus, Purpose
from archive.repository import Repository
from design_space import Outcome
from meta_agent.config import Config, dump
from meta_agent.errors import BadInput, Interrupted, RunBusy
from meta_agent.run import RunFolder, check_unchanged


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "small"
    finish(path, small_config())
    return path


def test_a_run_leaves_designs_with_lineage_scores_and_a_measured_winner(finished: Path) -> None:
    folder = RunFolder(finished)
    with folder.open_ledger() as ledger:
        view = overview(ledger, folder.open_repository())
        validated = [r.evaluation for r in ledger.evaluations(purpose=Purpose.VALIDATION)]
        assert ledger.counts().evaluations <= 60
        assert {e.outcome for e in validated} == {Outcome.SCORED}
        kept = [
            r.evaluation.key for r in ledger.evaluations(purpose=Purpose.SEARCH) if ledger.episodes(r.evaluation.key)
        ]
        assert kept
        assert episodes(ledger, kept[0])[0].steps
    assert view.best is not None
    assert view.best.validation is not None
    assert view.best.validation.n == 3
    assert view.generations > 1
    assert {c.name for c in view.controls} >= {"no_memory", "random_recall"}


@pytest.mark.parametrize("damage", [lambda file: file.write_bytes(b""), Path.unlink], ids=["emptied", "gone"])
def test_a_run_whose_ledger_is_empty_does_not_begin_anew(
    finished: Path, small: Config, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    folder = RunFolder(shutil.copytree(finished, tmp_path / "copy"))
    for beside in folder.path.glob(f"{folder.ledger.name}-*"):
        beside.unlink()
    damage(folder.ledger)
    refs = folder.open_repository().refs()
    with pytest.raises(ArchiveDamaged, match=f"{len(refs)} designs") as refused:
        finish(folder.path, small)
    assert "mnemogen fsck" in refused.value.hint
    assert folder.open_repository().refs() == refs


def test_doing_it_again_costs_nothing_and_says_the_same(finished: Path, small: Config) -> None:
    before = archive_of(finished)
    finish(finished, small)
    assert archive_of(finished) == before


def test_the_driver_takes_one_thread_for_its_sums(small: Config, tmp_path: Path) -> None:
    looks: list[set[int]] = []

    def clock() -> float:
        looks.append({library["num_threads"] for library in threadpool_info()})
        return 9.9

    before = threadpool_info()
    hasty = small.model_copy(update={"budget": small.budget.model_copy(update={"wall_seconds": 1.0})})
    finish(tmp_path / "small", hasty, clock=clock)
    assert looks[-1] == {1}
    assert threadpool_info() == before


def test_interrupted_runs_resume_to_the_same_archive(finished: Path, small: Config, tmp_path: Path) -> None:
    path = tmp_path / "small"
    for most in (1, 3, 9):
        looks = iter(range(most))
        with pytest.raises(Interrupted):
            finish(path, small, stopping=lambda looks=looks: next(looks, None) is None)  # type: ignore[misc]
    finish(path, small)
    assert archive_of(path) == archive_of(finished)


@pytest.mark.slow
def test_kill_9_at_random_instants_loses_and_repeats_nothing(finished: Path, small: Config, tmp_path: Path) -> None:
    path = tmp_path / "small"
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; from small_runs import finish;"
        " from meta_agent.config import load;"
        " finish(Path(sys.argv[2]), load(Path(sys.argv[3])))"
    )
    config = tmp_path / "config.yaml"
    config.write_text(dump(small))
    command = [sys.executable, "-c", script, str(Path(__file__).parents[1]), str(path), str(config)]
    chance = random.Random(7)
    recorded: dict[str, tuple[float, ...]] = {}
    for _ in range(6):
        process = subprocess.Popen(command, start_new_session=True, env={**os.environ, "PYTHONPATH": str(PROJECT)})
        deadline = time.monotonic() + chance.uniform(1.0, 4.0)
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (path / "ledger.sqlite").exists():
            with Ledger(path / "ledger.sqlite", read_only=True) as ledger:
                now = {r.evaluation.key.digest: r.evaluation.rewards for r in ledger.evaluations()}
            assert recorded.items() <= now.items()
            recorded = now
    finish(path, small)
    assert archive_of(path) == archive_of(finished)


def test_a_run_stopped_by_the_clock_begins_nothing_more_and_still_measures_a_winner(
    small: Config, tmp_path: Path
) -> None:
    hasty = small.model_copy(update={"budget": small.budget.model_copy(update={"wall_seconds": 1.0})})
    looks = itertools.count()
    # The clock of the first generation stands still; some way into the second, the time is up.
    final = finish(tmp_path / "small", hasty, clock=lambda: 0.0 if next(looks) < 4 else 9.9)
    assert final.score.n == 3
    with Ledger(tmp_path / "small" / "ledger.sqlite", read_only=True) as ledger:
        generations = {row.generation: row.id for row in ledger.designs()}
        searched = ledger.evaluations(purpose=Purpose.SEARCH)
        assert max(generations) == 1
        assert len([r for r in searched if r.evaluation.key.design == generations[1]]) == 0, "it was begun too late"
        assert {row.status for row in ledger.designs()} == {DesignStatus.VALID}, "not to be begun is no fault"


def test_a_second_run_on_the_folder_is_told_who_holds_it(small: Config, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "small")
    with folder.held(), pytest.raises(RunBusy, match=str(os.getpid())):
        finish(folder.path, small)


def test_another_config_in_the_folder_is_refused(finished: Path, small: Config) -> None:
    with pytest.raises(BadInput, match="another config"):
        finish(finished, small.model_copy(update={"seed": 5}))


def test_a_run_that_was_refused_before_its_first_design_gives_way_to_another_config(
    small: Config, tmp_path: Path
) -> None:
    poor = small.model_copy(update={"budget": small.budget.model_copy(update={"evaluations": 10})})
    with pytest.raises(BadInput, match="seeds and controls alone take"):
        finish(tmp_path / "small", poor)
    folder = RunFolder(tmp_path / "small")
    with Ledger(folder.ledger) as ledger:
        check_unchanged(ledger, poor)
    finish(folder.path, small)
    assert folder.read_config() == small
    with Ledger(folder.ledger) as ledger:
        check_unchanged(ledger, small)


def test_a_run_whose_config_is_lost_is_not_begun_anew(finished: Path, small: Config, tmp_path: Path) -> None:
    folder = RunFolder(Path(shutil.copytree(finished, tmp_path / "lost")))
    with Ledger(folder.ledger) as ledger:
        check_unchanged(ledger, small)
    folder.config.unlink()
    with pytest.raises(BadInput, match="was begun with"):
        finish(folder.path, small.model_copy(update={"seed": 5}))
    assert not folder.config.exists(), "nothing was changed"
    finish(folder.path, small)


def test_a_budget_that_cannot_pay_for_seeds_and_final_is_refused_before_anything_is_spent(
    small: Config, tmp_path: Path
) -> None:
    poor = small.model_copy(update={"budget": small.budget.model_copy(update={"evaluations": 10})})
    with pytest.raises(BadInput, match="seeds and controls alone take") as caught:
        finish(tmp_path / "small", poor)
    assert "allow at least" in caught.value.hint
    with Ledger(tmp_path / "small" / "ledger.sqlite", read_only=True) as ledger:
        assert ledger.counts().evaluations == 0


def test_scores_of_another_guest_are_not_mixed_in(finished: Path, small: Config, tmp_path: Path) -> None:
    copy = tmp_path / "small"
    shutil.copytree(finished, copy)
    with Ledger(copy / "ledger.sqlite") as ledger:
        ledger.set_meta("guest", "another version")
    with pytest.raises(BadInput, match="would not compare"):
        finish(copy, small)


def test_the_repository_is_a_plain_git_repository(finished: Path, tmp_path: Path) -> None:
    target = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(RunFolder(finished).repository), str(target)], check=True, timeout=60)
    shown = subprocess.run(
        ["git", "-C", str(target), "log", "--all", "--oneline"], check=True, capture_output=True, text=True, timeout=60
    )
    assert len(shown.stdout.splitlines()) == len(Repository(RunFolder(finished).repository, read_only=True).ids())


def test_proposals_that_were_lost_are_filed_again_beside_those_that_were_not(tmp_path: Path, trusted: None) -> None:
    config = small_config("budget={evaluations: 40}")
    finish(tmp_path, config)
    ledger = RunFolder(tmp_path).ledger
    with Ledger(ledger, read_only=True) as before:
        filed = before.proposals()
    with sqlite3.connect(ledger) as database:
        database.execute("DELETE FROM proposals WHERE sequence = ?", (filed[-2].sequence,))
    database.close()
    finish(tmp_path, config)
    with Ledger(ledger, read_only=True) as after:
        assert {p.sequence: p for p in after.proposals()} == {p.sequence: p for p in filed}
