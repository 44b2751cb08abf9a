"""Earns one design its score on one stream: the worker's loop over tasks, agent, memory and environment."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Literal

from design_space.design import Design
from design_space.evaluation import Evaluation, EvaluationKey, Outcome
from design_space.memory import Episode, Snapshot
from sandbox.agents.base import Agent
from sandbox.attempt import NOTHING, AskedMemory, Played, attempt
from sandbox.backend import Backend, Guest, Labels
from sandbox.calls import Line
from sandbox.session import Broker, DesignFault, KeyFreeBroker, MemorySession
from sandbox.streams.base import Source, Split, Stream, Task, generator

Protocol = Literal["online", "static", "inject"]
PROTOCOLS: tuple[Protocol, ...] = ("online", "static", "inject")
Experience = Literal["own", "amnesia", "shuffled", "carried", "again", "interfered"]
"""What the memory has lived through when a task is scored. `own` is the score itself; the others are controls of it:

* `amnesia`: nothing. It is never told of a task, and where it would learn between tasks it is made anew for each.
* `shuffled`: as much as with `own`, but of another family.
* `carried`: another family's stream first, then as `own`.
* `again`: the whole stream; it is scored on the same tasks once more, learning no further.
* `interfered`: the same, but between the two came another family's stream.
"""
FOREIGN: frozenset[Experience] = frozenset({"shuffled", "carried", "interfered"})
"""Experiences that take a stream of another family."""


@dataclass(frozen=True, slots=True)
class Setting:
    """All that a score depends on besides the design and the stream.

    Attributes:
        protocol: `online` learns task after task; `static` is fed the first half, played without memory, then
            frozen; `inject` is told the stream's sessions, then frozen (MemoryAgentBench, arXiv 2507.05257). Sessions
            come first under any protocol.
        recall_chars: characters of recall that the agent is shown at once.
        seed: of agents and memories.
        config: digest of everything else that a score depends on (limits, embedder, models).
    """

    protocol: Protocol
    agent: str
    recall_chars: int
    seed: int
    config: str

    def key(
        self, design: Design, stream: str, split: Split, guest: str, order: int = 0, experience: Experience = "own"
    ) -> EvaluationKey:
        """What the ledger files a result under.

        Args:
            stream: its name.
            guest: digest of what the sandbox holds.
        """
        return EvaluationKey(
            design=design.id,
            stream=stream,
            split=split,
            order=order,
            protocol=self.protocol if experience == "own" else f"{self.protocol}/{experience}",
            agent=self.agent,
            seed=self.seed,
            guest=guest,
            config=self.config,
        )


@dataclass(frozen=True, slots=True)
class Result:
    """An evaluation with what is worth keeping of it: the episodes played, and what the memory knew at the end."""

    evaluation: Evaluation
    played: tuple[Played, ...] = ()
    snapshot: Snapshot | None = None


@dataclass
class Evaluator:
    """Evaluates designs on the streams of one source.

    Args:
        agent: makes a fresh agent for a task, from a generator that depends on the task and not on the design.
        broker: makes what carries out the model calls of one evaluation's design, from the digest of its key.
        line: gives an agent that is a model somebody to ask, by the scope of its calls; None where the run has none.
    """

    source: Source
    agent: Callable[..., Agent]
    backend: Backend
    setting: Setting
    broker: Callable[[str], Broker] = KeyFreeBroker
    line: Callable[[str], Line] | None = None
    _collected: dict[str, tuple[Played, ...]] = field(default_factory=dict)

    def key(self, design: Design, stream: Stream, order: int = 0, experience: Experience = "own") -> EvaluationKey:
        """What the ledger files the result under."""
        return self.setting.key(design, stream.name, stream.split, self.backend.digest, order, experience)

    def evaluate(
        self,
        design: Design,
        stream: Stream,
        guest: Guest,
        key: EvaluationKey,
        experience: Experience = "own",
        other: Stream | None = None,
    ) -> Result:
        """Run the design over the whole stream in fresh processes of `guest`.

        Args:
            key: of this stream and experience.
            other: a stream of another family, where the experience takes one.

        Raises:
            SandboxUnavailable: the machine is at fault; nothing is charged to the design.
            ModelFault: a model is not to be had, and the run must stop; nothing is charged to the design.
            ValueError: the experience wants another stream.
        """
        started = time.monotonic()
        broker = self.broker(key.digest)
        session = MemorySession(guest, broker, self.setting.recall_chars)
        line = None if self.line is None else self.line(key.digest)
        run = _Run(self, design, session, broker, stream, key, line)
        outcome, detail, snapshot, stored = Outcome.SCORED, "", None, None
        try:
            run.through(experience, other)
            snapshot, stored = session.snapshot()
        except DesignFault as fault:
            outcome, detail = fault.outcome, fault.detail
        run.end()
        questions = any(task.question is not None for task in run.scored)
        missing = len(run.scored) - len(run.played)
        evaluation = Evaluation(
            key=key,
            outcome=outcome,
            rewards=(*(played.episode.reward or 0.0 for played in run.played), *(0.0,) * missing),
            steps=(*(len(played.episode.steps) for played in run.played), *(0,) * missing),
            found=(*(bool(played.found) for played in run.played), *(False,) * missing) if questions else (),
            detail=detail,
            seconds=time.monotonic() - started,
            cpu_seconds=run.cpu_seconds,
            bytes_stored=stored,
            recall_chars=run.recall_chars,
            recalls=run.recalls,
            model_calls=broker.calls + (0 if line is None else line.calls),
            model_tokens=broker.tokens + (0 if line is None else line.tokens),
            backend=self.backend.name,
            task_tokens=() if line is None else (*(played.tokens for played in run.played), *(0,) * missing),
            task_seconds=() if line is None else (*(played.seconds for played in run.played), *(0.0,) * missing),
        )
        return Result(evaluation, tuple(run.played), snapshot)

    def open(self, design: Design, run: str) -> Guest:
        """A place for this design alone; the caller closes it."""
        return self.backend.open(Labels(run, design.id))

    def collect(self, stream: Stream, order: int) -> tuple[Played, ...]:
        """The trajectories of the stream's first half, played without memory; the same for every design."""
        name = f"{stream.name}/{order}"
        if name not in self._collected:
            tasks = _ordered(stream, order)
            setting = self.setting
            line = None if self.line is None else self.line(f"{name}/{setting.agent}/{setting.seed}/{setting.config}")
            self._collected[name] = tuple(self.attempt(task, order, line=line) for task in tasks[: len(tasks) // 2])
        return self._collected[name]

    def attempt(self, task: Task, order: int, memory: AskedMemory | None = None, line: Line | None = None) -> Played:
        """One attempt at one task, with a memory or with none; the memory is not told how it ended.

        Raises:
            ValueError: the agent is a model, and there is none.
        """
        agent = self.agent(generator("agent", self.setting.agent, self.setting.seed, order, task.id))
        return attempt(task, self.source, agent, memory, line)


class _Run:
    """One design's way through what an evaluation has it live through.

    Attributes:
        scored: the tasks that count, in order; played: those of them that were finished.
        cpu_seconds: of all processes that have ended; None if the backend could not tell.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        design: Design,
        session: MemorySession,
        broker: Broker,
        stream: Stream,
        key: EvaluationKey,
        line: Line | None,
    ) -> None:
        self._line = line
        self._evaluator = evaluator
        self._design = design
        self._session = session
        self._broker = broker
        self._stream = stream
        self._key = key
        self._protocol = evaluator.setting.protocol
        # Equal tasks have other names in other evaluations, so a design cannot recognise them.
        self._secret = hashlib.sha256(f"episode names {key.digest}".encode()).digest()
        self._memory: AskedMemory | None = None
        self._heard = hashlib.blake2b(digest_size=16)
        self._spent_chars = 0
        self.scored = self._to_score()
        self.cpu_seconds: float | None = None
        self.played: list[Played] = []

    @property
    def recalls(self) -> str:
        """Digest of all that was recalled so far."""
        return self._heard.hexdigest()

    @property
    def recall_chars(self) -> int:
        return self._spent_chars + (0 if self._memory is None else self._memory.recall_chars)

    def through(self, experience: Experience, other: Stream | None) -> None:
        """Live through it; what is scored is added to `played`.

        Raises:
            DesignFault: what is played until then counts.
            ValueError: there is no other stream, and the experience takes one.
        """
        if (experience in FOREIGN) != (other is not None):
            raise ValueError(
                f"experience {experience!r} {'takes' if other is None else 'does not take'} another stream"
            )
        online = self._protocol == "online"
        self._begin()
        if experience == "amnesia":
            for number, task in enumerate(self.scored):
                if online and number:
                    self._begin()
                self._score(task)
            return
        if experience == "shuffled" and other is not None and online:
            self._tell(other.sessions)
            for task, elsewhere in zip(self.scored, cycle(other.tasks), strict=False):
                self._score(task)
                self._learn(elsewhere)
            return
        if experience in ("again", "interfered"):
            self._live(self._stream, self._key.order)
        if other is not None:
            self._live(other, 0)
        if online and experience in ("own", "carried"):
            self._tell(self._stream.sessions)
            for task in self.scored:
                self._score(task, learn=True)
            return
        if experience in ("own", "carried"):
            self._live(self._stream, self._key.order)
        for task in self.scored:
            self._score(task)

    def _to_score(self) -> Sequence[Task]:
        tasks = _ordered(self._stream, self._key.order)
        return tasks[len(tasks) // 2 :] if self._protocol == "static" else tasks

    def end(self) -> None:
        """End the process, and count what it used."""
        used = self._session.close().cpu_seconds
        if used is not None:
            self.cpu_seconds = used + (self.cpu_seconds or 0.0)

    def _begin(self) -> None:
        """A memory that knows nothing, in a fresh process."""
        if self._memory is not None:
            self.end()
        self._spent_chars = self.recall_chars
        self._broker.task()
        opened = self._session.open(self._design, _seed("memory", self._key), self._evaluator.backend.folder)
        self._memory = AskedMemory(self._session, opened, self._heard)

    def _live(self, stream: Stream, order: int) -> None:
        """All of a stream's experience, unscored."""
        self._tell(stream.sessions)
        if self._protocol == "static":
            for played in self._evaluator.collect(stream, order):
                self._broker.task()
                self._update(Played(played.task, played.episode, (NOTHING,) * len(played.episode.steps)))
        elif self._protocol == "online":
            for task in _ordered(stream, order):
                self._learn(task)

    def _tell(self, sessions: Sequence[Episode]) -> None:
        for session in sessions:
            self._broker.task()
            self._session.update(self.disguise(session), [NOTHING] * len(session.steps), NOTHING)

    def _learn(self, task: Task) -> None:
        self._broker.task()
        self._update(self._evaluator.attempt(task, self._key.order, self._memory, self._line))

    def _score(self, task: Task, learn: bool = False) -> None:
        self._broker.task()
        played = self._evaluator.attempt(task, self._key.order, self._memory, self._line)
        if learn:
            self._update(played)
        self.played.append(played)

    def _update(self, played: Played) -> None:
        self._session.update(self.disguise(played.episode), list(played.recalls), played.before)

    def disguise(self, episode: Episode) -> Episode:
        """The episode under a name that says nothing of the task."""
        name = hmac.new(self._secret, episode.id.encode(), hashlib.sha256).hexdigest()[:16]
        return replace(episode, id=name)


def _ordered(stream: Stream, order: int) -> Sequence[Task]:
    """The stream's tasks in one of its orders; order 0 is as generated."""
    if order == 0:
        return stream.tasks
    shuffle = generator("order", stream.name, order).permutation(len(stream.tasks))
    return [stream.tasks[i] for i in shuffle]


def _seed(what: str, key: EvaluationKey) -> int:
    return int(generator(what, key.seed, key.stream, key.order).integers(2**31))
