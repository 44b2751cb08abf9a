"""Earns one design its score on one stream: the worker's loop over tasks, agent, memory and environment."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from design_space.design import Design
from design_space.episodes import HISTORY_COUNT
from design_space.evaluation import Evaluation, EvaluationKey, Outcome
from design_space.memory import Episode, Query, Recall, Snapshot, Step
from sandbox.agents.base import Agent, situation
from sandbox.backend import Backend, Ending, Guest, Labels
from sandbox.guest.wire import RecallRef
from sandbox.session import Broker, DesignFault, KeyFreeBroker, MemorySession, Opened
from sandbox.streams.base import Environment, Source, Split, Stream, Task, generator

Protocol = Literal["online", "static"]
PROTOCOLS: tuple[Protocol, ...] = ("online", "static")
NOTHING: RecallRef = (0, 0)


@dataclass(frozen=True, slots=True)
class Setting:
    """All that a score depends on besides the design and the stream.

    Attributes:
        protocol: `online` learns task after task; `static` is fed the first half, played without memory, then frozen.
        recall_chars: characters of recall that the agent is shown at once.
        seed: of agents and memories.
        config: digest of everything else that a score depends on (limits, embedder, models).
    """

    protocol: Protocol
    agent: str
    recall_chars: int
    seed: int
    config: str

    def key(self, design: Design, stream: str, split: Split, guest: str, order: int = 0) -> EvaluationKey:
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
            protocol=self.protocol,
            agent=self.agent,
            seed=self.seed,
            guest=guest,
            config=self.config,
        )


@dataclass(frozen=True, slots=True)
class Played:
    """One attempt at one task.

    Attributes:
        recalls: for each step, and `before` for the task: which recall, and how much of it was shown.
    """

    task: Task
    episode: Episode
    recalls: tuple[RecallRef, ...] = ()
    before: RecallRef = NOTHING


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
    """

    source: Source
    agent: Callable[..., Agent]
    backend: Backend
    setting: Setting
    broker: Callable[[], Broker] = KeyFreeBroker
    _collected: dict[str, tuple[Played, ...]] = field(default_factory=dict)

    def key(self, design: Design, stream: Stream, order: int = 0) -> EvaluationKey:
        """What the ledger files the result under."""
        return self.setting.key(design, stream.name, stream.split, self.backend.digest, order)

    def evaluate(self, design: Design, stream: Stream, guest: Guest, key: EvaluationKey) -> Result:
        """Run the design over the whole stream in a fresh process of `guest`.

        Raises:
            SandboxUnavailable: the machine is at fault; nothing is charged to the design.
        """
        started = time.monotonic()
        tasks = _ordered(stream, key.order)
        frozen = self.setting.protocol == "static"
        collected = self._collect(stream, key) if frozen else ()
        scored = tasks[len(collected) :]
        broker = self.broker()
        session = MemorySession(guest, broker, self.setting.recall_chars)
        run = _Run(self, session, stream, key)
        outcome, detail, snapshot, stored = Outcome.SCORED, "", None, None
        try:
            opened = session.open(design, _seed("memory", key), self.backend.folder)
            for played in collected:
                session.update(run.disguise(played.episode), [NOTHING] * len(played.episode.steps), NOTHING)
            for task in scored:
                run.play(task, opened, learn=not frozen)
            snapshot, stored = session.snapshot()
        except DesignFault as fault:
            outcome, detail = fault.outcome, fault.detail
        ending: Ending = session.close()
        rewards = [played.episode.reward or 0.0 for played in run.played[: len(scored)]]
        steps = [len(played.episode.steps) for played in run.played[: len(scored)]]
        missing = len(scored) - len(rewards)
        evaluation = Evaluation(
            key=key,
            outcome=outcome,
            rewards=(*rewards, *(0.0,) * missing),
            steps=(*steps, *(0,) * missing),
            detail=detail,
            seconds=time.monotonic() - started,
            cpu_seconds=ending.cpu_seconds,
            bytes_stored=stored,
            recall_chars=run.recall_chars,
            model_calls=broker.calls,
            model_tokens=broker.tokens,
            backend=self.backend.name,
        )
        return Result(evaluation, tuple(run.played), snapshot)

    def open(self, design: Design, run: str) -> Guest:
        """A place for this design alone; the caller closes it."""
        return self.backend.open(Labels(run, design.id))

    def _collect(self, stream: Stream, key: EvaluationKey) -> tuple[Played, ...]:
        """The trajectories of the stream's first half, played without memory; the same for every design."""
        name = f"{stream.name}/{key.order}"
        if name not in self._collected:
            tasks = _ordered(stream, key.order)
            run = _Run(self, None, stream, key)
            for task in tasks[: len(tasks) // 2]:
                run.play(task, None, learn=False)
            self._collected[name] = tuple(run.played)
        return self._collected[name]


class _Run:
    """One pass of one memory (or of none) over a stream."""

    def __init__(self, evaluator: Evaluator, session: MemorySession | None, stream: Stream, key: EvaluationKey) -> None:
        self._evaluator = evaluator
        self._session = session
        self._stream = stream
        self._key = key
        # Equal tasks have other names in other evaluations, so a design cannot recognise them.
        self._secret = hashlib.sha256(f"episode names {key.digest}".encode()).digest()
        self.played: list[Played] = []
        self.recall_chars = 0

    def play(self, task: Task, opened: Opened | None, learn: bool) -> None:
        """Attempt one task; on a fault of the design nothing is added to `played`."""
        environment = self._evaluator.source.environment(task)
        try:
            played = self._attempt(task, environment, opened)
        finally:
            environment.close()
        if learn and self._session is not None:
            self._session.update(self.disguise(played.episode), list(played.recalls), played.before)
        self.played.append(played)

    def disguise(self, episode: Episode) -> Episode:
        """The episode under a name that says nothing of the task."""
        name = hmac.new(self._secret, episode.id.encode(), hashlib.sha256).hexdigest()[:16]
        return replace(episode, id=name)

    def _attempt(self, task: Task, environment: Environment, opened: Opened | None) -> Played:
        key = self._key
        agent = self._evaluator.agent(generator("agent", key.agent, key.seed, key.order, task.id))
        agent.begin(task.goal)
        now = environment.reset()
        history: list[tuple[str, str]] = []
        steps: list[Step] = []
        refs: list[RecallRef] = []
        recall, ref = self._ask(opened, Query(task.goal, situation(now)))
        before_recall, before = recall, ref
        total = 0.0
        while not now.done and len(steps) < task.max_steps:
            if steps and opened is not None and opened.each_step:
                query = Query(task.goal, situation(now), len(steps), tuple(history[-HISTORY_COUNT:]))
                recall, ref = self._ask(opened, query)
            command = agent.choose(now, recall)
            after = environment.step(command)
            agent.learn(command, now, after)
            step = Step(situation(now), command, after.feedback, after.reward, recall)
            if opened is not None and opened.observes and self._session is not None:
                self._session.observe(step, ref)
            steps.append(step)
            refs.append(ref)
            history.append((command, after.feedback))
            total += after.reward
            now = after
        episode = Episode(task.id, task.goal, tuple(steps), min(1.0, max(0.0, total)), before_recall)
        return Played(task, episode, tuple(refs), before)

    def _ask(self, opened: Opened | None, query: Query) -> tuple[Recall, RecallRef]:
        if opened is None or self._session is None:
            return Recall(), NOTHING
        recall, ref = self._session.retrieve(query)
        self.recall_chars += sum(len(item.text) for item in recall.items)
        return recall, ref


def _ordered(stream: Stream, order: int) -> Sequence[Task]:
    """The stream's tasks in one of its orders; order 0 is as generated."""
    if order == 0:
        return stream.tasks
    shuffle = generator("order", stream.name, order).permutation(len(stream.tasks))
    return [stream.tasks[i] for i in shuffle]


def _seed(what: str, key: EvaluationKey) -> int:
    return int(generator(what, key.seed, key.stream, key.order).integers(2**31))
