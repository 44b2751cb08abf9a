"""Claims about ranks and their uncertainty."""

from __future__ import annotations

import numpy as np
import pytest

from archive.standings import Entrant, place, spread
from design_space import DesignId, Evaluation, EvaluationKey, Outcome


def entrant(name: str, scores: list[float]) -> Entrant:
    own = []
    for number, score in enumerate(scores):
        key = EvaluationKey(DesignId("a" * 16), f"world/{number}", "validation", 0, "online", "evidence", 0, "g", "c")
        own.append(Evaluation(key, Outcome.SCORED, (score,), (1,)))
    return Entrant(name, "a" * 16, own)


def test_a_clear_order_has_narrow_ranks_and_a_small_p() -> None:
    rng = np.random.default_rng(0)
    entrants = [entrant(f"d{i}", list(0.2 * i + 0.01 * rng.standard_normal(12))) for i in range(4)]
    placed = place(entrants, "d0")
    assert [one.name for one in placed] == ["d3", "d2", "d1", "d0"]
    assert all(one.rank == one.rank_low == one.rank_high for one in placed)
    assert placed[-1].gain.mean == 0.0
    p = spread(entrants)
    assert p is not None
    assert p < 1e-4


def test_equal_designs_share_their_rank_and_chance_gives_wide_ones() -> None:
    same = [entrant(name, [0.5, 0.6, 0.7]) for name in "abc"]
    assert {one.rank for one in place(same, "a")} == {2.0}
    assert spread(same) is None
    rng = np.random.default_rng(1)
    noise = [entrant(f"d{i}", list(rng.random(10))) for i in range(6)]
    wide = [one.rank_high - one.rank_low for one in place(noise, "d0")]
    assert np.mean(wide) > 2.0


@pytest.mark.parametrize("streams", [1, 2, 3, 5, 10])
def test_the_true_rank_lies_in_its_interval_also_where_streams_are_few(streams: int) -> None:
    rng = np.random.default_rng(3)
    held = []
    for _ in range(25):
        entrants = [entrant(f"d{i}", list(rng.normal(0.5 + 0.02 * i, 0.1, streams))) for i in range(6)]
        held += [one.rank_low <= 6 - int(one.name[1]) <= one.rank_high for one in place(entrants, "d0")]
    assert np.mean(held) >= 0.93


def test_ranks_repeat_and_a_missing_baseline_is_named() -> None:
    rng = np.random.default_rng(2)
    entrants = [entrant(f"d{i}", list(rng.random(8))) for i in range(5)]
    assert place(entrants, "d0") == place(entrants, "d0")
    with pytest.raises(ValueError, match="baseline 'x' is not among"):
        place(entrants, "x")
