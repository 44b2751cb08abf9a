"""What is written down of each generation: commits of its designs, rows of its proposals, and why it was decided so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from archive.card import Card
from archive.errors import ArchiveDamaged
from archive.ledger import Ledger
from archive.records import Decision, DesignRow, DesignStatus, Json, Proposal, ProposalVerdict
from archive.repository import Repository
from design_space import DesignId, Outcome
from meta_agent.generation import Generation, Slot
from meta_agent.leak import Leak
from meta_agent.population import Population


class Filing:
    """Repository and ledger as one: git first, then the rows.

    A commit without a row is adopted; a row without a commit is damage, looked for once, here.

    Raises:
        ArchiveDamaged: a design of the ledger has no commit, or the repository is damaged.
    """

    def __init__(self, ledger: Ledger, repository: Repository) -> None:
        self._ledger = ledger
        self._repository = repository
        self._known: set[DesignId] = set()
        refs = repository.refs()
        for row in ledger.designs():
            self._known.add(row.id)
            if row.id not in refs:
                problem = f"design {row.id} is in the ledger, but has no commit"
                raise ArchiveDamaged(f"design {row.id}", problem, hint="`mnemogen fsck RUN` says what is left")

    def file(self, generation: Generation) -> None:
        """Commit the novel designs of a generation, then record it; what an earlier session filed stays as it is."""
        filed = {proposal.sequence for proposal in self._ledger.proposals(generation.number)}
        missing = [slot for slot in generation.slots if slot.sequence not in filed]
        if not missing:
            return  # what has rows had commits before
        entries = [(_card(generation, slot), slot.draft.design) for slot in generation.slots if slot.novel]
        commits = {done.id: done.commit for done in self._repository.commit(entries)}
        novel = [slot for slot in missing if slot.novel]
        unknown = [slot for slot in novel if slot.draft.design.id not in self._known]
        self._ledger.record_generation(
            designs=[_row(generation, slot, commits[slot.draft.design.id]) for slot in unknown],
            proposals=[_proposal(generation, slot) for slot in missing],
            decisions=[decision for slot in novel for decision in _why(generation, slot)],
        )

    def compare(self, population: Population, generation: Generation) -> None:
        """Write down how each new design did beside its parent, on streams that chose the parent: no claim."""
        decisions = []
        for design in generation.designs:
            compared = population.compared(design)
            if compared is not None:
                parent, gain = compared
                reason = f"{gain} against its parent {parent}, on streams that chose the parent: nothing is claimed"
                decisions.append(Decision(generation.number, "compared", reason, design))
        self.decide(generation.number, decisions)

    def alarm(self, generation: int, alarms: Mapping[DesignId, Leak]) -> None:
        """Write down who raised the leak alarm: it broke a rule, so it is valid no longer."""
        decisions = [Decision(generation, "alarm", str(leak), design, asdict(leak)) for design, leak in alarms.items()]
        self.decide(generation, decisions)
        for design, leak in alarms.items():
            self._ledger.record_status(design, DesignStatus.INVALID, f"{Outcome.POLICY}: {leak}")

    def decide(self, generation: int, decisions: Sequence[Decision]) -> None:
        """Record decisions, but for those that an earlier session has recorded already."""
        known = {(d.kind, d.subject, d.reason) for d in self._ledger.decisions(generation)}
        self._ledger.record_decisions(d for d in decisions if (d.kind, d.subject, d.reason) not in known)


def _card(generation: Generation, slot: Slot) -> Card:
    draft = slot.draft
    return Card.of(
        draft.design,
        sequence=slot.sequence,
        generation=generation.number,
        parents=draft.parents,
        proposer=draft.proposer,
        operator=draft.operator,
        note=draft.note,
    )


def _row(generation: Generation, slot: Slot, commit: str) -> DesignRow:
    design = slot.draft.design
    return DesignRow(
        id=design.id,
        sequence=slot.sequence,
        name=design.name,
        commit=commit,
        generation=generation.number,
        ast_hash=slot.fingerprint,
        parents=slot.draft.parents,
        proposer=slot.draft.proposer,
        operator=slot.draft.operator,
    )


def _why(generation: Generation, slot: Slot) -> Iterator[Decision]:
    """Why this parent, and by which prompt."""
    design = slot.draft.design.id
    if slot.why and slot.draft.parents:
        yield Decision(generation.number, "parent", slot.why, design)
    if slot.prompt is not None:
        data: Json = {"prompt": slot.prompt, "block": slot.block, "given": slot.given}
        yield Decision(generation.number, "prompt", f"made by prompt {slot.prompt}", design, data)


def _proposal(generation: Generation, slot: Slot) -> Proposal:
    verdict = ProposalVerdict.NEW
    if slot.problem:
        verdict = ProposalVerdict.INVALID
    elif slot.duplicate_of is not None:
        verdict = ProposalVerdict.DUPLICATE
    design = None if slot.problem else slot.duplicate_of or slot.draft.design.id
    return Proposal(
        sequence=slot.sequence,
        generation=generation.number,
        slot=generation.slots.index(slot),
        design=design,
        verdict=verdict,
        proposer=slot.draft.proposer,
        operator=slot.draft.operator,
        note=slot.draft.note,
        reason=slot.problem or ("" if slot.duplicate_of is None else f"says the same as {slot.duplicate_of}"),
    )
