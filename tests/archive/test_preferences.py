"""Claims about strengths out of comparisons, and about ranks."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.preferences import PRIOR_SD, mid_ranks, strengths

Comparisons = list[tuple[str, str, float]]

comparison = st.tuples(st.permutations("abcdef"), st.sampled_from([0.0, 0.5, 1.0])).map(
    lambda drawn: (drawn[0][0], drawn[0][1], drawn[1])
)
comparisons = st.lists(comparison, max_size=40)


@given(comparisons, st.randoms(use_true_random=False))
def test_the_order_of_the_comparisons_changes_not_a_bit(told: Comparisons, random: Random) -> None:
    other = list(told)
    random.shuffle(other)
    assert strengths(other) == strengths(told)


@given(comparisons)
def test_the_order_within_a_comparison_does_not_matter(told: Comparisons) -> None:
    assert strengths([(b, a, 1.0 - won) for a, b, won in told]) == strengths(told)


@given(comparisons)
def test_strengths_turn_around_with_the_outcomes(told: Comparisons) -> None:
    turned = strengths([(a, b, 1.0 - won) for a, b, won in told])
    assert turned == pytest.approx({name: -value for name, value in strengths(told).items()}, abs=1e-9)


@given(comparisons)
def test_strengths_are_where_the_posterior_is_flat_and_add_up_to_nothing(told: Comparisons) -> None:
    found = strengths(told)
    assert set(found) == {name for a, b, _ in told for name in (a, b)}
    for name, value in found.items():
        pull = -value / PRIOR_SD**2
        for first, second, won in told:
            expected = 1.0 / (1.0 + math.exp(found[second] - found[first]))
            pull += (won - expected) * ((name == first) - (name == second))
        assert pull == pytest.approx(0.0, abs=1e-8)
    assert sum(found.values()) == pytest.approx(0.0, abs=1e-8)


@given(st.lists(comparison.map(lambda drawn: (*drawn[:2], 0.5)), max_size=40))
def test_ties_alone_leave_all_equal(told: Comparisons) -> None:
    assert set(mid_ranks(strengths(told)).values()) <= {(len(strengths(told)) + 1) / 2}


@given(comparisons)
def test_a_further_win_makes_stronger(told: Comparisons) -> None:
    base = [*told, ("a", "b", 0.5)]
    before, after = strengths(base), strengths([*base, ("a", "b", 1.0)])
    assert after["a"] > before["a"]
    assert after["b"] < before["b"]


@given(comparisons, comparisons)
def test_groups_that_never_met_do_not_touch_each_other(told: Comparisons, others: Comparisons) -> None:
    apart = [(first.upper(), second.upper(), won) for first, second, won in others]
    assert strengths([*told, *apart]) == pytest.approx({**strengths(told), **strengths(apart)}, abs=1e-9)


@pytest.mark.parametrize("rounds", [1, 10, 100_000])
def test_who_always_wins_is_strong_and_not_infinite(rounds: int) -> None:
    found = strengths([("a", "b", 1.0), ("b", "c", 1.0)] * rounds)
    assert list(found) == ["a", "b", "c"]
    assert 50.0 > found["a"] > found["b"] > found["c"] > -50.0
    assert mid_ranks(found) == {"a": 1.0, "b": 2.0, "c": 3.0}


def test_one_that_beats_many_converges_too() -> None:
    found = strengths([("a", f"b{place}", 1.0) for place in range(300)] * 50)
    assert 50.0 > found["a"] > 0.0
    assert sum(found.values()) == pytest.approx(0.0, abs=1e-8)


def test_what_is_no_comparison_is_refused() -> None:
    assert strengths([]) == {}
    for wrong in (("a", "a", 1.0), ("a", "b", 0.7), ("a", "b", math.nan)):
        with pytest.raises(ValueError, match="wanted two names"):
            strengths([wrong])


def test_ranks_begin_with_the_greatest_and_are_shared_by_equals() -> None:
    assert mid_ranks({"a": 0.1, "b": 0.7, "c": 0.7000000000001, "d": -1.0}) == {"a": 3.0, "b": 1.5, "c": 1.5, "d": 4.0}
    assert mid_ranks({"a": 0.12, "b": 0.14}, digits=1) == {"a": 1.5, "b": 1.5}
    assert mid_ranks({}) == {}
    with pytest.raises(ValueError, match="not finite"):
        mid_ranks({"a": math.inf})


@given(st.dictionaries(st.text(max_size=3), st.floats(-5, 5), max_size=20))
def test_ranks_add_up_whatever_is_shared(values: dict[str, float]) -> None:
    count = len(values)
    assert sum(mid_ranks(values).values()) == pytest.approx(count * (count + 1) / 2)
