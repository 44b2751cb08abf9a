"""What one evaluation is identified by, and what comes out of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from design_space.design import DesignId


class Outcome(StrEnum):
    """How an evaluation ended. All but `SCORED` are faults of the design; none is ever retried."""

    SCORED = "scored"
    INVALID = "invalid"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    TOO_MANY_PROCESSES = "too_many_processes"
    DISK_FULL = "disk_full"
    OUTPUT_FLOOD = "output_flood"
    PROTOCOL = "protocol"
    OVER_BUDGET = "over_budget"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class EvaluationKey:
    """The ledger's unit: one design on one whole stream, under all that its result depends on.

    Attributes:
        stream: source, family and seed, as the stream names itself.
        order: which order of the stream's tasks, 0 is the generated one.
        protocol: how experience comes: online, static or inject; `online/amnesia` and the like are its controls.
        guest: digest of what the guest holds besides the design.
        config: digest of limits, recall cap, embedder and models.
    """

    design: DesignId
    stream: str
    split: str
    order: int
    protocol: str
    agent: str
    seed: int
    guest: str
    config: str

    @property
    def digest(self) -> str:
        text = json.dumps({name: getattr(self, name) for name in self.__slots__}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one design earned on one stream.

    Attributes:
        rewards: one per scored task, in stream order, each in [0, 1]; a task that the design did not finish scores 0.
        steps: actions taken per scored task, in stream order.
        detail: why the outcome is what it is, for people and for the meta agent; empty when scored.
        seconds: wall time of the whole evaluation, waiting for models included.
        cpu_seconds: processor time of the guest; None if the backend could not tell.
        bytes_stored: size of the memory's snapshot at the end; None if it did not come to that.
        recall_chars: characters of recall that the agent was shown, over the whole stream.
        backend: which sandbox it ran in, with the level of confinement.
        found: per scored task that is a question, whether a right answer stood in the recall; empty where tasks are
            played. What a reader makes of it is `rewards`.
        recalls: digest of all that the memory recalled, in order: what is alike behaved alike here. Empty if unknown.
        model_calls, model_tokens: of the design and, where it is a model, of the agent.
        task_tokens, task_seconds: of the agent's model, per scored task; empty where the agent is none.
    """

    key: EvaluationKey
    outcome: Outcome
    rewards: tuple[float, ...] = ()
    steps: tuple[int, ...] = ()
    detail: str = ""
    seconds: float = 0.0
    cpu_seconds: float | None = None
    bytes_stored: int | None = None
    recall_chars: int = 0
    model_calls: int = 0
    model_tokens: int = 0
    backend: str = ""
    found: tuple[bool, ...] = ()
    task_tokens: tuple[int, ...] = ()
    task_seconds: tuple[float, ...] = ()
    recalls: str = ""

    @property
    def score(self) -> float | None:
        """Mean reward in [0, 1] over all tasks, unfinished ones included; None if the stream had none."""
        return sum(self.rewards) / len(self.rewards) if self.rewards else None
