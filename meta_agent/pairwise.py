"""Feedback on pairs of designs: a model compares two of them, says what is learned, and rewrites the prompt that
steered (after the pairwise feedback of Empirical-MCTS, arXiv 2602.04248).

Which of the two is shown first is drawn by lot, since models favour places.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from string import Template
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator

from archive.ledger import Ledger
from design_space import DesignId
from meta_agent import guide
from meta_agent.lessons import SITUATION_CHARS, TEXT_CHARS
from meta_agent.llm import prompt
from meta_agent.search import Search
from meta_agent.story import Storyteller
from meta_agent.untrusted import line, quoted
from sandbox import structured
from sandbox.calls import Line, Message, Models

LESSONS_COUNT, CRITERIA_COUNT = 5, 8
LEAST_SCORE, BEST_SCORE = 1.0, 10.0
CRITIQUE_CHARS, NAME_CHARS = 2_000, 80
PROBLEM_CHARS = 500
NAMED_BY = 8
"""Characters of its id that a design is called by: a name that does not depend on where it is shown."""


# Ranges are checked here and not in the schema: some providers refuse schemas that hold them.
def _weight(value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"a weight is {value}, wanted 0 to 1")
    return value


def _score(value: float) -> float:
    if not LEAST_SCORE <= value <= BEST_SCORE:
        raise ValueError(f"a score is {value}, wanted {LEAST_SCORE:g} to {BEST_SCORE:g}")
    return value


class Criterion(structured.Answer):
    name: str
    weight: Annotated[float, AfterValidator(_weight)]
    first: Annotated[float, AfterValidator(_score)]
    second: Annotated[float, AfterValidator(_score)]


class Taught(structured.Answer):
    """A lesson: what was done and what came of it, and where that holds."""

    text: str
    situation: str


def _some(criteria: tuple[Criterion, ...]) -> tuple[Criterion, ...]:
    if not 1 <= len(criteria) <= CRITERIA_COUNT:
        raise ValueError(f"there are {len(criteria)} criteria, wanted 1 to {CRITERIA_COUNT}")
    return criteria


def _few(lessons: tuple[Taught, ...]) -> tuple[Taught, ...]:
    if len(lessons) > LESSONS_COUNT:
        raise ValueError(f"there are {len(lessons)} lessons, wanted at most {LESSONS_COUNT}")
    return lessons


class Verdict(structured.Answer):
    """What a model says of two designs, in the order in which it saw them."""

    criteria: Annotated[tuple[Criterion, ...], AfterValidator(_some)]
    critique: str
    preferred: Literal["first", "second", "tie"]
    lessons: Annotated[tuple[Taught, ...], AfterValidator(_few)]
    prompt: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two designs that are to be compared.

    Attributes:
        parent: that both were made of; may be one of the two.
        guide: the prompt that steered; empty for the root one.
        scope: names the pair in the search, the same in every repetition.
    """

    first: DesignId
    second: DesignId
    parent: DesignId
    scope: str
    guide: str = ""

    @property
    def swapped(self) -> bool:
        """Whether the second one is shown first: drawn by lot, of the scope alone."""
        seed = int.from_bytes(hashlib.sha256(self.scope.encode()).digest()[:8], "big")
        return bool(np.random.default_rng(seed).random() < 0.5)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of comparing a pair; first and second are as in the pair, whatever was shown.

    Attributes:
        preference: 1.0 for the first design, 0.0 for the second, 0.5 for none or if there is no verdict.
        critique: calls the designs by the beginning of their ids.
        prompt: the whole new prompt; None if none that is acceptable came.
        problem: why there is no verdict, or no new prompt; empty if there are both.
    """

    first: DesignId
    second: DesignId
    preference: float
    criteria: tuple[Criterion, ...] = ()
    critique: str = ""
    lessons: tuple[Taught, ...] = ()
    prompt: str | None = None
    problem: str = ""

    @property
    def judged(self) -> bool:
        """Whether there is a verdict; without one, `preference` says nothing."""
        return bool(self.criteria)


class Judge:
    """Has a model compare designs.

    Args:
        max_tokens: of an answer, which holds a whole prompt.
        ledger: where what happened is read from.
    """

    def __init__(self, models: Models, max_tokens: int, ledger: Ledger) -> None:
        self._models = models
        self._max_tokens = max_tokens
        self._ledger = ledger

    def compare(self, pairs: Sequence[Pair], search: Search) -> list[Comparison]:
        """Compare all pairs at once, a call for each, and a second one where the first is no good.

        Args:
            search: that has the designs; to be read, not to be changed.

        Raises:
            ModelFault: the run must stop.
        """
        stories = Storyteller(search, self._ledger)
        lines = [Line(self._models, pair.scope, "judge", self._max_tokens) for pair in pairs]
        asked = [[Message("user", _told(pair, stories))] for pair in pairs]

        def wrong(place: int, verdict: Verdict) -> str:
            return guide.problem_of(verdict.prompt, _guide(pairs[place]))

        heard = structured.ask_all(self._models, lines, asked, Verdict, wrong)
        return [_comparison(pair, found) for pair, found in zip(pairs, heard, strict=True)]


def _guide(pair: Pair) -> str:
    return pair.guide or guide.root()


def _told(pair: Pair, stories: Storyteller) -> str:
    first, second = (pair.second, pair.first) if pair.swapped else (pair.first, pair.second)
    return Template(prompt("judge")).substitute(
        longest=guide.LONGEST_CHARS,
        guide=quoted("prompt", _guide(pair), guide.LONGEST_CHARS),
        parent=stories.in_short(pair.parent),
        first_name=_name(first),
        first=stories.measured(first, pair.parent),
        second_name=_name(second),
        second=stories.measured(second, pair.parent),
        difference=f"{_name(first)}: {stories.gained(first, second, _name(second)) or 'they share too few streams.'}",
    )


def _name(design: DesignId) -> str:
    return str(design)[:NAMED_BY]


def _comparison(pair: Pair, heard: structured.Heard[Verdict]) -> Comparison:
    problem = line(heard.problem, PROBLEM_CHARS) if heard.problem else ""
    verdict = heard.answer
    if verdict is None:
        return Comparison(pair.first, pair.second, 0.5, problem=problem)
    shown = {"first": 1.0, "second": 0.0, "tie": 0.5}[verdict.preferred]
    return Comparison(
        pair.first,
        pair.second,
        1.0 - shown if pair.swapped else shown,
        tuple(_criterion(criterion, pair.swapped) for criterion in verdict.criteria),
        line(verdict.critique, CRITIQUE_CHARS),
        tuple(
            Taught(text=line(lesson.text, TEXT_CHARS), situation=line(lesson.situation, SITUATION_CHARS))
            for lesson in verdict.lessons
            if lesson.text.strip()
        ),
        None if problem else verdict.prompt,
        problem,
    )


def _criterion(shown: Criterion, swapped: bool) -> Criterion:
    first, second = (shown.second, shown.first) if swapped else (shown.first, shown.second)
    return Criterion(name=line(shown.name, NAME_CHARS), weight=shown.weight, first=first, second=second)
