"""Claims about asking many at once: who is asked again, and what stands in the end."""

from __future__ import annotations

import json

import pytest
from scripted_models import ScriptedModels

from sandbox import structured
from sandbox.calls import Call, CallRefused, Line, Message, ModelFault, ProviderDown, Reply

GOOD, EVEN, PROSE = '{"number": 3}', '{"number": 2}', "Certainly!"
REFUSED = CallRefused("too long")


class Number(structured.Answer):
    number: int


def odd(place: int, answer: Number) -> str:
    return "" if answer.number % 2 else f"{answer.number} is even, place {place}"


def heard(
    *answers: tuple[str | CallRefused | ModelFault, ...],
) -> tuple[list[structured.Heard[Number]], ScriptedModels]:
    """What came of a question on a line for each tuple: its answers, in order."""

    def answer(call: Call) -> Reply | CallRefused | ModelFault:
        said = answers[int(call.scope)][call.position]
        return Reply(said, 10, 5, 0.001) if isinstance(said, str) else said

    models = ScriptedModels(answer)
    lines = [Line(models, str(place), "judge", 100) for place in range(len(answers))]
    messages = [[Message("user", f"an odd number, please ({place})")] for place in range(len(answers))]
    found = structured.ask_all(models, lines, messages, Number, odd)
    for line in lines:
        assert line.calls == len(models.of(line.next([]).scope, "judge"))
    return found, models


def test_only_what_is_not_good_is_asked_again_and_all_of_it_at_once() -> None:
    found, models = heard((GOOD,), (PROSE, GOOD), (EVEN, GOOD), (REFUSED,))
    assert [one.answer and one.answer.number for one in found] == [3, 3, 3, None]
    assert [one.problem for one in found] == ["", "", "", "the model refused: too long"]
    assert [(call.scope, call.position) for call in models.calls] == [(s, 0) for s in "0123"] + [("1", 1), ("2", 1)]
    assert all(call.whole and json.loads(call.schema)["title"] == "Number" for call in models.calls)
    assert "2 is even, place 2" in models.calls[-1].messages[-1].content
    assert models.calls[-1].messages[-2].content == EVEN


@pytest.mark.parametrize(
    ("answers", "number", "problem"),
    [
        ((PROSE, PROSE), None, "the answer cannot be used: "),
        ((PROSE, REFUSED), None, "the model refused: too long"),
        ((PROSE, EVEN), 2, "2 is even"),
        ((EVEN, '{"number": 4}'), 4, "4 is even"),
        ((EVEN, PROSE), 2, "2 is even"),
        ((EVEN, REFUSED), 2, "2 is even"),
    ],
)
def test_what_could_be_read_stands_with_what_is_wrong_with_it(
    answers: tuple[str, str], number: int | None, problem: str
) -> None:
    (found,), models = heard(answers)
    assert (found.answer.number if found.answer else None) == number
    assert found.problem.startswith(problem)
    assert len(models.calls) == 2


def test_a_fault_is_no_answer_of_anyone() -> None:
    with pytest.raises(ProviderDown):
        heard((GOOD,), (ProviderDown("gone"),))


def test_nothing_is_asked_of_nobody() -> None:
    assert heard()[0] == []
