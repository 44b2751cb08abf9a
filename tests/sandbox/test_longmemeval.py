"""Claims about questions in LongMemEval's format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.agents.extract import read
from sandbox.streams.base import Stream
from sandbox.streams.data.longmemeval import LongMemEvalSettings, LongMemEvalSource
from sandbox.streams.grading import NOT_TOLD

FILE = Path(__file__).parents[1] / "data" / "longmemeval.json"


def streams(path: Path = FILE) -> list[Stream]:
    source = LongMemEvalSource(LongMemEvalSettings(str(path), (1, 0, 0)))
    return [source.stream("search", 0, i) for i in range(source.stream_count("search"))]


def test_questions_with_one_history_are_one_stream() -> None:
    assert [(stream.family, len(stream.tasks)) for stream in streams()] == [
        ("longmemeval/q1", 2),
        ("longmemeval/q3", 1),
        ("longmemeval/q3_abs", 1),
    ]


def test_sessions_are_told_in_order_of_time_and_say_nothing_of_where_the_answer_is() -> None:
    earlier, later = streams()[0].sessions
    assert (earlier.goal, later.goal) == ("chat, 2023/04/02 (Sun) 10:00", "chat, 2023/05/20 (Sat) 02:21")
    assert [step.observation for step in later.steps] == [
        "(2023/05/20 (Sat) 02:21) user: My sister moved to Bergen.",
        "(2023/05/20 (Sat) 02:21) assistant: How nice.",
    ]
    assert "has_answer" not in repr(streams())


def test_a_question_says_when_it_is_asked_and_is_right_if_the_answer_stands_in_what_was_said() -> None:
    first, second = streams()[0].tasks
    assert first.goal == "Where does my sister live?\nAsked on 2023/05/30 (Tue) 23:40."
    assert first.question is not None
    assert first.question.competence == "knowledge-update"
    assert first.question.grade("She moved to Bergen in May.") == 1.0
    assert second.question is not None
    assert second.question.answers == ("2",)


def test_the_date_of_a_question_does_not_keep_a_reader_from_answering() -> None:
    task, told = streams()[1].tasks[0], streams()[1].sessions[0]
    assert "mint" in read(task.goal, [step.observation for step in told.steps], 0.2)


def test_what_was_never_told_wants_an_abstention_and_keeps_to_the_split_of_its_twin() -> None:
    question = streams()[2].tasks[0].question
    assert question is not None
    assert (question.competence, question.grade(NOT_TOLD), question.grade("latte")) == ("abstention", 1.0, 0.0)
    source = LongMemEvalSource(LongMemEvalSettings(str(FILE), (1, 1, 1)))
    assert (source.stream_count("validation"), source.stream_count("sealed")) == (2, 0)


def test_a_session_without_its_date_is_refused(tmp_path: Path) -> None:
    rows = json.loads(FILE.read_text())
    rows[0]["haystack_dates"].pop()
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(ValueError, match=r"\[0\]: 1 dates for 2 sessions; expected the list of questions"):
        streams(path)
