"""Claims about designs that carry texts of the search streams: found by what they hold, and none other is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_runs import PROJECT, SMALL, finish

from archive.ledger import Ledger
from archive.overview import overview
from design_space import Design, catalogue
from meta_agent.carried import FLAG_COUNT, Texts, Vocabulary, flag, literals, texts_of
from meta_agent.config import load
from meta_agent.run import RunFolder
from sandbox.agents.evidence import EvidenceAgent
from sandbox.backend import Labels, Limits
from sandbox.evaluate import Evaluator, Setting
from sandbox.inprocess import InProcessBackend
from sandbox.registry import make_source
from sandbox.streams.base import Source, Split

SPLITS: tuple[Split, ...] = ("search", "validation")
SETTINGS: dict[str, dict[str, Any]] = {"household": {}, "facts": {}}
TABLE = '''
"""A table of answers."""
from design_space import Item, Memory, Recall
TABLE = {table!r}
class HardcodedTable(Memory):
    def retrieve(self, query):
        said = TABLE.get(query.goal)
        return Recall(() if said is None else (Item("known", said),))
    def update(self, episode):
        return
'''


def vocabulary(source: Source, search: int = 6, validation: int = 6) -> Vocabulary:
    sides: list[tuple[Split, int]] = [("search", search), ("validation", validation)]
    known, common = (texts_of(source, [source.stream(split, 0, i) for i in range(count)]) for split, count in sides)
    return Vocabulary(known, common)


def mean_score(source: Source, design: Design, split: Split) -> float:
    backend = InProcessBackend(Limits())
    evaluator = Evaluator(source, EvidenceAgent, backend, Setting("inject", "evidence", 1_000, 0, "test"))
    scores = []
    with backend.open(Labels("test", design.id)) as guest:
        for index in range(4):
            stream = source.stream(split, 0, index)
            scores.append(evaluator.evaluate(design, stream, guest, evaluator.key(design, stream)).evaluation.score)
    backend.close()
    return sum(score or 0.0 for score in scores) / len(scores)


@pytest.mark.parametrize("name", SETTINGS)
def test_no_design_of_the_catalogue_is_flagged(name: str) -> None:
    words = vocabulary(make_source(name, SETTINGS[name], "."))
    found = {design: words.phrases(catalogue.load(design).source) for design in catalogue.names()}
    assert {design: flag(phrases) for design, phrases in found.items() if flag(phrases)} == {}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_table_of_the_search_streams_tasks_is_flagged_and_one_of_other_streams_is_not(name: str) -> None:
    source = make_source(name, SETTINGS[name], ".")
    words = vocabulary(source)
    tables = {
        split: TABLE.format(table={t.goal: "1" for i in range(3) for t in source.stream(split, 0, i).tasks})
        for split in SPLITS
    }
    assert flag(words.phrases(tables["search"])) is not None
    assert words.phrases(tables["validation"]) == []


def test_a_hardcoded_table_gains_on_search_streams_and_nothing_on_validation_streams_and_is_flagged() -> None:
    source = make_source("facts", {}, ".")
    table = {
        task.goal: f"{task.goal.rstrip('?')} {task.question.answers[0]}"
        for index in range(4)
        for task in source.stream("search", 0, index).tasks
        if task.question is not None
    }
    design = Design(TABLE.format(table=table))
    null = catalogue.load("no_memory")
    gains = {split: mean_score(source, design, split) - mean_score(source, null, split) for split in SPLITS}
    assert gains["search"] > 0.8, gains
    assert gains["validation"] < 0.1, gains
    assert (told := flag(vocabulary(source).phrases(design.source))) is not None
    assert told.count("'") >= 2 * FLAG_COUNT


def test_what_is_said_is_bounded_and_harmless() -> None:
    assert flag(["a b c d"] * (FLAG_COUNT - 1)) is None
    told = flag([f"\x1b[31mred\u202e {n} " + "x" * 10_000 for n in range(900)])
    assert told is not None
    assert "900 phrases" in told
    assert len(told) < 500
    assert told.isprintable()


def test_docstrings_and_comments_are_no_literals() -> None:
    source = '"""Doc."""\n# a comment\nx = "one"\ndef f():\n    "doc"\n    "idle"\n    return f"two {x} three"\n'
    assert sorted(literals(source)) == [" three", "one", "two "]


def test_an_answer_counts_where_it_stands_alone_or_has_several_words_and_is_said_nowhere_else() -> None:
    known, common = Texts(), Texts()
    for answer in ("Bergen", "blue whale", "red fox"):
        known.add_answer(answer)
    common.add("user: I saw a red fox today")
    words = Vocabulary(known, common)
    assert words.phrases('a = ["bergen", "in Bergen", "it is a blue whale", "red fox"]') == ["bergen", "blue whale"]


@pytest.mark.usefixtures("trusted")
def test_a_finalist_that_carries_is_flagged_where_its_run_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The catalogue's own file of that name is replaced by a design that carries the goals of the search streams."""
    config = load(PROJECT / "configs" / "quickstart.yaml", SMALL)
    source = make_source("household", config.stream.settings, ".")
    goals = {task.goal: "" for index in range(3) for task in source.stream("search", 0, index).tasks}
    honest = catalogue.load
    carrier = Design(honest("memento").source + f"\nTABLE = {goals!r}\n", honest("memento").params)
    monkeypatch.setattr(catalogue, "load", lambda name: carrier if name == "memento" else honest(name))
    config = config.model_copy(update={"search": config.search.model_copy(update={"generation_size": 1})})
    config = config.model_copy(update={"final": config.final.model_copy(update={"candidates": 60})})
    config = config.model_copy(update={"budget": config.budget.model_copy(update={"evaluations": 160})})
    for _ in range(2):
        finish(tmp_path / "run", config)
        folder = RunFolder(tmp_path / "run")
        with Ledger(folder.ledger, read_only=True) as ledger:
            flags = [d for d in ledger.decisions(subject=carrier.id) if d.kind == "flag" and "phrases" in d.reason]
            shown = next(d for d in overview(ledger, folder.open_repository()).designs if d.id == carrier.id)
            assert len(flags) == 1
        assert any("phrases of search streams" in why for why in shown.why)
