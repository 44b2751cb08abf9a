"""Claims about the loop that earns a design its score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from design_space import Design, Episode, Outcome, Step, catalogue
from sandbox.agents.evidence import EvidenceAgent
from sandbox.backend import Labels, Limits
from sandbox.evaluate import FOREIGN, Evaluator, Experience, Protocol, Result, Setting
from sandbox.inprocess import InProcessBackend
from sandbox.streams.base import Observation, SourceFault, Split, Stream, Task, neighbour, seen
from sandbox.streams.grading import Question
from sandbox.streams.household import HouseholdEnvironment, HouseholdSettings, HouseholdSource

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


class Quiz:
    """Two facts a stream are told in sessions and asked for; every stream has its own."""

    name = "quiz"

    def stream_name(self, split: Split, seed: int, index: int) -> str:
        return f"quiz/{split}/{seed}/{index}"

    def stream(self, split: Split, seed: int, index: int) -> Stream:
        name = self.stream_name(split, seed, index)
        facts = {"cat": f"Tom{index}", "dog": f"Rex{index}"}
        told = [Episode(f"{name}/{a}", "a chat", (Step("", "", f"My {a} is called {n}."),)) for a, n in facts.items()]
        tasks = [Task(f"{name}/{a}?", f"How is my {a} called?", 0, question=Question((n,))) for a, n in facts.items()]
        return Stream(name, self.name, split, name, tuple(tasks), tuple(told))

    def environment(self, task: Task) -> HouseholdEnvironment:
        raise ValueError("there is nothing to play")


def quiz(
    backend: InProcessBackend, design: Design, experience: Experience = "own", protocol: Protocol = "inject"
) -> Result:
    source = Quiz()
    evaluator = Evaluator(source, EvidenceAgent, backend, Setting(protocol, "evidence", 1_000, 0, "test"))
    stream = source.stream("search", 0, 0)
    other = source.stream("search", 0, neighbour(source, "search", 0)) if experience in FOREIGN else None
    with backend.open(Labels("test", design.id)) as guest:
        key = evaluator.key(design, stream, experience=experience)
        return evaluator.evaluate(design, stream, guest, key, experience, other)


def test_what_sessions_told_is_answered_and_its_gold_is_found(backend: InProcessBackend) -> None:
    remembering = quiz(backend, catalogue.load("full_history")).evaluation
    assert remembering.outcome is Outcome.SCORED
    assert remembering.rewards == (1.0, 1.0)
    assert remembering.found == (True, True)
    empty = quiz(backend, catalogue.load("no_memory")).evaluation
    assert empty.rewards == (0.0, 0.0)
    assert empty.found == (False, False)


def test_inject_tells_the_sessions_and_nothing_of_the_questions(backend: InProcessBackend) -> None:
    for protocol, told in (("inject", 2), ("online", 4)):
        result = quiz(backend, Design(COUNTER.format(name="a", after="pass")), protocol=protocol)  # type: ignore[arg-type]
        assert result.snapshot is not None
        assert len(result.snapshot.data) == told
        assert result.snapshot.data[0][2] is None


@pytest.mark.parametrize("protocol", ["inject", "online"])
@pytest.mark.parametrize(
    ("experience", "rewards"),
    [
        ("own", (1.0, 1.0)),
        ("amnesia", (0.0, 0.0)),
        ("shuffled", (0.0, 0.0)),
        ("carried", (1.0, 1.0)),
        ("again", (1.0, 1.0)),
        ("interfered", (0.0, 0.0)),
    ],
)
def test_a_memory_of_two_things_under_each_experience(
    backend: InProcessBackend, protocol: Protocol, experience: Experience, rewards: tuple[float, ...]
) -> None:
    last = "self.told = [t for t in self.told if t.startswith('My')][-2:]"
    source = COUNTER.replace(
        'Item(str(i), "x" * 100) for i in range(50)', "Item(str(i), t) for i, t in enumerate(self.told)"
    )
    source = source.replace(
        "[episode.id, episode.goal, episode.reward, [s.action for s in episode.steps]]", "episode.steps[0].observation"
    )
    result = quiz(backend, Design(source.format(name="two", after=last)), experience, protocol)
    assert result.evaluation.detail == ""
    assert result.evaluation.rewards == rewards
    expected = protocol if experience == "own" else f"{protocol}/{experience}"
    assert result.evaluation.key.protocol == expected


def test_amnesia_and_shuffled_experience_of_a_played_stream(backend: InProcessBackend) -> None:
    source = HouseholdSource(HouseholdSettings(tasks_count=6, max_steps=6))
    evaluator = Evaluator(source, EvidenceAgent, backend, Setting("online", "evidence", 1_000, 0, "test"))
    stream, other = source.stream("search", 0, 0), source.stream("search", 0, 1)
    design = Design(COUNTER.format(name="a", after="pass"))
    with backend.open(Labels("test", design.id)) as guest:
        forgetful = evaluator.evaluate(design, stream, guest, evaluator.key(design, stream, 0, "amnesia"), "amnesia")
        key = evaluator.key(design, stream, 0, "shuffled")
        misled = evaluator.evaluate(design, stream, guest, key, "shuffled", other)
        with pytest.raises(ValueError, match="takes another stream"):
            evaluator.evaluate(design, stream, guest, key, "shuffled")
    assert forgetful.snapshot is not None
    assert forgetful.snapshot.data == []
    assert misled.snapshot is not None
    assert [row[1] for row in misled.snapshot.data] == [task.goal for task in other.tasks]
    assert [played.task for played in misled.played] == list(stream.tasks)


PARROT = """
from design_space import Item, Memory, Recall
class Parrot(Memory):
    RETRIEVE = "step"
    def retrieve(self, query):
        return Recall((Item("goal", query.goal),))
    def observe(self, step):
        self.heard = step.recall.items[0].text
    def update(self, episode):
        return
"""


def test_a_memory_that_is_made_anew_is_not_taken_for_the_one_before(backend: InProcessBackend) -> None:
    source = HouseholdSource(HouseholdSettings(tasks_count=4, max_steps=6))
    evaluator = Evaluator(source, EvidenceAgent, backend, Setting("online", "evidence", 1_000, 0, "test"))
    stream, design = source.stream("search", 0, 0), Design(PARROT)
    with backend.open(Labels("test", design.id)) as guest:
        result = evaluator.evaluate(design, stream, guest, evaluator.key(design, stream, 0, "amnesia"), "amnesia")
    assert result.evaluation.outcome is Outcome.SCORED, result.evaluation.detail
    for played in result.played:
        assert {item.text for step in played.episode.steps for item in step.recall.items} == {played.task.goal}


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (None, "gave a NoneType, wanted an Observation"),
        ({"reward": 1.0}, "gave a dict, wanted an Observation"),
        (Observation("", "", "", ("go",), float("nan")), "then nan"),
        (Observation("", "", "", ("go",), float("inf")), "then inf"),
        (Observation("", "", "", ("go",), 2.0, True), "then 2.0"),
        (Observation("", "", "", ("go",), 0.5, True), "had earned 0.7, then 0.5"),
        (Observation("", "", "", ("go",), "1"), "then '1'"),  # type: ignore[arg-type]
        (Observation("", "", "", ()), "no command on offer"),
    ],
)
def test_an_environment_that_is_not_what_it_owes_to_be_is_named_not_scored(found: object, told: str) -> None:
    task = Task("a task", "a goal", 3)
    earned = 0.7 if "0.7" in told else 0.0
    with pytest.raises(SourceFault, match=told) as caught:
        seen(task, found, earned)
    assert "'a task'" in str(caught.value)


def test_what_an_environment_may_give_is_taken_as_it_is() -> None:
    for found in (
        Observation("", "", "", ("go",), 1.0),
        Observation("", "", "", (), 0, True),
        Observation("", "", "", ("go",), -0.5),
    ):
        assert seen(Task("a task", "a goal", 3), found) is found
