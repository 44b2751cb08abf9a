"""The leak alarm: who knows answers that nobody can know?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scipy import stats

from design_space import Evaluation

ALARM_PROBABILITY = 1e-6
"""A design that knows nothing raises the alarm no more often than that."""


@dataclass(frozen=True, slots=True)
class Leak:
    """How many answers were right that are drawn at random.

    Attributes:
        hits: tasks that were answered right.
        tasks: all that were set.
        chance: of one task to be right, whatever is known.
        tail: probability of so many hits or more.
    """

    hits: int
    tasks: int
    chance: float
    tail: float

    @property
    def alarm(self) -> bool:
        return self.tail < ALARM_PROBABILITY

    def __str__(self) -> str:
        told = (
            f"{self.hits} of {self.tasks} answers that are drawn at random were right, by chance {self.chance:.0%} are"
        )
        return (
            f"{told}; so many or more have probability {self.tail:.2g}, the alarm goes off below {ALARM_PROBABILITY:g}"
        )


def leak(hits: int, tasks: int, chance: float) -> Leak:
    """Return the exact upper tail of the binomial distribution at `hits`.

    It bounds the probability of a false alarm also for a design that learns as it goes, and for one that fails on the
    way: each task is right with probability `chance`, whatever came before, and what is not played is not right.

    Raises:
        ValueError: the numbers are no count of hits, or `chance` is no probability.
    """
    if not 0 <= hits <= tasks:
        raise ValueError(f"{hits} hits of {tasks} tasks is no count")
    if not 0.0 < chance < 1.0:
        raise ValueError(f"chance is {chance}, not between 0 and 1")
    return Leak(hits, tasks, chance, float(stats.binom.sf(hits - 1, tasks, chance)))


def leak_in(evaluations: Iterable[Evaluation], chance: float) -> Leak:
    """What a design's evaluations on impossible streams show, all of them together."""
    rewards = [reward for evaluation in evaluations for reward in evaluation.rewards]
    return leak(sum(reward == 1.0 for reward in rewards), len(rewards), chance)
