"""Lessons of the search: new ones, and those that are kept."""

from __future__ import annotations

from dataclasses import dataclass

from meta_agent.evidence import Effect, Evidence, effect, union
from meta_agent.untrusted import line

TEXT_CHARS, SITUATION_CHARS = 600, 300


@dataclass(frozen=True, slots=True)
class Lesson:
    """What was learned of one comparison, or of several.

    Attributes:
        text: what was done and what came of it. Evidence is about doing what it describes: a lesson that says that
            something does harm has differences below 0.
        situation: where it holds; empty is everywhere.
        evidence: may be empty, for a mere guess.
    """

    text: str
    situation: str = ""
    evidence: tuple[Evidence, ...] = ()

    @property
    def plain(self) -> Lesson:
        """With texts of one harmless line each, cut to their limits, and each piece of evidence once."""
        text, situation = line(self.text, TEXT_CHARS), line(self.situation, SITUATION_CHARS)
        return Lesson(text, situation, union(self.evidence))

    @property
    def helps(self) -> bool:
        """What it claims, as far as its evidence tells; that it helps if there is none."""
        return effect(self.evidence).mean >= 0.0


@dataclass(frozen=True, slots=True)
class Insight:
    """A lesson that is kept.

    Attributes:
        id: a short hash of what it was born from; it stays when the insight is modified.
        born: generation of that.
        confirmed: generation in which a lesson last joined it; both may lie below 0 if another run brought it.
        origin: the run that it comes from, empty for this one.
        helps: what it claims: that doing as it describes earns more, or that it does harm.
    """

    id: str
    text: str
    situation: str
    evidence: tuple[Evidence, ...]
    born: int
    confirmed: int
    origin: str = ""
    helps: bool = True

    @property
    def effect(self) -> Effect:
        """What doing as it describes is believed to be worth, in reward units."""
        return effect(self.evidence)

    @property
    def right(self) -> float:
        """How probably its claim is right, in [0, 1]."""
        return self.effect.right(self.helps)
