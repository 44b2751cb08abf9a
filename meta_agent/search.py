"""The search itself: asks for designs, is told what they earned. No I/O, no Ray; equal seeds, equal searches.

What is believed of a design is a posterior: its prior is the posterior of the parent it was mostly made of, its data
are its scores on the search streams, freed of how hard each stream is (an effect that the seeds, which see every
stream, determine).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from archive.novelty import Seen, fingerprint
from archive.selection import Candidates, Selection
from archive.statistics import Interval, Posterior, inherit, paired_difference, posterior
from design_space import Design, DesignId
from design_space.validate import validate
from meta_agent.proposer import BatchProposer, Draft, Order, Parent, Proposer

SECOND_PARENT_PROBABILITY = 0.5
ATTEMPTS = 8
"""Drafts of one slot before a duplicate is let stand: each costs microseconds, an evaluation costs seconds."""
STEP_SD = 0.08
"""How far a child's true score is taken to lie from its parent's, in reward units."""
LEAST_SD = 0.02


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of a generation.

    Attributes:
        sequence: place in the order of asking over the whole search.
        duplicate_of: the design that says the same, if there is one.
        problem: what static validation found; empty if it found nothing.
        why: why this parent.
    """

    sequence: int
    draft: Draft
    fingerprint: str | None
    duplicate_of: DesignId | None
    problem: str
    why: str

    @property
    def novel(self) -> bool:
        return self.duplicate_of is None and not self.problem


@dataclass(frozen=True, slots=True)
class Generation:
    """What is asked for at once.

    Attributes:
        number: 0 is the seeds.
    """

    number: int
    slots: tuple[Slot, ...]

    @property
    def designs(self) -> tuple[DesignId, ...]:
        """Ids of the novel designs, in the order of asking."""
        return tuple(slot.draft.design.id for slot in self.slots if slot.novel)


@dataclass(slots=True)
class Member:
    """A design of the search.

    Attributes:
        scores: by stream position; what is missing was not seen.
        failed: it ended otherwise than scored on some stream; it is no parent, but stays in the archive.
        children: designs made from it; visits: times it was chosen.
        belief: posterior of its true mean reward, kept until its scores or what is known of the streams change.
    """

    slot: Slot
    generation: int
    prior: Posterior
    scores: dict[int, float] = field(default_factory=dict)
    failed: bool = False
    children: int = 0
    visits: int = 0
    belief: Posterior | None = None

    @property
    def design(self) -> Design:
        return self.slot.draft.design


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A place of a generation that a proposer of whole generations will fill."""

    proposer: BatchProposer
    order: Order
    why: str


class Search:
    """Ask-and-tell over memory designs.

    Args:
        seeds: what the archive begins with.
        controls: yardsticks, seen like the seeds, but never parents and never winners; the first is the null memory.
        selection: of parents.
        proposers: with their shares.
    """

    def __init__(
        self,
        seed: int,
        seeds: Sequence[Design],
        controls: Sequence[Design],
        generation_size: int,
        selection: Selection,
        proposers: Sequence[tuple[Proposer | BatchProposer, float]],
    ) -> None:
        self._seed = seed
        self._seeds = tuple({design.id: design for design in (*controls, *seeds)}.values())
        self._controls = tuple(design.id for design in controls)
        self._size = generation_size
        self._selection = selection
        total = sum(share for _, share in proposers)
        self._proposers = tuple((proposer, share / total) for proposer, share in proposers)
        self._seen = Seen()
        self._members: dict[DesignId, Member] = {}
        self._designs: dict[DesignId, Design] = {}
        self._refused: dict[DesignId, list[tuple[Draft, str]]] = {}
        self._generations = 0
        self._asked = 0
        self._effects: dict[int, float] = {}
        self._noise = 0.1
        self._grand = Posterior(0.5, 0.5)
        self._baseline: float | None = None

    @property
    def baseline(self) -> float | None:
        """Mean reward without memory; None before the seeds were told, or if there is no such control."""
        return self._baseline

    @property
    def members(self) -> Mapping[DesignId, Member]:
        """All valid designs, in the order of asking."""
        return self._members

    @property
    def designs(self) -> Mapping[DesignId, Design]:
        """All valid designs by id."""
        return self._designs

    def ask(self) -> Generation:
        """Propose the next generation."""
        number = self._generations
        self._generations += 1
        if number == 0:
            first = self._asked
            drafts = [self._seed_draft(design) for design in self._seeds]
            slots = tuple(self._enter(self._judge(draft, ""), first + place) for place, draft in enumerate(drafts))
        else:
            slots = tuple(self._propose(number))
        self._asked += len(slots)
        for slot in slots:
            if slot.novel:
                parents = slot.draft.parents
                prior = inherit(self.believed(parents[0]), STEP_SD) if parents else self._grand
                self._members[slot.draft.design.id] = Member(slot, number, prior)
                self._designs[slot.draft.design.id] = slot.draft.design
        return Generation(number, slots)

    def observe(self, design: DesignId, scores: Mapping[int, float], failed: bool) -> None:
        """Take a design's scores on search streams; within a generation, the order of calls does not matter."""
        member = self._members[design]
        member.scores.update(scores)
        member.failed |= failed
        member.belief = None

    def tell(self, generation: Generation) -> None:
        """Close a generation: its proposers hear what became of their drafts; the seeds calibrate what is believed."""
        if generation.number == 0:
            self._calibrate()
        for slot in generation.slots:
            if not slot.novel:
                continue
            member = self._members[slot.draft.design.id]
            for parent in slot.draft.parents:
                self._members[parent].children += 1
            score = None if member.failed or not member.scores else self.believed(member.design.id).mean
            for proposer, _ in self._proposers:
                if proposer.name == slot.draft.proposer:
                    proposer.observe(member.design, score)

    def believed(self, design: DesignId) -> Posterior:
        """What is believed of a design's true mean reward."""
        member = self._members[design]
        if member.belief is None:
            adjusted = [score - self._effects.get(stream, 0.0) for stream, score in sorted(member.scores.items())]
            member.belief = posterior(adjusted, member.prior.mean, member.prior.sd, self._noise)
        return member.belief

    def ranked(self) -> list[DesignId]:
        """Members that were scored, did not fail and are no controls; the best posterior mean first."""
        alive = [name for name, member in self._members.items() if self._eligible(name, member)]
        return sorted(alive, key=lambda design: -self.believed(design).mean)

    def compared(self, design: DesignId) -> tuple[DesignId, Interval] | None:
        """A design's paired difference from its parent (of two, the one that more is believed of).

        None for a seed, and where they share fewer than two streams.
        """
        parents = self._members[design].slot.draft.parents
        if not parents:
            return None
        parent = max(parents, key=lambda name: self.believed(name).mean)
        ours, theirs = self._members[design].scores, self._members[parent].scores
        if len(ours.keys() & theirs.keys()) < 2:
            return None
        return parent, paired_difference(ours, theirs)

    def roots(self, design: DesignId) -> list[DesignId]:
        """The designs without parents that a design descends from, in the order of asking."""
        found, open_ = set(), [design]
        while open_:
            name = open_.pop()
            parents = self._members[name].slot.draft.parents
            if not parents:
                found.add(name)
            open_.extend(parents)
        return [name for name in self._members if name in found]

    def _propose(self, number: int) -> list[Slot]:
        rng = np.random.default_rng([self._seed, 1, number])
        candidates = self._candidates()
        if not len(candidates) and all(isinstance(proposer, BatchProposer) for proposer, _ in self._proposers):
            return []
        chosen = self._selection.choose(candidates, self._size, rng) if len(candidates) else []
        filled: list[Slot | _Waiting] = []
        for position in range(self._size):
            choice = chosen[position % len(chosen)] if chosen else None
            parents: tuple[DesignId, ...] = ()
            if choice is not None:
                parents = (candidates.ids[choice.index],)
                self._members[parents[0]].visits += 1
            filled.append(self._fill(number, position, parents, candidates, "" if choice is None else choice.reason))
        return self._complete(filled)

    def _complete(self, filled: Sequence[Slot | _Waiting]) -> list[Slot]:
        """Have the orders of each proposer carried out, and put its drafts into their places."""
        slots = {place: slot for place, slot in enumerate(filled) if isinstance(slot, Slot)}
        waiting = {place: slot for place, slot in enumerate(filled) if isinstance(slot, _Waiting)}
        for proposer in dict.fromkeys(slot.proposer for slot in waiting.values()):
            places = [place for place, slot in waiting.items() if slot.proposer is proposer]
            drafts = proposer.propose_all([waiting[place].order for place in places], self)
            for place, draft in zip(places, drafts, strict=True):
                slots[place] = self._enter(self._judge(draft, waiting[place].why), self._asked + place)
        return [slots[place] for place in range(len(filled))]

    def _fill(
        self, number: int, position: int, parents: tuple[DesignId, ...], candidates: Candidates, why: str
    ) -> Slot | _Waiting:
        """Propose until something novel comes, a few times; or leave it to a proposer of whole generations."""
        rng = np.random.default_rng([self._seed, 2, number, position])
        options = [(p, share) for p, share in self._proposers if parents or not isinstance(p, BatchProposer)]
        total = sum(share for _, share in options)
        slot: Slot | None = None
        for _ in range(ATTEMPTS):
            proposer = options[int(rng.choice(len(options), p=[share / total for _, share in options]))][0]
            couple = parents
            if len(candidates) > 1 and rng.random() < SECOND_PARENT_PROBABILITY:
                second = candidates.ids[self._selection.choose(candidates, 1, rng)[0].index]
                couple = tuple(dict.fromkeys((*parents, second)))
            if isinstance(proposer, BatchProposer):
                order = Order(tuple(self._parent(name) for name in couple), f"proposal/{number}/{position}")
                return _Waiting(proposer, order, why)
            draft = proposer.propose(tuple(self._parent(name) for name in couple), rng)
            slot = self._judge(draft, why)
            if slot.novel:
                break
        assert slot is not None
        return self._enter(slot, self._asked + position)

    def _parent(self, design: DesignId) -> Parent:
        return Parent(self._members[design].design, self.believed(design).mean)

    def knows(self, design: Design) -> bool:
        """Whether a design that says the same was asked for already."""
        print_ = fingerprint(design.source, design.params)
        return print_ is not None and self._seen.lookup(print_) is not None

    def refused(self, parent: DesignId) -> Sequence[tuple[Draft, str]]:
        """Drafts made of a design that never became designs, each with what was wrong."""
        return self._refused.get(parent, ())

    def _judge(self, draft: Draft, why: str) -> Slot:
        if draft.problem:
            return Slot(0, draft, None, None, draft.problem, why)
        problems = validate(draft.design.source)
        if problems:
            told = "; ".join(f"line {p.line}: {p.message}" for p in problems[:5])
            return Slot(0, draft, None, None, told, why)
        print_ = fingerprint(draft.design.source, draft.design.params)
        return Slot(0, draft, print_, self._seen.lookup(print_), "", why)

    def _enter(self, slot: Slot, sequence: int) -> Slot:
        numbered = replace(slot, sequence=sequence)
        if slot.problem and slot.draft.parents:
            self._refused.setdefault(slot.draft.parents[0], []).append((slot.draft, slot.problem))
        if numbered.novel and numbered.fingerprint is not None:
            self._seen.add(numbered.fingerprint, numbered.draft.design.id)
        return numbered

    def _candidates(self) -> Candidates:
        names = [name for name, member in self._members.items() if self._eligible(name, member)]
        beliefs = [self.believed(name) for name in names]
        members = [self._members[name] for name in names]
        return Candidates(
            ids=tuple(names),
            mean=np.array([b.mean for b in beliefs], dtype=np.float64),
            sd=np.array([b.sd for b in beliefs], dtype=np.float64),
            children=np.array([m.children for m in members], dtype=np.int64),
            visits=np.array([m.visits for m in members], dtype=np.int64),
            baseline=self._baseline or 0.0,
        )

    def _eligible(self, name: DesignId, member: Member) -> bool:
        return bool(member.scores) and not member.failed and name not in self._controls

    def _seed_draft(self, design: Design) -> Draft:
        operator = "control" if design.id in self._controls else "seed"
        return Draft(design, (), "catalogue", operator, f"from the catalogue: {design.name}")

    def _calibrate(self) -> None:
        """Fit design and stream effects to the seeds' scores; what remains is the noise of one stream."""
        rows = [m.scores for m in self._members.values() if m.scores and not m.failed]
        streams = sorted(set.intersection(*(set(row) for row in rows))) if rows else []
        if not streams:
            return
        table = np.array([[row[s] for s in streams] for row in rows])
        effects = table.mean(axis=0) - table.mean()
        self._effects = dict(zip(streams, map(float, effects), strict=True))
        residual = table - table.mean(axis=1, keepdims=True) - effects
        freedom = max(1, (len(rows) - 1) * (len(streams) - 1))
        self._noise = max(LEAST_SD, math.sqrt(float((residual**2).sum()) / freedom))
        spread = float(table.mean(axis=1).std(ddof=1)) if len(rows) > 1 else 0.2
        self._grand = Posterior(float(table.mean()), max(0.1, spread))
        for member in self._members.values():
            member.prior, member.belief = self._grand, None
        null = self._members[self._controls[0]].scores if self._controls else {}
        self._baseline = float(np.mean(list(null.values()))) if null else None
