"""What may be claimed of designs: evidence that can be looked at any time, and a run's share of false claims bounded.

Evidence is an e-value: a number that, where there is no difference, is 1 on average or less, however the moment to look
was chosen; 20 is what a p-value of .05 promises once. Here it is the Bayes factor of a t test, its spread integrated
out under the right Haar prior, its standardised difference Normal(0, 1) a priori, which is safe at any stopping time
(Perez-Ortiz, Lardy, de Heide & Gruenwald 2024, arXiv:2208.07610). What has less evidence than 1 / level against it is
in the confidence sequence. All of this is for differences that are about normal, as means over a stream's tasks mostly
are: looked at after each of 32 streams, it claims falsely in 2 % of normal samples and of means of binary tasks, but in
60 % of samples in which one stream in ten gains .9 and each other one loses .1. Over many designs, claims are chosen so
that at most a share `level` of them is false on average, whatever the designs have in common (e-BH: Wang & Ramdas 2022,
arXiv:2009.02824).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from archive.statistics import SD_FLOOR, Interval

LEVEL = 0.05
"""Share of a run's claims that may be false, on average."""
PRIOR_VARIANCE = 1.0
"""Of the standardised difference: what one change brings is taken to be of the size of its spread over streams."""

Name = TypeVar("Name", bound=Hashable)


def evidence(differences: Sequence[float]) -> float:
    """Return the evidence that the mean of paired differences, one a stream, is not 0; 1 if there are fewer than two.

    Raises:
        ValueError: a difference is not finite.
    """
    mean, deviation, n = _summary(differences)
    if n < 2:
        return 1.0
    freedom, gain = n - 1, 1.0 + n * PRIOR_VARIANCE
    square = n * (mean / deviation) ** 2 / freedom
    log = -0.5 * math.log(gain) + 0.5 * n * (math.log1p(square) - math.log1p(square / gain))
    return math.exp(min(log, 700.0))


def sequence(differences: Sequence[float], level: float = LEVEL) -> Interval:
    """Return the mean of paired differences with a confidence sequence: it holds at whatever n one looks.

    Its ends are infinite where so few streams cannot speak against any mean.

    Raises:
        ValueError: no differences, one that is not finite, or a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level!r}, wanted a number between 0 and 1")
    mean, deviation, n = _summary(differences)
    if n == 0:
        raise ValueError("an interval takes at least one difference")
    gain = 1.0 + n * PRIOR_VARIANCE
    ratio = math.exp(2.0 / n * (0.5 * math.log(gain) - math.log(level)))
    if n < 2 or ratio >= gain:
        return Interval(mean, -math.inf, math.inf, n)
    square = (ratio - 1.0) / (1.0 - ratio / gain)
    half = deviation * math.sqrt(square * (n - 1) / n)
    return Interval(mean, mean - half, mean + half, n)


def claimed(found: Mapping[Name, float], level: float = LEVEL) -> set[Name]:
    """Return the names of which a difference may be claimed, given the evidence of all that were looked at."""
    order = sorted(found, key=lambda name: -found[name])
    enough = [place for place, name in enumerate(order, 1) if found[name] >= len(order) / (place * level)]
    return set(order[: max(enough, default=0)])


def _summary(differences: Sequence[float]) -> tuple[float, float, int]:
    """Mean, standard deviation (floored) and number."""
    numbers = np.array(list(differences), dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(f"a difference among {list(differences)!r} is not finite")
    n = len(numbers)
    deviation = float(numbers.std(ddof=1)) if n > 1 else math.inf
    return (float(numbers.mean()) if n else 0.0), max(deviation, SD_FLOOR), n
