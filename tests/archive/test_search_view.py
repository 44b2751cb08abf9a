"""Claims about what is shown of a search's prompts, read from a real ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from archive.errors import ArchiveDamaged
from archive.ledger import Ledger
from archive.records import Decision, DesignRow
from archive.search_book import PromptRow, SearchBook
from archive.search_view import STANDING, MadeDesign, PromptView, prompts_of
from archive.statistics import Interval
from design_space import DesignId

ROWS = [
    PromptRow("aa", None, 0, "the first prompt", "Look.", {"proposer": "compose"}),
    PromptRow("bb", None, 0, "the first prompt", "Write.", {"proposer": "llm"}),
    PromptRow("ac", "aa", 1, "lesson", "Look closer.", {"proposer": "compose"}),
    PromptRow("ad", "aa", 2, "lesson", "Look twice.", {"proposer": "compose"}),
    PromptRow("ae", "ac", 3, "\x1b[31mlesson", "Look\u202e thrice.\nAnd again.", {"proposer": "compose"}),
]
KNOWN = {"visits": 4, "failures": 1, "beneath": 6, "mean": 0.01, "sd": 0.02}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def shown(file: Path, standing: object = None) -> dict[str, PromptView]:
    with Ledger(file) as ledger, SearchBook(file) as book:
        book.record_prompts(ROWS)
        if standing is not None:
            ledger.set_meta(STANDING, json.dumps(standing))
        return {view.id: view for view in prompts_of(ledger, book.prompts(), {"ae": "says\x07 it"})}


def test_prompts_come_as_a_tree_for_each_proposer(file: Path) -> None:
    found = shown(file)
    assert [(view.id, view.depth) for view in found.values()] == [("aa", 0), ("ac", 1), ("ae", 2), ("ad", 1), ("bb", 0)]
    assert found["aa"].children == ("ac", "ad")
    assert found["bb"].proposer == "llm"
    assert found["ae"].parent == "ac"


def test_a_value_has_its_interval_and_is_unknown_until_it_was_told(file: Path) -> None:
    found = shown(file, {"aa": KNOWN | {"more": "of a later program"}})
    assert found["aa"].value == Interval(0.01, pytest.approx(-0.0292), pytest.approx(0.0492), 4)
    assert (found["aa"].visits, found["aa"].failures, found["aa"].beneath) == (4, 1, 6)
    assert (found["ac"].visits, found["ac"].value) == (None, None)


@pytest.mark.parametrize(
    "standing", [{"aa": KNOWN | {"visits": -1}}, {"aa": {"visits": 1}}, {"aa": KNOWN | {"sd": "0"}}]
)
def test_what_was_not_written_by_a_run_is_damage(file: Path, standing: object) -> None:
    with pytest.raises(ArchiveDamaged, match="'prompts' of the run"):
        shown(file, standing)


def test_the_designs_of_a_prompt_are_found_by_the_decisions(file: Path) -> None:
    design = DesignId("d" * 16)
    with Ledger(file) as ledger:
        ledger.record_generation(
            designs=[DesignRow(design, 0, "key\x1b[2Jed", "c" * 40, 1)],
            decisions=[
                Decision(1, "parent", "drew", design),
                Decision(1, "prompt", "made by prompt ac", design, {"prompt": "ac", "block": "1/0", "given": None}),
            ],
        )
    found = shown(file)
    assert found["ac"].designs == (MadeDesign(design, "key ed"),)
    assert found["aa"].designs == ()


def test_what_models_wrote_is_safe_to_show(file: Path) -> None:
    odd = shown(file)["ae"]
    assert odd.origin == "lesson"
    assert odd.says == "says it"
    assert odd.content == "Look\ufffd thrice.\nAnd again."
