"""Claims about the leak alarm: it stays silent where nothing leaks, and a run in which something does is stopped."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from pathlib import Path

import pytest
from small_runs import SMALL, archive_of, finish, small_config

from archive.ledger import Ledger
from archive.overview import overview
from archive.records import DesignStatus, Purpose
from design_space import DesignId, Evaluation, EvaluationKey, Outcome
from meta_agent.config import Config, load
from meta_agent.errors import Interrupted, LeakAlarm
from meta_agent.leak import ALARM_PROBABILITY, leak, leak_in
from meta_agent.run import RunFolder
from sandbox import registry
from sandbox.streams.base import Observation, Task
from sandbox.streams.impossible import CHANCE, ImpossibleEnvironment, ImpossibleSettings, ImpossibleSource

PROJECT = Path(__file__).parents[2]
WATCHED = (*SMALL, "final.impossible_streams=1", "budget.evaluations=62")


def watched() -> Config:
    """The small run, with the alarm armed; its search has as much as without."""
    return load(PROJECT / "configs" / "quickstart.yaml", WATCHED)


# The figures


@pytest.mark.parametrize(
    ("hits", "tasks"), [(0, 40), (1, 40), (10, 40), (24, 40), (25, 40), (40, 40), (61, 160), (0, 0)]
)
def test_the_tail_is_exact(hits: int, tasks: int) -> None:
    chance = Fraction(1, 4)
    exact = sum(comb(tasks, k) * chance**k * (1 - chance) ** (tasks - k) for k in range(hits, tasks + 1))
    assert leak(hits, tasks, 0.25).tail == pytest.approx(float(exact), rel=1e-9)


def test_who_knows_nothing_raises_the_alarm_at_most_once_in_a_million() -> None:
    for tasks in (1, 10, 40, 80, 400):
        chance = Fraction(1, 4)
        alarms = sum(
            comb(tasks, hits) * chance**hits * (1 - chance) ** (tasks - hits)
            for hits in range(tasks + 1)
            if leak(hits, tasks, 0.25).alarm
        )
        assert alarms < ALARM_PROBABILITY


def test_one_stream_is_enough_to_find_who_knows_two_answers_of_three() -> None:
    assert leak(27, 40, CHANCE).alarm
    assert not leak(20, 40, CHANCE).alarm


@pytest.mark.parametrize(("hits", "tasks", "chance"), [(-1, 4, 0.25), (5, 4, 0.25), (1, 4, 0.0), (1, 4, 1.0)])
def test_what_is_no_count_is_refused(hits: int, tasks: int, chance: float) -> None:
    with pytest.raises(ValueError, match=r"hits|chance"):
        leak(hits, tasks, chance)


def test_streams_are_counted_together_and_what_was_not_played_is_not_right() -> None:
    key = EvaluationKey(DesignId("d"), "impossible", "validation", 0, "online", "evidence", 0, "g", "c")
    made = [
        Evaluation(key, Outcome.SCORED, (1.0, 0.0, 1.0), (1, 1, 1)),
        Evaluation(key, Outcome.CRASHED, (1.0, 0.0), (1, 0)),
    ]
    found = leak_in(made, CHANCE)
    assert (found.hits, found.tasks) == (3, 5)
    assert leak_in([], CHANCE).alarm is False


# In a run


class Telling(ImpossibleEnvironment):
    """It leaks: one button is all that is on offer."""

    def __init__(self, right: str) -> None:
        super().__init__(right)
        self._told = right

    def reset(self) -> Observation:
        seen = super().reset()
        return Observation(seen.feedback, f"{seen.scene}\nThe {self._told} is connected.", "", (self._told,))


class Leaking(ImpossibleSource):
    def environment(self, task: Task) -> Telling:
        return Telling(task.payload["right"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "small"
    finish(path, watched())
    return path


def test_finalists_play_it_and_nothing_is_believed_of_them_for_it(finished: Path, tmp_path: Path) -> None:
    folder = RunFolder(finished)
    with folder.open_ledger() as ledger:
        view = overview(ledger, folder.open_repository())
        played = [r for r in ledger.evaluations() if r.evaluation.key.stream.startswith("impossible:")]
        assert not [d for d in ledger.decisions() if d.kind == "alarm"]
        assert ledger.counts().evaluations <= 62
    assert len({r.evaluation.key.design for r in played}) == len(played) == 2
    assert {r.purpose for r in played} == {Purpose.CONTROL}
    assert all(0.0 < (r.evaluation.score or 0.0) < 0.6 for r in played)
    finish(tmp_path / "without", small_config())
    other = RunFolder(tmp_path / "without")
    with other.open_ledger() as ledger:
        plain = overview(ledger, other.open_repository())
    told = [(d.id, d.rank, d.control, d.believed, d.score, d.validation) for d in view.designs]
    assert told == [(d.id, d.rank, d.control, d.believed, d.score, d.validation) for d in plain.designs]


def test_a_run_with_it_repeats_and_resumes(finished: Path, tmp_path: Path) -> None:
    before = archive_of(finished)
    finish(finished, watched())
    assert archive_of(finished) == before
    path = tmp_path / "small"
    for most in (9, 25, 2):
        looks = iter(range(most))
        with pytest.raises(Interrupted):
            finish(path, watched(), stopping=lambda looks=looks: next(looks, None) is None)  # type: ignore[misc]
    finish(path, watched())
    assert archive_of(path) == before


@pytest.mark.usefixtures("trusted")
def test_a_leak_stops_the_run_before_the_winner_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.SOURCES, "impossible", (Leaking, ImpossibleSettings))
    path = tmp_path / "small"
    with pytest.raises(LeakAlarm, match="40 of 40 answers that are drawn at random were right") as caught:
        finish(path, watched())
    assert caught.value.code == 7
    with Ledger(RunFolder(path).ledger, read_only=True) as ledger:
        alarms = [d for d in ledger.decisions() if d.kind == "alarm"]
        assert not ledger.evaluations(purpose=Purpose.VALIDATION)
        assert ledger.meta("final") is None
        fallen = [row for row in ledger.designs() if row.status is DesignStatus.INVALID]
    assert [row.id for row in fallen] == sorted([d.subject for d in alarms], key=[row.id for row in fallen].index)
    assert len(alarms) == 2
    assert all(str(d.subject) in str(caught.value) for d in alarms)
    assert alarms[0].data == {"hits": 40, "tasks": 40, "chance": 0.25, "tail": pytest.approx(0.25**40)}
    assert {row.reason.partition(":")[0] for row in fallen} == {Outcome.POLICY.value}

    before = archive_of(path)
    with pytest.raises(LeakAlarm):
        finish(path, watched())
    assert archive_of(path) == before, "another attempt says the same, and pays for nothing"
    with Ledger(RunFolder(path).ledger, read_only=True) as ledger:
        assert len([d for d in ledger.decisions() if d.kind == "alarm"]) == 2
