"""Claims about which of a run's first designs is opened beside its winner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from archive.ledger import Ledger
from archive.records import DesignRow, Proposal, ProposalVerdict, Purpose
from design_space import DesignId, Evaluation, EvaluationKey, Outcome
from meta_agent.sealed import best_seed

A, B, C = (DesignId(letter * 16) for letter in "abc")


def seeded(folder: Path, scores: Mapping[DesignId, Mapping[int, float]], broken: DesignId | None = None) -> Ledger:
    """A ledger of seeds and what each earned, by stream; one broke on its last stream."""
    ledger = Ledger(folder / "ledger.sqlite")
    rows = [DesignRow(id_, n, f"n{n}", "f" * 40, 0, operator="seed") for n, id_ in enumerate(scores)]
    proposals = [Proposal(row.sequence, 0, row.sequence, row.id, ProposalVerdict.NEW) for row in rows]
    ledger.record_generation(designs=rows, proposals=proposals)
    for id_, by_stream in scores.items():
        for stream, score in by_stream.items():
            key = EvaluationKey(id_, f"house:{stream}", "search", 0, "online", "evidence", 7, "guest", "config")
            outcome = Outcome.CRASHED if id_ == broken and stream == max(by_stream) else Outcome.SCORED
            ledger.record_evaluation(Evaluation(key, outcome, (score,), (1,)), Purpose.SEARCH, [])
    return ledger


def test_seeds_are_compared_on_the_streams_that_all_of_them_saw(tmp_path: Path) -> None:
    """A finalist saw further streams, and these may be easy."""
    with seeded(tmp_path, {A: {0: 0.5, 1: 0.5}, B: {0: 0.4, 1: 0.5, 2: 1.0, 3: 1.0}}) as ledger:
        assert best_seed(ledger) == A
        assert best_seed(ledger, but=A) == B


def test_a_seed_that_broke_is_not_the_best(tmp_path: Path) -> None:
    with seeded(tmp_path, {A: {0: 0.9, 1: 0.9}, B: {0: 0.1, 1: 0.1}}, broken=A) as ledger:
        assert best_seed(ledger) == B
        assert best_seed(ledger, but=B) is None
