"""Claims about sources whose data is there: how histories are shared out, named and told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from design_space.memory import Episode
from sandbox.registry import make_source, settings_of
from sandbox.streams.base import SPLITS, Finite, neighbour
from sandbox.streams.data.histories import Asked, History, HistorySource, Shares, asked_on, dialogue, digest_of
from sandbox.streams.grading import Question

DATA = Path(__file__).parents[1] / "data"
FILES = {
    "locomo": DATA / "locomo.json",
    "longmemeval": DATA / "longmemeval.json",
    "memoryagentbench": DATA / "memoryagentbench.json",
}


def history(name: str, kin: str = "") -> History:
    return History(name, (dialogue("chat", [f"user: I am {name}."]),), (Asked("Who?", Question((name,))),), kin)


def families(source: HistorySource) -> dict[str, list[str]]:
    return {split: [source.stream(split, 0, i).family for i in range(source.stream_count(split))] for split in SPLITS}


def made(shares: Shares, *histories: History) -> HistorySource:
    return HistorySource("made", histories, shares, digest_of(b"", shares))


def test_of_every_four_histories_two_are_search_one_validation_one_sealed() -> None:
    found = families(made((2, 1, 1), *map(history, "abcdef")))
    assert found == {
        "search": ["made/a", "made/b", "made/e", "made/f"],
        "validation": ["made/c"],
        "sealed": ["made/d"],
    }


def test_one_share_takes_all() -> None:
    assert families(made((0, 1, 0), *map(history, "abc"))) == {
        "search": [],
        "validation": ["made/a", "made/b", "made/c"],
        "sealed": [],
    }


def test_kin_goes_to_one_split() -> None:
    found = families(made((1, 1, 0), history("a", "k"), history("b"), history("c", "k"), history("d")))
    assert found == {"search": ["made/a", "made/c", "made/d"], "validation": ["made/b"], "sealed": []}


@pytest.mark.parametrize("shares", [(0, 0, 0), (1, -1, 1)])
def test_shares_that_share_nothing_out_are_refused(shares: Shares) -> None:
    with pytest.raises(ValueError, match="not all of them 0"):
        made(shares, history("a"))


def test_two_histories_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="2 histories of made are called 'a'"):
        made((1, 0, 0), history("a"), history("b"), history("a"))


def test_a_stream_is_named_alike_for_every_run_and_holds_its_tasks_once() -> None:
    source = made((1, 0, 0), history("a"), history("b"))
    first, second = source.stream("search", 0, 0), source.stream("search", 7, 1)
    assert source.stream("search", 7, 0) == first
    assert first.name == source.stream_name("search", 3, 0)
    ids = [x.id for stream in (first, second) for x in (*stream.sessions, *stream.tasks)]
    assert len(set(ids)) == len(ids) == 4


@pytest.mark.parametrize("index", [-1, 1])
def test_a_stream_that_is_not_there_has_neither_name_nor_tasks(index: int) -> None:
    source = made((1, 0, 0), history("a"))
    for ask in (source.stream, source.stream_name):
        with pytest.raises(ValueError, match=rf"no search stream {index} \(there are 1 search, 0 validation, 0 sealed"):
            ask("search", 0, index)


def test_questions_have_no_environment() -> None:
    source = made((1, 0, 0), history("a"))
    with pytest.raises(ValueError, match="has no environment"):
        source.environment(source.stream("search", 0, 0).tasks[0])


def test_a_date_stands_in_the_goal_and_before_each_turn() -> None:
    told = dialogue("chat", ["ann: Hello.", "bob: Hi."], "1 May")
    assert told.goal == "chat, 1 May"
    assert [step.observation for step in told.steps] == ["(1 May) ann: Hello.", "(1 May) bob: Hi."]
    assert dialogue("chat", ["ann: Hello."]) == Episode("", "chat", dialogue("x", ["ann: Hello."]).steps)
    assert asked_on("Who?", "2 May") == "Who?\nAsked on 2 May."
    assert asked_on("Who?", "") == "Who?"


@pytest.mark.parametrize("name", FILES)
def test_published_formats_are_read_by_the_name_in_a_config(name: str, tmp_path: Path) -> None:
    source = make_source(name, {"path": str(FILES[name]), "shares": [1, 1, 0]}, str(tmp_path))
    assert isinstance(source, Finite)
    assert source.name == name
    counts = {split: source.stream_count(split) for split in SPLITS}
    assert counts["search"] >= 1
    assert counts["validation"] >= 1
    stream = source.stream("search", 0, 0)
    assert stream.source == name
    for step in (step for episode in stream.sessions for step in episode.steps):
        assert (step.situation, step.action, step.reward) == ("", "", None)
        assert step.observation
    assert all(task.question is not None for task in stream.tasks)
    if counts["search"] > 1:
        assert neighbour(source, "search", counts["search"] - 1) == 0
    else:
        with pytest.raises(ValueError, match="no other family"):
            neighbour(source, "search", 0)


@pytest.mark.parametrize("name", FILES)
def test_the_splits_of_a_file_share_no_session(name: str, tmp_path: Path) -> None:
    source = make_source(name, {"path": str(FILES[name]), "shares": [1, 1, 1]}, str(tmp_path))
    assert isinstance(source, Finite)
    told = {
        split: {
            (episode.goal, *(step.observation for step in episode.steps))
            for i in range(source.stream_count(split))
            for episode in source.stream(split, 0, i).sessions
        }
        for split in SPLITS
    }
    assert not told["search"] & told["validation"]
    assert not told["search"] & told["sealed"]
    assert not told["validation"] & told["sealed"]


@pytest.mark.parametrize("name", FILES)
def test_names_change_with_the_content_and_the_settings(name: str, tmp_path: Path) -> None:
    def named(content: str, shares: list[int]) -> str:
        (tmp_path / "file.json").write_text(content)
        return make_source(name, {"path": "file.json", "shares": shares}, str(tmp_path)).stream_name("search", 0, 0)

    content = FILES[name].read_text()
    assert named(content, [1, 0, 0]) == named(content, [1, 0, 0])
    assert len({named(content, [1, 0, 0]), named(content, [1, 1, 0]), named(content + "\n", [1, 0, 0])}) == 3


@pytest.mark.parametrize(
    ("name", "licence"), [("locomo", "CC-BY-NC-4.0"), ("longmemeval", "MIT"), ("memoryagentbench", "MIT")]
)
def test_where_there_is_no_file_one_is_told_where_to_get_it(name: str, licence: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"there is no file {tmp_path}/gone.json; get .*github\.com.*{licence}"):
        make_source(name, {"path": "gone.json"}, str(tmp_path))


@pytest.mark.parametrize("name", [*FILES, "jsonl"])
def test_a_folder_and_an_empty_file_are_no_data(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b" \n")
    with pytest.raises(ValueError, match="empty is empty; "):
        make_source(name, {"path": "empty"}, str(tmp_path))
    with pytest.raises(ValueError, match="Is a directory; "):
        make_source(name, {"path": "."}, str(tmp_path))


@pytest.mark.parametrize("name", FILES)
def test_a_file_in_another_format_is_told_from_a_published_one(name: str, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text('[{"context": ')
    with pytest.raises(ValueError, match=r"broken.json: Invalid JSON: .*; expected .*as published"):
        make_source(name, {"path": "broken.json"}, str(tmp_path))
    (tmp_path / "other.json").write_text(json.dumps([{"a": 1}]))
    with pytest.raises(ValueError, match=r"other.json: \[0\]\.\w+: Field required; expected .*as published"):
        make_source(name, {"path": "other.json"}, str(tmp_path))


def test_settings_are_parsed_before_the_file_is_looked_for(tmp_path: Path) -> None:
    assert settings_of("locomo") == ("path", "shares", "adversarial")
    with pytest.raises(ValueError, match="path: Field required"):
        make_source("locomo", {}, str(tmp_path))
    with pytest.raises(ValueError, match=r"shares\[0\]: Input should be a valid integer"):
        make_source("locomo", {"path": "x", "shares": ["many", 1, 1]}, str(tmp_path))


def test_a_path_may_begin_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(DATA))
    assert make_source("locomo", {"path": "~/locomo.json"}, str(tmp_path)).name == "locomo"
