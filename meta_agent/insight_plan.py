"""The one question by which a model keeps insights in order, and its answer: a plan of operations.

Insights and lessons are numbered from 1, each for themselves; a model sees no id.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Literal

from archive.plain import number
from meta_agent.lessons import SITUATION_CHARS, TEXT_CHARS, Insight, Lesson
from meta_agent.untrusted import line, quoted
from sandbox import structured
from sandbox.calls import Message

EVIDENCE_COUNT = 6
"""Pieces of a lesson's evidence that are told one by one."""


class PlanRefused(ValueError):
    """A plan cannot be carried out; the message says which operation and why, in words for the model."""


class Operation(structured.Answer):
    """One of the four.

    Attributes:
        insights: numbers of the insights that it is about: none to add, one to modify or delete, at least two to merge.
        lessons: numbers of the new lessons whose evidence it takes up; to add, at least one; to delete, none.
        text: what the insight says from now on; of a deletion, why.
        situation: where it holds; empty is everywhere.
        helps: whether doing as the text describes earns more, or does harm.
    """

    kind: Literal["add", "modify", "merge", "delete"]
    insights: tuple[int, ...]
    lessons: tuple[int, ...]
    text: str
    situation: str
    helps: bool


class Plan(structured.Answer):
    operations: tuple[Operation, ...]


_INSIGHTS = {
    "add": (0, 0, "none"),
    "modify": (1, 1, "one"),
    "merge": (2, None, "at least two"),
    "delete": (1, 1, "one"),
}


def check(plan: Plan, insights: int, lessons: int) -> None:
    """See that a plan can be carried out as a whole.

    Args:
        insights, lessons: how many are numbered; each lesson is to be taken up.

    Raises:
        PlanRefused: an operation does not fit, or a lesson is left out.
    """
    gone: dict[int, str] = {}
    for place, operation in enumerate(plan.operations, 1):
        told = f"operation {place} ({operation.kind})"
        problem = _named(operation, insights, lessons) or _said(operation)
        lost = [insight for insight in operation.insights if insight in gone]
        if not problem and lost:
            problem = f"names insight {lost[0]}, which {gone[lost[0]]} did away with"
        if problem:
            raise PlanRefused(f"{told} {problem}")
        if operation.kind in ("merge", "delete"):
            gone |= dict.fromkeys(operation.insights, told)
    taken = {lesson for operation in plan.operations for lesson in operation.lessons}
    for lesson in range(1, lessons + 1):
        if lesson not in taken:
            raise PlanRefused(f"no operation takes up lesson {lesson}: add it, or modify or merge what says the same")


def _named(operation: Operation, insights: int, lessons: int) -> str:
    """What is wrong with the numbers that an operation names; empty if nothing is."""
    for what, named, count in (("insight", operation.insights, insights), ("lesson", operation.lessons, lessons)):
        unknown = [number_ for number_ in named if not 1 <= number_ <= count]
        if unknown:
            return f"names {what} {unknown[0]}, there are {count}"
    least, most, wanted = _INSIGHTS[operation.kind]
    different = len(set(operation.insights))
    if different < least or (most is not None and different > most):
        return f"names {different} insights, wanted {wanted}"
    if operation.kind == "add" and not operation.lessons:
        return "names no lesson, wanted at least one"
    if operation.kind == "delete" and operation.lessons:
        return "names lessons, whose evidence would be lost"
    return ""


def _said(operation: Operation) -> str:
    """What is wrong with the texts of an operation; empty if nothing is."""
    if operation.kind != "delete" and not line(operation.text):
        return "has an empty text"
    for what, text, limit in (
        ("text", operation.text, TEXT_CHARS),
        ("situation", operation.situation, SITUATION_CHARS),
    ):
        if len(text) > limit:
            return f"has a {what} of {len(text)} characters, wanted at most {limit}"
    return ""


def question(lessons: Sequence[Lesson], shown: Sequence[Insight], generation: int) -> list[Message]:
    """What a model is asked."""
    told = Template((Path(__file__).parent / "prompts" / "insights.md").read_text(encoding="utf-8")).substitute(
        insights="\n\n".join(_kept(place, insight, generation) for place, insight in enumerate(shown, 1))
        or "None yet.",
        lessons="\n\n".join(_new(place, lesson) for place, lesson in enumerate(lessons, 1)),
        text_chars=TEXT_CHARS,
        situation_chars=SITUATION_CHARS,
    )
    return [Message("user", told)]


def _kept(place: int, insight: Insight, generation: int) -> str:
    claim = "helps" if insight.helps else "harms"
    streams = sum(piece.n for piece in insight.evidence)
    ago = generation - insight.confirmed
    return (
        f"Insight {place}: it claims that this {claim}; it is believed to be worth {insight.effect},"
        f" by {len(insight.evidence)} designs on {streams} streams, the last of it {ago} generations ago.\n"
        f"{_quoted(insight.text, insight.situation)}"
    )


def _new(place: int, lesson: Lesson) -> str:
    pieces = lesson.evidence[:EVIDENCE_COUNT]
    earned = "; ".join(f"{number(piece.difference)} on {piece.n} streams" for piece in pieces) or "not measured"
    more = len(lesson.evidence) - len(pieces)
    told = f"{earned}; and {more} more" if more else earned
    return f"Lesson {place}: it earned, beside the parent: {told}.\n{_quoted(lesson.text, lesson.situation)}"


def _quoted(text: str, situation: str) -> str:
    told = f"{text}\nwhere: {situation or 'everywhere'}"
    return quoted("lesson", told, TEXT_CHARS + SITUATION_CHARS + 20)
