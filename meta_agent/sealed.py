"""Opens the sealed split: a list that is frozen and recorded first is scored once, on streams that nobody has seen."""

from __future__ import annotations

from collections.abc import Sequence

from archive.ledger import Ledger
from archive.records import Purpose
from archive.repository import Repository
from archive.statistics import by_stream
from design_space import Design, DesignId, Outcome, catalogue
from meta_agent.errors import BadInput
from meta_agent.evaluations import Evaluations
from meta_agent.policy import Request
from meta_agent.verdict import Final, Scores, compare, scores_of


def open_sealed(designs: Sequence[Design], streams: int, ledger: Ledger, evaluations: Evaluations) -> Scores:
    """Score a list of designs on the first sealed streams; they depend on the run's seed alone.

    The list is recorded before anything is evaluated. An opening that was cut off goes on with its own list.

    Args:
        designs: of the run's ledger, or of the catalogue; each at most once.
    """
    names = evaluations.stream_names("sealed", streams)
    listed = tuple(design.id for design in designs)
    if not any(o.designs == listed and o.streams == names for o in ledger.openings()):
        decided = max((proposal.sequence for proposal in ledger.proposals()), default=0)
        ledger.record_opening(listed, names, decided_at=decided)
    requests = [Request(design, tuple(range(streams))) for design in listed]
    return scores_of(evaluations.have({d.id: d for d in designs}, requests, "sealed", Purpose.SEALED))


def unseal(streams: int, ledger: Ledger, repository: Repository, evaluations: Evaluations) -> Final:
    """Open the sealed split for the winner of a run, the best catalogue design of its search, and no memory.

    Raises:
        BadInput: the run has no winner yet.
    """
    text = ledger.meta("final")
    if text is None:
        raise BadInput("the run has no winner yet", "finish it first: `mnemogen resume`")
    winner = Final.from_json(text).winner
    null = catalogue.load("no_memory").id
    best = best_seed(ledger, but=winner) or null
    designs = {design: repository.load(design) for design in dict.fromkeys((winner, best, null))}
    scores = open_sealed(tuple(designs.values()), streams, ledger, evaluations)
    return compare(winner, designs, [d for d in designs if d not in (winner, null)], {"no_memory": null}, scores)


def best_seed(ledger: Ledger, but: DesignId | None = None) -> DesignId | None:
    """Of the working designs that the run began with, but for one, that which earned most on the streams all saw."""
    seeds = [row.id for row in ledger.designs() if row.operator == "seed" and row.id != but]
    found = {seed: [r.evaluation for r in ledger.evaluations(seed, Purpose.SEARCH)] for seed in seeds}
    scores = {
        seed: by_stream(evaluations)
        for seed, evaluations in found.items()
        if evaluations and all(e.outcome is Outcome.SCORED for e in evaluations)
    }
    shared = sorted(set.intersection(*map(set, scores.values()))) if scores else []
    return max(scores, key=lambda seed: sum(scores[seed][stream] for stream in shared), default=None)
