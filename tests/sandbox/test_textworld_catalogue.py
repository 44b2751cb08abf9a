"""What is hidden in a family can be learned by some designs of the catalogue and not by others; other ones each time.

Treasure hunter wants rules that abstract from the name of a room, coin collector wants cases that are remembered as
they were (permuted cooking: see test_cooking_catalogue.py). Most of the time goes into making the games.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from design_space import Design, catalogue
from design_space.evaluation import Outcome
from sandbox.agents.evidence import EvidenceAgent
from sandbox.backend import Labels, Limits
from sandbox.evaluate import Evaluator, Setting
from sandbox.inprocess import InProcessBackend
from sandbox.streams.signs import COLOURS, DoorTable, WayTable
from sandbox.streams.textworld import TextWorldSettings, TextWorldSource
from sandbox.streams.textworld_environment import DIRECTIONS

ROOT = Path(__file__).resolve().parents[2]
STREAMS_COUNT = 6
SETTINGS = {
    "coin": TextWorldSettings(challenge="coin collector", tasks_count=9),
    "treasure": TextWorldSettings(challenge="treasure hunter", tasks_count=10),
}
LEARNS = {"coin": "reme", "treasure": "arcmemo"}
LEARNS_NOT = {"coin": "arcmemo", "treasure": "reme"}
MAKE_GAMES = """
import sys
from pathlib import Path
from tests.sandbox.test_textworld_catalogue import SETTINGS, STREAMS_COUNT, TextWorldSource
source = TextWorldSource(SETTINGS[sys.argv[1]], Path(sys.argv[2]))
for index in range(int(sys.argv[3]), STREAMS_COUNT, 2):
    source.stream("search", 0, index)
"""
Score = Callable[[Callable[[int], Design]], list[float]]


@pytest.fixture(scope="module", params=list(SETTINGS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def source(kind: str, tmp_path_factory: pytest.TempPathFactory) -> TextWorldSource:
    cache = tmp_path_factory.mktemp("games")
    command = [sys.executable, "-c", MAKE_GAMES, kind, str(cache)]
    makers = [subprocess.Popen([*command, str(half)], cwd=ROOT) for half in (0, 1)]
    assert [maker.wait(timeout=1_200) for maker in makers] == [0, 0]
    return TextWorldSource(SETTINGS[kind], cache)


@pytest.fixture(scope="module")
def score(source: TextWorldSource) -> Iterator[Score]:
    """Scores the design that is made for each stream."""
    backend = InProcessBackend(Limits())
    evaluator = Evaluator(source, EvidenceAgent, backend, Setting("online", "evidence", 6_000, 0, "test"))

    def score(make: Callable[[int], Design]) -> list[float]:
        scores = []
        for index in range(STREAMS_COUNT):
            design, stream = make(index), source.stream("search", 0, index)
            with backend.open(Labels("test", design.id)) as guest:
                evaluation = evaluator.evaluate(design, stream, guest, evaluator.key(design, stream)).evaluation
            assert evaluation.outcome is Outcome.SCORED, evaluation.detail
            assert evaluation.score is not None
            scores.append(evaluation.score)
        return scores

    yield score
    backend.close()


def advice(table: WayTable | DoorTable) -> Design:
    """All that can be known of a family, as one memory."""
    if isinstance(table, DoorTable):
        rows = [(f"{table.mark(c)} is on the wall", f"go through {c} door", 1.0) for c in COLOURS]
    else:
        rows = [(f"{table.mark(d)} marks {{x}}", f"go {d} from {{x}}", 1.0) for d in DIRECTIONS]
        rows.append((f"{table.mark('here')} marks {{x}}\n{{y}} is closed", "open {y}", 0.9))
        rows += [(f"treasure {{x}}\n{{x}} is {where} {{y}}", "take {x} from {y}", 1.0) for where in ("in", "on")]
    rows.append(("treasure {x}", "take {x}", 1.0))
    return Design(f"""
from design_space import *
ROWS = {json.dumps(rows)}
class Advice(Memory):
    def retrieve(self, query): return Recall(tuple(Item(str(i), "", *row) for i, row in enumerate(ROWS)))
    def update(self, episode): pass
""")


@pytest.mark.slow
@pytest.mark.timeout(1_500)
def test_families_can_be_learned_by_some_designs_and_not_by_others(
    kind: str, source: TextWorldSource, score: Score
) -> None:
    def known(name: str) -> list[float]:
        return score(lambda _: catalogue.load(name))

    def perfect(index: int) -> Design:
        table = source.table("search", 0, index)
        assert isinstance(table, WayTable | DoorTable)
        return advice(table)

    none, learned, not_learned, best = known("no_memory"), known(LEARNS[kind]), known(LEARNS_NOT[kind]), score(perfect)
    assert statistics.mean(none) <= 0.35
    assert statistics.mean(best) >= 0.85
    for better, worse in ((learned, none), (learned, not_learned), (best, learned)):
        gains = [b - w for b, w in zip(better, worse, strict=True)]
        assert statistics.mean(gains) > 2 * statistics.stdev(gains) / math.sqrt(STREAMS_COUNT)
