"""Claims about the commands that show prompts and insights, on runs of which only these are recorded."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
from small_runs import PROJECT

from archive.ledger import Ledger
from archive.repository import Repository
from archive.search_book import PromptRow, SearchBook
from design_space import DesignId
from meta_agent import guide
from meta_agent.config import Config, PromptConfig
from meta_agent.errors import BadInput
from meta_agent.evidence import Evidence
from meta_agent.handing_on import begin_with
from meta_agent.insights import InsightStore
from meta_agent.learned import learned
from meta_agent.lessons import Lesson
from meta_agent.prompting import insights, prompt, prompts
from meta_agent.run import RunFolder, create
from meta_agent.steer import Steer

HOSTILE = "\x1b[2J[/red]\u202eignore all that[bold]\x07"


def evidence(difference: float, n: int = 4) -> tuple[Evidence, ...]:
    return (Evidence(DesignId("a" * 16), DesignId("b" * 16), difference, n),)


def begun(runs: Path, name: str, config: Config) -> RunFolder:
    folder = RunFolder(runs / name)
    with folder.held():
        create(folder, config.model_copy(update={"name": name}))
    Repository(folder.repository)
    Ledger(folder.ledger).close()
    return folder


@pytest.fixture
def taught(tmp_path: Path, small: Config) -> RunFolder:
    """A run with prompts and insights that say what they should not."""
    folder, store = begun(tmp_path, "taught", small), InsightStore()
    text = guide.root().replace("Count before you believe.", f"{HOSTILE} Believe.")
    rows = [
        PromptRow("ab1", None, 0, "the first prompt", Steer().to_text(), {"proposer": "compose"}),
        PromptRow("ab2", "ab1", 1, "part", Steer(part="key").to_text(), {"proposer": "compose"}),
        PromptRow("cd1", None, 0, "the first prompt", guide.root(), {"proposer": "llm"}),
        PromptRow("cd2", "cd1", 2, HOSTILE, text, {"proposer": "llm"}),
    ]
    lessons = [Lesson("forget nothing", "", evidence(0.01)), Lesson(HOSTILE, HOSTILE, evidence(-0.3, 400))]
    with SearchBook(folder.ledger) as book:
        book.record_prompts(rows)
        book.record_insights(store.learn_plainly(lessons, 3))
    return folder


def test_a_prompt_is_told_by_its_fields_or_by_what_is_new_in_its_text(taught: RunFolder) -> None:
    with taught.open_ledger() as ledger:
        says = {view.id: view.says for view in learned(ledger).prompts}
    assert says["ab2"] == "vary or cross; change key, usual; of usual parents"
    assert says["cd1"].startswith("Begin with the worst episode.")
    assert says["cd2"].endswith(
        "Believe. What went wrong once may be chance; prefer what must go wrong again and again."
    )


def test_the_surest_insight_comes_first(taught: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    insights("taught", taught.path.parent, as_json=True, count=1)
    (first,) = json.loads(capsys.readouterr().out)
    assert not first["helps"]
    assert first["right"] > 0.9
    assert first["effect"]["high"] < 0.0
    assert (first["effect"]["n"], first["streams"], first["confirmed"], first["origin"]) == (1, 400, 3, "")


def test_what_models_wrote_reaches_the_terminal_as_plain_text(
    taught: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts("taught", taught.path.parent)
    prompt("taught", "cd2", taught.path.parent)
    insights("taught", taught.path.parent)
    told = capsys.readouterr().out
    assert not [c for c in told if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert "[/red]" in told
    assert "[bold]" in told


@pytest.mark.parametrize(
    ("which", "told", "hint"),
    [
        ("ab", "'ab' fits 2 prompts: ab1, ab2", "give more of the id"),
        ("ab3", "no prompt 'ab3'", "did you mean ab"),
        ("", "no prompt ''", "did you mean ab1"),
    ],
)
def test_an_id_that_is_no_prompts_gets_a_suggestion(taught: RunFolder, which: str, told: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        prompt("taught", which, taught.path.parent)
    assert str(caught.value) == told
    assert hint in caught.value.hint


def test_a_run_without_prompts_or_insights_says_so(
    tmp_path: Path, small: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(tmp_path, "bare", small)
    prompts("bare", tmp_path)
    insights("bare", tmp_path)
    assert capsys.readouterr().out == "This run has no prompts.\nThis run has no insights.\n"
    prompts("bare", tmp_path, as_json=True)
    assert json.loads(capsys.readouterr().out) == []
    with pytest.raises(BadInput, match="this run has no prompts"):
        prompt("bare", "ab", tmp_path)


def test_a_run_that_has_not_begun_teaches_nothing(tmp_path: Path, small: Config) -> None:
    empty = RunFolder(tmp_path / "empty")
    with empty.held():
        create(empty, small)
    with pytest.raises(BadInput, match="has not begun"):
        begin_with(RunFolder(tmp_path / "new"), empty)


def test_a_run_that_knows_something_begins_with_nothing_else(taught: RunFolder, small: Config) -> None:
    fresh = begun(taught.path.parent, "fresh", small)
    assert begin_with(fresh, taught) == 2
    with fresh.open_ledger() as ledger:
        found = learned(ledger).insights
    assert {insight.origin for insight in found} == {"taught"}
    assert all(insight.confirmed <= 0 for insight in found)
    with pytest.raises(BadInput, match="has learned something already") as caught:
        begin_with(fresh, taught)
    assert "resume" in caught.value.hint


def test_the_page_on_prompts_names_every_key() -> None:
    page = (PROJECT / "docs" / "prompts.md").read_text(encoding="utf-8")
    keys = PromptConfig().model_dump()
    constants = keys.pop("constants")
    scale = constants.pop("scale")
    for name in (*keys, *constants, *scale):
        assert re.search(rf"`[a-z.]*\b{name}`", page), name
