"""Claims about a world in which no design is better than another: whole searches, and what they say in the end."""

from __future__ import annotations

import pytest
from small_runs import small_config

from archive.statistics import Verdict
from meta_agent import rehearsal
from meta_agent.driver import Driver
from meta_agent.verdict import Final

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
