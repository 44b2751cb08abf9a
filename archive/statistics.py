"""Honest numbers: intervals over streams, paired differences, and posteriors that shrink lucky scores.

The unit is the stream, never the task: tasks inside one stream depend on each other (arXiv:2411.00640), so a stream
gives one number, whatever its length. Every result carries n, the number of streams.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeVar

import numpy as np
from scipy import optimize, stats

from design_space import Evaluation, Outcome

SD_FLOOR = 0.01
"""Smallest standard deviation (in reward units) that is believed. A few streams with the very same score would
otherwise give an interval of length 0, which claims certainty after two draws."""

Stream = TypeVar("Stream", bound=Hashable)


class Verdict(StrEnum):
    BETTER = "better"
    WORSE = "worse"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and where the true one lies.

    Attributes:
        low, high: -inf and +inf if n is 1: one stream says nothing about the spread.
        n: number of streams.
    """

    mean: float
    low: float
    high: float
    n: int

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2

    @property
    def verdict(self) -> Verdict:
        """What the interval of a difference says: better if all of it lies above 0, worse if below."""
        if self.low > 0:
            return Verdict.BETTER
        return Verdict.WORSE if self.high < 0 else Verdict.UNDECIDED

    def within(self, low: float, high: float) -> Interval:
        """Cut to what is possible; that of a single stream then says so: everything."""
        return Interval(self.mean, max(self.low, low), min(self.high, high), self.n)

    def __str__(self) -> str:
        return f"{_signed(self.mean)} [{_signed(self.low)}, {_signed(self.high)}] (n={self.n})"


class Posterior(NamedTuple):
    """A normal belief about a design's true mean reward."""

    mean: float
    sd: float


def mean_interval(values: Sequence[float], level: float = 0.95, floor: float = SD_FLOOR) -> Interval:
    """Return the mean of one number per stream with its Student t interval.

    Args:
        floor: of the standard deviation; 0 for what is counted and not a reward.

    Raises:
        ValueError: no values, one that is not finite, or a level outside (0, 1).
    """
    numbers = _finite(values, "value")
    quantile = (1 + _probability(level, "level")) / 2
    n = len(numbers)
    if n == 0:
        raise ValueError("an interval takes at least one value")
    mean = float(numbers.mean())
    if n == 1:
        return Interval(mean, -math.inf, math.inf, 1)
    sd = max(float(numbers.std(ddof=1)), floor)
    half = float(stats.t.ppf(quantile, n - 1)) * sd / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def by_stream(evaluations: Iterable[Evaluation]) -> dict[str, float]:
    """Return one score per stream: the mean over the evaluations (orders, seeds) on it.

    An evaluation that failed before its first task scores 0; one that was scored without any task is left out.
    """
    scores: dict[str, list[float]] = {}
    for evaluation in evaluations:
        score = evaluation.score
        if score is None and evaluation.outcome is not Outcome.SCORED:
            score = 0.0
        if score is not None:
            scores.setdefault(evaluation.key.stream, []).append(score)
    return {stream: math.fsum(values) / len(values) for stream, values in sorted(scores.items())}


def paired_difference(a: Mapping[Stream, float], b: Mapping[Stream, float], level: float = 0.95) -> Interval:
    """Return how much more `a` earned than `b`, on the streams that both have; the others are left out.

    Raises:
        ValueError: no shared stream, or a score that is not finite.
    """
    shared = sorted((stream for stream in a if stream in b), key=repr)
    if not shared:
        raise ValueError("the two share no stream")
    return mean_interval([a[stream] - b[stream] for stream in shared], level)


def minimum_detectable_difference(sd: float, n: int, power: float = 0.8, level: float = 0.95) -> float:
    """Return the smallest true difference that a two-sided paired t test on n streams finds with this power.

    Args:
        sd: standard deviation of the paired differences; floored at `SD_FLOOR`.
        n: number of streams; with one, nothing can be found and the result is infinite.

    Raises:
        ValueError: sd is negative or not finite, n below 1, power or level outside (0, 1).
    """
    _probability(power, "power")
    quantile = (1 + _probability(level, "level")) / 2
    if not math.isfinite(sd) or sd < 0 or n < 1:
        raise ValueError(f"sd is {sd!r} and n is {n!r}, wanted sd >= 0 and n >= 1")
    if n == 1:
        return math.inf
    critical = float(stats.t.ppf(quantile, n - 1))

    def missing(shift: float) -> float:
        return float(stats.nct.sf(critical, n - 1, shift)) - power

    if missing(0.0) >= 0:
        return 0.0
    upper = 1.0
    while missing(upper) < 0:
        upper *= 2
    shift = float(optimize.brentq(missing, 0.0, upper))
    return shift * max(sd, SD_FLOOR) / math.sqrt(n)


def detectable_difference(differences: Sequence[float]) -> float | None:
    """Return `minimum_detectable_difference` for paired differences like these; None if there are fewer than two."""
    n = len(differences)
    if n < 2:
        return None
    return minimum_detectable_difference(float(np.std(_finite(differences, "difference"), ddof=1)), n)


def posterior(scores: Sequence[float], prior_mean: float, prior_sd: float, noise_sd: float) -> Posterior:
    """Return the belief about a design's true mean reward after these scores, one per stream.

    Normal prior, normal noise of known size: few scores are drawn to the prior, many outweigh it. Both standard
    deviations are floored at `SD_FLOOR`. Without scores it is the prior.

    Args:
        prior_mean, prior_sd: for a child, what its parent's posterior and one step give.
        noise_sd: spread of one design's scores from stream to stream.

    Raises:
        ValueError: a number is not finite, or a standard deviation is negative.
    """
    numbers = _finite(scores, "score")
    mean, prior, noise = (float(x) for x in _finite([prior_mean, prior_sd, noise_sd], "prior or noise"))
    if prior < 0 or noise < 0:
        raise ValueError(f"standard deviations are {prior_sd!r} and {noise_sd!r}, wanted none below 0")
    before = 1 / max(prior, SD_FLOOR) ** 2
    gained = len(numbers) / max(noise, SD_FLOOR) ** 2
    centre = (before * mean + gained * float(numbers.mean())) / (before + gained) if len(numbers) else mean
    return Posterior(centre, (before + gained) ** -0.5)


def _finite(values: Sequence[float], what: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    numbers = np.array(list(values), dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(f"a {what} among {list(values)!r} is not finite")
    return numbers


def _probability(value: float, what: str) -> float:
    if not 0 < value < 1:
        raise ValueError(f"{what} is {value!r}, wanted a number between 0 and 1")
    return value


def _signed(value: float) -> str:
    """Return a number with its sign and three decimals, without a leading zero: ``+.040``."""
    if math.isinf(value) or math.isnan(value):
        return f"{value:+}"
    sign, digits = ("-" if round(value, 3) < 0 else "+"), f"{abs(value):.3f}"
    return sign + digits.removeprefix("0")
