"""Value terms: what past use says of an entry. Credit: which entries an outcome is laid to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol

from design_space.memory import Episode
from design_space.parts.entries import Baseline, Entry, returns
from design_space.space import Float, Space
from design_space.text import bind, match, normal


class ValueTerm(Protocol):
    """Owes: `of` in [0, 1], 0.5 for an entry never used; `credit` changes the entry's own bookkeeping only.

    Attributes:
        weight: of the value against the similarity in ranking, in [0, 1].
    """

    SPACE: ClassVar[Space]
    weight: float

    def of(self, entry: Entry) -> float: ...

    def credit(self, entry: Entry, value: float) -> None: ...


class NoValue:
    """Use does not matter, only what was observed.

    Args:
        weight: of what was observed in ranking.
    """

    SPACE: ClassVar[Space] = Space(weight=Float(0.0, 1.0, 0.0))

    def __init__(self, weight: float = 0.0) -> None:
        self.weight = weight

    def of(self, entry: Entry) -> float:
        return entry.value

    def credit(self, entry: Entry, value: float) -> None:
        entry.uses += 1


class QValue:
    """A running estimate, as in MemRL: q <- q + alpha (value - q), beginning at what was observed.

    Args:
        alpha: step size.
        weight: of the value in ranking.
    """

    SPACE: ClassVar[Space] = Space(alpha=Float(0.02, 0.9, 0.3), weight=Float(0.0, 1.0, 0.3))

    def __init__(self, alpha: float = 0.3, weight: float = 0.3) -> None:
        self._alpha = alpha
        self.weight = weight

    def of(self, entry: Entry) -> float:
        return entry.q if entry.uses else entry.value

    def credit(self, entry: Entry, value: float) -> None:
        if not entry.uses:
            entry.q = entry.value
        entry.q += self._alpha * (value - entry.q)
        entry.uses += 1


class Utility:
    """Utility over frequency, as in ReMe: wins over uses, with what was observed as prior.

    Args:
        prior: uses that the first observation counts as.
        weight: of the value in ranking.
    """

    SPACE: ClassVar[Space] = Space(prior=Float(0.2, 20.0, 1.0, log=True), weight=Float(0.0, 1.0, 0.3))

    def __init__(self, prior: float = 1.0, weight: float = 0.3) -> None:
        self._prior = prior
        self.weight = weight

    def of(self, entry: Entry) -> float:
        return (entry.wins + self._prior * entry.value) / (entry.uses + self._prior)

    def credit(self, entry: Entry, value: float) -> None:
        entry.uses += 1
        entry.wins += value


class Credit(Protocol):
    """Owes: pairs of a recalled id and its value in [0, 1]; an id may come several times."""

    SPACE: ClassVar[Space]

    def assign(self, episode: Episode) -> Iterator[tuple[str, float]]: ...


class ImmediateCredit:
    """All that was recalled in the task gets the task's reward."""

    SPACE: ClassVar[Space] = Space()

    def assign(self, episode: Episode) -> Iterator[tuple[str, float]]:
        reward = 0.5 if episode.reward is None else episode.reward
        recalls = (episode.recall, *(step.recall for step in episode.steps))
        for name in dict.fromkeys(item.id for recall in recalls for item in recall.items):
            yield name, reward


class CausalCredit:
    """Only what was recalled *and followed* gets credit: what came of that very step and after it.

    Args:
        discount: per step, on what was earned later.
    """

    SPACE: ClassVar[Space] = Space(discount=Float(0.0, 1.0, 0.6))

    def __init__(self, discount: float = 0.6) -> None:
        self._discount = discount
        self._baseline = Baseline()

    def assign(self, episode: Episode) -> Iterator[tuple[str, float]]:
        for step, earned in zip(episode.steps, returns(episode, self._discount), strict=True):
            value = self._baseline.take(earned)
            for item in step.recall.items:
                if item.action and followed(item.action, step.action):
                    yield item.id, value

    def state(self) -> Any:
        return self._baseline.state()

    def set_state(self, state: Any) -> None:
        self._baseline.set_state(state)


def followed(advice: str, action: str) -> bool:
    """Whether `action` is what `advice` says, for some binding of its variables."""
    pattern = normal(advice)
    bindings: Mapping[str, str] | None = match(pattern, normal(action))
    return bindings is not None and bind(pattern, bindings) == normal(action)
