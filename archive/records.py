"""What the ledger is told and tells: frozen values, one class a table.

Text that people or models wrote is stored as it is, but for lone surrogates, and is cut at `TEXT_LIMIT` characters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from design_space import DesignId, Evaluation
from design_space.space import Value

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]

TEXT_LIMIT = 20_000


class Purpose(StrEnum):
    """What an evaluation was spent on."""

    SEARCH = "search"
    CONTROL = "control"
    VALIDATION = "validation"
    SEALED = "sealed"


class DesignStatus(StrEnum):
    VALID = "valid"
    INVALID = "invalid"


class ProposalVerdict(StrEnum):
    NEW = "new"
    DUPLICATE = "duplicate"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class DesignRow:
    """A design that has a commit.

    Attributes:
        commit: SHA-1 of its commit in the repository.
        ast_hash: `novelty.fingerprint` of it; None if its source cannot be parsed.
        reason: why it is invalid; empty if it is valid.
    """

    id: DesignId
    sequence: int
    name: str
    commit: str
    generation: int
    ast_hash: str | None = None
    parents: tuple[DesignId, ...] = ()
    proposer: str = ""
    operator: str = ""
    status: DesignStatus = DesignStatus.VALID
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One thing that was asked of a proposer, and what came of it.

    Attributes:
        sequence: place in the order of asking, unique in a run.
        slot: place within the generation.
        design: what was proposed; of a duplicate, the design that was there; None if there was no source at all.
    """

    sequence: int
    generation: int
    slot: int
    design: DesignId | None
    verdict: ProposalVerdict
    proposer: str = ""
    operator: str = ""
    note: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Why this parent, why spent, what is believed.

    Attributes:
        kind: ``parent``, ``promote``, ``label``, ...
        subject: the design that it is about, if it is about one.
        data: the figures that it rests on.
        sequence: place in the order of recording; None until it is recorded.
    """

    generation: int
    kind: str
    reason: str
    subject: DesignId | None = None
    data: Json = None
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening of the sealed split: the list that it scores, frozen beforehand.

    Attributes:
        number: 1 for the first.
        decided_at: sequence of the last proposal that was known when the list was decided.
    """

    number: int
    designs: tuple[DesignId, ...]
    streams: tuple[str, ...]
    decided_at: int
    data: Json = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """An evaluation as the ledger holds it.

    Attributes:
        sequence: place in the order of arrival; it depends on how many workers there were.
    """

    evaluation: Evaluation
    purpose: Purpose
    sequence: int


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial of a tuning study; only the promoted one becomes a design of the archive.

    Attributes:
        base: the design that is tuned.
        design: id of the base's source with these parameters.
        state: ``complete``, ``pruned`` or ``failed``.
        value: what the study was told; None if it was told nothing.
    """

    study: str
    number: int
    base: DesignId
    design: DesignId
    params: Mapping[str, Value] = field(default_factory=dict)
    state: str = "complete"
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows there are."""

    designs: int
    invalid: int
    proposals: int
    duplicates: int
    evaluations: int
    episodes: int
    decisions: int
    openings: int
    trials: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What the run has cost so far.

    Attributes:
        model_calls: attempts at calls of all roles.
        model_tokens: input and output; of calls that a crash cut off, what had been reserved.
        dollars: of the same, where prices are known.
        seconds: wall time of all evaluations, added up.
    """

    evaluations: int
    model_calls: int
    model_tokens: int
    dollars: float
    seconds: float
