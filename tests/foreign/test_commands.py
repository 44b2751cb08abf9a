"""Claims about the commands that take files of other systems, and about what a foreign design is to the archive."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from foreign_files import FIRST, HERE, MADE, Opener, design_of
from small_runs import mnemogen, small_config

from archive.card import Card
from archive.export import Provenance, export
from archive.inline import inline
from design_space import Design
from meta_agent.arena import load
from meta_agent.config import dump
from meta_agent.errors import BadInput
from meta_agent.evaluations import worker_spec
from meta_agent.single import read_design
from meta_agent.worker import Job, Worker

NOTHING = (0, 0)


def test_check_names_the_class_that_is_taken_and_what_is_refused(tmp_path: Path) -> None:
    file = HERE / "alma_advisor.py"
    done = mnemogen("check", str(file), "--from", "alma", "--backend", "embedded", cwd=tmp_path)
    assert done.returncode == 2
    assert "Agent(model='gpt-4o-mini')" in done.stderr
    assert "key-free" in done.stderr
    asks = "answer = await agent.ask(f\"What is to be learned of {recorder.init['goal']}?\")"
    caught = f"try:\n            {asks}\n        except Exception:\n            answer = {{}}"
    quiet = file.read_text().replace(asks, caught)
    (tmp_path / "quiet.py").write_text(quiet)
    done = mnemogen("check", "quiet.py", "--from", "alma", "--backend", "embedded", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "alphabetically first is taken: Advisor, not Beginner" in done.stderr
    assert "asked a language model 5 times; there was none" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("check", str(HERE / "alma_graph.py"), "--from", "letta"), "unknown system 'letta'"),
        (("check", str(HERE / "alma_broken.py"), "--from", "alma"), "does not define general_update"),
        (("check", str(HERE / "alma_graph.py")), "(arXiv 2602.07755): add --from alma"),
        (("check", "absent.py", "--from", "evolvelab"), "cannot read the design absent.py"),
    ],
)
def test_what_cannot_be_used_ends_in_one_message(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    done = mnemogen(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_foreign_design_is_scored_beside_the_controls(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(dump(small_config()))
    file = str(HERE / "evolvelab_cases.py")
    done = mnemogen("evaluate", file, "small.yaml", "--from", "evolvelab", "--streams", "2", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "crashed" not in done.stderr
    assert read_design(Path(file), "evolvelab").id in json.dumps(json.loads(done.stdout))


def test_a_catalogue_name_is_no_foreign_file() -> None:
    with pytest.raises(BadInput, match="cannot read the design memento"):
        read_design(Path("memento"), "alma")


def test_a_worker_with_extras_runs_foreign_and_ordinary_designs() -> None:
    usual, larger = worker_spec(small_config()), worker_spec(small_config(), ("foreign", "networkx"))
    assert usual.extras == ()
    worker = Worker(larger)
    try:
        for design in (design_of("alma_graph"), design_of("evolvelab_cases")):
            done = worker.run(Job(0, design, "validation", (0,), contract=True))
            assert done.broken is None, done.broken
            assert [evaluation.outcome.value for evaluation, _ in done.results] == ["scored"]
        assert worker.facts().digest == done.results[0][0].key.guest
    finally:
        worker.close()


def test_an_exported_foreign_design_does_what_it_did(memory: Opener, tmp_path: Path) -> None:
    """One module of the standard library and numpy, in which adapter and look-alikes are copied in."""
    for name in ("evolvelab_cases", "alma_graph"):
        original = design_of(name)
        recalls = []
        for design in (original, Design(inline(original.source))):
            session = memory(design)
            session.update(MADE, [NOTHING] * 2, NOTHING)
            snapshot, _ = session.snapshot()
            session = memory(design)
            session.restore(snapshot)
            recalls.append([item.text for item in session.retrieve(FIRST)[0].items])
        assert recalls[0] == recalls[1]
        assert "boil water" in "".join(recalls[0])
        card = Card.of(original, sequence=0, generation=0, parents=(), proposer="file")
        place = export(
            original,
            card,
            tmp_path / name,
            score=None,
            gain=None,
            baseline="",
            snapshot=snapshot,
            provenance=Provenance("none"),
        )
        assert list(place.rglob("memory.py"))


def test_an_arena_takes_foreign_files_beside_names_of_the_catalogue(tmp_path: Path) -> None:
    designs = f"[rag, 'alma:{HERE / 'alma_graph.py'}', 'evolvelab:{HERE / 'evolvelab_cases.py'}']"
    (tmp_path / "arena.yaml").write_text(f"name: small\nstreams: [facts]\ndesigns: {designs}\n")
    entrants = load(tmp_path / "arena.yaml").entrants()
    assert set(entrants) == {"no_memory", "rag", "alma_graph", "evolvelab_cases"}
    assert entrants["alma_graph"].id == design_of("alma_graph").id
