"""Claims about conversations in LoCoMo's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.streams.base import Stream
from sandbox.streams.data.locomo import LocomoSettings, LocomoSource
from sandbox.streams.grading import NOT_TOLD, Question

FILE = Path(__file__).parents[1] / "data" / "locomo.json"


def first(adversarial: bool = False) -> Stream:
    return LocomoSource(LocomoSettings(str(FILE), (1, 0, 0), adversarial)).stream("search", 0, 0)


def asked(stream: Stream, goal: str) -> Question:
    question = next(task.question for task in stream.tasks if task.goal == goal)
    assert question is not None
    return question


def test_sessions_come_in_the_order_of_their_numbers_and_say_their_date_at_each_turn() -> None:
    assert [[episode.goal, *(step.observation for step in episode.steps)] for episode in first().sessions] == [
        [
            "session 1, 1:56 pm on 3 March, 2021",
            "(1:56 pm on 3 March, 2021) Ines: Today I adopted a parrot.",
            "(1:56 pm on 3 March, 2021) Jon: What a colourful friend!",
        ],
        [
            "session 2, 8:10 pm on 20 April, 2021",
            "(8:10 pm on 20 April, 2021) Ines: I learned to sail in 2019.",
            "(8:10 pm on 20 April, 2021) Jon: I baked rye bread.",
        ],
        [
            "session 10, 9:00 am on 7 June, 2021",
            "(9:00 am on 7 June, 2021) Ines: A tortoise moved in as well. (shares a tortoise on a carpet)",
        ],
    ]


def test_a_session_without_a_date_is_told_without_one() -> None:
    source = LocomoSource(LocomoSettings(str(FILE), (1, 0, 0)))
    told = source.stream("search", 0, 1).sessions[0]
    assert (told.goal, told.steps[0].observation) == ("session 1", "Ola: I work at the harbour.")


def test_each_category_is_judged_by_its_own_rule() -> None:
    stream = first()
    assert {task.question.competence: task.question.rule for task in stream.tasks if task.question} == {
        "temporal": "f1",
        "multi-hop": "f1 of each",
        "open-domain": "f1",
        "single-hop": "f1",
    }
    assert asked(stream, "In which year did Ines learn to sail?").grade("2019") == 1.0
    assert asked(stream, "Which pets does Ines have?").grade("a tortoise, a parrot") == 1.0
    assert asked(stream, "Which pets does Ines have?").grade("a parrot") == 0.5
    assert asked(stream, "Would Ines enjoy a zoo?").answers == ("Likely yes",)


def test_adversarial_questions_are_asked_on_request_and_want_an_abstention() -> None:
    plain, adversarial = first(), first(adversarial=True)
    assert (len(plain.tasks), len(adversarial.tasks)) == (5, 7)
    assert plain.name != adversarial.name
    for goal in ("Which parrot did Jon adopt?", "Is the tortoise Jon's?"):
        question = asked(adversarial, goal)
        assert question.rule == "abstain"
        assert (question.grade(NOT_TOLD), question.grade("a grey one"), question.grade("No")) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("qa", "wrong"),
    [
        ([], "conv-a has no question"),
        ([{"question": "Who?", "category": 4}], r"the question 'Who\?' has no answer"),
        ([{"question": "Who?", "category": 6, "answer": "x"}], r"\[0\]\.qa\[0\]\.category: Input should be 1, 2, 3, 4"),
    ],
)
def test_questions_that_cannot_be_asked_are_refused(qa: list[Any], wrong: str, tmp_path: Path) -> None:
    data = json.loads(FILE.read_text())
    data[0]["qa"] = qa
    path = tmp_path / "locomo10.json"
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=f"{wrong}.*; expected the list of conversations"):
        LocomoSource(LocomoSettings(str(path)))
