"""Claims about what counts as the same design."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import archive.novelty
from archive.inline import inline
from archive.novelty import Seen, fingerprint, similarity
from design_space import DesignId
from design_space.source import Problem, read

SOURCE = '''
"""A memory of items."""
import numpy as np
from design_space import Item, Memory, Recall, Space, Int


class Items(Memory):
    """Keeps items."""

    SPACE = Space(k=Int(1, 9, 3))

    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self._items = []
        self.limit = 100

    def retrieve(self, query):
        """Best first."""
        def score(item):
            return item.value * factor
        factor = 2.0  # twice
        found = sorted(self._items, key=lambda item: -score(item))
        return Recall(tuple(x for x in found if x.text)[: self.params["k"]])

    def update(self, episode):
        for number, step in enumerate(episode.steps):
            self._items.append(_item(number, step.action))


def _item(number, text):
    return Item(str(number), text)
'''


def changed(*pairs: tuple[str, str]) -> str:
    text = SOURCE
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    "same",
    [
        changed(
            ("  # twice", ""), ('"""Best first."""', '"""Worst last; _items."""'), ('"""A memory of items."""', "")
        ),
        changed(("\n\n", "\n\n\n"), ("2.0", "( 2.0 )"), ('["k"]', "['k']")),
        changed(("_items", "_store"), ("_item(", "_make(")),
        changed(("found", "ranked"), ("query", "question"), ("episode", "trial")),
        changed(
            ("lambda item: -score(item)", "lambda i: -rate(i)"),
            ("def score(item)", "def rate(entry)"),
            ("item.v", "entry.v"),
        ),
        changed(("x for x in found if x.text", "y for y in found if y.text")),
        changed(("def retrieve(self, query):", "def retrieve(self, query: object) -> Recall:")),
    ],
)
def test_cosmetic_changes_are_no_new_design(same: str) -> None:
    assert fingerprint(same) == fingerprint(SOURCE)


@pytest.mark.parametrize(
    "different",
    [
        changed(("2.0", "2.5")),
        changed(("2.0", "2")),
        changed(("-score", "+score")),
        changed(("self.limit", "self.bound")),
        changed(("class Items", "class Things")),
        changed(('["k"]', '["n"]')),
        changed(("append(_item(number, step.action))", "append(_item(step.action, number))")),
        changed(("if x.text", "if found")),
        changed(("item.value * factor", "factor.value * item")),
        changed(("def update", "def observe")),
        changed(("import numpy as np", "import numpy as random")),
    ],
)
def test_changes_of_meaning_are_new_designs(different: str) -> None:
    assert fingerprint(different) != fingerprint(SOURCE)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("def f(a, b): return a - b\nf(a=1, b=2)", "def f(b, a): return b - a\nf(a=1, b=2)"),
        ("class M:\n def __init__(self, k, n): self.x = k", "class M:\n def __init__(self, n, k): self.x = n"),
        (
            "class M:\n def f(self):\n  self._a = 1; self._b = 2\n  return getattr(self, '_a')",
            "class M:\n def f(self):\n  self._b = 1; self._a = 2\n  return getattr(self, '_a')",
        ),
        ("def f():\n a = 1; b = 2\n return locals()['a']", "def f():\n b = 1; a = 2\n return locals()['a']"),
        ("def f():\n global a\n a = 1", "def f():\n global b\n b = 1"),
        ("class P(Part):\n def _rank(self): return 1", "class P(Part):\n def _score(self): return 1"),
        ("import m\nm._a()", "import m\nm._b()"),
        ("def f(x):\n def g(): return x\n return g", "def f(x):\n def g(x): return x\n return g"),
        ("def f():\n x = 1\n class A:\n  x = 2\n return A", "def f():\n y = 1\n class A:\n  y = 2\n return A"),
        ("def f(x): return [x for y in x]", "def f(x): return [y for y in x]"),
        ("def f(*a): return a", "def f(**a): return a"),
        ("def f(a, /, b): return a", "def f(a, b): return a"),
        ("x = None", "x = ..."),
        ("x = 1", "x = True"),
        ("def f(): return", "def f(): return None"),
        ("f'{x!r}'", "f'{x!s}'"),
        ("x = {**a}", "x = {a: a}"),
    ],
)
def test_names_count_where_renaming_would_be_seen(a: str, b: str) -> None:
    assert fingerprint(f"{a}\nz = 1\n") != fingerprint(f"{b}\nz = 1\n")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("def f(x):\n  y = x\n  return y", "def f(a):\n  b = a\n  return b"),
        ("def f(x):\n  def g(x): return x\n  return g(x)", "def f(x):\n  def g(y): return y\n  return g(x)"),
        ("def f(xs):\n  if (n := len(xs)): return n", "def f(xs):\n  if (m := len(xs)): return m"),
        ("try: pass\nexcept E: pass", "try:\n  pass\nexcept E:\n  pass"),
        (
            "def f(v):\n  match v:\n    case [a, *r]: return a, r",
            "def f(v):\n  match v:\n    case [b, *s]: return b, s",
        ),
        ("def f():\n  try: pass\n  except E as e: raise e", "def f():\n  try: pass\n  except E as x: raise x"),
        (
            "def f():\n  n = 0\n  def g():\n    nonlocal n\n    n += 1",
            "def f():\n  m = 0\n  def g():\n    nonlocal m\n    m += 1",
        ),
    ],
)
def test_alpha_equivalent_functions_are_the_same(a: str, b: str) -> None:
    assert fingerprint(a) == fingerprint(b)


def test_parameters_count() -> None:
    assert fingerprint(SOURCE, {"k": 1}) != fingerprint(SOURCE, {"k": 2}) != fingerprint(SOURCE)
    assert fingerprint(SOURCE, {"k": 1, "n": 2}) == fingerprint(SOURCE, {"n": 2, "k": 1})
    assert fingerprint(SOURCE, {"k": True}) != fingerprint(SOURCE, {"k": 1})


def test_fingerprint_never_changes_between_versions_of_python() -> None:
    assert fingerprint(SOURCE, {"k": 3}) == "9cde93fb6c054e52ef37362bfe12825c"


def test_source_is_never_executed(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    source = f"open({str(canary)!r}, 'w')\n__import__('sys').exit(1)\n@print\nclass A: pass\n"
    fingerprint(source)
    similarity(source, source)
    assert not canary.exists()


@pytest.mark.parametrize(
    "broken",
    ["def", "x = (", "a\0b", "x = '\ud800'", "(" * 5000, "x = " + "-" * 200_000 + "1", "x" + ".y" * 50_000, "\tx\n y"],
)
def test_what_is_not_python_raises_value_error(broken: str) -> None:
    code = "import ast, sys\nfrom archive.novelty import fingerprint\nfingerprint(ast.literal_eval(sys.stdin.read()))"
    root = Path(archive.novelty.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], input=repr(broken), capture_output=True, text=True, cwd=root, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(("ValueError:", "UnicodeEncodeError:")), done.stderr[-500:]


@given(st.text(max_size=200))
def test_any_text_has_a_fingerprint_or_raises_value_error(source: str) -> None:
    with contextlib.suppress(ValueError):
        assert fingerprint(source) == fingerprint(source + "\n# comment\n")


@given(st.text(max_size=200), st.text(max_size=200))
def test_similarity_is_symmetric_and_bounded(a: str, b: str) -> None:
    assert 0.0 <= similarity(a, b) == similarity(b, a) <= 1.0
    assert similarity(a, a) == 1.0


def test_similarity_orders_sources_by_how_much_they_share() -> None:
    small = changed(("2.0", "3.0"))
    large = changed(("item.value * factor", "1"), ("self.limit = 100", ""), ("number, step", "n, s"))
    assert 1.0 > similarity(SOURCE, small) > similarity(SOURCE, large) > similarity(SOURCE, "x = 1") >= 0.0
    assert similarity(SOURCE, changed(("  # twice", ""), ("\n\n", "\n\n\n"))) == 1.0


def test_seen_remembers_the_first() -> None:
    a, b = DesignId("a" * 16), DesignId("b" * 16)
    seen = Seen([("f1", a)])
    assert (seen.add("f1", b), seen.add("f2", b)) == (a, b)
    assert (seen.lookup("f1"), seen.lookup("f2"), seen.lookup("f3")) == (a, b, None)
    assert len(seen) == 2
    assert "f1" in seen
    assert "f3" not in seen


DEEP = {
    "lambdas": lambda n: "x = " + "lambda: " * n + "1\n",
    "sums": lambda n: "x = " + "+".join("1" * n) + "\n",
    "attributes": lambda n: "x = a" + ".b" * n + "\n",
    "calls": lambda n: "x = f" + "(1)" * n + "\n",
    "signs": lambda n: "x = " + "-" * n + "1\n",
    "branches": lambda n: "if x: pass\n" + "elif x: pass\n" * n,
    "choices": lambda n: "x = " + "1 if y else " * n + "1\n",
    "functions": lambda n: "".join(f"{' ' * i}def f{i}(a):\n" for i in range(n)) + " " * n + "pass\n",
    "lists": lambda n: "x = " + "[" * n + "1" + " for a in b]" * n + "\n",
}


def _below(frames: int, text: str) -> str:
    """The module inlined, and its fingerprint, from deep in the stack."""
    return _below(frames - 1, text) if frames else fingerprint(inline(text))


@pytest.mark.parametrize("kind", DEEP)
def test_what_passes_validation_is_not_too_deep_to_be_told_apart(kind: str) -> None:
    text = next(text for n in range(100, 0, -1) if not isinstance(read(text := DEEP[kind](n)), Problem))
    assert len(_below(100, text)) == 32
