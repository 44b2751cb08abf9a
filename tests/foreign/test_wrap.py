"""Claims about the module that a foreign file is wrapped into, and about what is said of files that do not fit."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from foreign_files import HERE, design_of, text_of
from hypothesis import given
from hypothesis import strategies as st

from archive.inline import inline
from design_space.foreign import wrap
from design_space.validate import class_name, validate
from meta_agent.errors import BadInput
from meta_agent.single import read_design

FITTING = sorted(file.stem for file in HERE.glob("*_*.py") if file.stem.startswith(("alma", "evolvelab")))
FITTING.remove("alma_broken")
ALMA = "from agents.memo_structure import MemoStructure\nclass A(MemoStructure):\n{body}"
BODY = "    async def general_retrieve(self, r): pass\n    async def general_update(self, r): pass\n"


@pytest.mark.parametrize("name", FITTING)
def test_a_wrapped_file_is_a_valid_design_and_holds_the_text_byte_for_byte(name: str) -> None:
    design = design_of(name)
    assert validate(design.source) == ()
    assert class_name(design.source) == "Foreign"
    assert wrap.unwrap(design.source) == (name.partition("_")[0], text_of(name))
    assert text_of(name) in design.source, "it can be read, and compared line by line"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
def test_any_text_travels_byte_for_byte(tail: str) -> None:
    literal = wrap._literal(tail)
    assert ast.literal_eval(literal) == tail


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("quote", ["'''", '"""', "'''\n# \"\"\"", "\\"])
def test_line_ends_and_quotes_travel(tmp_path: Path, end: str, quote: str) -> None:
    text = ALMA.format(body=BODY + f"# {quote}\n").replace("\n", end)
    (tmp_path / "odd.py").write_bytes(text.encode())
    assert wrap.unwrap(read_design(tmp_path / "odd.py", "alma").source) == ("alma", text)


@pytest.mark.parametrize("name", FITTING)
def test_a_wrapped_design_becomes_one_module_for_export(name: str) -> None:
    text = inline(design_of(name).source)
    assert "design_space.foreign" not in {
        node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)
    }


@pytest.mark.parametrize(
    ("style", "text", "told"),
    [
        ("alma", text_of("alma_broken"), "line 5: class Half does not define general_update; write `async def"),
        ("alma", "class A: pass", "no subclass of MemoStructure"),
        ("alma", text_of("evolvelab_cases"), "no subclass of MemoStructure"),
        ("evolvelab", text_of("alma_graph"), "no subclass of BaseMemoryProvider"),
        ("alma", "def f(:", "line 1: syntax error"),
        ("alma", ALMA.format(body=BODY + "    def __init__(self, size): pass\n"), "wants 'size'"),
        ("evolvelab", text_of("evolvelab_asker").replace("config=None", "settings=None"), "does not take 'config'"),
    ],
)
def test_what_does_not_fit_is_told(style: wrap.Style, text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(BadInput, match=r"is not a memory") as caught:
        read_design(tmp_path / "bad.py", style)
    assert told in str(caught.value)


def test_of_several_classes_the_alphabetically_first_is_named() -> None:
    assert wrap.examine("alma", text_of("alma_advisor"))[1] == ("Advisor", "Beginner")
    assert "there are also Beginner" in design_of("alma_advisor").source


def test_a_wrapper_whose_text_was_broken_by_hand_is_no_valid_design() -> None:
    source = design_of("alma_graph").source
    told = validate(source.replace("async def general_update", "async def generally_update"))
    assert ["does not define general_update" in problem.message for problem in told] == [True]
    assert "not a literal" in validate(source[: source.index("r'''")] + "open('x').read()\n")[0].message


def test_what_the_sandbox_must_hold_is_read_off_the_imports() -> None:
    assert wrap.extras_of(design_of("alma_graph").source) == ("foreign", "networkx")
    assert wrap.extras_of(design_of("alma_advisor").source) == ("foreign",)
    assert wrap.extras_of("from design_space import Memory") == ()
