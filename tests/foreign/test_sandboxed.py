"""Claims about foreign designs behind a real boundary: Docker, and the embedded backend with namespaces and without."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from foreign_files import EXTRAS, FIRST, MADE, TALK, design_of

from design_space import Design, Episode, Evaluation, Outcome, Query, Step, catalogue
from design_space.foreign import wrap
from sandbox import bundle, image
from sandbox.agents.evidence import EvidenceAgent
from sandbox.backend import Backend, Labels, SandboxUnavailable
from sandbox.contract import check
from sandbox.evaluate import Evaluator, Protocol, Setting
from sandbox.session import DesignFault, KeyFreeBroker, MemorySession
from sandbox.streams.base import Source, Split, Stream, Task
from sandbox.streams.grading import Question
from sandbox.streams.household import HouseholdEnvironment, HouseholdSettings, HouseholdSource

NOTHING = (0, 0)
QUESTION = Query("How is my cat called?", role="reader")
LOOK = """
import asyncio, os, threading
from agents.memo_structure import MemoStructure
from langchain_chroma import Chroma
class Look(MemoStructure):
    async def general_retrieve(self, recorder):
        here = await asyncio.to_thread(threading.get_ident)
        await asyncio.wait_for(asyncio.sleep(0.001), 1.0)
        with open("../outside.txt", "w") as file:
            file.write("x")
        return {"cwd": os.getcwd(), "files": sorted(os.listdir()), "other": here != threading.get_ident()}
    async def general_update(self, recorder):
        one, other = Chroma(persist_directory="x"), Chroma(persist_directory="x")
        one.add_texts(["a"])
        assert other.count() == 0
        with open("left.txt", "w") as file:
            file.write(recorder.init["goal"])
"""


class Pets:
    """Two facts a stream are told in sessions and asked for."""

    name = "pets"

    def stream_name(self, split: Split, seed: int, index: int) -> str:
        return f"pets/{split}/{seed}/{index}"

    def stream(self, split: Split, seed: int, index: int) -> Stream:
        name = self.stream_name(split, seed, index)
        facts = {"cat": f"Tom{index}", "dog": f"Rex{index}"}
        talks = [Episode(f"{name}/{a}", "a chat", (Step("", "", f"My {a} is called {n}."),)) for a, n in facts.items()]
        tasks = [Task(f"{name}/{a}?", f"How is my {a} called?", 0, question=Question((n,))) for a, n in facts.items()]
        return Stream(name, self.name, split, name, tuple(tasks), tuple(talks))

    def environment(self, task: Task) -> HouseholdEnvironment:
        raise ValueError("there is nothing to play")


@pytest.mark.parametrize("name", ["alma_graph", "evolvelab_cases"])
def test_fixtures_hold_the_contract(backend: Backend, name: str) -> None:
    design = design_of(name)
    with backend.open(Labels("tests", design.id)) as guest:
        fault = check(design, guest, backend.folder).fault
    assert fault is None, fault.detail


@pytest.mark.parametrize("name", ["alma_advisor", "evolvelab_asker"])
def test_a_design_that_asks_a_model_is_refused_in_words(backend: Backend, name: str) -> None:
    design = design_of(name)
    with backend.open(Labels("tests", design.id)) as guest:
        fault = check(design, guest, backend.folder).fault
    assert fault is not None
    assert fault.outcome is Outcome.INVALID
    assert "the design asks a language model" in fault.detail
    assert "key-free" in fault.detail


@pytest.mark.parametrize("name", ["alma_graph", "evolvelab_cases"])
def test_what_is_told_is_recalled_and_answers_questions(backend: Backend, name: str) -> None:
    earned = {}
    for design in (design_of(name), catalogue.load("no_memory")):
        result = evaluated(backend, design, Pets(), "inject")
        assert result.outcome is Outcome.SCORED, result.detail
        earned[design.name] = result.rewards
        if design.name == name:
            assert result.found == (True, True)
            assert (result.bytes_stored or 0) > 100
    assert earned == {name: (1.0, 1.0), "no_memory": (0.0, 0.0)}


def evaluated(backend: Backend, design: Design, source: Source, protocol: Protocol) -> Evaluation:
    evaluator = Evaluator(source, EvidenceAgent, backend, Setting(protocol, "evidence", 6_000, 0, "test"))
    stream = source.stream("search", 0, 0)
    with backend.open(Labels("tests", design.id)) as guest:
        return evaluator.evaluate(design, stream, guest, evaluator.key(design, stream)).evaluation


@pytest.mark.parametrize("name", ["alma_graph", "evolvelab_cases"])
def test_a_played_stream_is_scored_to_its_end_and_repeats(backend: Backend, name: str) -> None:
    source = HouseholdSource(HouseholdSettings(tasks_count=6, max_steps=8))
    first = evaluated(backend, design_of(name), source, "online")
    assert first.outcome is Outcome.SCORED, first.detail
    assert len(first.rewards) == 6
    assert (first.recall_chars or 0) > 0
    assert evaluated(backend, design_of(name), source, "online").rewards == first.rewards


@pytest.mark.parametrize("name", ["alma_graph", "evolvelab_cases"])
def test_nothing_passes_from_one_stream_to_the_next(backend: Backend, name: str) -> None:
    design = design_of(name)
    with backend.open(Labels("tests", design.id)) as guest:
        session = MemorySession(guest, KeyFreeBroker(), 100_000)
        session.open(design, 0, backend.folder)
        empty = session.retrieve(QUESTION)[0]
        session.update(TALK, [NOTHING], NOTHING)
        assert "Tom" in " ".join(item.text for item in session.retrieve(QUESTION)[0].items)
        session.open(design, 0, backend.folder)
        assert session.retrieve(QUESTION)[0] == empty


def test_the_working_directory_is_its_own_scratch_and_async_code_runs(backend: Backend) -> None:
    design = Design(wrap.wrap("alma", LOOK))
    with backend.open(Labels("tests", design.id)) as guest:
        session = MemorySession(guest, KeyFreeBroker(), 100_000)
        session.open(design, 0, backend.folder)
        assert [item.text for item in session.retrieve(FIRST)[0].items] == ["cwd:\n/tmp/work", "other: true"]
        session.update(MADE, [NOTHING] * 2, NOTHING)
        snapshot, size = session.snapshot()
        assert list(snapshot.data["files"]) == ["left.txt"]
        assert size > len("make tea")
        session.open(design, 0, backend.folder)
        session.restore(snapshot)
        assert "files[0]:\nleft.txt" in [item.text for item in session.retrieve(FIRST)[0].items]


def test_without_a_scratch_what_writes_no_files_still_runs(plain: Backend) -> None:
    design = design_of("alma_graph")
    with plain.open(Labels("tests", design.id)) as guest:
        fault = check(design, guest, plain.folder).fault
    assert fault is None, fault.detail
    storing = design_of("evolvelab_cases")
    with plain.open(Labels("tests", storing.id)) as guest, pytest.raises(DesignFault, match=r"PermissionError|OSError"):
        MemorySession(guest, KeyFreeBroker(), 100_000).open(storing, 0, plain.folder)


def test_networkx_that_is_not_there_is_named_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(SandboxUnavailable, match="imports networkx, which is not installed") as caught:
        bundle.base_digest(EXTRAS)
    assert "mnemogen[foreign]" in caught.value.hint
    bundle.base_digest()


def test_extras_leave_every_other_guest_as_it_is(tmp_path: Path) -> None:
    for name in ("design_space", "sandbox/guest"):
        shutil.copytree(bundle.PROJECT / name, tmp_path / name)
    plain, larger = bundle.digest(tmp_path), bundle.digest(tmp_path, ("foreign",))
    assert plain == bundle.digest()
    (tmp_path / "design_space/foreign/alma.py").write_text("")
    assert bundle.digest(tmp_path) == plain
    assert bundle.digest(tmp_path, ("foreign",)) != larger
    (tmp_path / "design_space/foreign/wrap.py").write_text("")
    assert len({bundle.digest(extras=extras) for extras in ((), ("foreign",), EXTRAS)}) == 3
    assert bundle.base_digest(("foreign",)) == bundle.base_digest()
    with pytest.raises(ValueError, match="unknown extras"):
        bundle.digest(extras=("torch",))
    assert image._prepare(()) == image._PREPARE
    compile(image._prepare(EXTRAS), "prepare.py", "exec")
    assert '"--no-deps", "networkx==' in image._prepare(EXTRAS)


def test_the_larger_bundle_adds_the_adapters_and_networkx_and_nothing_else() -> None:
    usual, larger = bundle.ensure(), bundle.ensure(extras=EXTRAS)
    held = {str(path.relative_to(larger.guest)) for path in larger.guest.rglob("*.py")}
    known = {str(path.relative_to(usual.guest)) for path in usual.guest.rglob("*.py")}
    assert {Path(name).parent.as_posix() for name in held - known} == {"design_space/foreign"}
    assert "design_space/foreign/wrap.py" not in held
    packages = {path.name for path in (larger.base / "opt/packages").iterdir()}
    assert packages - {path.name for path in (usual.base / "opt/packages").iterdir()} == {"networkx"}
