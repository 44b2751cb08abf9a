"""One attempt at one task: an agent and a memory before an environment, or before a question."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from design_space.episodes import HISTORY_COUNT
from design_space.memory import Episode, Query, Recall, Step
from sandbox.agents.base import Agent, Modelled, Offer, Reader, ToolUser, situation
from sandbox.calls import Line
from sandbox.guest.wire import RecallRef
from sandbox.session import MemorySession, Opened
from sandbox.streams.base import Environment, Observation, Source, Task, seen
from sandbox.streams.grading import NOT_TOLD, Question

NOTHING: RecallRef = (0, 0)
"""What an attempt without a memory recalls."""


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


class AskedMemory:
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


def attempt(
    task: Task, source: Source, agent: Agent, memory: AskedMemory | None = None, line: Line | None = None
) -> Played:
    """Have a fresh agent try the task, with a memory or with none; the memory is not told how it ended.

    Args:
        line: whom an agent that is a model asks.

    Raises:
        ValueError: the agent is a model, and there is none; or it cannot do what the task asks.
    """
    if memory is not None and memory.offers and isinstance(agent, ToolUser):
        agent.equip(memory)
    if not isinstance(agent, Modelled):
        return _attempt(task, source, agent, memory)
    if line is None:
        raise ValueError(f"the agent {agent.name!r} asks a language model, and there is none: see models.agent")
    agent.connect(line)
    tokens, seconds = line.tokens, line.seconds
    played = _attempt(task, source, agent, memory)
    return replace(played, tokens=line.tokens - tokens, seconds=line.seconds - seconds)


def _attempt(task: Task, source: Source, agent: Agent, memory: AskedMemory | None) -> Played:
    if task.question is not None:
        return _answer(task, task.question, agent, memory)
    environment = source.environment(task)
    try:
        return _play(task, environment, agent, memory)
    finally:
        environment.close()


def _answer(task: Task, question: Question, agent: Agent, memory: AskedMemory | None) -> Played:
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


def _play(task: Task, environment: Environment, agent: Agent, memory: AskedMemory | None) -> Played:
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
