"""Claims about numbers: against known values, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from archive.statistics import (
    SD_FLOOR,
    Interval,
    Verdict,
    by_stream,
    mean_interval,
    minimum_detectable_difference,
    paired_difference,
    posterior,
)
from design_space import DesignId, Evaluation, EvaluationKey, Outcome

score = st.floats(-1, 1)


def test_interval_of_student_1908() -> None:
    """Student's own sleep data: mean 1.58, t(9) interval at 95 %: .70 to 2.46."""
    gain = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    interval = mean_interval(gain)
    assert (round(interval.mean, 2), round(interval.low, 2), round(interval.high, 2), interval.n) == (
        1.58,
        0.70,
        2.46,
        10,
    )
    known = stats.ttest_1samp(gain, 0).confidence_interval(0.9)
    ninety = mean_interval(gain, level=0.9)
    assert (ninety.low, ninety.high) == pytest.approx((known.low, known.high))


def test_interval_reads_as_in_a_paper() -> None:
    assert str(Interval(0.1234, 0.04, 0.2056, 16)) == "+.123 [+.040, +.206] (n=16)"
    assert str(Interval(-0.0004, -1.5, math.inf, 2)) == "+.000 [-1.500, +inf] (n=2)"
    assert str(mean_interval([0.5])) == "+.500 [-inf, +inf] (n=1)"


def test_one_stream_decides_nothing() -> None:
    interval = mean_interval([1.0])
    assert (interval.low, interval.high, interval.n) == (-math.inf, math.inf, 1)
    assert interval.verdict is Verdict.UNDECIDED
    assert minimum_detectable_difference(0.1, 1) == math.inf


def test_equal_values_do_not_claim_certainty() -> None:
    interval = mean_interval([0.001, 0.001])
    assert interval.half_width == pytest.approx(stats.t.ppf(0.975, 1) * SD_FLOOR / math.sqrt(2))
    assert interval.verdict is Verdict.UNDECIDED
    assert mean_interval([0.5] * 10).verdict is Verdict.BETTER


@pytest.mark.parametrize("bad", [[], [math.nan], [0.1, math.inf], [0.1, -math.inf, 0.2]])
def test_values_that_are_no_numbers_are_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match=r"not finite|at least one"):
        mean_interval(bad)
    if bad:
        with pytest.raises(ValueError, match="not finite"):
            posterior(bad, 0, 1, 1)
    with pytest.raises(ValueError, match=r"not finite|no stream"):
        paired_difference(dict(enumerate(bad)), dict.fromkeys(range(9), 0.0))


@pytest.mark.parametrize("level", [0.0, 1.0, -1, math.nan, 95])
def test_levels_are_probabilities(level: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        mean_interval([1.0, 2.0], level)


@pytest.mark.parametrize("n", [2, 4, 16])
def test_interval_covers_the_truth_in_95_percent(n: int) -> None:
    rng = np.random.default_rng(1)
    samples = rng.normal(0.3, 0.18, size=(3000, n))
    covered = [(i := mean_interval(list(row))).low <= 0.3 <= i.high for row in samples]
    assert 0.94 <= np.mean(covered) <= 0.97  # the floor of the sd makes 2 streams a little cautious


def test_equal_designs_are_called_different_in_5_percent() -> None:
    rng = np.random.default_rng(2)
    verdicts = []
    for _ in range(3000):
        streams = rng.normal(0, 0.3, 8)  # what makes a stream hard is shared by both
        a, b = (dict(enumerate(streams + rng.normal(0, 0.1, 8))) for _ in range(2))
        verdicts.append(paired_difference(a, b).verdict)
    share = {verdict: verdicts.count(verdict) / 3000 for verdict in Verdict}
    assert 0.018 <= share[Verdict.BETTER] <= 0.032
    assert 0.018 <= share[Verdict.WORSE] <= 0.032


def test_difference_is_paired_and_on_shared_streams_only() -> None:
    a = {"s1": 0.9, "s2": 0.5, "s3": 0.7, "only a": 1.0}
    b = {"s3": 0.5, "s2": 0.3, "s1": 0.7, "only b": 0.0}
    interval = paired_difference(a, b)
    assert interval.mean == pytest.approx(0.2)
    assert interval.n == 3
    assert interval.verdict is Verdict.BETTER
    assert paired_difference(b, a).verdict is Verdict.WORSE
    with pytest.raises(ValueError, match="share no stream"):
        paired_difference(a, {"only b": 0.0})


@given(st.dictionaries(st.integers(), st.tuples(score, score), min_size=2), st.randoms())
def test_order_of_streams_does_not_matter(scores: dict[int, tuple[float, float]], chance) -> None:
    shuffled = list(scores)
    chance.shuffle(shuffled)
    a, b = ({s: scores[s][i] for s in scores} for i in range(2))
    c, d = ({s: scores[s][i] for s in shuffled} for i in range(2))
    assert paired_difference(a, b) == paired_difference(c, d)
    assert paired_difference(a, b).mean == pytest.approx(-paired_difference(b, a).mean)


def test_a_stream_counts_once_and_failures_stay_in_the_denominator() -> None:
    def done(stream: str, order: int, outcome: Outcome, *rewards: float) -> Evaluation:
        key = EvaluationKey(DesignId("a" * 16), stream, "search", order, "online", "a", 0, "g", "c")
        return Evaluation(key, outcome, rewards)

    scores = by_stream(
        [
            done("s1", 0, Outcome.SCORED, 1.0, 0.0),
            done("s1", 1, Outcome.SCORED, 1.0, 1.0),
            done("s2", 0, Outcome.CRASHED),
            done("s3", 0, Outcome.TIMED_OUT, 1.0, 0.0, 0.0, 0.0),
            done("s4", 0, Outcome.SCORED),
        ]
    )
    assert scores == {"s1": 0.75, "s2": 0.0, "s3": 0.25}


def test_detectable_difference_is_found_with_its_power() -> None:
    assert minimum_detectable_difference(0.18, 100) == pytest.approx(0.05, abs=0.002)
    for n in (3, 8):
        shift = minimum_detectable_difference(0.18, n)
        rng = np.random.default_rng(3)
        samples = rng.normal(shift, 0.18, size=(3000, n))
        found = [mean_interval(list(row)).verdict is Verdict.BETTER for row in samples]
        assert 0.78 <= np.mean(found) <= 0.82
    sizes = [minimum_detectable_difference(0.18, n) for n in (2, 4, 8, 64, 10_000)]
    assert sizes == sorted(sizes, reverse=True)
    assert minimum_detectable_difference(0.0, 4) == minimum_detectable_difference(SD_FLOOR, 4) > 0
    with pytest.raises(ValueError, match="wanted sd"):
        minimum_detectable_difference(-1, 4)


def test_posterior_of_a_textbook() -> None:
    """Prior N(0, 1), noise 1, three scores of mean 2: N(1.5, 1/2)."""
    assert posterior([1.0, 2.0, 3.0], 0.0, 1.0, 1.0) == pytest.approx((1.5, 0.5))
    assert posterior([], 0.3, 0.1, 0.2) == pytest.approx((0.3, 0.1))


@given(st.lists(score, min_size=1, max_size=20), score, st.floats(0, 2), st.floats(0, 2))
def test_posterior_lies_between_prior_and_data(scores: list[float], mean: float, prior: float, noise: float) -> None:
    found = posterior(scores, mean, prior, noise)
    data = float(np.mean(scores))
    assert min(mean, data) - 1e-9 <= found.mean <= max(mean, data) + 1e-9
    assert 0 < found.sd <= max(prior, SD_FLOOR) + 1e-12


def test_posterior_takes_the_luck_out_of_the_winner() -> None:
    """The best of 50 by sample mean looks too good; its posterior mean does not (Smith and Winkler 2006)."""
    rng = np.random.default_rng(4)
    naive, shrunk = [], []
    for _ in range(400):
        truth = rng.normal(0.3, 0.03, 50)
        scores = truth[:, None] + rng.normal(0, 0.18, (50, 4))
        naive.append(scores.mean(1).max() - truth[scores.mean(1).argmax()])
        means = np.array([posterior(list(row), 0.3, 0.03, 0.18).mean for row in scores])
        shrunk.append(means.max() - truth[means.argmax()])
    assert np.mean(naive) > 0.1
    assert abs(np.mean(shrunk)) < 0.005


@pytest.mark.parametrize(("prior", "noise"), [(-1, 1), (1, -1), (math.nan, 1), (1, math.inf)])
def test_impossible_spreads_are_refused(prior: float, noise: float) -> None:
    with pytest.raises(ValueError, match=r"finite|none below 0"):
        posterior([0.5], 0.0, prior, noise)
