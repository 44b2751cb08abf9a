"""Claims about the arena: designs side by side."""

from __future__ import annotations

from pathlib import Path

import pytest
import vending
from small_runs import PROJECT, Silence

from archive.ledger import Ledger
from archive.standings import Standings
from archive.standings_page import render
from design_space import catalogue
from meta_agent.arena import Arena, ArenaConfig, benches, load
from meta_agent.errors import BadInput
from meta_agent.evaluations import Evaluations
from meta_agent.panel import Stand
from meta_agent.pool import SerialPool, never
from meta_agent.progress import Progress
from meta_agent.worker import WorkerSpec

STANDS = [
    {"name": name, "source": "vending:Vending", "settings": {"shared": name == "same"}, "streams_count": 5}
    for name in ("own", "same")
]


def held(config: ArenaConfig, folder: Path) -> tuple[Standings, Progress]:
    spec = WorkerSpec("test-arena", tuple(benches(config)), str(PROJECT / "tests"), config.limits, "embedded", None, 0)
    progress = Progress()
    folder.mkdir(exist_ok=True)
    with Ledger(folder / "ledger.sqlite") as ledger, SerialPool(spec) as pool:
        evaluations = Evaluations(spec, ledger, pool, Silence(), never, progress)
        evaluations.begin()
        return Arena(config, evaluations, ledger, progress).run("embedded", "guest", {}), progress


def test_the_better_design_ranks_first_on_every_table_and_nothing_is_paid_twice(tmp_path: Path) -> None:
    file = tmp_path / "wiring.py"
    file.write_text(vending.WIRING)
    config = ArenaConfig.model_validate(
        {"name": "ring", "streams": STANDS, "agents": ["evidence", "literal"], "designs": [str(file), "random_recall"]}
    )
    standings, progress = held(config, tmp_path)
    assert [(table.stream, table.agent) for table in standings.tables] == [
        ("own", "evidence"),
        ("own", "literal"),
        ("same", "evidence"),
        ("same", "literal"),
    ]
    for table in standings.tables:
        best = table.placed[0]
        assert best.name == "wiring"
        assert best.rank == best.rank_low == best.rank_high == 1.0
        assert table.spread_p is not None
        assert table.spread_p < 0.05
        assert (best.due_to_memory is not None) == (table.agent == "evidence")
        assert all(one.due_to_memory is None for one in table.placed if one.gain.low <= 0.0), "no gain, no control"
    assert standings.tables[0].placed[0].due_to_family is not None
    assert standings.tables[0].placed[0].due_to_family.low > 0.0
    same = standings.tables[2].placed[0].due_to_family
    assert same is not None
    assert same.low <= 0.0, "with one wiring for all, another family's experience serves as well"
    assert progress.evaluations == progress.allowed
    again, repeated = held(config, tmp_path)
    assert again == standings
    assert repeated.fresh == 0
    page = render(standings)
    assert "Who serves where" in page
    assert "wiring" in page


def test_an_arena_of_unknown_things_is_refused_with_what_there_is() -> None:
    with pytest.raises(BadInput, match="unknown stream 'hosehold'; did you mean 'household'"):
        _ = ArenaConfig(name="x", streams=("hosehold",)).stands
    with pytest.raises(BadInput, match="unknown key 'agent'"):
        load(PROJECT / "configs" / "arena.yaml", ("agent=evidence",))
    with pytest.raises(BadInput, match="cannot read the design"):
        ArenaConfig(name="x", streams=("household",), designs=("nothing.py",)).entrants()


def test_two_kinds_of_tasks_of_one_name_are_refused_and_an_agent_is_taken_once() -> None:
    again = Stand(name="household", source="household", streams_count=5)
    config = ArenaConfig(name="x", streams=("household", again), agents=("evidence", "evidence"))
    with pytest.raises(BadInput, match="two of `streams` are called 'household'"):
        _ = config.stands
    assert config.agents == ("evidence",)


def test_the_shipped_arena_is_complete() -> None:
    config = load(PROJECT / "configs" / "arena.yaml")
    assert set(config.entrants()) == set(catalogue.names())
    assert config.stands


def test_two_designs_of_one_name_are_not_taken_for_each_other(tmp_path: Path) -> None:
    (tmp_path / "rag.py").write_text(vending.WIRING)
    with pytest.raises(BadInput, match="two designs are called 'rag'"):
        ArenaConfig(name="x", streams=("household",), designs=("rag", str(tmp_path / "rag.py"))).entrants()
