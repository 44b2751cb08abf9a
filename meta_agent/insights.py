"""What a search has learned: lessons with evidence, kept in order by four operations, found by what they are about.

After the experience library of Empirical-MCTS (arXiv 2602.04248), with measurements in the place of opinions: a lesson
counts by what designs earned that did as it says, and fades if nothing confirms it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from archive.search_book import InsightRow
from meta_agent.insight_plan import Plan, check, question
from meta_agent.insight_rows import Draft
from meta_agent.lessons import Insight, Lesson
from meta_agent.likeness import Likeness, Vector
from meta_agent.untrusted import line as plain
from sandbox import structured
from sandbox.calls import CallRefused, Line

NEAREST_COUNT = 10
PLAN_CHARS = 12_000
"""Of a plan that is complained about, shown again to whoever is to mend it."""
HALF_LIFE = 20.0
"""Generations after which an insight that nothing confirms counts half."""
CARRIED = 0.5
"""What a piece of evidence counts for in another run than its own."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What became of lessons.

    Attributes:
        rows: to be recorded, in this order.
        refused: why they were added as they are, though a model was asked to place them; empty otherwise.
    """

    rows: tuple[InsightRow, ...]
    refused: str = ""


class InsightStore:
    """The insights of a search. In memory, and a function of the rows that it returned; draws nothing at random.

    Each call that changes it returns the rows to be recorded, and either does all that it says or nothing.
    """

    def __init__(self) -> None:
        self._insights: dict[str, Insight] = {}
        self._sequence = 0
        self._generation = 0
        self._seen: _View | None = None

    @classmethod
    def replay(cls, rows: Iterable[InsightRow]) -> InsightStore:
        """The store that returned these rows, all of them in their order.

        Raises:
            ValueError: they are no such rows.
        """
        store = cls()
        draft = store._draft(0)
        for row in rows:
            draft.do(row)
        store._keep(draft)
        return store

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, InsightStore):
            return NotImplemented
        state = self.insights, self._sequence, self._generation
        return state == (other.insights, other._sequence, other._generation)

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._insights)

    @property
    def insights(self) -> tuple[Insight, ...]:
        """All that are kept, the oldest first."""
        return tuple(self._insights.values())

    @property
    def generation(self) -> int:
        """The latest in which anything changed; 0 at first."""
        return self._generation

    def __getitem__(self, id_: str) -> Insight:
        """One insight; KeyError if there is none of this id."""
        return self._insights[id_]

    # -- reading

    def nearest(self, text: str, situation: str = "", count: int = NEAREST_COUNT) -> tuple[Insight, ...]:
        """The insights that matter most to a text and a situation, best first.

        Each counts by how alike it is, how probably its claim is right, and how lately it was confirmed. Nothing is too
        unlike to be returned if there is room.
        """
        return self._ranked([(text, situation)], count)

    def worth(self, text: str, situation: str = "") -> float:
        """What an idea is expected to earn beyond its parent, in reward units, in [-1, 1].

        The mean of what insights are believed to be worth, by the square of how alike each is, faded with age. Where
        all of them together are less alike than one that says the same, the rest counts as 0.0: nothing is known.
        """
        seen = self._view()
        weights = seen.likeness.to(text, situation) ** 2 * seen.fresh(self._generation)
        return float((weights * seen.effects).sum()) / max(1.0, float(weights.sum()))

    # -- writing

    def apply(
        self, plan: Plan, generation: int, shown: Sequence[str] | None = None, lessons: Sequence[Lesson] = ()
    ) -> tuple[InsightRow, ...]:
        """Carry out a plan.

        Args:
            shown: ids of the insights that it calls 1, 2, ...; None is all of them, the oldest first.
            lessons: those that it calls 1, 2, ...

        Raises:
            PlanRefused: it cannot be carried out as a whole; nothing has changed.
            ValueError: an id of `shown` is not there.
        """
        ids = tuple(self._insights) if shown is None else tuple(shown)
        unknown = [id_ for id_ in ids if id_ not in self._insights]
        if unknown:
            raise ValueError(f"no insight {unknown[0]!r}")
        check(plan, len(ids), len(lessons))
        draft = self._draft(generation)
        for operation in plan.operations:
            old = [draft.insights[ids[place - 1]] for place in sorted(set(operation.insights))]
            new = [lessons[place - 1] for place in sorted(set(operation.lessons))]
            evidence = tuple(piece for lesson in new for piece in lesson.evidence)
            said = Lesson(operation.text, operation.situation, evidence).plain
            confirmed = max([*(insight.confirmed for insight in old), *(generation for _ in new)])
            if operation.kind == "delete":
                draft.delete(old[0], said.text)
            elif operation.kind == "modify":
                draft.modify(old[0], said, operation.helps, confirmed)
            else:
                draft.make(said, old, operation.helps, confirmed)
        return self._keep(draft)

    def learn(self, lessons: Sequence[Lesson], line: Line, generation: int) -> Learned:
        """Have a model place new lessons among the insights: one call for all, and one complaint at most.

        Lessons are added as they are if its plan is refused twice, or the call; one without words is passed over.

        Raises:
            ModelFault: the run must stop; nothing has changed.
        """
        lessons = _worded(lessons)
        if not lessons:
            return Learned(())
        near = self._ranked([(lesson.text, lesson.situation) for lesson in lessons], NEAREST_COUNT)
        shown = tuple(insight.id for insight in near)
        asked = question(lessons, near, generation)
        schema = structured.schema_of(Plan)
        refused = ""
        for _ in range(2):
            try:
                text = line.ask(asked, schema=schema, whole=True).text
            except CallRefused as error:
                refused = f"the model refused: {plain(str(error))}"
                break
            try:
                return Learned(self.apply(structured.parse(Plan, text), generation, shown, lessons))
            except ValueError as error:
                refused = f"the plan cannot be used: {error}"
                asked = [*asked, *structured.complaint(text, str(error), PLAN_CHARS)]
        draft = self._draft(generation)
        for lesson in lessons:
            draft.make(lesson, (), lesson.helps, generation)
        return Learned(self._keep(draft), refused)

    def learn_plainly(self, lessons: Sequence[Lesson], generation: int) -> tuple[InsightRow, ...]:
        """Take new lessons without a model: what an insight says already confirms it, the rest is added.

        One without words is passed over.
        """
        draft = self._draft(generation)
        for lesson in _worded(lessons):
            known = self._view().same(lesson) or _View(draft.made).same(lesson)
            if known is None:
                draft.make(lesson, (), lesson.helps, generation)
            else:
                draft.confirm(known, lesson.evidence, generation)
        return self._keep(draft)

    def carry(self, rows: Iterable[InsightRow], origin: str) -> tuple[InsightRow, ...]:
        """Take over what another run had learned in the end, its evidence discounted by `CARRIED`, its age kept.

        What is known already, from a third run for example, gets the evidence instead of being there twice.

        Args:
            rows: all rows of that run.
            origin: names it; what it had itself from another run keeps that name.

        Raises:
            ValueError: they are no such rows, or `origin` is empty.
        """
        if not origin:
            raise ValueError("origin is empty, which stands for this run")
        other = InsightStore.replay(rows)
        draft = self._draft(self._generation)
        shift = self._generation - other.generation
        for insight in other.insights:
            evidence = tuple(replace(piece, weight=piece.weight * CARRIED) for piece in insight.evidence)
            lesson, confirmed = Lesson(insight.text, insight.situation, evidence), insight.confirmed + shift
            known = self._view().same(lesson)
            if known is not None:
                draft.confirm(known, evidence, confirmed)
                continue
            draft.make(lesson, (), insight.helps, confirmed, insight.born + shift, insight.origin or origin)
        return self._keep(draft)

    def _draft(self, generation: int) -> Draft:
        return Draft(self._insights, self._sequence, generation)

    def _keep(self, draft: Draft) -> tuple[InsightRow, ...]:
        rows = tuple(draft.rows)
        self._insights, self._sequence = draft.insights, draft.sequence
        self._generation = max([self._generation, *(row.generation for row in rows)])
        self._seen = None
        return rows

    def _view(self) -> _View:
        if self._seen is None:
            self._seen = _View(self.insights)
        return self._seen

    def _ranked(self, about: Sequence[tuple[str, str]], count: int) -> tuple[Insight, ...]:
        """The best for any of several texts and situations; of equals the older one."""
        seen = self._view()
        alike = np.max([seen.likeness.to(text, situation) for text, situation in about], axis=0)
        standing = seen.fresh(self._generation) * seen.right
        order = np.lexsort((-standing, -alike * standing))
        return tuple(seen.insights[place] for place in order[:count])


class _View:
    """Insights as they are compared: made once for many questions."""

    def __init__(self, insights: tuple[Insight, ...]) -> None:
        self.insights = insights
        self.likeness = Likeness([one.text for one in insights], [one.situation for one in insights])

    @cached_property
    def effects(self) -> Vector:
        """What each is believed to be worth, in reward units."""
        return np.array([one.effect.mean for one in self.insights], dtype=np.float64)

    @cached_property
    def right(self) -> Vector:
        """How probably the claim of each is right."""
        return np.array([one.right for one in self.insights], dtype=np.float64)

    @cached_property
    def _confirmed(self) -> Vector:
        return np.array([one.confirmed for one in self.insights], dtype=np.float64)

    def same(self, lesson: Lesson) -> Insight | None:
        """The insight that says what a lesson says; None if none does."""
        place = self.likeness.same(lesson.text, lesson.situation)
        return None if place is None else self.insights[place]

    def fresh(self, generation: int) -> Vector:
        """What each counts by its age, in (0, 1]."""
        return np.asarray(0.5 ** (np.maximum(generation - self._confirmed, 0.0) / HALF_LIFE), dtype=np.float64)


def _worded(lessons: Sequence[Lesson]) -> list[Lesson]:
    return [lesson for lesson in (given.plain for given in lessons) if lesson.text]
