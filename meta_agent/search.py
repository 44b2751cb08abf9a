"""The search itself: asks for designs, is told what they earned. No I/O, no Ray; equal seeds, equal searches.

What is believed of a design is the posterior of `archive.beliefs`, over all designs and streams that were seen so far.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from archive.beliefs import Beliefs
from archive.novelty import Seen, fingerprint
from archive.selection import Candidates, Selection
from archive.statistics import Interval, Posterior, paired_difference
from design_space import Design, DesignId
from design_space.validate import validate
from meta_agent.generation import Generation, Slot
from meta_agent.prompt_tree import PromptId, Prompts, Trial
from meta_agent.proposer import BatchProposer, Draft, Order, Parent, Proposer

SECOND_PARENT_PROBABILITY = 0.5
ATTEMPTS = 8
"""Drafts of one slot before a duplicate is let stand: each costs microseconds, an evaluation costs seconds."""
CONSIDERED = 256
"""Designs that a parent is chosen from: those that could be the best, by mean and two standard deviations."""
FIRST_ROUNDS = 10
"""In which the scales of belief are learned from the seeds, that is from little; afterwards one each generation."""
BLOCK = 2
"""Designs of a generation that are given the same parent, and prompts that are compared by it."""


@dataclass(slots=True)
class Member:
    """A design of the search.

    Attributes:
        scores: by stream position; what is missing was not seen.
        failed: it ended otherwise than scored on some stream; it is no parent, but stays in the archive.
        number: among the beliefs.
        children: designs made from it; visits: times it was chosen.
        recalls: digest of what it recalled on the first stream; empty if unknown.
        same_as: an earlier design that recalled the very same there, so that this one is no other.
    """

    slot: Slot
    generation: int
    number: int
    scores: dict[int, float] = field(default_factory=dict)
    failed: bool = False
    children: int = 0
    visits: int = 0
    recalls: str = ""
    same_as: DesignId | None = None

    @property
    def design(self) -> Design:
        return self.slot.draft.design

    @property
    def spent_in_vain(self) -> bool:
        """It does not work, or is no other than an earlier one."""
        return self.failed or self.same_as is not None


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
        self._beliefs = Beliefs()
        self._recalled: dict[str, DesignId] = {}  # who first recalled what
        self._standing: dict[DesignId, int] = {}  # those that can be parents, and their numbers among the beliefs
        self._baseline: float | None = None

    @property
    def generation(self) -> int:
        """The last one that brought a valid design."""
        return max(member.generation for member in self._members.values())

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
                belief = self._beliefs.add(self._members[parents[0]].number if parents else None)
                self._members[slot.draft.design.id] = Member(slot, number, belief)
                self._designs[slot.draft.design.id] = slot.draft.design
        return Generation(number, slots)

    def observe(self, design: DesignId, scores: Mapping[int, float], failed: bool, recalls: str = "") -> None:
        """Take a design's scores on search streams; within a generation, the order of calls does not matter.

        Args:
            recalls: digest of what it recalled on the first stream; empty if these scores are of others.
        """
        member = self._members[design]
        member.scores.update(scores)
        member.recalls = recalls or member.recalls
        member.failed |= failed
        if member.failed:
            # That it does not work says nothing of what it was made of.
            self._beliefs.forget(member.number)
            self._standing.pop(design, None)
        elif member.scores:
            self._beliefs.tell(member.number, scores)
            if design not in self._controls:
                self._standing[design] = member.number

    def pool(self, generation: Generation) -> list[tuple[DesignId, DesignId]]:
        """Name those of a generation that recalled on the first stream what an earlier design had; each with that one.

        They are no designs of their own: what they earned is luck over again, so nothing is believed of it, and they
        are neither parents nor winners. What a search begins with is given, and stays: where little is to be recalled,
        all of it may recall the same.
        """
        found = []
        for design in generation.designs:
            member = self._members[design]
            if not member.recalls or member.failed:
                continue
            first = self._recalled.setdefault(member.recalls, design)
            if first != design and generation.number > 0:
                member.same_as = first
                self._beliefs.forget(member.number)
                self._standing.pop(design, None)
                found.append((design, first))
        return found

    def tell(self, generation: Generation) -> None:
        """Close a generation: its proposers hear what became of their drafts; the seeds calibrate what is believed."""
        if generation.number == 0:
            self._beliefs.learn(FIRST_ROUNDS)
            null = self._members[self._controls[0]].scores if self._controls else {}
            self._baseline = float(np.mean(list(null.values()))) if null else None
        else:
            self._beliefs.learn()
        for slot in generation.slots:
            if not slot.novel:
                continue
            member = self._members[slot.draft.design.id]
            for parent in slot.draft.parents:
                self._members[parent].children += 1
            known = member.same_as or member.design.id
            score = None if member.failed or not member.scores else self.believed(known).mean
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
        if not shared or self._members[slot.draft.design.id].spent_in_vain:
            return None
        seen = np.mean([score - self._beliefs.ease(stream) for stream, score in theirs.items()])
        luck = float(seen) - self.believed(slot.given).mean
        return float(np.mean([ours[s] - theirs[s] for s in shared])) + luck

    def trial(self, slot: Slot) -> Trial:
        """What became of a slot that was filled by a prompt."""
        assert slot.prompt is not None
        gain = self.gain(slot)
        failed = not slot.novel or self._members[slot.draft.design.id].spent_in_vain
        return Trial(slot.prompt, slot.block, slot.sequence, gain, measured=failed or gain is not None)

    def believed(self, design: DesignId) -> Posterior:
        """What is believed of a design's true mean reward."""
        return self._beliefs.of(self._members[design].number)

    def best(self) -> DesignId | None:
        """The one of `ranked` that most is believed of; None if there is none."""
        names, mean, _ = self._standings()
        return names[int(np.argmax(mean))] if names else None

    def ranked(self) -> list[DesignId]:
        """Members that were scored, did not fail and are no controls; the best posterior mean first."""
        names, mean, _ = self._standings()
        return [names[i] for i in np.argsort(-mean, kind="stable")]

    def parent(self, design: DesignId) -> DesignId | None:
        """A design's parent; of two, the one that more is believed of. None for a seed."""
        parents = self._members[design].slot.draft.parents
        return max(parents, key=lambda name: self.believed(name).mean) if parents else None

    def line(self, design: DesignId) -> list[tuple[DesignId, DesignId]]:
        """The steps by which a design came about, the last one first: each design with its parent."""
        steps = []
        while (parent := self.parent(design)) is not None:
            steps.append((design, parent))
            design = parent
        return steps

    def compared(self, design: DesignId) -> tuple[DesignId, Interval] | None:
        """A design's paired difference from its `parent`.

        None for a seed, and where they share fewer than two streams.
        """
        parent = self.parent(design)
        if parent is None:
            return None
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

    def _standings(self) -> tuple[list[DesignId], NDArray[np.float64], NDArray[np.float64]]:
        """All that can be parents, in the order of asking, with mean and standard deviation of what is believed."""
        numbers = np.fromiter(self._standing.values(), dtype=np.int64)
        mean, sd = self._beliefs.all()
        order = np.argsort(numbers)
        names = list(self._standing)
        return [names[i] for i in order], mean[numbers[order]], sd[numbers[order]]

    def _candidates(self) -> Candidates:
        names, mean, sd = self._standings()
        if len(names) > CONSIDERED:
            could = np.sort(np.argsort(-(mean + 2.0 * sd), kind="stable")[:CONSIDERED])
            names, mean, sd = [names[i] for i in could], mean[could], sd[could]
        members = [self._members[name] for name in names]
        return Candidates(
            ids=tuple(names),
            mean=mean,
            sd=sd,
            children=np.array([m.children for m in members], dtype=np.int64),
            visits=np.array([m.visits for m in members], dtype=np.int64),
            baseline=self._baseline or 0.0,
        )

    def _seed_draft(self, design: Design) -> Draft:
        operator = "control" if design.id in self._controls else "seed"
        return Draft(design, (), "catalogue", operator, f"from the catalogue: {design.name}")
