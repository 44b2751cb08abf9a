"""A prompt for proposers that read no text: what to change, how boldly, by which operator, of which parent."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Literal, get_args

Operator = Literal["any", "mutation", "crossover", "random"]
Part = Literal["any", "encoders", "key", "retriever", "value", "credit", "manager", "numbers", "asking"]
Boldness = Literal["one thing", "usual", "several things", "many things"]
Parentage = Literal["usual", "best", "anyone"]

FURTHER: dict[Boldness, float] = {"one thing": 0.0, "usual": 0.35, "several things": 0.6, "many things": 0.8}
"""Probability of each further mutation of the same child."""
SELECTION: dict[Parentage, str | None] = {"usual": None, "best": "greedy", "anyone": "random"}
"""Which strategy of `archive.selection` chooses the parent; None is the run's own."""


@dataclass(frozen=True, slots=True)
class Steer:
    """The structured prompt. Its default changes nothing: that is the root of the tree.

    Attributes:
        part: where a mutation falls.
        boldness: how many things are changed at once.
        operator: crossover without a second parent is mutation.
        parent: how the parent is chosen.
    """

    operator: Operator = "any"
    part: Part = "any"
    boldness: Boldness = "usual"
    parent: Parentage = "usual"

    @property
    def told(self) -> str:
        """In words."""
        operator = "vary or cross" if self.operator == "any" else self.operator
        return f"{operator}; change {self.part}, {self.boldness}; of {self.parent} parents"

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    @lru_cache(maxsize=4_096)
    def from_text(text: str) -> Steer:
        """Read what `to_text` wrote; the empty text is the default.

        Raises:
            ValueError: it is no such text.
        """
        if not text:
            return Steer()
        told = json.loads(text)
        for name, options in OPTIONS.items():
            if told.get(name) not in options:
                raise ValueError(f"{name} is {told.get(name)!r}, wanted one of {', '.join(options)}")
        return Steer(**told)


OPTIONS: dict[str, tuple[str, ...]] = {
    "operator": get_args(Operator),
    "part": get_args(Part),
    "boldness": get_args(Boldness),
    "parent": get_args(Parentage),
}
assert tuple(OPTIONS) == tuple(field.name for field in fields(Steer))


@lru_cache(maxsize=65_536)
def likeness(a: str, b: str) -> float:
    """The share of the fields in which two prompts agree."""
    ours, theirs = Steer.from_text(a), Steer.from_text(b)
    return [getattr(ours, name) == getattr(theirs, name) for name in OPTIONS].count(True) / len(OPTIONS)


def revisions(steer: Steer, worse: Steer | None = None) -> list[Steer]:
    """All prompts that differ from one in one field.

    Args:
        worse: what it was found better than; where the two differ, its value is not tried again.
    """
    found = []
    for name, options in OPTIONS.items():
        avoided = {getattr(steer, name)} | ({getattr(worse, name)} if worse is not None else set())
        changed = [option for option in options if option not in avoided]
        found += [Steer.from_text(json.dumps(asdict(steer) | {name: option})) for option in changed]
    return found
