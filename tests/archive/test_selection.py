"""Claims about parent selection: one contract for all strategies, then what is particular to each."""

from __future__ import annotations

import math

import numpy as np
import pytest

from archive.selection import NAMES, Candidates, Selection, make
from archive.selection.alma import probabilities
from archive.selection.thompson import Thompson
from design_space import DesignId


def candidates(n: int = 12, seed: int = 0) -> Candidates:
    rng = np.random.default_rng(seed)
    return Candidates(
        ids=tuple(DesignId(f"{number:016x}") for number in rng.permutation(1000)[:n]),
        mean=rng.uniform(0, 1, n),
        sd=rng.uniform(0.01, 0.2, n),
        children=rng.integers(0, 5, n),
        visits=rng.integers(0, 5, n),
        baseline=0.3,
    )


def reordered(given: Candidates, order: np.ndarray) -> Candidates:
    ids = tuple(given.ids[i] for i in order)
    arrays = (given.mean[order], given.sd[order], given.children[order], given.visits[order])
    return Candidates(ids, *arrays, given.baseline)


@pytest.mark.parametrize("name", NAMES)
class TestContract:
    def test_order_of_arrival_does_not_matter(self, name: str) -> None:
        given = candidates()
        wanted = [given.ids[c.index] for c in make(name).choose(given, 8, np.random.default_rng(5))]
        for seed in range(5):
            other = reordered(given, np.random.default_rng(seed).permutation(len(given)))
            found = make(name).choose(other, 8, np.random.default_rng(5))
            assert [other.ids[c.index] for c in found] == wanted

    def test_randomness_comes_from_the_generator_alone(self, name: str) -> None:
        given = candidates()
        np.random.seed(1)
        before = np.random.get_state()[1].tolist()
        rng = np.random.default_rng(5)
        first, second = make(name).choose(given, 8, rng), make(name).choose(given, 8, rng)
        np.random.seed(2)
        assert make(name).choose(given, 8, np.random.default_rng(5)) == first
        assert name == "greedy" or second != first, "the generator is not reseeded"
        np.random.seed(1)
        assert np.random.get_state()[1].tolist() == before

    def test_choices_are_indices_with_reasons(self, name: str) -> None:
        given = candidates(3)
        chosen = make(name).choose(given, 7, np.random.default_rng(0))
        assert len(chosen) == (3 if name == "alma" else 7)
        assert all(type(c.index) is int and 0 <= c.index < 3 and c.reason for c in chosen)
        assert make(name).choose(given, 0, np.random.default_rng(0)) == []
        assert make(name).choose(candidates(1), 1, np.random.default_rng(0))[0].index == 0

    def test_nothing_to_choose_from(self, name: str) -> None:
        empty = Candidates((), *(np.zeros(0) for _ in range(4)))
        with pytest.raises(ValueError, match="no design"):
            make(name).choose(empty, 1, np.random.default_rng(0))
        with pytest.raises(ValueError, match="count is -1"):
            make(name).choose(candidates(), -1, np.random.default_rng(0))

    def test_candidates_are_not_changed(self, name: str) -> None:
        given = candidates()
        before = given.children.copy(), given.visits.copy(), given.mean.copy()
        make(name).choose(given, 20, np.random.default_rng(0))
        assert all((a == b).all() for a, b in zip(before, (given.children, given.visits, given.mean), strict=True))


def flat(n: int, **arrays: object) -> Candidates:
    values = {"mean": np.full(n, 0.5), "sd": np.full(n, 0.1), "children": np.zeros(n), "visits": np.zeros(n)} | arrays
    return Candidates(tuple(DesignId(f"{i:016x}") for i in range(n)), **values)  # type: ignore[arg-type]


def shares(strategy: Selection, given: Candidates, draws: int = 4000) -> np.ndarray:
    rng = np.random.default_rng(9)
    chosen = [strategy.choose(given, 1, rng)[0].index for _ in range(draws)]
    return np.bincount(chosen, minlength=len(given)) / draws


def test_unknown_name_lists_the_valid_ones() -> None:
    with pytest.raises(ValueError, match="thompson, alma, greedy, random"):
        make("tournament")


@pytest.mark.parametrize("breadth", [1.0, 0.25])
def test_thompson_draws_by_probability_of_being_best(breadth: float) -> None:
    given = flat(2, mean=np.array([0.5, 0.52]))
    best = 0.5 * (1 + math.erf(0.02 / (breadth * math.hypot(0.1, 0.1)) / math.sqrt(2)))
    assert shares(Thompson(breadth), given)[1] == pytest.approx(best, abs=0.025)


def test_thompson_explores_the_unknown_and_leaves_the_known_bad() -> None:
    given = flat(3, mean=np.array([0.6, 0.5, 0.5]), sd=np.array([0.01, 0.4, 0.01]))
    share = shares(make("thompson"), given)
    assert share[1] > 0.1
    assert share[2] < 0.01


def test_thompson_discounts_children_also_within_a_call() -> None:
    given = flat(3, mean=np.array([0.4, 0.5, 0.5]), children=np.array([0, 0, 20]))
    share = shares(make("thompson"), given)
    assert share[1] > share[2]
    near = flat(3, mean=np.array([0.5, 0.50001, 0.4]), sd=np.full(3, 1e-9))
    indices = [c.index for c in make("thompson").choose(near, 6, np.random.default_rng(0))]
    assert sorted(indices) == [0, 0, 0, 1, 1, 1]
    plain = [c.index for c in Thompson(discount=0).choose(near, 6, np.random.default_rng(0))]
    assert plain == [1] * 6


def test_thompson_is_scale_free() -> None:
    given = candidates()
    larger = Candidates(given.ids, given.mean * 3, given.sd * 3, given.children, given.visits)
    one, two = (make("thompson").choose(c, 20, np.random.default_rng(1)) for c in (given, larger))
    assert [c.index for c in one] == [c.index for c in two]


def test_alma_is_the_published_rule() -> None:
    """By hand: r - r0 of .2 and -.1, 0 and 3 visits: weights exp(2 sigmoid) / (1 + visits)."""
    given = flat(2, mean=np.array([0.5, 0.2]), visits=np.array([0, 3]), baseline=0.3)
    weights = np.array([math.exp(2 / (1 + math.exp(-0.2))), math.exp(2 / (1 + math.exp(0.1))) / 4])
    assert probabilities(given) == pytest.approx(weights / weights.sum())
    assert shares(make("alma"), given) == pytest.approx(weights / weights.sum(), abs=0.025)


def test_alma_never_takes_one_twice() -> None:
    given = candidates()
    for seed in range(20):
        chosen = [c.index for c in make("alma").choose(given, 5, np.random.default_rng(seed))]
        assert len(set(chosen)) == 5
    many = flat(3, visits=np.array([0, 10**9, 10**12]))
    assert sorted(c.index for c in make("alma").choose(many, 9, np.random.default_rng(0))) == [0, 1, 2]


def test_greedy_takes_the_best_then_the_one_with_fewer_children() -> None:
    given = flat(4, mean=np.array([0.5, 0.7, 0.7, 0.1]), children=np.array([0, 3, 1, 0]))
    assert [c.index for c in make("greedy").choose(given, 3, np.random.default_rng(0))] == [2, 2, 2]


def test_random_is_even() -> None:
    assert shares(make("random"), candidates(5)) == pytest.approx(np.full(5, 0.2), abs=0.025)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mean": np.zeros(2)},
        {"mean": np.array([0.1, np.nan, 0.2])},
        {"sd": np.array([0.1, -0.1, 0.2])},
        {"children": np.array([-1, 0, 0])},
        {"baseline": math.nan},
    ],
)
def test_candidates_are_strict(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"wanted|not finite"):
        flat(3, **wrong)
    with pytest.raises(ValueError, match="twice"):
        Candidates((DesignId("a"), DesignId("a")), *(np.zeros(2) for _ in range(4)))
