"""How records become rows of the ledger, and rows become records again."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from archive.records import (
    TEXT_LIMIT,
    Decision,
    DesignRow,
    DesignStatus,
    Opening,
    Proposal,
    ProposalVerdict,
    Purpose,
    Recorded,
    Trial,
)
from design_space import DesignId, Evaluation, EvaluationKey, Outcome

Stored = None | int | float | str | bytes

TABLES = {
    "meta": ("name", "value"),
    "designs": (
        *("sequence", "id", "name", "commit_sha", "ast_hash"),
        *("generation", "proposer", "operator", "status", "reason"),
    ),
    "parents": ("design_id", "position", "parent_id"),
    "proposals": (
        *("sequence", "generation", "slot", "design_id", "proposer"),
        *("operator", "note", "verdict", "reason"),
    ),
    "evaluations": (
        *("sequence", "digest", "design_id", "stream", "split", "task_order", "protocol", "agent", "seed", "guest"),
        *("config", "purpose", "outcome", "score", "rewards", "steps", "detail", "seconds", "cpu_seconds"),
        *("bytes_stored", "recall_chars", "model_calls", "model_tokens", "backend"),
    ),
    "questions": ("digest", "found"),
    "agent_costs": ("digest", "tokens", "seconds"),
    "recalls": ("digest", "content"),
    "episodes": ("digest", "position", "content"),
    "decisions": ("sequence", "generation", "kind", "subject", "reason", "data"),
    "openings": ("number", "designs", "streams", "decided_at", "data"),
    "trials": ("study", "number", "base_id", "design_id", "params", "state", "value"),
    "prompts": ("id", "parent_id", "generation", "origin", "content", "data"),
    "insights": ("sequence", "operation", "insight_id", "generation", "content", "data"),
    "model_calls": (
        *("scope", "role", "position", "content", "model", "outcome", "request", "answer", "vectors", "cut"),
        *("attempts", "input_tokens", "output_tokens", "dollars", "seconds"),
        *("charged_calls", "charged_tokens", "charged_nanodollars"),
    ),
}
BESIDE = ("questions", "agent_costs", "recalls")
"""Tables of what some evaluations have and others do not, by digest."""
NUMBERED = {"evaluations": "sequence", "decisions": "sequence", "openings": "number", "insights": "sequence"}


def seal_of(values: Sequence[Stored]) -> str:
    """Return sixteen hexadecimal digits over the columns of a row."""
    plain = json.dumps(values, default=lambda blob: hashlib.blake2b(blob).hexdigest())
    return hashlib.blake2b(plain.encode(), digest_size=8).hexdigest()


def storable(text: str) -> str:
    """Return text that SQLite can hold: no lone surrogates, not endless."""
    return text[:TEXT_LIMIT].encode("utf-8", "replace").decode()


def to_json(value: object) -> str:
    return json.dumps(value, allow_nan=False, sort_keys=True)


def finite(value: float, what: str) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{what} is {value!r}, wanted a finite number")
    return float(value) + 0.0  # SQLite keeps no negative zero


def result_of(evaluation: Evaluation) -> tuple[object, ...]:
    return evaluation.outcome, tuple(evaluation.rewards), tuple(evaluation.steps), tuple(evaluation.found)


def told(evaluation: Evaluation) -> str:
    score = evaluation.score
    return f"{evaluation.outcome.value} " + ("without a score" if score is None else f"with score {score:.4f}")


def evaluation_values(evaluation: Evaluation, purpose: Purpose) -> tuple[Stored, ...]:
    key = evaluation.key
    for reward in evaluation.rewards:
        if not 0.0 <= reward <= 1.0:
            raise ValueError(f"a reward of design {key.design} is {reward!r}, wanted a number in [0, 1]")
    score, cpu = evaluation.score, evaluation.cpu_seconds
    return (
        *(key.digest, key.design, key.stream, key.split, key.order, key.protocol, key.agent, key.seed, key.guest),
        *(key.config, purpose.value, evaluation.outcome.value),
        None if score is None else finite(score, "score"),
        to_json([float(reward) + 0.0 for reward in evaluation.rewards]),
        to_json([int(steps) for steps in evaluation.steps]),
        storable(evaluation.detail),
        finite(evaluation.seconds, "seconds"),
        None if cpu is None else finite(cpu, "cpu_seconds"),
        *(evaluation.bytes_stored, evaluation.recall_chars, evaluation.model_calls, evaluation.model_tokens),
        storable(evaluation.backend),
    )


def to_recorded(row: Any, found: Any, costs: Any, recalls: Any) -> Recorded:
    """Make a record of a row of evaluations and of those `BESIDE` it, None where there are none."""
    design, stream, split, order, protocol, agent, seed, guest, config = row[2:11]
    purpose, outcome, _, rewards, steps, *rest = row[11:]
    key = EvaluationKey(DesignId(design), stream, split, order, protocol, agent, seed, guest, config)
    evaluation = Evaluation(key, Outcome(outcome), tuple(json.loads(rewards)), tuple(json.loads(steps)), *rest)
    if found is not None:
        evaluation = replace(evaluation, found=tuple(map(bool, json.loads(found[1]))))
    if costs is not None:
        tokens, seconds = (tuple(json.loads(column)) for column in costs[1:])
        evaluation = replace(evaluation, task_tokens=tokens, task_seconds=seconds)
    if recalls is not None:
        evaluation = replace(evaluation, recalls=str(recalls[1]))
    return Recorded(evaluation, Purpose(purpose), row[0])


def to_design(row: Any, parents: Sequence[DesignId]) -> DesignRow:
    sequence, id_, name, commit, ast_hash, generation, proposer, operator, status, reason = row
    return DesignRow(
        id=DesignId(id_),
        sequence=sequence,
        name=name,
        commit=commit,
        generation=generation,
        ast_hash=ast_hash,
        parents=tuple(parents),
        proposer=proposer,
        operator=operator,
        status=DesignStatus(status),
        reason=reason,
    )


def to_proposal(row: Any) -> Proposal:
    sequence, generation, slot, design, proposer, operator, note, verdict, reason = row
    id_ = None if design is None else DesignId(design)
    return Proposal(sequence, generation, slot, id_, ProposalVerdict(verdict), proposer, operator, note, reason)


def to_decision(row: Any) -> Decision:
    sequence, generation, kind, subject, reason, data = row
    return Decision(generation, kind, reason, subject, json.loads(data), sequence)


def to_opening(row: Any) -> Opening:
    number, designs, streams, decided_at, data = row
    return Opening(number, tuple(json.loads(designs)), tuple(json.loads(streams)), decided_at, json.loads(data))


def to_trial(row: Any) -> Trial:
    study, number, base, design, params, state, value = row
    return Trial(study, number, base, design, json.loads(params), state, value)
