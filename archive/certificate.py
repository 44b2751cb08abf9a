"""What a memory is worth on given tasks: figures with intervals, and what may be claimed from them.

Everything in it is a function of evaluations (`archive.sheets`): equal evaluations give equal certificates, to the
byte. No figure is a time, since times do not repeat.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from archive.statistics import Interval

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Claim(StrEnum):
    """What the figures of one kind of tasks allow to be said of a memory."""

    MEMORY = "memory"
    PARTLY = "partly memory"
    TRANSFER = "transfer"
    ADVICE = "advice"
    OPEN = "open"
    NOTHING = "nothing shown"
    HARM = "harm"


@dataclass(frozen=True, slots=True)
class Rival:
    """What the memory is compared with on the same streams.

    Attributes:
        score: the rival's own; gain: the memory's, paired.
        detectable: true difference that this n would show with a chance of 80 %; None if n < 2.
    """

    name: str
    score: Interval
    gain: Interval
    detectable: float | None


@dataclass(frozen=True, slots=True)
class Competence:
    """Questions of one kind.

    Attributes:
        answered: share of what they earned; found: of those whose gold stood in the recall. Over streams.
    """

    name: str
    answered: Interval
    found: Interval


@dataclass(frozen=True, slots=True)
class Costs:
    """What the memory took, per task, over streams; bytes_stored at the end of a stream, None if it came to no end."""

    recall_chars: Interval
    model_calls: Interval
    model_tokens: Interval
    bytes_stored: Interval | None


@dataclass(frozen=True, slots=True)
class Subject:
    """What a sheet is about.

    Attributes:
        stream: name for people; source and settings make the tasks.
        streams, tasks: how many there were, and tasks that count in each.
        digest: of the streams' names, which stand for the tasks and, where data is read, for the data.
        note: what is to be known of these tasks; may be empty.
    """

    stream: str
    source: str
    settings: Mapping[str, object]
    protocol: str
    agent: str
    split: str
    recall_chars: int
    streams: int
    tasks: int
    digest: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A certificate's part about one kind of tasks. None is what was not measured or does not apply.

    Attributes:
        outcomes: how the memory's evaluations ended, and how many so; faults: what was said of those that failed.
        under_amnesia: gain over no memory of the same design that remembers nothing; due_to_memory: what is above it.
        under_shuffled: the same with another family's experience; due_to_family: what is above that.
        curve: gain over no memory in the first, second and last third of a stream; learning: last minus first.
        steps_ratio: steps taken, relative to no memory, on tasks that both solved.
        order_robustness: 1 - (max - min) / mean over the orders of a stream's tasks.
        forgetting: reward lost on the same tasks once another family's stream came in between.
        carried_over: reward gained by having lived through another family first.
        swaps: gain over no memory with another agent.
        found: share of questions whose gold stood in the recall.
    """

    subject: Subject
    outcomes: Mapping[str, int]
    faults: tuple[str, ...]
    score: Interval
    rivals: tuple[Rival, ...]
    under_amnesia: Interval | None
    due_to_memory: Interval | None
    under_shuffled: Interval | None
    due_to_family: Interval | None
    curve: tuple[Interval, ...]
    learning: Interval | None
    steps_ratio: Interval | None
    order_robustness: Interval | None
    forgetting: Interval | None
    carried_over: Interval | None
    swaps: tuple[Rival, ...]
    found: Interval | None
    competences: tuple[Competence, ...]
    costs: Costs
    claim: Claim
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """All that is needed to get the same certificate again.

    Attributes:
        versions: of what a score depends on; guest: digest of what the sandbox held.
    """

    command: str
    seed: int
    guest: str
    backend: str
    limits: str
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Certificate:
    """What one design is worth.

    Attributes:
        source_sha256: of the file that was judged.
    """

    name: str
    design: str
    source_sha256: str
    params: Mapping[str, object]
    sheets: tuple[Sheet, ...]
    repeat: Repeat

    def to_json(self) -> str:
        """Return it as JSON, rounded to six decimals; infinite bounds are null."""
        return to_json(self)


def to_json(value: DataclassInstance) -> str:
    """Return a dataclass as JSON, rounded to six decimals; infinite bounds are null."""
    return json.dumps(_rounded(asdict(value)), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 6) + 0.0 if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _rounded(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    return value
