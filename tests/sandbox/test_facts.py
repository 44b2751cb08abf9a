"""Claims about the generated dialogues and their questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from design_space import Design, Item, Recall, catalogue
from sandbox.agents.evidence import EvidenceAgent
from sandbox.backend import Labels, Limits
from sandbox.evaluate import Evaluator, Setting
from sandbox.inprocess import InProcessBackend
from sandbox.streams.base import SPLITS, generator
from sandbox.streams.facts import COMPETENCES, FactsSettings, FactsSource
from sandbox.streams.grading import plain_words

SOURCE = FactsSource()


@pytest.fixture(scope="module")
def backend() -> Iterator[InProcessBackend]:
    backend = InProcessBackend(Limits())
    yield backend
    backend.close()


def scores(backend: InProcessBackend, design: Design, streams: int = 4) -> list[float]:
    evaluator = Evaluator(SOURCE, EvidenceAgent, backend, Setting("inject", "evidence", 1_000, 0, "test"))
    found = []
    with backend.open(Labels("test", design.id)) as guest:
        for index in range(streams):
            stream = SOURCE.stream("search", 0, index)
            score = evaluator.evaluate(design, stream, guest, evaluator.key(design, stream)).evaluation.score
            assert score is not None
            found.append(score)
    return found


def test_equal_arguments_give_equal_streams_and_splits_share_no_family() -> None:
    assert FactsSource().stream("search", 0, 3) == SOURCE.stream("search", 0, 3)
    families = [SOURCE.stream(split, 0, index).family for split in SPLITS for index in range(5)]
    assert len(set(families)) == len(families)


def test_every_competence_is_asked_for_equally() -> None:
    for index in range(5):
        asked = Counter(task.question.competence for task in SOURCE.stream("search", 0, index).tasks if task.question)
        assert asked == dict.fromkeys(COMPETENCES, 8)


def test_what_is_asked_was_said_and_the_present_was_said_last() -> None:
    life = SOURCE.life("search", 0, 0)
    for fact in life.facts:
        days = [
            max(told.session for told in life.told if value in told.text and fact.person in told.text)
            for value in fact.values
        ]
        assert days == sorted(days)
    for person, event, times in life.events:
        assert sum(told.text == f"{person} {event} today." for told in life.told) == times


def test_sessions_hold_nothing_but_observations() -> None:
    for session in SOURCE.stream("search", 0, 0).sessions:
        assert session.reward is None
        assert all(step.observation and not step.action and step.reward is None for step in session.steps)


def test_no_answer_is_a_rival_or_holds_one() -> None:
    for task in SOURCE.stream("search", 0, 0).tasks:
        assert task.question is not None
        for answer in task.question.answers:
            assert task.question.grade(answer) == 1.0, (task.goal, answer)
        said = set(plain_words(task.goal))
        assert not any(set(plain_words(answer)) <= said for answer in task.question.answers), task.goal


def test_a_perfect_memory_is_understood_and_none_earns_nothing(backend: InProcessBackend) -> None:
    agent = EvidenceAgent(generator("test"))
    tasks = SOURCE.stream("search", 0, 0).tasks
    notes = [f"{task.goal.removesuffix('?')}: {task.question.answers[0]}." for task in tasks if task.question]
    recall = Recall(tuple(Item(str(i), note) for i, note in enumerate(notes)))
    earned = [task.question.grade(agent.answer(task.goal, recall)) for task in tasks if task.question]
    assert sum(earned) >= 0.95 * len(earned)
    assert scores(backend, catalogue.load("no_memory")) == [0.0] * 4


def test_selecting_pays_and_everything_there_is_does_not(backend: InProcessBackend) -> None:
    selecting = scores(backend, catalogue.load("rag"))
    for careless in ("full_history", "last_k", "random_recall"):
        assert all(a > b + 0.1 for a, b in zip(selecting, scores(backend, catalogue.load(careless)), strict=True))


def test_settings_out_of_range_are_refused() -> None:
    for wrong in ({"people_count": 1}, {"sessions_count": 2}, {"changes_count": 1000}, {"wish_probability": 1.5}):
        with pytest.raises(ValueError, match=r"wanted|not"):
            FactsSettings(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nothing to play"):
        SOURCE.environment(SOURCE.stream("search", 0, 0).tasks[0])
