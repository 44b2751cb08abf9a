"""Claims about inlining: one module, the same behaviour, nothing executed, nothing guessed."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from archive.inline import flatten, inline
from sandbox.guest.host import MemoryHost, load

STAR = '''
"""Rules by what lies before the agent."""
from collections.abc import Mapping
from typing import Any

from design_space import *
from design_space.parts import *


class Rules(ModularMemory):
    """All parts by star import."""

    SPACE = Space(k=Int(1, 20, 8))
    RETRIEVE = "step"

    def compose(self, p: Mapping[str, Any]) -> Parts:
        return Parts((RuleEncoder(), FactEncoder()), SituationKey(), RankFusion(self.kit), QValue(), CausalCredit(),
                     MergeSimilar(), p["k"])
'''

RENAMED = '''
from design_space import Space as S
from design_space.parts import ModularMemory as Base, Parts as P, StepEncoder as Cases, Bm25
from design_space.parts.keys import BothKey
from design_space.parts.values import ImmediateCredit as Credit, Utility
import design_space.parts.managers as managers, math


class Entry:  # its own, not that of the parts
    limit = math.floor(12.5)


def _unit(x): return x  # as one of the modular memory is called


class Bm25(Bm25):
    """A better Bm25 under the same name."""

    def __init__(self, kit):
        super().__init__(kit, k1=0.9)


class Mine(Base):
    SPACE = S()

    def compose(self, p):
        from design_space.parts.managers import UtilityPruning as Prune
        Fifo = managers.Fifo(Entry.limit)  # a variable that is called like the class
        assert Prune is managers.UtilityPruning
        return P((Cases(),), BothKey(), _unit(Bm25(self.kit)), Utility(), Credit(), Fifo, 5)
'''

DOTTED = """
import design_space
import design_space.parts.retrievers
from design_space import parts, text as t


class Dotted(parts.ModularMemory):
    SPACE = design_space.Space(floor=design_space.Float(0.0, 0.5, 0.1))

    def compose(self, p):
        assert t.words(f"{t.normal('The Apple')} pie") == ("apple", "pie")
        retriever = design_space.parts.retrievers.Cosine(self.kit, **p)
        return parts.Parts((parts.TrajectoryEncoder(),), parts.GoalKey(), retriever, parts.NoValue(),
                           parts.ImmediateCredit(), parts.KeepAll())
"""

GUARDED = """
from __future__ import annotations
from typing import TYPE_CHECKING
import numpy as np
if TYPE_CHECKING:
    from design_space.parts import Entry
try:
    from design_space.parts import Recency
except ImportError:
    Recency = None
from design_space.parts import ModularMemory, Parts, ObjectKey, RuleEncoder, QValue, CausalCredit, KeepAll
from design_space import Recall


class Shuffled(ModularMemory):
    def compose(self, p):
        return Parts((RuleEncoder(),), ObjectKey(), Recency(self.kit), QValue(), CausalCredit(), KeepAll())

    def retrieve(self, query):
        items = list(super().retrieve(query).items)
        self.kit.rng.shuffle(items)
        return Recall(tuple(items))

    def first(self) -> Entry | None: return next(iter(self._entries), None)
"""

FREE = '''#!/usr/bin/env python3
# written by a model
"""Free-form: embeds, draws lots, writes files."""

import json; import os.path; LIMIT = 40  # items
import numpy as np
from design_space.memory import Item, Memory, Query, Recall, Snapshot
from design_space.space import Float, Space


class Free(Memory):
    SPACE = Space(chance=Float(0.0, 1.0, 0.3))
    RETRIEVE = "step"

    def __init__(self, kit, **params):
        super().__init__(kit, **params)
        self.rows = []

    def retrieve(self, query: Query) -> Recall:
        from design_space.text import overlap
        with open(os.path.join(self.kit.folder, "log"), "a") as file:
            file.write(json.dumps(query.goal))
        near = self.kit.embed([query.situation])[0]
        best = sorted(self.rows, key=lambda row: -float(near @ row[1]) - overlap(row[0], query.goal))
        kept = [row for row in best if self.kit.rng.random() > self.params["chance"]]
        return Recall(tuple(Item(f"i{i}", row[0], value=0.5) for i, row in enumerate(kept)))

    def observe(self, step):
        self.rows = self.rows[-LIMIT:] + [(step.action, self.kit.embed([step.situation])[0])]

    def update(self, episode):
        self.rows.append((f"{episode.goal} {episode.reward}", self.kit.embed([episode.goal])[0]))

    def snapshot(self):
        return Snapshot([row[0] for row in self.rows], {"keys": np.array([row[1] for row in self.rows])})
'''

PLAIN = """
from design_space import Item, Memory, Recall

class Plain(Memory):
    def __init__(self, kit): super().__init__(kit); self.seen = 0
    def retrieve(self, query): return Recall((Item("n", f"{self.seen} tasks", value=0.5),))
    def update(self, episode): self.seen += 1
"""

HIDING = "from numpy import max, min, sum, round\nfrom fractions import math as np\nimport numpy as math"
"""Imports that the design makes no use of, of other things than what copied code knows by these names."""

DESIGNS = {
    "star": STAR,
    "renamed": RENAMED,
    "dotted": DOTTED,
    "guarded": GUARDED,
    "free": FREE,
    "plain": PLAIN,
    "hiding": STAR.replace("from typing", f"{HIDING}\nfrom typing"),
}


def transcript(source: str, folder: Path) -> list[dict[str, Any]]:
    """Everything that a memory of this design answers to a fixed sequence of tasks."""
    folder.mkdir()
    host = MemoryHost(lambda op, arg: None, 1 << 24)
    answers = []

    def ask(op: str, arg: object) -> dict[str, Any]:
        answers.append(host.answer({"id": len(answers), "op": op, "arg": arg}))
        assert "ok" in answers[-1], answers[-1]
        return answers[-1]

    models = {"recall_chars": 1_000_000, "calls": 0, "tokens": 0, "embedder": "hashed", "dimensions": 0}
    opened = ask("open", {"source": source, "seed": 7, "folder": str(folder), "params": {}, **models})
    things = ["red apple", "green pear", "carrot", "old lamp"]
    for task in range(8):
        thing = things[task % 3]
        goal = f"bring the {thing} to the kitchen\nfry the {thing}"
        steps: list[dict[str, Any]] = []
        refs: list[list[int]] = []
        commands = (f"take {thing}", "go north", f"cook {thing} with stove", f"drop {things[task % 4]}")
        for i, command in enumerate(commands):
            held = f"carrying {thing}" if i else "carrying nothing"
            situation = f"kitchen {i % 2}\n{thing} on table\n{held}"
            history = [[s["action"], s["observation"]] for s in steps]
            if i == 0 or opened["ok"]["retrieve"] == "step":
                query = {"goal": goal, "situation": situation, "step": i, "history": history, "role": "actor"}
                refs.append([len(refs), len(ask("retrieve", query)["ok"]["items"])])
            answer = f"done with {thing} {i}\nit smells\nof {things[i]}"
            reward = 0.5 * (i == 2) + 0.25 * (task % 3 == 1)
            step = {"situation": situation, "action": command, "observation": answer, "reward": reward}
            steps.append({**step, "recall": refs[-1]})
            ask("observe", steps[-1])
        ask("update", {"id": f"e{task}", "goal": goal, "steps": steps, "reward": 0.7, "recall": refs[0]})
        ask("snapshot", None)
    return answers


@pytest.mark.parametrize("name", DESIGNS)
def test_inlined_design_answers_as_the_original_does(name: str, tmp_path: Path) -> None:
    source = DESIGNS[name]
    before, after = transcript(source, tmp_path / "a"), transcript(inline(source), tmp_path / "b")
    assert json.dumps(before) == json.dumps(after)
    assert any(answer["ok"] and answer["ok"].get("items") for answer in after[10:]), "it recalled nothing at all"


@pytest.mark.parametrize("name", DESIGNS)
def test_inlined_design_imports_the_core_and_nothing_else_of_ours(name: str) -> None:
    tree = ast.parse(inline(DESIGNS[name]))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("design_space") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node in tree.body or not node.module.startswith("design_space")
            assert not node.module.startswith("design_space.")


@pytest.mark.parametrize("name", DESIGNS)
def test_inlining_twice_changes_nothing(name: str) -> None:
    once = inline(DESIGNS[name])
    assert inline(once) == once


def test_only_what_is_needed_is_copied_with_its_docstrings_and_comments() -> None:
    text = inline(DOTTED)
    assert "class Cosine:" in text
    assert '"""Cosine similarity of embeddings' in text
    assert "# einsum, not BLAS" in text
    assert "class Bm25" not in text
    assert "class MergeSimilar" not in text
    assert text.count("# ---- design_space/parts/retrievers.py -") == 1
    assert "# here and there" in inline("x = 1  # here and there\n# and here")


def test_a_design_keeps_its_names_and_copies_get_others() -> None:
    tree = ast.parse(inline(RENAMED))
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    assert classes.count("Entry") == classes.count("Bm25") == 1
    assert classes[-3:] == ["Entry", "Bm25", "Mine"]


def shown(source: str) -> object:
    """What `show` of a module with one memory returns, in the sandbox."""
    memory = "\nfrom design_space import Memory\nclass M(Memory):\n show = staticmethod(lambda: show())\n"
    return load(f"{source}{memory} def retrieve(self, query): ...\n def update(self, episode): ...\n").show()


@pytest.mark.parametrize(
    "source",
    [
        "from design_space.text import words\nclass T:\n words = staticmethod(words)\ndef show(): return T.words('b')",
        "from design_space import text\nclass T:\n text = text.words\n kept = text\ndef show(): return T.kept('b')",
    ],
)
def test_a_class_names_an_attribute_like_what_it_is_given(source: str) -> None:
    assert shown(inline(source)) == shown(source) == ("b",)


@pytest.mark.parametrize(
    "source",
    [
        "from cmath import sqrt\nfrom math import *\ndef show(): return type(sqrt(4))",
        "from numpy import *\nfrom math import *\ndef show(): return type(sqrt(4))",
        "from numpy import *\nimport random\ndef show(): return random.__name__",
        "from math import floor as words\nfrom design_space.text import *\ndef show(): return words('b')",
    ],
)
def test_the_later_import_counts_where_a_star_hides_names(source: str) -> None:
    assert shown(inline(source)) == shown(source)
    assert inline(inline(source)) == inline(source)


def test_names_in_annotations_that_are_text_stay() -> None:
    function = "def f(q: 'Query', *rest: 'list[Item]') -> dict[str, 'Step']: ...\ndef show(): return get_type_hints(f)"
    source = f"from typing import get_type_hints\nfrom design_space import *\nfrom design_space import Step\n{function}"
    assert shown(inline(source)) == shown(source)


def test_core_can_be_imported_from_elsewhere() -> None:
    source = "from design_space.space import Space, Value\nfrom design_space import Memory\nx = Space, Memory, Value"
    assert "\nfrom .runtime import Memory, Space, Value\n" in inline(source, ".runtime")


def test_flat_module_needs_nothing_of_ours() -> None:
    source = "from design_space import Recall\nfrom design_space.text import HashedEmbedder\n"
    text = flatten(source + "__all__ = ['Recall', 'HashedEmbedder']", "ours")
    assert "import design_space" not in text
    assert "from design_space" not in text
    code = f"{text}\nprint(Recall(), HashedEmbedder().embed(['a b']).shape)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "Recall(items=(), mode='append') (1, 256)\n"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("def f(:", "line 1 is not Python"),
        ("x = '\0'", "null bytes"),
        ("-" * 50_000 + "1", "nested too deeply"),
        ("x = '\ud800'", "surrogates"),
        ("from design_space import Nothing", "no 'Nothing' in 'design_space'"),
        ("from design_space.nowhere import x", "no module 'design_space.nowhere'"),
        ("from . import x", "imports relatively"),
        ("import design_space.parts as p\nprint(p)", "uses the module 'design_space.parts' as an object"),
        ("from design_space import parts\nparts.Bm25 = None", "as an object"),
        ("from math import floor as f, ceil as f\nf", "two things under the name 'f'"),
        ("from math import *\nfrom design_space.parts import Bm25\nBm25", "everything of 'math'"),
        ("from design_space.parts import Bm25\ndef max(a, b): return a\nBm25", "defines 'max'"),
        ("def f():\n from design_space.parts import Bm25\ndef Bm25(): pass", "'Bm25' inside a function"),
        ("def f(words):\n def g():\n  from design_space.text import words\n  return words", "means something else"),
        ("class A:\n from design_space.text import words", "means something else"),
        ("words = None\ntry:\n from design_space.text import words\nexcept ImportError: ...", "line 3 imports 'words'"),
        ("def words(t): ...\nfrom design_space.text import *\nwords", "line 2 imports 'words' where"),
        ("floor = None; from math import floor", "line 1 imports 'floor' where"),
        ("x = max(1, 2)\nfrom numpy import max", "line 2 imports 'max' where"),
        ("e = 1\nfrom math import *", "line 2 imports everything of 'math' where 'e'"),
        (
            "from design_space.text import *\ndef f():\n from design_space import Item as words\nwords",
            "two things under the name 'words'",
        ),
        ("from design_space.text import words\nglobals()['words']", "line 2 looks names up in globals"),
        ("def f():\n from design_space.text import words as list", "'list' inside a function"),
    ],
)
def test_what_one_module_cannot_reproduce_is_refused(source: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint.replace("(", r"\(")):
        inline(source)


def test_nothing_of_the_design_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    act = f"open({str(mark)!r}, 'w')"
    inline(f"from design_space.parts import Bm25\n{act}\nclass X(Bm25): {act}")
    assert not mark.exists()


def test_a_long_module_is_inlined_in_time() -> None:
    """Each name is looked up among all that the module binds: they are collected once."""
    began = time.process_time()
    inline("".join(f"_{number} = _{number + 1}\n" for number in range(8_000)))
    assert time.process_time() - began < 5.0
