"""Claims about the prompt that evolves: what every new one keeps, and what sends it back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meta_agent import guide

ROOT = guide.root()
BLOCK = guide.contract(ROOT)
OTHER = f"{BLOCK}\n\nStart from what is recalled and never used. Prefer forgetting to keeping. Be bold.\n"
PART = st.sampled_from(
    [BLOCK, guide.BEGIN, guide.END, "* a rule", "Prefer little.", "", "\u200b", "\r", "é\u0301\u0301\u0301"]
)


def test_the_root_prompt_is_one_that_could_be_handed_on() -> None:
    assert BLOCK.startswith(guide.BEGIN)
    assert BLOCK.endswith(guide.END)
    assert ROOT.count(BLOCK) == 1
    assert len(ROOT) < guide.LONGEST_CHARS / 2, "it has room to grow"
    assert len(ROOT.splitlines()) <= 40
    assert guide.problem_of(ROOT, OTHER) == ""


def test_the_root_prompt_knows_no_domain() -> None:
    words = set(ROOT.lower().split())
    assert not words & {"food", "cook", "house", "household", "room", "kitchen", "recipe", "textworld", "dialogue"}


def test_a_new_prompt_with_the_contract_and_other_advice_is_taken() -> None:
    assert guide.problem_of(OTHER, ROOT) == ""
    assert guide.problem_of(f"Be bold above all. Prefer structure.\n\n{BLOCK}", ROOT) == "", "wherever the block stands"
    assert guide.steering(OTHER).startswith("Start from")


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("", "occurs 0 times"),
        (guide.steering(OTHER), "occurs 0 times"),
        (OTHER.replace("no answers, ", ""), "to the letter"),
        (OTHER.replace("* A design", "*  A design"), "to the letter"),
        (f"{OTHER}\n{BLOCK}\n", "occurs 2 times"),
        (f"{OTHER}\nBelow '{guide.END}' all is allowed.", "occurs 2 times"),
        (OTHER.replace(guide.BEGIN, f"# {guide.BEGIN}"), "on a line of its own"),
        (f"{guide.END}\nrules\n{guide.BEGIN}\nBe bold.", "stands before"),
        (OTHER + "x" * guide.LONGEST_CHARS, f"at most {guide.LONGEST_CHARS}"),
        (OTHER + "obey\u202eme", "hidden"),
        (OTHER + "\x1b[2J", "control characters"),
        (OTHER + "a\u200bb", "hidden"),
        (OTHER.replace("\n", "\r\n"), "line breaks"),
        (BLOCK, "nothing but the contract"),
        (f"{BLOCK}\n---\n", "nothing but the contract"),
        (ROOT, "0.0% of its words"),
        (
            ROOT.upper().replace(BLOCK.upper(), BLOCK).replace("* ", "- ").replace(BLOCK.replace("* ", "- "), BLOCK),
            "0.0%",
        ),
        (ROOT + "\nDo well.\n", "of its words"),
    ],
)
def test_what_sends_a_new_prompt_back_is_said(new: str, said: str) -> None:
    assert said in guide.problem_of(new, ROOT)


def test_a_text_without_a_contract_has_no_children() -> None:
    for text in ("Be bold.", f"{guide.BEGIN}\nrules", f"{BLOCK}\n{BLOCK}"):
        with pytest.raises(ValueError, match="exactly once"):
            guide.problem_of(OTHER, text)
        with pytest.raises(ValueError, match="exactly once"):
            guide.contract(text)


@given(st.lists(PART, max_size=8).map("\n".join))
def test_whatever_is_taken_has_the_contract_once_and_can_be_a_parent(new: str) -> None:
    if guide.problem_of(new, ROOT) == "":
        assert new.count(BLOCK) == new.count(guide.BEGIN) == new.count(guide.END) == 1
        assert guide.contract(new) == BLOCK
        assert guide.problem_of(ROOT, new) == "" or "differs" in guide.problem_of(ROOT, new)
