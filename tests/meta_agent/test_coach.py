"""Claims about what a search learns of itself: it repeats, survives a stop, and no judge overrules a measurement."""

from __future__ import annotations

import json
from concurrent.futures import Future
from itertools import count
from pathlib import Path

import pytest
from llm_answers import NOTEBOOK, written
from model_runs import RULES, TINY, configured, drive
from small_runs import PROJECT, SMALL, archive_of, finish

from archive.ledger import Ledger
from archive.search_book import InsightRow, PromptRow, SearchBook
from meta_agent import guide
from meta_agent.config import Config, load
from meta_agent.errors import Interrupted
from meta_agent.run import RunFolder
from sandbox.calls import Call, Reply
from sandbox.gateway import Gateway
from sandbox.mock_llm import serve
from sandbox.mock_script import Rule, Script

pytestmark = pytest.mark.usefixtures("trusted")


@pytest.fixture(scope="module")
def evolving() -> Config:
    """A small run whose prompts evolve, without a model."""
    return load(PROJECT / "configs" / "quickstart.yaml", (*SMALL, "search.prompts.policy=tree"))


def learned(path: Path) -> tuple[tuple[PromptRow, ...], tuple[InsightRow, ...], dict[str, dict[str, float]]]:
    """Prompts, insights, and what the prompts are worth."""
    file = RunFolder(path).ledger
    with SearchBook(file, read_only=True) as book, Ledger(file, read_only=True) as ledger:
        return book.prompts(), book.insights(), json.loads(ledger.meta("prompts") or "{}")


def test_a_stopped_and_resumed_run_has_the_tree_of_an_undisturbed_one(evolving: Config, tmp_path: Path) -> None:
    finish(tmp_path / "whole", evolving)
    for stop in (9, 14, 11):
        calls = count()
        with pytest.raises(Interrupted):
            finish(tmp_path / "stopped", evolving, lambda calls=calls, stop=stop: next(calls) > stop)  # type: ignore[misc]
    finish(tmp_path / "stopped", evolving)
    assert learned(tmp_path / "stopped") == learned(tmp_path / "whole")
    assert archive_of(tmp_path / "stopped") == archive_of(tmp_path / "whole")
    prompts, insights, worth = learned(tmp_path / "whole")
    assert len(prompts) >= 3
    assert len(insights) >= 1
    assert sum(told["visits"] for told in worth.values()) == max(told["beneath"] for told in worth.values()) >= 9


STEERING = [
    "Look first at what is recalled and never used, and store less of it.",
    "Ask of each episode which earlier one it resembles, and recall that one alone.",
    "Count how often each action helped, and recall by these counts, the surest first.",
    "Merge whatever says the same twice, and forget what was wrong twice.",
]
PLANS = {
    "operations": [
        {"kind": "add", "insights": [], "lessons": [1], "text": "Count first.", "situation": "", "helps": True}
    ]
}


def rules(preferred: str) -> tuple[Rule, ...]:
    """Models of a run: a judge that prefers the same place, always, and one lesson of each comparison."""
    verdicts = [
        {
            "criteria": [{"name": "use", "weight": 1.0, "first": 5.0, "second": 5.0}],
            "critique": "One of them counts.",
            "preferred": preferred,
            "lessons": [{"text": "Counting helps.", "situation": "where much is repeated"}],
            "prompt": f"{guide.contract(guide.root())}\n\n{text}\n",
        }
        for text in STEERING
    ]
    sources = [NOTEBOOK.replace("episode.goal", f"episode.goal * {n}") for n in range(1, 40)]
    writing = Rule(
        model="meta", when="(?m)^Write the design", replies=tuple(json.dumps(written(s)) for s in sources), by="order"
    )
    judge = Rule(model="judge", when="^Compare the two", replies=tuple(map(json.dumps, verdicts)), by="order")
    return (writing, judge, Rule(model="judge", reply=json.dumps(PLANS)), *RULES)


def judged(url: str, *overrides: str) -> Config:
    prices = "input_dollars: 1.0, output_dollars: 4.0"
    judge = f"models.judge={{model: openai/judge, api_base: '{url}', max_tokens: 4000, {prices}}}"
    tree = ("search.prompts.policy=tree", "search.prompts.expansions=2", "budget={evaluations: 26, wall_seconds: null}")
    return configured(url, *TINY, *tree, judge, *overrides)


def test_a_judge_that_always_prefers_one_place_does_not_change_which_prompt_is_worth_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = Gateway.submit

    def in_turn(gateway: Gateway, call: Call) -> Future[Reply]:
        future = submit(gateway, call)
        future.exception()  # waits: replies are given in the order of asking, which is to be that of each run
        return future

    monkeypatch.setattr(Gateway, "submit", in_turn)
    best = {}
    for preferred in ("second", "first", "tie"):
        with serve(Script(rules=rules(preferred))) as server:
            drive(tmp_path / preferred, judged(server.url))
            assert server.count(model="judge") >= 2
        prompts, insights, worth = learned(tmp_path / preferred)
        assert {row.origin for row in prompts} == {"the first prompt", "One of them counts."}
        assert any("Count" in row.content for row in insights)
        best[preferred] = max(worth, key=lambda name: worth[name]["mean"])
    assert len(set(best.values())) == 1


def test_a_judge_that_talks_nonsense_costs_its_calls_and_nothing_else(tmp_path: Path) -> None:
    prose = (rules("tie")[0], Rule(model="judge", reply="Both are lovely."), *RULES)
    with serve(Script(rules=prose)) as server:
        drive(tmp_path / "run", judged(server.url))
        assert server.count(model="judge") >= 2
    prompts, insights, _ = learned(tmp_path / "run")
    assert [row.content for row in prompts] == [guide.root()]
    assert insights == ()
