"""Earns one design its score on one stream: the worker's loop over tasks, agent, memory and environment."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Literal

from design_space.design import Design
from design_space.episodes import HISTORY_COUNT
from design_space.evaluation import Evaluation, EvaluationKey, Outcome
from design_space.memory import Episode, Query, Recall, Snapshot, Step
from sandbox.agents.base import Agent, Modelled, Offer, Reader, ToolUser, situation
from sandbox.backend import Backend, Guest, Labels
from sandbox.calls import Line
from sandbox.guest.wire import RecallRef
from sandbox.session import Broker, DesignFault, KeyFreeBroker, MemorySession, Opened
from sandbox.streams.base import Environment, Observation, Source, Split, Stream, Task, generator, seen
from sandbox.streams.grading import NOT_TOLD, Question

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
NOTHING: RecallRef = (0, 0)


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
class Played:
    """One attempt at one task.

    Attributes:
        recalls: for each step, and `before` for the task: which recall, and how much of it was shown.
        found: whether a right answer stood in the recall; None where the task is played.
        tokens, seconds: of the agent's model.
    """

    task: Task
    episode: Episode
    recalls: tuple[RecallRef, ...] = ()
    before: RecallRef = NOTHING
    found: bool | None = None
    tokens: int = 0
    seconds: float = 0.0


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

    def attempt(self, task: Task, order: int, memory: _Memory | None = None, line: Line | None = None) -> Played:
        """One attempt at one task, with a memory or with none; the memory is not told how it ended.

        Raises:
            ValueError: the agent is a model, and there is none.
        """
        agent = self.agent(generator("agent", self.setting.agent, self.setting.seed, order, task.id))
        if memory is not None and memory.offers and isinstance(agent, ToolUser):
            agent.equip(memory)
        if not isinstance(agent, Modelled):
            return self._attempt(task, agent, memory)
        if line is None:
            raise ValueError(f"the agent {agent.name!r} asks a language model, and there is none: see models.agent")
        agent.connect(line)
        tokens, seconds = line.tokens, line.seconds
        played = self._attempt(task, agent, memory)
        return replace(played, tokens=line.tokens - tokens, seconds=line.seconds - seconds)

    def _attempt(self, task: Task, agent: Agent, memory: _Memory | None) -> Played:
        if task.question is not None:
            return _answer(task, task.question, agent, memory)
        environment = self.source.environment(task)
        try:
            return _play(task, environment, agent, memory)
        finally:
            environment.close()


class _Memory:
    """A memory as it is asked within a task.

    Args:
        heard: takes in all that is recalled, but the names of the items.
    """

    def __init__(self, session: MemorySession, opened: Opened, heard: hashlib.blake2b) -> None:
        self._session = session
        self._heard = heard
        self.opened = opened
        self.recall_chars = 0

    @property
    def offers(self) -> Sequence[Offer]:
        return self.opened.tools

    def use(self, name: str, arguments: Mapping[str, str]) -> str:
        """What a tool says; a mistake of the agent's is told to it, and no fault of the design."""
        offer = next((offer for offer in self.offers if offer.name == name), None)
        if offer is None:
            return f"there is no tool {name!r}; there are: {', '.join(offer.name for offer in self.offers)}"
        if arguments.keys() != offer.parameters.keys():
            return f"{name!r} takes: {', '.join(offer.parameters) or 'nothing'}"
        said = self._session.call_tool(name, arguments)
        self.recall_chars += len(said)
        self._heard.update(repr((name, sorted(arguments.items()), said)).encode("utf-8", "surrogatepass"))
        return said

    def ask(self, query: Query) -> tuple[Recall, RecallRef]:
        recall, ref = self._session.retrieve(query)
        self.recall_chars += sum(len(item.text) for item in recall.items)
        told = [(item.text, item.situation, item.action, item.value) for item in recall.items]
        self._heard.update(repr((recall.mode, told)).encode())
        return recall, ref

    def observe(self, step: Step, ref: RecallRef) -> None:
        if self.opened.observes:
            self._session.observe(step, ref)


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
        self._memory: _Memory | None = None
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
        self._memory = _Memory(self._session, opened, self._heard)

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


def _answer(task: Task, question: Question, agent: Agent, memory: _Memory | None) -> Played:
    """Ask the reader once; what it is told afterwards is the answer, as a teacher would."""
    if not isinstance(agent, Reader):
        raise ValueError(f"the agent {agent.name!r} answers no questions: it has no method `answer`")
    recall, ref = (Recall(), NOTHING) if memory is None else memory.ask(Query(task.goal, role="reader"))
    said = agent.answer(task.goal, recall)
    reward = question.grade(said)
    told = "right" if reward == 1.0 else f"the answer is: {' or '.join(question.answers) or NOT_TOLD}"
    step = Step("", said, told, reward, recall)
    found = question.found_in("\n".join(item.text for item in recall.items))
    return Played(task, Episode(task.id, task.goal, (step,), reward, recall), (ref,), ref, found)


def _play(task: Task, environment: Environment, agent: Agent, memory: _Memory | None) -> Played:
    agent.begin(task.goal)
    now = seen(task, environment.reset())
    history: list[tuple[str, str]] = []
    steps: list[Step] = []
    refs: list[RecallRef] = []
    recall, ref = (Recall(), NOTHING) if memory is None else memory.ask(Query(task.goal, situation(now)))
    before_recall, before = recall, ref
    total = 0.0
    while not now.done and len(steps) < task.max_steps:
        if steps and memory is not None and memory.opened.each_step:
            recall, ref = memory.ask(Query(task.goal, situation(now), len(steps), tuple(history[-HISTORY_COUNT:])))
        command = agent.choose(now, recall)
        after = _without_effect(now, command)
        if command in now.commands:
            after = seen(task, environment.step(command), total)
        agent.learn(command, now, after)
        step = Step(situation(now), command, after.feedback, after.reward, recall)
        if memory is not None:
            memory.observe(step, ref)
        steps.append(step)
        refs.append(ref)
        history.append((command, after.feedback))
        total += after.reward
        now = after
    episode = Episode(task.id, task.goal, tuple(steps), min(1.0, max(0.0, total)), before_recall)
    return Played(task, episode, tuple(refs), before)


def _without_effect(now: Observation, command: str) -> Observation:
    return replace(now, feedback=f"{command!r} is not among the commands: nothing happens.", reward=0.0)


def _ordered(stream: Stream, order: int) -> Sequence[Task]:
    """The stream's tasks in one of its orders; order 0 is as generated."""
    if order == 0:
        return stream.tasks
    shuffle = generator("order", stream.name, order).permutation(len(stream.tasks))
    return [stream.tasks[i] for i in shuffle]


def _seed(what: str, key: EvaluationKey) -> int:
    return int(generator(what, key.seed, key.stream, key.order).integers(2**31))
