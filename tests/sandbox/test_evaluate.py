"""Claims about the loop that earns a design its score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from design_space import Design, Outcome
from sandbox.agents.evidence import EvidenceAgent
from sandbox.backend import Labels, Limits
from sandbox.evaluate import Evaluator, Protocol, Result, Setting
from sandbox.inprocess import InProcessBackend
from sandbox.streams.household import HouseholdSettings, HouseholdSource

COUNTER = """
from design_space import Item, Memory, Recall, Snapshot
class Counter(Memory):
    NAME = "{name}"
    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.told = []
    def retrieve(self, query):
        return Recall(tuple(Item(str(i), "x" * 100) for i in range(50)))
    def update(self, episode):
        self.told.append([episode.id, episode.goal, episode.reward, [s.action for s in episode.steps]])
        {after}
    def snapshot(self):
        return Snapshot(self.told)
"""


@pytest.fixture(scope="module")
def backend() -> Iterator[InProcessBackend]:
    backend = InProcessBackend(Limits())
    yield backend
    backend.close()


def evaluate(backend: InProcessBackend, protocol: Protocol, name: str = "a", after: str = "pass") -> Result:
    source = HouseholdSource(HouseholdSettings(tasks_count=8, max_steps=6))
    evaluator = Evaluator(source, EvidenceAgent, backend, Setting(protocol, "evidence", 1_000, 0, "test"))
    design, stream = Design(COUNTER.format(name=name, after=after)), source.stream("search", 0, 0)
    with backend.open(Labels("test", design.id)) as guest:
        return evaluator.evaluate(design, stream, guest, evaluator.key(design, stream))


def test_online_learns_from_every_task_and_scores_every_task(backend: InProcessBackend) -> None:
    result = evaluate(backend, "online")
    assert result.evaluation.outcome is Outcome.SCORED
    assert result.snapshot is not None
    assert len(result.snapshot.data) == len(result.evaluation.rewards) == 8


def test_static_feeds_the_first_half_and_scores_the_frozen_memory_on_the_second(backend: InProcessBackend) -> None:
    result = evaluate(backend, "static")
    online = evaluate(backend, "online")
    assert result.snapshot is not None
    assert online.snapshot is not None
    assert len(result.snapshot.data) == len(result.evaluation.rewards) == 4
    assert [row[1] for row in result.snapshot.data] == [row[1] for row in online.snapshot.data[:4]]


def test_what_is_collected_does_not_depend_on_the_design(backend: InProcessBackend) -> None:
    first, second = (evaluate(backend, "static", name).snapshot for name in ("a", "b"))
    assert first is not None
    assert second is not None
    assert [row[1:] for row in first.data] == [row[1:] for row in second.data]


def test_a_design_cannot_tell_a_task_by_its_name(backend: InProcessBackend) -> None:
    first, second = (evaluate(backend, "online", name).snapshot for name in ("a", "b"))
    assert first is not None
    assert second is not None
    assert not {row[0] for row in first.data} & {row[0] for row in second.data}


def test_unfinished_tasks_score_nothing_and_stay_in_the_denominator(backend: InProcessBackend) -> None:
    whole = evaluate(backend, "online").evaluation
    broken = evaluate(backend, "online", after="1 / (3 - len(self.told))").evaluation
    assert broken.outcome is Outcome.CRASHED
    assert "ZeroDivisionError" in broken.detail
    assert "design.py" in broken.detail
    assert len(broken.rewards) == 8
    assert broken.rewards[:2] == whole.rewards[:2]
    assert set(broken.rewards[2:]) == {0.0}


def test_the_recall_is_cut_at_whole_items(backend: InProcessBackend) -> None:
    result = evaluate(backend, "online")
    assert {len(played.episode.recall.items) for played in result.played} == {10}


def test_scores_do_not_depend_on_how_long_a_design_takes(backend: InProcessBackend) -> None:
    quick = evaluate(backend, "online").evaluation
    slow = evaluate(backend, "online", after="sum(range(300_000))").evaluation
    assert slow.rewards == quick.rewards
    assert replace(slow.key, design=quick.key.design) == quick.key
