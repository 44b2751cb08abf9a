"""Real games can be learned from: the catalogue's best design for cooking earns more than no memory and random recall.

The games are made by the real engine, so this is the longest test of the suite.
"""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from design_space import catalogue
from design_space.evaluation import Outcome
from sandbox.agents.evidence import EvidenceAgent
from sandbox.backend import Labels, Limits
from sandbox.evaluate import Evaluator, Setting
from sandbox.inprocess import InProcessBackend
from sandbox.streams.textworld import TextWorldSettings, TextWorldSource

ROOT = Path(__file__).resolve().parents[2]
STREAMS_COUNT = 16
SETTINGS = TextWorldSettings(ingredients_count=2, take_count=2, cut=False, tasks_count=12, max_steps=20)
MAKE_GAMES = """
import sys
from pathlib import Path
from tests.sandbox.test_cooking_catalogue import SETTINGS, STREAMS_COUNT, TextWorldSource
source = TextWorldSource(SETTINGS, Path(sys.argv[1]))
for index in range(int(sys.argv[2]), STREAMS_COUNT, 2):
    source.stream("search", 0, index)
"""


@pytest.fixture(scope="module")
def score(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], list[float]]]:
    """Scores a design of the catalogue on every stream."""
    games = tmp_path_factory.mktemp("games")
    makers = [subprocess.Popen([sys.executable, "-c", MAKE_GAMES, str(games), str(half)], cwd=ROOT) for half in (0, 1)]
    assert [maker.wait(timeout=1_200) for maker in makers] == [0, 0]
    source = TextWorldSource(SETTINGS, games)
    backend = InProcessBackend(Limits())
    evaluator = Evaluator(source, EvidenceAgent, backend, Setting("online", "evidence", 6_000, 0, "test"))

    def score(name: str) -> list[float]:
        scores = []
        for index in range(STREAMS_COUNT):
            design, stream = catalogue.load(name), source.stream("search", 0, index)
            with backend.open(Labels("test", design.id)) as guest:
                evaluation = evaluator.evaluate(design, stream, guest, evaluator.key(design, stream)).evaluation
            assert evaluation.outcome is Outcome.SCORED, evaluation.detail
            assert evaluation.score is not None
            scores.append(evaluation.score)
        return scores

    yield score
    backend.close()


@pytest.mark.slow
@pytest.mark.timeout(1_500)
def test_the_best_known_design_for_cooking_beats_no_memory_and_random_recall(
    score: Callable[[str], list[float]],
) -> None:
    best, none, chance = (score(name) for name in ("arcmemo", "no_memory", "random_recall"))
    assert statistics.mean(none) <= 0.35
    for control in (none, chance):
        gains = [b - c for b, c in zip(best, control, strict=True)]
        assert statistics.mean(gains) > 2 * statistics.stdev(gains) / math.sqrt(STREAMS_COUNT)
