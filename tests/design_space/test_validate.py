"""Claims about what the static checks say, and that nothing makes them fail themselves."""

from __future__ import annotations

import sys
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from design_space import Choice, Float, Int, catalogue
from design_space.compose import read
from design_space.validate import MAX_PROBLEMS, Problem, class_name, space_of, validate

HEAD = "from design_space import Choice, Float, Int, Item, Memory, Recall, Space\n"
BODY = """
class Good(Memory):
    {extra}
    def retrieve(self, query):
        return Recall()
    def update(self, episode):
        pass
"""


def source(before: str = "", extra: str = "pass", after: str = "") -> str:
    """A design with something added; what is added begins at line 2, 4 or 9."""
    return HEAD + before + BODY.format(extra=extra) + after


def messages(text: str) -> list[str]:
    return [str(problem) for problem in validate(text)]


def test_a_good_design_has_no_problem() -> None:
    assert validate(source()) == ()
    assert class_name(source()) == "Good"


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("os", "kit.folder"),
        ("os.path", "kit.folder"),
        ("sys", "no processes"),
        ("subprocess", "no processes"),
        ("time", "there is no clock"),
        ("socket", "no network"),
        ("urllib.request", "no network"),
        ("ctypes", "machinery"),
        ("threading", "one thread"),
        ("random", "self.kit.rng"),
        ("pickle", "snapshot"),
        ("sklearn.cluster", "not installed"),
        ("design_space.catalogue", "does not hold other designs"),
        ("sandbox.guest.host", "sees design_space only"),
        ("antigravity", "A design may import"),
    ],
)
def test_imports_are_refused_with_the_reason(module: str, reason: str) -> None:
    (told,) = messages(source(f"import {module}"))
    assert told.startswith(f"line 2: `import {module}` is not allowed")
    assert reason in told
    (told,) = messages(source(f"from {module} import x"))
    assert told.startswith(f"line 2: `from {module} import x` is not allowed")


@pytest.mark.parametrize(
    "line",
    [
        "from __future__ import annotations",
        "import re, json, math, collections.abc, dataclasses, heapq, zlib, hashlib",
        "import numpy as np",
        "from numpy.typing import NDArray",
        "from design_space.parts import Cosine, TrajectoryEncoder",
        "from design_space.text import words",
        "from design_space import parts",
        "from design_space import *",
        "from datetime import datetime\nD = datetime.fromisoformat('2024-01-01')",
        "import numpy as np\ndef f(rng: np.random.Generator): return rng",
        "import re\nP = re.compile('x')",
        "def f(kit): return open(kit.folder / 'notes')",
    ],
)
def test_what_a_design_needs_is_allowed(line: str) -> None:
    assert messages(source(line)) == []


# ruff: noqa: E501 - one case a line
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def f(:\n", "line 1: syntax error: invalid syntax in 'def f(:'"),
        ("x = (\n", "line 1: syntax error: '(' was never closed in 'x = ('"),
        ("", "no concrete subclass of Memory"),
        ("class A:\n    pass\n", "no concrete subclass of Memory"),
        (source(after="class More(Good):\n    pass\nclass Other(Good):\n    pass\n"), "more than one concrete subclass"),
        (HEAD + "class A(Memory):\n    def retrieve(self, q): ...\n", "line 2: class A does not define update(self, episode)"),
        (HEAD + "class A(Memory):\n    def update(self, e): ...\n", "line 2: class A does not define retrieve(self, query)"),
        ("from design_space.parts import ModularMemory\nclass A(ModularMemory): ...\n", "does not define compose(self, p)"),
        ("class A(Memory):\n    def retrieve(self, q): ...\n    def update(self, e): ...\n", "line 1: `Memory` is not imported"),
        ("from . import x\n" + source(), "line 1: a relative import"),
        (source("from design_space.parts import Cosin"), "has no `Cosin`; did you mean `Cosine`?"),
        (source("from design_space import Cosine"), "has no `Cosine`; it is in design_space.parts"),
        (source("from design_space import catalogue"), "is not allowed"),
        (source("x = eval('1')"), "line 2: `eval()` is not allowed"),
        (source("exec('import os')"), "`exec()` is not allowed"),
        (source("m = __import__('os')"), "`__import__()` is not allowed"),
        (source("breakpoint()"), "nobody answers"),
        (source("import datetime\nd = datetime.datetime.now()"), "line 3: `now` of datetime is not allowed"),
        (source("import numpy as np\nr = np.random.rand(3)"), "line 3: `np.random.rand` is not allowed; chance comes"),
        (source("from numpy.random import default_rng"), "self.kit.rng"),
        (source("from numpy import random"), "self.kit.rng"),
        (source(extra='RETRIEVE = "always"'), "line 4: RETRIEVE is not a literal"),
        (source(extra='RETRIEVE = "st" + "ep"'), "RETRIEVE is not a literal"),
        (source(extra="SPACE = dict(k=3)"), "line 4: SPACE is not a Space(...) call with literal ranges"),
        (source(extra="SPACE = Space(k=3)"), "parameter 'k' is no Int, Float or Choice"),
        (source(extra="SPACE = Space(k=Int(1, 20, 99))"), "default of parameter 'k': 99 is not a whole number in [1, 20]"),
        (source(extra="SPACE = Space(k=Int(1, 20))"), "missing a required argument: 'default'"),
        (source(extra="SPACE = Space(k=Int(1, 2.5, 2))"), "are to be whole numbers"),
        (source(extra="SPACE = Space(k=Float(0, N, 0))"), "is not literal"),
        (source(extra="SPACE = Space(k=Float(0, 1e999, 0))"), "2**53"),
        (source(extra="SPACE = Space(k=Float(0, 1, 0.5, log=True))"), "is not positive where log=True"),
        (source(extra="SPACE = Space(k=Float(2, 1, 1))"), "low is above high"),
        (source(extra="SPACE = Space(k=Choice((), 1))"), "tuple of plain values"),
        (source(extra="SPACE = Space(k=Choice(('a', 'b'), 'c'))"), "'c' is not one of 'a', 'b'"),
        (source(extra="SPACE = Space(kit=Int(1, 2, 1))"), "cannot be named 'kit'"),
        (source(extra="SPACE = Space(**{})"), "SPACE is not a Space(...) call"),
        (source(extra="def __init__(self): ..."), "__init__ cannot be called with a kit"),
        (source(extra="def __init__(self, kit, k): ..."), "__init__ wants 'k'"),
        (source(extra="SPACE = Space(k=Int(1, 2, 1))\n    def __init__(self, kit): ..."), "does not take the parameter 'k'"),
        (source(extra="def snapshot(self): ..."), "defines snapshot but not restore(self, snapshot)"),
        (source(extra="def observe(self): ..."), "observe takes (self, step), this one takes (self)"),
        (source(extra="def tools(self, extra): ..."), "tools takes (self), this one takes (self, extra)"),
        (HEAD + "\0", "line 2: the source holds a NUL character"),
        ("x" * 200_001, "the source has 200,001 characters, at most 200,000 are taken"),
        ("x = 1\n" + "y" * 10_001, "line 2: a line of 10,001 characters"),
        ("x = '\ud800'", "the source is no text"),
        ("class A: pass\n" * 101, "101 classes"),
    ],
)  # fmt: skip
def test_a_broken_source_is_told_what_to_mend(text: str, told: str) -> None:
    assert any(told in message for message in messages(text)), messages(text)


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("def retrieve(self): ...", "retrieve takes (self, query), this one takes (self)"),
        ("def retrieve(self, query, k): ...", "retrieve takes (self, query), this one takes (self, query, k)"),
        ("def retrieve(self, query, *, k): ...", "this one takes (self, query, *, k)"),
        ("async def retrieve(self, query): ...", "retrieve is async, nobody awaits it"),
        ("@staticmethod\n    def retrieve(query): ...", "retrieve is to be a plain method"),
        ("def retrieve(self, query, k=5): ...", None),
        ("def retrieve(self, *args): ...", None),
        ("def retrieve(self, q, /): ...", None),
        ("retrieve = lambda self, query: None", None),
    ],
)
def test_methods_are_called_in_one_way(method: str, told: str | None) -> None:
    text = f"{HEAD}class A(Memory):\n    {method}\n    def update(self, episode): ...\n"
    found = messages(text)
    assert (found == []) if told is None else any(told in message for message in found), found


def test_helpers_and_bases_of_the_module_count() -> None:
    text = HEAD + textwrap.dedent("""
        from abc import abstractmethod
        class Mixin:
            def update(self, episode): ...
        class Base(Memory):
            SPACE = Space(k=Int(1, 9, 3))
            @abstractmethod
            def score(self): ...
            def retrieve(self, query): ...
        class Final(Mixin, Base):
            def score(self): ...
    """)
    assert messages(text) == []
    assert class_name(text) == "Final"
    assert dict(space_of(text) or {}) == {"k": Int(1, 9, 3)}
    unfinished = text.removesuffix("    def score(self): ...\n") + "    pass\n"
    assert any("Final does not define score" in message for message in messages(unfinished))


def test_aliases_are_followed() -> None:
    text = (
        source().replace("Memory, Recall, Space", "Memory as M, Recall, Space as S, Space").replace("(Memory)", "(M)")
    )
    text = text.replace("    pass\n    def retrieve", "    SPACE = S(k=Int(1, 4, 2))\n    def retrieve")
    assert messages(text) == []
    assert list(space_of(text) or ()) == ["k"]
    dotted = "import design_space as ds\n" + source().removeprefix(HEAD).replace("(Memory)", "(ds.Memory)")
    assert messages(dotted.replace("    pass\n    def r", "    SPACE = ds.Space(k=ds.Int(1, 4, 2))\n    def r")) == []


def test_space_is_read_from_literals() -> None:
    extra = (
        "SPACE: ClassVar[Space] = Space(a=Int(1, 20, default=5, log=True), b=Float(-1, +1.5, -0.5),"
        " c=Choice(('x', 'y'), 'y'), d=Choice([False, True], True))"
    )
    space = space_of(source("from typing import ClassVar", extra))
    assert space is not None
    assert dict(space) == {
        "a": Int(1, 20, 5, log=True),
        "b": Float(-1, 1.5, -0.5),
        "c": Choice(("x", "y"), "y"),
        "d": Choice((False, True), True),
    }
    assert space_of(source()) is None
    assert space_of(source(extra="SPACE = Space(k=Int(1, 20, 99))")) is None
    assert space_of("def (") is None


def test_nothing_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    text = source(f"from pathlib import Path\nPath({str(mark)!r}).touch()\nraise SystemExit")
    assert validate(text) == ()
    space_of(text)
    class_name(text)
    assert not mark.exists()


def test_composed_designs_validate() -> None:
    genome = read(catalogue.load("exprag"))
    assert genome is not None
    composed = genome.design().source
    assert messages(composed) == []
    assert set(space_of(composed) or ()) > {"recall_count"}


def test_messages_are_few_and_short() -> None:
    text = "".join(f"import {'x' * 500}{i}\n" for i in range(300))
    found = validate(text)
    assert len(found) == MAX_PROBLEMS
    assert max(len(problem.message) for problem in found) < 500


DEEP = {
    "minus": "x = " + "-" * 9_000 + "1",
    "not": "x = " + "not " * 2_000 + "1",
    "attributes": "x = a" + ".a" * 4_000,
    "sums": "x = 1" + "+1" * 4_000,
    "calls": "x = a" + "()" * 4_000,
    "brackets": "x = " + "[" * 9_000,
    "braces": "x = " + "{1:" * 150 + "-" * 5_000 + "1" + "}" * 150,
    "else_if": "if a:\n pass\n" + "elif a:\n pass\n" * 12_000,
    "lambdas": "x = " + "lambda:" * 1_400 + "1",
    "conditions": "x = " + "a if a else " * 800 + "a",
    "indents": "\n".join(" " * i + "if a:" for i in range(150)),
    "digits": "x = " + "9" * 9_000,
    "classes": "\n".join(" " * i + f"class A{i}:" for i in range(120)),
    "base_chain": HEAD + "class A0(Memory): pass\n" + "".join(f"class A{i}(A{i - 1}): pass\n" for i in range(1, 99)),
    "own_base": HEAD + "class A(A): pass\nclass B(C): pass\nclass C(B): pass\n",
    "huge_range": source(extra=f"SPACE = Space(k=Int(1, {'9' * 400}, 2), f=Float(0, 1, {'9' * 400}))"),
    "deep_space": source(extra=f"SPACE = Space(k=Int({'-' * 300}1, 2, 2))"),
    "statements": "pass\n" * 39_000,
}


@pytest.mark.parametrize("kind", DEEP)
def test_the_absurd_is_survived(kind: str) -> None:
    found = validate(DEEP[kind])
    assert found
    assert all(isinstance(problem, Problem) for problem in found)
    space_of(DEEP[kind])
    class_name(DEEP[kind])


FRAGMENTS = st.sampled_from(
    [
        *(HEAD, "class A(Memory):\n", "    def retrieve(self, query): ...\n", "    def update(self, episode): ...\n"),
        *("    SPACE = Space(k=Int(1, 2, 1))\n", "    RETRIEVE = 'step'\n", "import os\n", "@property\n", "async "),
        *("from . import x\n", "try:\n", "    pass\n", "except:\n", "*a, ", "(", ")", ":", "\n", "    ", "lambda: "),
        *("f'{'", "=", "\\\n"),
    ]
)


@given(
    st.text() | st.lists(FRAGMENTS).map("".join) | st.text(alphabet="()[]{}:=.,\n \t'\"\\#@lambdefclass", max_size=80)
)
@example("\x0c")
@example("# -*- coding: utf-7 -*-\n+AAo-")
@example("class A(Memory[x]): SPACE = Space(k=Int(*a))")
@example("class A(Memory): SPACE: Space")
def test_no_text_makes_it_raise(text: str) -> None:
    assert all(isinstance(problem, Problem) and str(problem) for problem in validate(text))
    space_of(text)
    class_name(text)


def test_real_modules_are_read_without_raising() -> None:
    """Large and varied Python: some of the standard library."""
    folder = Path(next(path for path in sys.path if (Path(path) / "argparse.py").is_file()))
    for name in ("argparse", "typing", "dataclasses", "enum", "inspect", "ast"):
        assert validate((folder / f"{name}.py").read_text())


@pytest.mark.parametrize(
    "declared",
    ["# coding: utf-7", "# -*- coding: rot13 -*-", "\n# vim: set fileencoding=latin-1 :", "\f# coding=utf-16"],
)
def test_a_source_that_a_file_would_read_otherwise_is_refused(declared: str) -> None:
    """In a file, this would be other code than what was checked and played."""
    assert "wanted UTF-8" in str(messages(f"{declared}\n{source()}"))


@pytest.mark.parametrize(
    "declared",
    ["# coding: utf-8", "# -*- coding: UTF_8 -*-", "x = 1\n# coding: utf-7", "# encodings: plain", "#\n#\n# coding: x"],
)
def test_a_source_that_is_utf_8_is_not(declared: str) -> None:
    assert messages(f"{declared}\n{source()}") == []


@pytest.mark.parametrize("option", ["0x" + "f" * 5_000, "2**60", "1e999", "'\\ud800'", f"'{'x' * 300}'"])
def test_an_option_that_cannot_be_written_down_is_told(option: str) -> None:
    text = source(extra=f"SPACE = Space(k=Choice(({option}, 1), 1))")
    assert "parameter 'k' of SPACE" in str(messages(text))
    assert space_of(text) is None


def test_many_bases_are_read_in_time() -> None:
    """Each class is looked at many times: what takes square time for one takes ten seconds for all."""
    bases = "\n".join(",".join(["B"] * 2_000) + "," for _ in range(48))
    began = time.process_time()
    validate(source(after=f"\nclass Wide(\n{bases}\n): pass\n"))
    assert time.process_time() - began < 3.0


def test_code_that_is_too_deep_to_be_handled_elsewhere_is_told_where() -> None:
    for deep, line in (("x = " + "+".join("1" * 200), 2), ("if x: pass\n" + "elif x: pass\n" * 200, None)):
        (problem,) = validate(source(f"{deep}\n"))
        assert "levels deep" in problem.message
        assert problem.line == line or line is None
