"""The designs of a search and what is believed of them; nothing is asked for here.

What is believed of a design is the posterior of `archive.beliefs`, over all designs and streams that were seen so far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from archive.beliefs import Beliefs
from archive.selection import Candidates
from archive.statistics import Interval, Posterior, paired_difference
from design_space import Design, DesignId
from meta_agent.generation import Generation, Slot

CONSIDERED = 256
"""Designs that a parent is chosen from: those that could be the best, by mean and two standard deviations."""
FIRST_ROUNDS = 10
"""In which the scales of belief are learned from the seeds, that is from little; afterwards one each generation."""


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


class Population:
    """All valid designs of a search.

    Args:
        controls: yardsticks, seen like the others, but never parents and never winners; the first is the null memory.
    """

    def __init__(self, controls: Sequence[DesignId]) -> None:
        self._controls = tuple(controls)
        self._members: dict[DesignId, Member] = {}
        self._designs: dict[DesignId, Design] = {}
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

    def enter(self, slot: Slot, generation: int) -> None:
        """Take in the design of a slot, of which nothing is known but its parents and its traits."""
        parents, design = slot.draft.parents, slot.draft.design
        belief = self._beliefs.add(self._members[parents[0]].number if parents else None, slot.traits)
        self._members[design.id] = Member(slot, generation, belief)
        self._designs[design.id] = design

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
            if self._recalled.get(member.recalls) == design:
                del self._recalled[member.recalls]  # what recalls the same and works is no copy of it
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

    def close(self, generation: Generation) -> None:
        """Learn from a whole generation how far a change moves a design; the first one says what no memory earns."""
        if generation.number == 0:
            self._beliefs.learn(FIRST_ROUNDS)
            null = self._members[self._controls[0]].scores if self._controls else {}
            self._baseline = float(np.mean(list(null.values()))) if null else None
        else:
            self._beliefs.learn()
        for slot in generation.slots:
            for parent in slot.draft.parents if slot.novel else ():
                self._members[parent].children += 1

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
        seen = np.mean([theirs[stream] - self._beliefs.ease(stream) for stream in shared])
        luck = float(seen) - self.believed(slot.given).mean
        return float(np.mean([ours[s] - theirs[s] for s in shared])) + luck

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

    def first_of(self, finalists: Sequence[DesignId]) -> DesignId | None:
        """The finalist of which most is believed, of those that have not failed since; if all have, the best other one.

        None if there is no design that works. What is believed of a failed design is what its parent makes expect.
        """
        working = [design for design in finalists if not self._members[design].failed] or self.ranked()[:1]
        return max(working, key=lambda design: self.believed(design).mean, default=None)

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

    def _standings(self) -> tuple[list[DesignId], NDArray[np.float64], NDArray[np.float64]]:
        """All that can be parents, in the order of asking, with mean and standard deviation of what is believed."""
        numbers = np.fromiter(self._standing.values(), dtype=np.int64)
        mean, sd = self._beliefs.all()
        order = np.argsort(numbers)
        names = list(self._standing)
        return [names[i] for i in order], mean[numbers[order]], sd[numbers[order]]

    def candidates(self) -> Candidates:
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
