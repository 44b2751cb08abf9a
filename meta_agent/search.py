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
from meta_agent.generation import Generation, Slot
from meta_agent.prompt_tree import PromptId, Prompts, Trial
from meta_agent.proposer import BatchProposer, Draft, Order, Parent, Proposer

SECOND_PARENT_PROBABILITY = 0.5
ATTEMPTS = 8
"""Drafts of one slot before a duplicate is let stand: each costs microseconds, an evaluation costs seconds."""
STEP_SD = 0.08
"""How far a child's true score is taken to lie from its parent's, in reward units."""
LEAST_SD = 0.02
BLOCK = 2
"""Designs of a generation that are given the same parent, and prompts that are compared by it."""


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


@dataclass(slots=True)
class _Block:
    """Places of a generation that are given the same parent.

    Attributes:
        given: the parent; None where the archive has none to give.
        settled: whether the first prompt had its say in that.
        prompts: those that its places were filled by, the latest of each proposer.
    """

    name: str
    given: DesignId | None
    why: str
    settled: bool = False
    prompts: dict[str, PromptId] = field(default_factory=dict)

    def slot_of(self, slot: Slot, prompt: PromptId | None) -> Slot:
        return replace(slot, why=self.why, given=self.given, prompt=prompt, block=self.name)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A place of a generation that a proposer of whole generations will fill."""

    proposer: BatchProposer
    order: Order
    block: _Block
    prompt: PromptId | None


class Search:
    """Ask-and-tell over memory designs.

    Args:
        seeds: what the archive begins with.
        controls: yardsticks, seen like the seeds, but never parents and never winners; the first is the null memory.
        selection: of parents.
        proposers: with their shares.
        prompts: by the name of the proposer that they steer.
    """

    def __init__(
        self,
        seed: int,
        seeds: Sequence[Design],
        controls: Sequence[Design],
        generation_size: int,
        selection: Selection,
        proposers: Sequence[tuple[Proposer | BatchProposer, float]],
        prompts: Mapping[str, Prompts] | None = None,
    ) -> None:
        self._seed = seed
        self._seeds = tuple({design.id: design for design in (*controls, *seeds)}.values())
        self._controls = tuple(design.id for design in controls)
        self._size = generation_size
        self._selection = selection
        total = sum(share for _, share in proposers)
        self._proposers = tuple((proposer, share / total) for proposer, share in proposers)
        self._prompts = dict(prompts or {})
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

    @property
    def prompts(self) -> Mapping[str, Prompts]:
        """What steers the proposers, by their names."""
        return self._prompts

    def ask(self) -> Generation:
        """Propose the next generation."""
        number = self._generations
        self._generations += 1
        if number == 0:
            first = self._asked
            drafts = [self._seed_draft(design) for design in self._seeds]
            slots = tuple(self._enter(self._judge(draft), first + place) for place, draft in enumerate(drafts))
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
        for name, prompts in self._prompts.items():
            prompts.tell([self.trial(slot) for slot in generation.slots if slot.steers(name)])

    def gain(self, slot: Slot) -> float | None:
        """What a slot's design gained over the parent that it was given, in reward units.

        It is their paired difference on the streams that both saw. These streams have chosen the parent, so that its
        scores on them flatter it; what its posterior ascribes to luck is given back. None if there is no working
        design, or no stream that both saw.
        """
        if not slot.novel or slot.given is None:
            return None
        ours, theirs = (self._members[name].scores for name in (slot.draft.design.id, slot.given))
        shared = sorted(ours.keys() & theirs.keys())
        if not shared or self._members[slot.draft.design.id].failed:
            return None
        seen = np.mean([score - self._effects.get(stream, 0.0) for stream, score in theirs.items()])
        luck = float(seen) - self.believed(slot.given).mean
        return float(np.mean([ours[s] - theirs[s] for s in shared])) + luck

    def trial(self, slot: Slot) -> Trial:
        """What became of a slot that was filled by a prompt."""
        assert slot.prompt is not None
        gain = self.gain(slot)
        failed = not slot.novel or self._members[slot.draft.design.id].failed
        return Trial(slot.prompt, slot.block, slot.sequence, gain, measured=failed or gain is not None)

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
        # Prompts are compared by what they make of the same parent; where they are fixed, more parents are worth more.
        size = 1 if all(prompts.policy == "fixed" for prompts in self._prompts.values()) else BLOCK
        chosen = self._selection.choose(candidates, math.ceil(self._size / size), rng) if len(candidates) else []
        filled: list[Slot | _Waiting] = []
        for place in range(self._size):
            if place % size == 0:
                choice = chosen[place // size % len(chosen)] if chosen else None
                given = None if choice is None else candidates.ids[choice.index]
                block = _Block(f"{number}/{place}", given, "" if choice is None else choice.reason)
            filled.append(self._fill(number, place, block, candidates))
        return self._complete(filled)

    def _complete(self, filled: Sequence[Slot | _Waiting]) -> list[Slot]:
        """Have the orders of each proposer carried out, and put its drafts into their places."""
        slots = {place: slot for place, slot in enumerate(filled) if isinstance(slot, Slot)}
        waiting = {place: slot for place, slot in enumerate(filled) if isinstance(slot, _Waiting)}
        for proposer in dict.fromkeys(slot.proposer for slot in waiting.values()):
            places = [place for place, slot in waiting.items() if slot.proposer is proposer]
            drafts = proposer.propose_all([waiting[place].order for place in places], self)
            for place, draft in zip(places, drafts, strict=True):
                slot = waiting[place].block.slot_of(self._judge(draft), waiting[place].prompt)
                slots[place] = self._enter(slot, self._asked + place)
        return [slots[place] for place in range(len(filled))]

    def _fill(self, number: int, place: int, block: _Block, candidates: Candidates) -> Slot | _Waiting:
        """Propose until something novel comes, a few times; or leave it to a proposer of whole generations."""
        rng = np.random.default_rng([self._seed, 2, number, place])
        options = [(p, share) for p, share in self._proposers if block.given or not isinstance(p, BatchProposer)]
        total = sum(share for _, share in options)
        prompts: dict[str, PromptId] = {}
        for attempt in range(ATTEMPTS):
            proposer = options[int(rng.choice(len(options), p=[share / total for _, share in options]))][0]
            told = self._told(proposer.name, prompts, block)
            if attempt == 0:
                self._give(block, proposer.selection(told), candidates, rng)
            couple = () if block.given is None else (block.given,)
            if len(candidates) > 1 and rng.random() < SECOND_PARENT_PROBABILITY:
                second = candidates.ids[self._selection.choose(candidates, 1, rng)[0].index]
                couple = tuple(dict.fromkeys((*couple, second)))
            parents = tuple(self._parent(name) for name in couple)
            if isinstance(proposer, BatchProposer):
                order = Order(parents, f"proposal/{number}/{place}", told)
                return _Waiting(proposer, order, block, self._kept(proposer.name, prompts, block))
            slot = self._judge(proposer.propose(parents, rng, told))
            if slot.novel:
                break
        prompt = self._kept(proposer.name, prompts, block)
        return self._enter(block.slot_of(slot, prompt), self._asked + place)

    def _told(self, proposer: str, prompts: dict[str, PromptId], block: _Block) -> str:
        """What steers a proposer at one place: the same prompt at each attempt, another one than its partner's."""
        if proposer not in self._prompts:
            return ""
        if proposer not in prompts:
            prompts[proposer] = self._prompts[proposer].choose(block.prompts.get(proposer))
        return self._prompts[proposer].nodes[prompts[proposer]].content

    def _kept(self, proposer: str, prompts: Mapping[str, PromptId], block: _Block) -> PromptId | None:
        """The prompt that a place was filled by in the end; those of other attempts have made nothing."""
        for name, prompt in prompts.items():
            if name != proposer:
                self._prompts[name].release(prompt)
        kept = prompts.get(proposer)
        if kept is not None:
            block.prompts[proposer] = kept
        return kept

    def _give(
        self, block: _Block, selection: Selection | None, candidates: Candidates, rng: np.random.Generator
    ) -> None:
        """Settle which parent a block is given: the first of its prompts may want it chosen in a way of its own."""
        if not block.settled and selection is not None and len(candidates):
            choice = selection.choose(candidates, 1, rng)[0]
            block.given, block.why = candidates.ids[choice.index], choice.reason
        block.settled = True
        if block.given is not None:
            self._members[block.given].visits += 1

    def _parent(self, design: DesignId) -> Parent:
        return Parent(self._members[design].design, self.believed(design).mean)

    def knows(self, design: Design) -> bool:
        """Whether a design that says the same was asked for already."""
        print_ = fingerprint(design.source, design.params)
        return print_ is not None and self._seen.lookup(print_) is not None

    def refused(self, parent: DesignId) -> Sequence[tuple[Draft, str]]:
        """Drafts made of a design that never became designs, each with what was wrong."""
        return self._refused.get(parent, ())

    def _judge(self, draft: Draft) -> Slot:
        if draft.problem:
            return Slot(0, draft, None, None, draft.problem, "")
        problems = validate(draft.design.source)
        if problems:
            told = "; ".join(f"line {p.line}: {p.message}" for p in problems[:5])
            return Slot(0, draft, None, None, told, "")
        print_ = fingerprint(draft.design.source, draft.design.params)
        return Slot(0, draft, print_, self._seen.lookup(print_), "", "")

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
