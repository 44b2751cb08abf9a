"""Real games can be learned from: the catalogue's best design for cooking earns more than no memory and random recall.

So it does where each family has rules of its own. The games are made by the real engine, so this is the longest test
of the suite.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from design_space import Design, catalogue
from design_space.evaluation import Outcome
from sandbox.agents.evidence import EvidenceAgent
from sandbox.backend import Labels, Limits
from sandbox.evaluate import Evaluator, Setting
from sandbox.inprocess import InProcessBackend
from sandbox.streams.permuted import CookingTable
from sandbox.streams.textworld import TextWorldSettings, TextWorldSource

ROOT = Path(__file__).resolve().parents[2]
STREAMS_COUNT = 8
SETTINGS = TextWorldSettings(ingredients_count=2, take_count=2, cut=False, tasks_count=12, max_steps=20)
MAKE_GAMES = """
import sys
from pathlib import Path
from tests.sandbox.test_cooking_catalogue import SETTINGS, STREAMS_COUNT, TextWorldSource
source = TextWorldSource(SETTINGS, Path(sys.argv[1]))
for index in range(int(sys.argv[2]), STREAMS_COUNT, 2):
    source.stream("search", 0, index)
"""


Score = Callable[..., list[float]]


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The games of all streams, plain or permuted."""
    games = tmp_path_factory.mktemp("games")
    makers = [subprocess.Popen([sys.executable, "-c", MAKE_GAMES, str(games), str(half)], cwd=ROOT) for half in (0, 1)]
    assert [maker.wait(timeout=1_200) for maker in makers] == [0, 0]
    return games


@pytest.fixture
def score(games: Path, request: pytest.FixtureRequest) -> Iterator[Score]:
    """Scores a design of the catalogue, or one that is made for each stream, on the first streams."""
    source = TextWorldSource(replace(SETTINGS, permuted=request.param), games)
    backend = InProcessBackend(Limits())

    def score(wanted: str | Callable[[int], Design], count: int = STREAMS_COUNT) -> list[float]:
        chars = 6_000 if isinstance(wanted, str) else 20_000
        evaluator = Evaluator(source, EvidenceAgent, backend, Setting("online", "evidence", chars, 0, "test"))
        scores = []
        for index in range(count):
            design = catalogue.load(wanted) if isinstance(wanted, str) else wanted(index)
            stream = source.stream("search", 0, index)
            with backend.open(Labels("test", design.id)) as guest:
                evaluation = evaluator.evaluate(design, stream, guest, evaluator.key(design, stream)).evaluation
            assert evaluation.outcome is Outcome.SCORED, evaluation.detail
            assert evaluation.score is not None
            scores.append(evaluation.score)
        return scores

    yield score
    backend.close()


def assert_better(better: list[float], worse: list[float]) -> None:
    """By more than two standard errors of the paired difference."""
    gains = [b - w for b, w in zip(better, worse, strict=True)]
    assert statistics.mean(gains) > 2 * statistics.stdev(gains) / math.sqrt(len(gains))


@pytest.mark.slow
@pytest.mark.timeout(1_500)
@pytest.mark.parametrize("score", [False], indirect=True, ids=["plain"])
def test_the_best_known_design_for_cooking_beats_no_memory_and_random_recall(score: Score) -> None:
    best, none, chance = (score(name) for name in ("arcmemo", "no_memory", "random_recall"))
    assert statistics.mean(none) <= 0.35
    assert_better(best, none)
    assert_better(best, chance)


def permuted_advice(index: int) -> Design:
    """All that can be known of a stream's family, as one memory."""
    from textworld.challenges.tw_cooking.cooking import FOODS_SPLITS

    table = CookingTable.draw("search", 0, index)
    rows = [("", "examine cookbook", 0.65), ("fridge is closed", "open fridge", 0.7)]
    rows += [("", "prepare meal", 1.0), ("", "eat meal", 1.0)]
    for verb, state, tool in (("fry", "fried", "stove"), ("roast", "roasted", "oven")):
        rows += [
            (f"{verb} the {food}\n! {state} {food}", table.shown(f"cook {food} with {tool}"), 1.0)
            for food in FOODS_SPLITS["train"]
        ]
        places = ("fridge", "counter", "table", "stove")
        rows += [(f"{verb} the {{x}}\n! carrying {{x}}", f"take {{x}} from {place}", 0.9) for place in places]
    return Design(f"""
from design_space import *
ROWS = {json.dumps(rows)}
class Advice(Memory):
    def retrieve(self, query): return Recall(tuple(Item(str(i), "", *row) for i, row in enumerate(ROWS)))
    def update(self, episode): pass
""")


@pytest.mark.slow
@pytest.mark.timeout(1_500)
@pytest.mark.parametrize("score", [True], indirect=True, ids=["permuted"])
def test_rules_that_differ_from_family_to_family_can_be_learned_by_some_designs_only(score: Score) -> None:
    learned, not_learned, none = (score(name) for name in ("arcmemo", "reme", "no_memory"))
    assert statistics.mean(none) <= 0.35
    assert statistics.mean(score(permuted_advice, 4)) >= 0.95
    assert_better(learned, none)
    assert_better(learned, not_learned)
