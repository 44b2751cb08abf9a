"""Claims about streams whose answers nobody can know: whoever plays them, with whatever memory, is right by chance."""

from __future__ import annotations

from collections import Counter

import pytest
from scipy import stats

from design_space import Outcome, catalogue
from sandbox.agents.evidence import EvidenceAgent
from sandbox.backend import Labels, Limits
from sandbox.evaluate import Evaluator, Protocol, Setting
from sandbox.inprocess import InProcessBackend
from sandbox.registry import make_source, settings_of
from sandbox.streams.base import SPLITS
from sandbox.streams.impossible import CHANCE, COMMANDS, ImpossibleSettings, ImpossibleSource


def test_it_is_found_by_name_and_draws_the_same_again() -> None:
    assert settings_of("impossible") == ("tasks_count",)
    first = make_source("impossible", {"tasks_count": 9}, ".").stream("search", 3, 1)
    assert first == make_source("impossible", {"tasks_count": 9}, ".").stream("search", 3, 1)
    assert len(first.tasks) == 9
    with pytest.raises(ValueError, match="tasks_count is 0"):
        make_source("impossible", {"tasks_count": 0}, ".")


def test_streams_differ_by_split_seed_and_index_in_name_family_and_answers() -> None:
    source = ImpossibleSource()
    streams = [source.stream(split, seed, index) for split in SPLITS for seed in (0, 1) for index in (0, 1)]
    for told in (
        {s.name for s in streams},
        {s.family for s in streams},
        {tuple(t.payload["right"] for t in s.tasks) for s in streams},
    ):
        assert len(told) == len(streams)
    assert streams[0].name == source.stream_name("search", 0, 0)


def test_every_command_is_right_equally_often() -> None:
    source = ImpossibleSource(ImpossibleSettings(tasks_count=4_000))
    counted = Counter(task.payload["right"] for task in source.stream("search", 0, 0).tasks)
    assert set(counted) == set(COMMANDS)
    assert stats.chisquare(list(counted.values())).pvalue > 1e-3


def test_nothing_shows_the_answer_before_it_is_given() -> None:
    """Two tasks of different answers are the same to whoever plays, until the one command that ends them."""
    source = ImpossibleSource()
    tasks = source.stream("search", 0, 0).tasks
    assert len({(task.goal, task.max_steps, task.question) for task in tasks}) == 1
    assert len({source.environment(task).reset() for task in tasks}) == 1
    for task in tasks:
        seen = source.environment(task).step(task.payload["right"])
        assert (seen.reward, seen.done, seen.commands) == (1.0, True, ())
    wrong = source.environment(tasks[0])
    seen = wrong.step(next(c for c in COMMANDS if c != tasks[0].payload["right"]))
    assert (seen.reward, seen.done) == (0.0, True)
    assert all(command not in seen.feedback for command in COMMANDS)
    assert wrong.step(tasks[0].payload["right"]).reward == 0.0, "there is one attempt"


@pytest.mark.parametrize("protocol", ["online", "static"])
@pytest.mark.parametrize("name", catalogue.names())
def test_no_design_of_the_catalogue_does_better_than_chance(name: str, protocol: Protocol) -> None:
    source, backend, design = ImpossibleSource(), InProcessBackend(Limits()), catalogue.load(name)
    evaluator = Evaluator(source, EvidenceAgent, backend, Setting(protocol, "evidence", 6_000, 0, "test"))
    rewards: list[float] = []
    with backend.open(Labels("test", design.id)) as guest:
        for index in range(3):
            stream = source.stream("validation", 0, index)
            made = evaluator.evaluate(design, stream, guest, evaluator.key(design, stream)).evaluation
            assert made.outcome is Outcome.SCORED, made.detail
            rewards += made.rewards
    backend.close()
    hits = int(sum(rewards))
    assert stats.binomtest(hits, len(rewards), CHANCE).pvalue > 1e-4, hits
