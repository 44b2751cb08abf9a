"""Claims about rows in MemoryAgentBench's format."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.streams.base import Stream
from sandbox.streams.data.memoryagentbench import (
    CHUNK_TOKENS,
    MemoryAgentBenchSettings,
    MemoryAgentBenchSource,
    sessions,
)

DATA = Path(__file__).parents[1] / "data"
FILE = DATA / "memoryagentbench.json"


def streams(path: Path = FILE) -> list[Stream]:
    source = MemoryAgentBenchSource(MemoryAgentBenchSettings(str(path), (1, 0, 0)))
    return [source.stream("search", 0, i) for i in range(source.stream_count("search"))]


def content(found: list[Stream]) -> list[Any]:
    return [
        [stream.family, [e.steps for e in stream.sessions], [(t.goal, t.question) for t in stream.tasks]]
        for stream in found
    ]


def write(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    return path


def row(context: str, source: str = "eventqa_full") -> dict[str, Any]:
    return {"context": context, "questions": ["Who?"], "answers": [["Ann"]], "metadata": {"source": source}}


def test_rows_about_one_text_are_one_stream_and_what_needs_a_judge_is_left_out() -> None:
    assert [(stream.family, len(stream.tasks)) for stream in streams()] == [
        ("memoryagentbench/factconsolidation_sh_6k/0", 2),
        ("memoryagentbench/icl_banking77_5900shot_balance/1", 1),
        ("memoryagentbench/longmemeval_s*/2", 2),
        ("memoryagentbench/detective_qa/3", 1),
    ]


def test_the_rule_and_the_competence_follow_from_the_source() -> None:
    found = {task.question for stream in streams() for task in stream.tasks if task.question is not None}
    assert {(question.competence, question.rule) for question in found} == {
        ("conflict resolution", "contains"),
        ("test-time learning", "exact"),
        ("accurate retrieval", "contains"),
        ("accurate retrieval", "abstain"),
        ("long-range understanding", "exact"),
    }
    assert any(question.answers == ("Moss", "Moss town") for question in found)


def test_dates_are_told_with_the_question() -> None:
    assert [task.goal for task in streams()[2].tasks] == [
        "What do I own?\nAsked on 2023/05/30.",
        "Which car do I own?\nAsked on 2023/05/31.",
    ]


def test_a_source_that_is_not_known_is_judged_by_what_stands_in_the_answer(tmp_path: Path) -> None:
    question = streams(write(tmp_path, row("A text.", "novelqa")))[0].tasks[0].question
    assert question is not None
    assert (question.competence, question.rule) == ("", "contains")


def test_a_text_that_begins_another_goes_to_the_same_split(tmp_path: Path) -> None:
    novel = "It was a dark night. " * 100
    path = write(tmp_path, row(novel), row("Another text."), row(novel + "The end."))
    source = MemoryAgentBenchSource(MemoryAgentBenchSettings(str(path), (1, 1, 0)))
    assert (source.stream_count("search"), source.stream_count("validation")) == (2, 1)


def test_json_lines_read_as_the_list() -> None:
    assert content(streams(DATA / "memoryagentbench.jsonl")) == content(streams())


def test_parquet_reads_as_the_list(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(json.loads(FILE.read_text())), path)
    assert content(streams(path)) == content(streams())
    parquet.write_table(pyarrow.Table.from_pylist([{"context": "A text.", "questions": ["Who?"]}]), path)
    with pytest.raises(ValueError, match=r"\[0\]\.answers: Field required; expected rows with context"):
        streams(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="damaged parquet file"):
        streams(path)


def test_parquet_without_its_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"PAR1...PAR1")
    with pytest.raises(ValueError, match="`pip install pyarrow`, or save the rows as JSON lines"):
        streams(path)


def test_a_file_of_which_nothing_can_be_judged_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, row("A text.", "infbench_sum_eng_shots2"), row("A text.", "recsys_redial_full"))
    with pytest.raises(ValueError, match="no row has a question that can be judged without a language model"):
        streams(path)
    with pytest.raises(ValueError, match="no row has a question"):
        streams(write(tmp_path, {**row("A text."), "questions": [], "answers": []}))


@pytest.mark.parametrize("name", ["answers", "question_ids", "question_dates"])
def test_questions_without_their_counterpart_are_refused(name: str, tmp_path: Path) -> None:
    changed = row("A text.")
    (changed if name == "answers" else changed["metadata"])[name] = [["a"], ["b"]] if name == "answers" else ["a", "b"]
    with pytest.raises(ValueError, match=rf"\[0\]: 1 questions, but 2 {name}; expected rows with context"):
        streams(write(tmp_path, changed))


def test_facts_are_a_step_each_and_paragraphs_stay_whole() -> None:
    assert [step.observation for step in streams()[0].sessions[0].steps] == [
        "Here is a list of facts:",
        "0. The capital of Norland is Elk.",
        "1. The capital of Norland is Moss.",
    ]
    assert [step.observation for step in streams()[1].sessions[0].steps] == [
        "my card is lost\nlabel: 4",
        "where is my money\nlabel: 7",
    ]


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    sentence = "The tide " + "rose and " * 100 + "fell."
    told = list(sessions("A title.\n\n" + " ".join([sentence] * 50)))
    assert len(told) == 4
    assert [episode.goal for episode in told] == ["part 1", "part 2", "part 3", "part 4"]
    assert {step.observation for episode in told for step in episode.steps} == {"A title.", sentence}


def test_a_sentence_longer_than_a_session_is_a_session_of_its_own() -> None:
    giant = "word " * 5_000 + "end."
    assert [len(episode.steps) for episode in sessions(f"One. {giant} Two.")] == [1, 1, 1]


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60), st.sampled_from([" ", "\n", "\n\n"]))
def test_no_word_is_lost_and_no_session_is_too_long(lengths: list[int], between: str) -> None:
    text = between.join(("word " * length).strip() + "." for length in lengths)
    told = [[step.observation for step in episode.steps] for episode in sessions(text)]
    assert " ".join(step for steps in told for step in steps).split() == text.split()
    assert all(sum(len(step.split()) for step in steps) * 4 / 3 <= CHUNK_TOKENS for steps in told)
