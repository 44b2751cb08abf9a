"""What a search learns of itself: after each generation its insights and its prompts are revised.

Key-free, a prompt is a `Steer`, and its children are those that what was measured so far makes most promising. With a
model, a judge compares designs that were made of the same parent; what it says yields lessons and new prompts, never
values: those are measured (Empirical-MCTS, arXiv 2602.04248, has the judge's scores in that place).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from archive.preferences import mid_ranks, strengths
from archive.search_book import PromptRow, SearchBook
from design_space import DesignId
from meta_agent.evidence import Evidence
from meta_agent.generation import Generation, Slot
from meta_agent.insights import InsightStore
from meta_agent.lessons import Lesson
from meta_agent.pairwise import Comparison, Judge, Pair
from meta_agent.prompt_tree import PromptId, Prompts, Trial, Worth
from meta_agent.search import Search
from meta_agent.steer import Steer, revisions
from sandbox.calls import Line

PLAIN, WORDED = "compose", "llm"
"""Proposers that are steered by structured prompts, and by texts."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom a coach asks: a judge of pairs, and whoever keeps the insights in order."""

    judge: Judge
    keeper: Callable[[str], Line]


class Coach:
    """Revises the insights and prompts of one search. Deterministic, but for what models say.

    Args:
        expansions: new prompts of each proposer after a generation, at most.
        book: where both are recorded.
        asked: None where no model judges: prompts that are texts stay as they are then.
    """

    def __init__(
        self, seed: int, expansions: int, book: SearchBook, insights: InsightStore, asked: Asked | None = None
    ) -> None:
        self._seed = seed
        self._expansions = expansions
        self._book = book
        self._insights = insights
        self._asked = asked
        self._preferences: list[tuple[str, str, float]] = []
        self._steered: dict[DesignId, PromptId] = {}

    def begin(self, search: Search) -> None:
        """Record the first prompts."""
        for name, prompts in search.prompts.items():
            self._record(name, prompts, prompts.nodes)

    def after(self, search: Search, generation: Generation) -> None:
        """Learn from a generation that was told.

        Raises:
            ModelFault: the run must stop.
        """
        for name, prompts in search.prompts.items():
            slots = [slot for slot in generation.slots if slot.steers(name)]
            if slots and name == PLAIN:
                self._learn_plainly(search, slots, generation.number)
                self._widen_plainly(search, prompts, slots, generation.number)
            elif slots and self._asked is not None:
                self._judge(self._asked, search, prompts, slots, generation.number)

    def _learn_plainly(self, search: Search, slots: Sequence[Slot], generation: int) -> None:
        """What a prompt said was done, and what the design earned that was made by it."""
        lessons = []
        for slot in slots:
            gain, steer = search.population.gain(slot), _steer(search, slot)
            if gain is not None and slot.given is not None and steer != Steer():
                evidence = _evidence(slot.draft.design.id, slot.given, gain, search)
                lessons.append(Lesson(steer.told, search.population.designs[slot.given].name, evidence))
        self._book.record_insights(self._insights.learn_plainly(lessons, generation))

    def _widen_plainly(self, search: Search, prompts: Prompts, slots: Sequence[Slot], generation: int) -> None:
        rng = np.random.default_rng([self._seed, 4, generation])
        trials = [search.trial(slot) for slot in slots]
        for wide in prompts.widest(self._expansions):
            idea, worth, prior = revise(prompts, wide, beaten(trials, wide), self._insights.worth, rng)
            told = f"{idea.told}: expected {worth.mean + prior:+.3f}"
            if prompts.add(wide, idea.to_text(), generation, told, prior) is not None:
                self._record(PLAIN, prompts, list(prompts.nodes)[-1:])

    def _judge(self, asked: Asked, search: Search, prompts: Prompts, slots: Sequence[Slot], generation: int) -> None:
        """Have pairs compared: their verdicts are preferences, their lessons insights, their prompts new ones."""
        chosen = [(ours, theirs) for ours, theirs in _pairs(slots) if _works(search, ours) and _works(search, theirs)]
        steering = [self._better(search, pair).prompt or prompts.root for pair in chosen]
        pairs = [
            Pair(
                ours.draft.design.id,
                theirs.draft.design.id,
                ours.given or ours.draft.design.id,
                f"judge/{generation}/{ours.block}",
                prompts.nodes[prompt].content,
            )
            for (ours, theirs), prompt in zip(chosen, steering, strict=True)
        ]
        found = asked.judge.compare(pairs, search)
        self._prefer(prompts, chosen, found)
        lessons = [
            lesson
            for pair, comparison in zip(chosen, found, strict=True)
            for lesson in _lessons(search, pair, comparison)
        ]
        learned = self._insights.learn(lessons, asked.keeper(f"insights/{generation}"), generation)
        self._book.record_insights(learned.rows)
        for wide in prompts.widest(self._expansions):
            new = [c for c, prompt in zip(found, steering, strict=True) if prompt == wide and c.prompt is not None]
            for comparison in new[:1]:
                text = comparison.prompt or ""
                prior = self._insights.worth(text)
                if prompts.add(wide, text, generation, comparison.critique, prior) is not None:
                    self._record(WORDED, prompts, list(prompts.nodes)[-1:])

    @staticmethod
    def _better(search: Search, pair: tuple[Slot, Slot]) -> Slot:
        return max(pair, key=lambda slot: search.population.gain(slot) or 0.0)

    def _prefer(self, prompts: Prompts, pairs: Sequence[tuple[Slot, Slot]], found: Sequence[Comparison]) -> None:
        """Between prompts of equal value the judge's preferences decide: Bradley-Terry over all designs compared."""
        for (ours, theirs), comparison in zip(pairs, found, strict=True):
            if comparison.judged and ours.prompt is not None and theirs.prompt is not None:
                self._steered |= {ours.draft.design.id: ours.prompt, theirs.draft.design.id: theirs.prompt}
                self._preferences.append((comparison.first, comparison.second, comparison.preference))
        strong: dict[PromptId, list[float]] = {}
        for design, strength in strengths(self._preferences).items():
            strong.setdefault(self._steered[DesignId(design)], []).append(strength)
        ranks = mid_ranks({prompt: float(np.mean(values)) for prompt, values in strong.items()})
        prompts.prefer({PromptId(prompt): -rank for prompt, rank in ranks.items()})

    def _record(self, name: str, prompts: Prompts, new: Iterable[PromptId]) -> None:
        nodes = [prompts.nodes[prompt] for prompt in new]
        self._book.record_prompts(
            [PromptRow(n.id, n.parent, n.generation, n.origin, n.content, {"proposer": name}) for n in nodes]
        )


def beaten(trials: Sequence[Trial], prompt: PromptId) -> PromptId | None:
    """The prompt that another one did better than in the same block, by the most; None if there is none."""
    ours = [trial for trial in trials if trial.prompt == prompt]
    margins = [
        ((won.gain or 0.0) - (lost.gain or 0.0), lost.prompt)
        for won in ours
        for lost in trials
        if lost.block == won.block and lost.prompt != prompt
    ]
    margin, name = max(margins, default=(0.0, None))
    return name if margin > 0.0 else None


def revise(
    prompts: Prompts, wide: PromptId, worse: PromptId | None, expect: Callable[[str], float], rng: np.random.Generator
) -> tuple[Steer, Worth, float]:
    """A child of a structured prompt: one field changed, drawn by what such prompts are believed to be worth.

    Args:
        worse: a prompt that it did better than; what that one says where they differ is not tried.
        expect: what is expected of a change in words, in reward units, from elsewhere.

    Returns:
        the child, what prompts like it tell of its worth, and what is expected on top.
    """
    content = Steer.from_text(prompts.nodes[wide].content)
    ideas = revisions(content, None if worse is None else Steer.from_text(prompts.nodes[worse].content))
    seen = [prompts.foresee(idea.to_text()) for idea in ideas]
    priors = [expect(idea.told) for idea in ideas]
    drawn = [rng.normal(worth.mean, worth.sd) + prior for worth, prior in zip(seen, priors, strict=True)]
    best = int(np.argmax(drawn))
    return ideas[best], seen[best], priors[best]


def carry_over(path: Path, ledger: Path, origin: str) -> int:
    """Begin a run with what another one had learned in the end; returns how many insights that is.

    Args:
        path, ledger: files of the other run and of this one, which has learned nothing yet.

    Raises:
        ArchiveError: a file cannot be read or written.
    """
    insights = InsightStore()
    with SearchBook(path, read_only=True) as theirs, SearchBook(ledger) as ours:
        ours.record_insights(insights.carry(theirs.insights(), origin))
    return len(insights)


def begun_with(book: SearchBook) -> InsightStore:
    """What a run knew before its first generation."""
    return InsightStore.replay(row for row in book.insights() if row.generation == 0)


def standing(search: Search) -> str:
    """What is known of each prompt, as JSON: visits, failures, posterior mean and standard deviation of its value."""
    told = {}
    for prompts in search.prompts.values():
        for name, node in prompts.nodes.items():
            worth = prompts.worth(name)
            told[name] = {
                "visits": node.visits,
                "beneath": node.beneath,
                "failures": node.failures,
                "mean": worth.mean,
                "sd": worth.sd,
            }
    return json.dumps(told, sort_keys=True)


def _pairs(slots: Sequence[Slot]) -> list[tuple[Slot, Slot]]:
    """Those that were given the same parent."""
    return [(a, b) for a, b in combinations(slots, 2) if a.block == b.block]


def _works(search: Search, slot: Slot) -> bool:
    return slot.novel and not search.population.members[slot.draft.design.id].failed


def _steer(search: Search, slot: Slot) -> Steer:
    assert slot.prompt is not None
    return Steer.from_text(search.prompts[slot.draft.proposer].nodes[slot.prompt].content)


def _evidence(design: DesignId, other: DesignId, difference: float, search: Search) -> tuple[Evidence, ...]:
    shared = search.population.members[design].scores.keys() & search.population.members[other].scores.keys()
    return (Evidence(design, other, float(np.clip(difference, -1.0, 1.0)), max(1, len(shared))),)


def _lessons(search: Search, pair: tuple[Slot, Slot], comparison: Comparison) -> list[Lesson]:
    """What a judge says was learned, with what was measured of the pair as its evidence; none for a tie."""
    better, worse = pair if comparison.preference >= 0.5 else pair[::-1]
    ours, theirs = search.population.gain(better), search.population.gain(worse)
    evidence: tuple[Evidence, ...] = ()
    if ours is not None and theirs is not None and comparison.preference != 0.5:
        evidence = _evidence(better.draft.design.id, worse.draft.design.id, ours - theirs, search)
    return [Lesson(taught.text, taught.situation, evidence) for taught in comparison.lessons]
