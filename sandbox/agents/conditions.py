"""The conditions of an item, and whether what an agent knows meets them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from design_space.text import VARIABLE, match, normal

Bindings = Mapping[str, str]
WAYS_COUNT = 1_000
"""Ways to bind an item's variables that are weighed at most; honest ones have a handful."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of an item's situation.

    Attributes:
        text: normalised, without the mark of negation.
        words: of a condition without variables.
    """

    text: str
    words: frozenset[str]
    negated: bool
    variable: bool


@lru_cache(maxsize=65_536)
def bag(line: str) -> frozenset[str]:
    """The words of a normalised line; the same lines come up again and again."""
    return frozenset(line.split())


@lru_cache(maxsize=65_536)
def parse(conditions: str) -> tuple[Condition, ...]:
    """The conditions of an item, one a line; empty lines say nothing."""
    found = []
    for line in conditions.splitlines():
        text = normal(line)
        if text:
            found.append(Condition(text, bag(text), line.startswith("!"), VARIABLE.search(text) is not None))
    return tuple(found)


class Known:
    """What the agent knows at one moment.

    Args:
        lines: all of it, normalised: the goal, what is before it, what it was told.
        before: what is before it.
        looks: how many ways to bind variables it has the time to look at.
    """

    def __init__(self, lines: Sequence[str], before: Sequence[str], looks: int) -> None:
        self._looks = looks
        self._lines = tuple(dict.fromkeys(lines))
        self._bags = [bag(line) for line in self._lines]
        self._words: frozenset[str] = frozenset().union(*self._bags)
        self._before = before
        self._before_bags = [bag(line) for line in before]
        self._found: dict[str, list[Bindings]] = {}
        self._covered: dict[frozenset[str], float] = {}

    def look(self, ways: Iterator[Bindings]) -> list[Bindings]:
        """The first of an item's ways, as many as there is time for: in the end none."""
        looked = list(islice(ways, min(WAYS_COUNT, self._looks)))
        self._looks -= len(looked)
        return looked

    def coverage(self, condition: Condition) -> float:
        """The largest share of the condition's words that one line holds, in [0, 1]."""
        wanted = condition.words
        found = self._covered.get(wanted)
        if found is None:
            found = 0.0
            if not wanted.isdisjoint(self._words):
                found = max(len(wanted & bag) for bag in self._bags) / len(wanted)
            self._covered[wanted] = found
        return found

    def bindings(self, pattern: str) -> list[Bindings]:
        """How the variables of `pattern` must be bound to make it a line, for each line that allows it."""
        if "{" not in pattern:
            return [{}] if pattern in self._lines else []
        found = self._found.get(pattern)
        if found is None:
            found = self._found[pattern] = [b for line in self._lines if (b := match(pattern, line)) is not None]
        return found

    def before_meets(self, pattern: str) -> bool:
        """Whether a line before the agent holds all words of a condition (or, with variables left, is the pattern)."""
        if "{" in pattern:
            return any(match(pattern, line) is not None for line in self._before)
        wanted = bag(pattern)
        return any(wanted <= bag for bag in self._before_bags)
