"""Claims about a search whose time is up: it ends once, in all sessions alike, unless more time is allowed."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from small_runs import archive_of, finish, small_config

from archive.content import content
from archive.errors import ArchiveDamaged
from archive.ledger import Ledger
from archive.search_view import STANDING
from meta_agent.config import Config
from meta_agent.deadline import Deadline, Place
from meta_agent.errors import Interrupted
from meta_agent.run import RunFolder, recap

pytestmark = pytest.mark.usefixtures("trusted")
LIMIT = 100.0


def evolving(wall_seconds: float | None) -> Config:
    """Its prompts are revised after each generation by what was measured in it."""
    said = "null" if wall_seconds is None else str(wall_seconds)
    tasks = "stream.settings={tasks_count: 3, max_steps: 6}"
    return small_config(tasks, "search.prompts.policy=flat", f"budget={{evaluations: 70, wall_seconds: {said}}}")


def after(looks: int) -> Callable[[], bool]:
    """Says yes from then on."""
    counted = itertools.count()
    return lambda: next(counted) >= looks


def until(looks: int) -> Callable[[], float]:
    """A clock that stands still, and after so many looks at it says that the time is up."""
    over = after(looks)
    return lambda: 2 * LIMIT if over() else 0.0


def said(path: Path) -> list[str]:
    with Ledger(RunFolder(path).ledger, read_only=True) as ledger:
        return list(content(ledger))


def test_where_the_time_was_up_it_is_up_in_the_next_session(tmp_path: Path) -> None:
    """Wherever that is: before a rung, in it, between two generations."""
    whole = tmp_path / "whole"
    finish(whole, evolving(None))
    ends = set()
    for looks in range(2, 20, 2):
        path = tmp_path / str(looks)
        first = finish(path, evolving(LIMIT), clock=until(looks))
        before = archive_of(path), said(path)
        assert finish(path, evolving(LIMIT)) == first
        assert (archive_of(path), said(path)) == before, f"{looks} looks at the clock"
        ends.add(len(before[0][1]))
    assert len(ends) > 3
    assert max(ends) < len(archive_of(whole)[1])


def test_a_search_that_is_allowed_more_time_goes_on_to_what_it_would_have_been(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    finish(whole, evolving(None))
    for looks in range(2, 20, 6):
        path = tmp_path / str(looks)
        finish(path, evolving(LIMIT), clock=until(looks))
        folder = RunFolder(path)
        with folder.held():
            recap(folder, (f"budget.wall_seconds={10 * LIMIT}",))
        finish(path, folder.read_config())
        assert archive_of(path)[0] == archive_of(whole)[0]
        assert archive_of(path)[1].items() >= archive_of(whole)[1].items()


def test_time_that_earlier_sessions_took_counts(tmp_path: Path) -> None:
    clock, path, sessions = itertools.count(), tmp_path / "run", 0
    while sessions < 100:
        sessions += 1
        with contextlib.suppress(Interrupted):
            finish(path, evolving(60.0), after(7), lambda: float(next(clock)))
            break
    assert 2 < sessions < 100
    with Ledger(RunFolder(path).ledger, read_only=True) as ledger:
        assert '"ended":[' in (ledger.meta("clock") or "")


@pytest.mark.parametrize("looks", [31, 40])
def test_what_was_begun_is_never_too_late(tmp_path: Path, looks: int) -> None:
    """Else a session that repeats more than it has time for would end where no earlier one did."""
    path, now = tmp_path / "run", [0.0]
    with pytest.raises(Interrupted):
        finish(path, evolving(LIMIT), after(looks), lambda: now[0])
    with Ledger(RunFolder(path).ledger, read_only=True) as ledger:
        begun = max(proposal.generation for proposal in ledger.proposals())
        assert begun > 1
        deadline = Deadline(LIMIT, ledger, lambda: now[0])
        now[0] = 5 * LIMIT
        for generation in range(begun):
            for rung in range(3):
                deadline.at = Place(generation, rung)
                assert not deadline.passed()
        deadline.at = Place(begun, 2)
        assert deadline.passed()


def test_a_generation_that_was_finished_is_not_cut_off_afterwards(tmp_path: Path) -> None:
    """The clock may strike at any look of the next session; it ends no earlier than the former one had come."""
    path, done = tmp_path / "run", Place(2, 2)

    def struck() -> float:
        with Ledger(RunFolder(path).ledger, read_only=True) as ledger:
            if Place(*json.loads(ledger.meta("clock") or "{}").get("reached", [0, 0])) == done:
                raise RuntimeError("struck down between two generations")
        return 0.0

    def standing_and_end() -> tuple[str | None, list[int] | None]:
        with Ledger(RunFolder(path).ledger, read_only=True) as ledger:
            return ledger.meta(STANDING), json.loads(ledger.meta("clock") or "{}").get("ended")

    with pytest.raises(RuntimeError, match="struck down"):
        finish(path, evolving(LIMIT), clock=struck)
    standing, end = standing_and_end()
    assert end is None
    looks = itertools.count()
    finish(path, evolving(LIMIT), clock=lambda: 2 * LIMIT if next(looks) else 0.0)
    assert standing_and_end() == (standing, list(done))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.set_meta("clock", "{")
        with pytest.raises(ArchiveDamaged, match="clock"):
            Deadline(LIMIT, ledger, lambda: 0.0)
