"""What a search asks for at once, place by place."""

from __future__ import annotations

from dataclasses import dataclass

from design_space import DesignId
from meta_agent.prompt_tree import PromptId
from meta_agent.proposer import Draft


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of a generation.

    Attributes:
        sequence: place in the order of asking over the whole search.
        duplicate_of: the design that says the same, if there is one.
        problem: what static validation found; empty if it found nothing.
        why: why this parent.
        given: the parent that its proposer was given, whatever it made of it; None for a seed.
        prompt: what its proposer was steered by; None where it takes no prompt.
        block: names those that were given the same parent.
        traits: what it has in common with others, see `design_space.compose.traits`.
    """

    sequence: int
    draft: Draft
    fingerprint: str | None
    duplicate_of: DesignId | None
    problem: str
    why: str
    given: DesignId | None = None
    prompt: PromptId | None = None
    block: str = ""
    traits: tuple[str, ...] = ()

    @property
    def novel(self) -> bool:
        return self.duplicate_of is None and not self.problem

    def steers(self, proposer: str) -> bool:
        """Whether it was filled by a prompt of this proposer."""
        return self.prompt is not None and self.draft.proposer == proposer


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
