"""Claims about a world in which no design is better than another: whole searches, and what they say in the end."""

from __future__ import annotations

import dataclasses

import pytest
from small_runs import small_config

from archive.statistics import Verdict
from design_space import Evaluation, Outcome, catalogue
from meta_agent import rehearsal
from meta_agent.driver import Driver
from meta_agent.errors import BadInput
from meta_agent.verdict import Final
from meta_agent.worker import Job

WORLDS = 30
VALIDATION = "final={candidates: 2, confirm_streams: 1, validation_streams: 8, line: 2}"


def test_where_nothing_is_better_a_search_rarely_says_that_it_found_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most one run in twenty may; that more than five of thirty do then has a chance of .3 %."""
    ends: list[Final] = []
    labels: list[list[object]] = []

    class Watched(Driver):
        def run(self) -> Final:
            ends.append(super().run())
            found = [decision.data for decision in self._ledger.decisions() if decision.kind == "label"]
            labels.append([data["verdict"] for data in found if isinstance(data, dict)])
            return ends[-1]

    monkeypatch.setattr(rehearsal, "Driver", Watched)
    config = small_config(VALIDATION, "budget={evaluations: 110}")
    for draw in range(WORLDS):
        rehearsal.rehearse(config, draw=draw)
    assert len(ends) == WORLDS
    assert sum(end.over_ancestors is not None for end in ends) > WORLDS / 2, "most winners have an ancestor to beat"
    assert sum(map(len, labels)) > WORLDS / 2, "there is something to be labelled"
    assert sum(end.improved for end in ends) <= 5
    wrong = sum(any(verdict != Verdict.UNDECIDED.value for verdict in run) for run in labels)
    assert wrong <= 5
    assert abs(sum(end.score.mean for end in ends) / WORLDS - 0.5) < 0.03, "a winner is not reported for its luck"


def test_a_run_whose_yardstick_breaks_ends_before_it_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated: set[str] = set()

    class Sick(rehearsal._StandInPool):
        def _evaluation(self, job: Job, index: int) -> Evaluation:
            made = super()._evaluation(job, index)
            evaluated.add(job.design.name)
            broken = job.design.id == catalogue.load("no_memory").id and index == 1
            return dataclasses.replace(made, outcome=Outcome.TIMED_OUT, detail="no answer in 1 s") if broken else made

    monkeypatch.setattr(rehearsal, "_StandInPool", Sick)
    config = small_config()
    with pytest.raises(BadInput, match=r"no_memory did not get through .*\(timed_out: no answer in 1 s\)"):
        rehearsal.rehearse(config)
    assert evaluated == {*config.search.seeds, *config.controls}
