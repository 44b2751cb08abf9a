"""Claims about tasks of one's own in a JSONL file: what is read, and what is said of a line that cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from design_space import catalogue
from sandbox.agents.evidence import EvidenceAgent
from sandbox.backend import Labels, Limits
from sandbox.evaluate import Evaluator, Setting
from sandbox.inprocess import InProcessBackend
from sandbox.streams.base import Stream
from sandbox.streams.data.jsonl import JsonlSettings, JsonlSource

ASKED = {"history": "anna", "question": "How is my cat called?", "answers": ["Tom"]}
TOLD = {"history": "anna", "session": {"title": "Monday", "turns": ["user: My cat is called Tom."]}}
STEP = {"situation": "at the station", "action": "take bus 4", "observation": "You are at the shop.", "reward": 1}
PLAYED = {"history": "anna", "episode": {"goal": "reach the shop", "steps": [STEP], "reward": 1.0}}


def write(tmp_path: Path, *records: Any) -> Path:
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def only(path: Path) -> Stream:
    source = JsonlSource(JsonlSettings(str(path), (1, 0, 0)))
    assert source.stream_count("search") == 1
    return source.stream("search", 0, 0)


def complaint(path: Path) -> str:
    with pytest.raises(ValueError, match="expected") as caught:
        JsonlSource(JsonlSettings(str(path)))
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_history_is_told_in_order_and_asked_in_order(tmp_path: Path) -> None:
    question = {**ASKED, "question": "Who?", "rivals": ["Rex"], "competence": "update", "rule": "exact"}
    stream = only(write(tmp_path, ASKED, PLAYED, TOLD, question))
    assert [episode.goal for episode in stream.sessions] == ["reach the shop", "Monday"]
    played, told = stream.sessions
    assert (played.reward, told.reward) == (1.0, None)
    assert (played.steps[0].situation, played.steps[0].action) == ("at the station", "take bus 4")
    assert (played.steps[0].observation, played.steps[0].reward) == ("You are at the shop.", 1.0)
    assert [step.observation for step in told.steps] == ["user: My cat is called Tom."]
    assert [task.goal for task in stream.tasks] == ["How is my cat called?", "Who?"]
    asked = stream.tasks[1].question
    assert asked is not None
    assert (asked.answers, asked.rivals, asked.competence, asked.rule) == (("Tom",), ("Rex",), "update", "exact")


def test_lines_of_histories_may_be_mixed_and_some_may_be_blank(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    records = [ASKED, {**TOLD, "history": "ben"}, {**ASKED, "history": "ben"}, TOLD]
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n\r\n".join(json.dumps(r).encode() for r in records))
    source = JsonlSource(JsonlSettings(str(path), (1, 1, 0)))
    streams = [source.stream("search", 0, 0), source.stream("validation", 0, 0)]
    assert [stream.family for stream in streams] == ["jsonl/anna", "jsonl/ben"]
    assert [(len(stream.sessions), len(stream.tasks)) for stream in streams] == [(1, 1), (1, 1)]


def test_an_abstention_has_no_answers(tmp_path: Path) -> None:
    stream = only(write(tmp_path, {"history": "anna", "question": "How is my dog called?", "rule": "abstain"}))
    assert stream.tasks[0].question is not None
    assert stream.tasks[0].question.grade("That is not mentioned.") == 1.0


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (
            "{",
            "no JSON: Expecting property name enclosed in double quotes at column 2; expected one JSON object a line",
        ),
        ("[1]", "it holds a list; expected one JSON object a line"),
        ("[" * 100_000, "too deeply nested; expected one JSON object a line"),
        ('{"history": "anna"}', "it has none of 'session', 'episode' and 'question'; expected exactly one of them"),
        ({**ASKED, **TOLD}, "it has 'session' and 'question' of 'session', 'episode' and 'question'; expected exactly"),
        (
            {**ASKED, "answer": "Tom"},
            "unknown key 'answer'; expected a question record, with the keys",
        ),
        ({**ASKED, "an\nswer": "Tom"}, "unknown key 'an swer'; expected a question record"),
        ({**ASKED, "history": ""}, "history: String should have at least 1 character; expected a question record"),
        ({**ASKED, "answers": "Tom"}, "answers: Input should be a valid list; expected a question record"),
        ({**ASKED, "answers": [35]}, "answers[0]: Input should be a valid string; expected a question record"),
        ({**ASKED, "rule": "fuzzy"}, "rule: Input should be 'contains', 'exact', 'f1', 'f1 of each' or 'abstain'; exp"),
        ({**ASKED, "answers": []}, "under the rule 'abstain' there are no answers, and under any other at least one"),
        ({**ASKED, "rule": "abstain"}, "under the rule 'abstain' there are no answers"),
        ({**ASKED, "answers": ["the"]}, "the answer 'the' would not count as right: it holds a rival, or no word"),
        ({**ASKED, "rivals": ["tom"]}, "the answer 'Tom' would not count as right: it holds a rival, or no word"),
        ({"session": TOLD["session"]}, "history: Field required; expected a session record, with the keys history, s"),
        ({**TOLD, "session": {"title": "x", "turns": []}}, "session.turns: List should have at least 1 item"),
        ({**TOLD, "session": {"title": "x", "turns": ["a"], "date": "y"}}, "unknown key 'session.date'"),
        ({**PLAYED, "episode": {"goal": "x", "steps": []}}, "episode.steps: List should have at least 1 item"),
        (
            {**PLAYED, "episode": {"goal": "x", "steps": [{**STEP, "reward": 2}]}},
            "episode.steps[0].reward: Input should be less than or equal to 1",
        ),
        ('{"history": "a", "history": "b"}', "the key 'history' is there twice; expected each key once"),
        ("{" + " " * 2**21, "it has 2,097,153 bytes; expected at most 2 MiB: split the session in two"),
        ('{"history": NaN}', "NaN is no JSON; expected a number"),
    ],
)
def test_a_malformed_line_is_named_with_what_is_wrong_and_what_was_expected(
    line: Any, wrong: str, tmp_path: Path
) -> None:
    path = write(tmp_path, ASKED)
    text = line if isinstance(line, str) else json.dumps(line)
    path.write_text(path.read_text() + "\n" + text + "\n")
    assert complaint(path).startswith(f"{path}, line 3: {wrong}")


@pytest.mark.parametrize("again", [ASKED, TOLD, PLAYED, {**ASKED, "answers": ["Rex"]}])
def test_a_record_that_is_there_twice_is_refused(again: Any, tmp_path: Path) -> None:
    path = write(tmp_path, TOLD, ASKED, PLAYED, again)
    line = 1 if again is TOLD else 3 if again is PLAYED else 2
    assert complaint(path) == f"{path}, line 4: it repeats line {line}; expected each record once"


def test_equal_records_of_two_histories_are_no_repetition(tmp_path: Path) -> None:
    source = JsonlSource(JsonlSettings(str(write(tmp_path, ASKED, {**ASKED, "history": "ben"})), (1, 0, 0)))
    assert source.stream_count("search") == 2


def test_a_history_without_a_question_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, ASKED, {**TOLD, "history": "ben"})
    assert complaint(path).startswith(f"{path}, line 2: the history 'ben' has no question; expected at least one line")


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(json.dumps(ASKED).encode() + b'\n{"history": "Zo\xeb"}\n')
    assert complaint(path) == f"{path}, line 2: byte 16 is not UTF-8; expected a text file in UTF-8"
    path.write_bytes(json.dumps(ASKED).encode("utf-16"))
    assert complaint(path) == f"{path}, line 1: byte 1 is not UTF-8; expected a text file in UTF-8"


def test_a_missing_file_says_where_the_format_is_described(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"there is no file .*gone; docs/streams\.md shows what such a file looks like"
    ):
        JsonlSource(JsonlSettings(str(tmp_path / "gone")))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "tasks.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r".") as caught:
        JsonlSource(JsonlSettings(str(path)))
    assert "\n" not in str(caught.value)


def test_without_sessions_the_answers_are_learned_in_turn(tmp_path: Path) -> None:
    again = {**ASKED, "question": "Tell me again: how is my cat called?"}
    source = JsonlSource(JsonlSettings(str(write(tmp_path, ASKED, again)), (1, 0, 0)))
    stream = source.stream("search", 0, 0)
    backend = InProcessBackend(Limits())
    evaluator = Evaluator(source, EvidenceAgent, backend, Setting("online", "evidence", 1_000, 0, "test"))
    design = catalogue.load("full_history")
    with backend.open(Labels("test", design.id)) as guest:
        result = evaluator.evaluate(design, stream, guest, evaluator.key(design, stream))
    backend.close()
    assert result.evaluation.rewards[0] == 0.0
    assert result.evaluation.found == (False, True)
