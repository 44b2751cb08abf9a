"""Claims about claims: looking often makes none false, and of a run's many at most a twentieth is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from archive.claims import LEVEL, claimed, evidence, sequence


def test_looking_after_each_stream_finds_no_more_than_the_level() -> None:
    rng = np.random.default_rng(0)
    fooled = 0
    for _ in range(1_000):
        drawn = rng.normal(0.0, 0.1, 40)
        fooled += any(evidence(drawn[:n].tolist()) >= 1 / LEVEL for n in range(2, 41))
    assert fooled / 1_000 <= LEVEL


def test_the_sequence_holds_what_there_is_no_evidence_against() -> None:
    rng = np.random.default_rng(1)
    for n in (3, 8, 30):
        drawn = rng.normal(0.1, 0.1, n)
        found = sequence(drawn.tolist())
        assert found.n == n
        if math.isfinite(found.low):
            for end in (found.low, found.high):
                assert evidence((drawn - end).tolist()) == pytest.approx(1 / LEVEL, rel=1e-6)


def test_in_a_world_where_all_are_equal_a_run_rarely_claims_anything() -> None:
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(400):
        parent = rng.normal(0.0, 0.1, 12)  # all children are compared with the same one
        found = {i: evidence((rng.normal(0.0, 0.1, 12) - parent).tolist()) for i in range(20)}
        wrong += bool(claimed(found))
    assert wrong / 400 <= LEVEL


def test_of_what_is_claimed_hardly_anything_is_false_and_what_is_large_is_found() -> None:
    rng = np.random.default_rng(3)
    shares, found_count = [], 0
    for _ in range(200):
        better = range(5)
        gains = {i: rng.normal(0.15 if i in better else 0.0, 0.1, 16).tolist() for i in range(20)}
        named = claimed({i: evidence(gain) for i, gain in gains.items()})
        shares.append(len(named.difference(better)) / max(len(named), 1))
        found_count += len(named.intersection(better))
    assert float(np.mean(shares)) <= LEVEL
    assert found_count / (200 * 5) > 0.8


def test_little_says_little() -> None:
    assert evidence([]) == evidence([0.3]) == 1.0
    assert sequence([0.3]).low == -math.inf
    assert claimed({}) == set()
    assert evidence([0.2] * 3) < 1e4, "the spread of equal differences is not taken to be 0"
    with pytest.raises(ValueError, match="not finite"):
        evidence([math.nan])
    with pytest.raises(ValueError, match="level is 0"):
        sequence([0.1], 0)
    with pytest.raises(ValueError, match="at least one"):
        sequence([])
