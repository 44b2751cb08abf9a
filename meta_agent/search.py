"""The search itself: asks for designs, is told what they earned. No I/O, no Ray; equal seeds, equal searches.

What it has found, and what is believed of it, is its `population`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from archive.novelty import Seen, fingerprint
from archive.selection import Candidates, Selection
from design_space import Design, DesignId
from design_space.compose import traits
from design_space.validate import validate
from meta_agent.generation import Generation, Slot
from meta_agent.population import Population
from meta_agent.prompt_tree import PromptId, Prompts, Trial
from meta_agent.proposer import BatchProposer, Draft, Order, Parent, Proposer

SECOND_PARENT_PROBABILITY = 0.5
ATTEMPTS = 8
"""Drafts of one slot before a duplicate is let stand: each costs microseconds, an evaluation costs seconds."""
BLOCK = 2
"""Designs of a generation that are given the same parent, and prompts that are compared by it."""


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
        self._proposers = tuple((proposer, share / total) for proposer, share in proposers if share > 0.0)
        self._prompts = dict(prompts or {})
        self._seen = Seen()
        self._refused: dict[DesignId, list[tuple[Draft, str]]] = {}
        self._generations = 0
        self._asked = 0
        self.population = Population(self._controls)
        """All valid designs so far."""

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
                self.population.enter(slot, number)
        return Generation(number, slots)

    def tell(self, generation: Generation) -> None:
        """Close a generation: its proposers hear what became of their drafts."""
        self.population.close(generation)
        for slot in generation.slots:
            if not slot.novel:
                continue
            member = self.population.members[slot.draft.design.id]
            known = member.same_as or member.design.id
            score = None if member.failed or not member.scores else self.population.believed(known).mean
            for proposer, _ in self._proposers:
                if proposer.name == slot.draft.proposer:
                    proposer.observe(member.design, score)
        for name, prompts in self._prompts.items():
            prompts.tell([self.trial(slot) for slot in generation.slots if slot.steers(name)])

    def trial(self, slot: Slot) -> Trial:
        """What became of a slot that was filled by a prompt."""
        assert slot.prompt is not None
        gain = self.population.gain(slot)
        failed = not slot.novel or self.population.members[slot.draft.design.id].spent_in_vain
        return Trial(slot.prompt, slot.block, slot.sequence, gain, measured=failed or gain is not None)

    def _propose(self, number: int) -> list[Slot]:
        rng = np.random.default_rng([self._seed, 1, number])
        candidates = self.population.candidates()
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
            self.population.members[block.given].visits += 1

    def _parent(self, design: DesignId) -> Parent:
        return Parent(self.population.designs[design], self.population.believed(design).mean)

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
        return Slot(0, draft, print_, self._seen.lookup(print_), "", "", traits=traits(draft.design.source))

    def _enter(self, slot: Slot, sequence: int) -> Slot:
        numbered = replace(slot, sequence=sequence)
        if slot.problem and slot.draft.parents:
            self._refused.setdefault(slot.draft.parents[0], []).append((slot.draft, slot.problem))
        if numbered.novel and numbered.fingerprint is not None:
            self._seen.add(numbered.fingerprint, numbered.draft.design.id)
        return numbered

    def _seed_draft(self, design: Design) -> Draft:
        operator = "control" if design.id in self._controls else "seed"
        return Draft(design, (), "catalogue", operator, f"from the catalogue: {design.name}")
