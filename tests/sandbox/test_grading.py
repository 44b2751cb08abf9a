"""Claims about how answers in words are judged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.streams.grading import NOT_TOLD, Question


@pytest.mark.parametrize(
    ("question", "said", "earned"),
    [
        (Question(("Oslo",)), "She lives in oslo.", 1.0),
        (Question(("Oslo",)), "She lives in Osloton.", 0.0),
        (Question(("the Old Town",)), "in old town", 1.0),
        (Question(("Oslo",), ("Rome",)), "Oslo or Rome", 0.0),
        (Question(("Oslo",), ("Rome",)), "Oslo, not Romeo", 1.0),
        (
            Question(
                ("Oslo", "the capital"),
            ),
            "the capital",
            1.0,
        ),
        (Question(("42",), rule="exact"), "42.", 1.0),
        (Question(("42",), rule="exact"), "it is 42", 0.0),
        (Question((), rule="abstain"), NOT_TOLD, 1.0),
        (Question((), rule="abstain"), "Oslo", 0.0),
        (Question(("painted cats",), rule="f1"), "painting a cat", 1.0),
        (Question(("painted cats",), rule="f1"), "cat", 2 / 3),
        (Question(("cats, dogs",), rule="f1 of each"), "a dog", 0.5),
        (Question(("cats, dogs",), rule="f1 of each"), "dog, cat", 1.0),
        (Question(("",)), "", 0.0),
        (Question(("x",), rule="f1"), "", 0.0),
    ],
)
def test_what_an_answer_earns(question: Question, said: str, earned: float) -> None:
    assert question.grade(said) == pytest.approx(earned)


def test_gold_is_found_in_a_recall_that_also_holds_rivals() -> None:
    question = Question(("Oslo",), ("Rome",))
    assert question.found_in("Rome first.\nThen Oslo.")
    assert not question.found_in("Rome first.")
    assert not Question((), rule="abstain").found_in(NOT_TOLD)
    assert Question(("cats, dogs",), rule="f1 of each").found_in("dogs; and later cats")
    assert not Question(("cats, dogs",), rule="f1 of each").found_in("dogs")


@given(st.text(), st.text(min_size=1), st.sampled_from(["contains", "exact", "f1", "f1 of each", "abstain"]))
def test_no_answer_breaks_the_judge_or_earns_beyond_one(said: str, answer: str, rule: str) -> None:
    question = Question((answer,), rule=rule)  # type: ignore[arg-type]
    assert 0.0 <= question.grade(said) <= 1.0
    question.found_in(said)
