"""A player that is a language model: it thinks, then acts, with what the memory recalls in its prompt (ReAct,
arXiv 2210.03629). It sees what every agent sees, and nothing of the design.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from design_space.memory import Item, Recall
from design_space.text import normal
from sandbox import structured
from sandbox.agents.base import situation
from sandbox.calls import CallRefused, Line, Message
from sandbox.streams.base import Observation
from sandbox.streams.grading import NOT_TOLD
from sandbox.tokens import count_tokens

RECALL_TOKENS = 1_500
"""Most tokens of recall in a prompt, as `sandbox.tokens` counts: whatever a memory stuffs into it, the rest fits."""
HISTORY_STEPS = 20
OBSERVATION_CHARS = 600


class Act(structured.Answer):
    """What it does."""

    thought: str
    command: str


class Say(structured.Answer):
    """What it answers."""

    thought: str
    answer: str


class LLMAgent:
    """ReAct over the environment's text.

    An answer that is no command on offer is complained of once; after that the step is lost. So is a step that the
    provider refuses to answer.

    Args:
        rng: unused: what chance there is, is the model's.
    """

    name = "llm"

    def __init__(self, rng: np.random.Generator) -> None:
        self._line: Line | None = None
        self._goal = ""
        self._done: list[tuple[str, str]] = []

    def connect(self, line: Line) -> None:
        """Say whom it asks; before anything else."""
        self._line = line

    def begin(self, goal: str) -> None:
        self._goal = goal
        self._done = []

    def choose(self, observation: Observation, recall: Recall) -> str:
        """Return a command on offer, or what the model said instead."""
        messages = [Message("system", _prompt("act")), Message("user", self._told(observation, recall))]
        said = self._ask(messages, Act)
        if isinstance(said, Act) and _offered(said.command, observation.commands) is None:
            problem = f"{said.command[:200]!r} is not among the commands."
            said = self._ask([*messages, *structured.complaint(said.model_dump_json(), problem)], Act)
        if isinstance(said, str):
            return said
        return _offered(said.command, observation.commands) or said.command[:200]

    def learn(self, command: str, before: Observation, after: Observation) -> None:
        self._done.append((command, after.feedback))

    def answer(self, question: str, recall: Recall) -> str:
        """Return what it says, in a few words."""
        told = f"Your memory:\n{_recalled(recall)}\n\nThe question: {question}"
        said = self._ask([Message("system", _prompt("answer")), Message("user", told)], Say)
        return said.answer if isinstance(said, Say) else NOT_TOLD

    def _ask(self, messages: Sequence[Message], kind: type[structured.T]) -> structured.T | str:
        """The answer, or in a few words why there is none."""
        if self._line is None:
            raise ValueError("the agent 'llm' needs a model: say which in models.agent")
        try:
            return structured.ask(self._line, messages, kind)
        except structured.Unusable:
            return "(no usable answer)"
        except CallRefused:
            return "(the model refused to answer)"

    def _told(self, observation: Observation, recall: Recall) -> str:
        parts = [f"The goal:\n{self._goal}", f"Your memory:\n{_recalled(recall)}"]
        if self._done and recall.mode == "append":
            done = [f"> {command}\n{_short(feedback)}" for command, feedback in self._done[-HISTORY_STEPS:]]
            parts.append("What you have done so far:\n" + "\n".join(done))
        elif not self._done:
            parts.append(f"You begin. {_short(observation.feedback)}".strip())
        parts.append(f"Before you now:\n{situation(observation)}")
        parts.append("Commands:\n" + "\n".join(f"* {command}" for command in observation.commands))
        return "\n\n".join(parts)


def _recalled(recall: Recall) -> str:
    """The items as lines, best first, as many as the cap takes whole."""
    lines, room = [], RECALL_TOKENS
    for item in recall.items:
        line = _line(item)
        room -= count_tokens(line)
        if room < 0:
            break
        lines.append(line)
    return "\n".join(lines) or "(nothing)"


def _line(item: Item) -> str:
    worth = "" if item.value is None else f" (worth {item.value:.2f})"
    if not item.action:
        return f"- {item.text}{worth}"
    when = "; ".join(item.situation.splitlines()) or "always"
    text = "" if item.action in item.text else f" {item.text}"
    return f"- when {when}: {item.action}{worth}{text}"


def _offered(command: str, commands: Sequence[str]) -> str | None:
    wanted = normal(command)
    return next((offered for offered in commands if normal(offered) == wanted), None)


def _short(text: str) -> str:
    return text if len(text) <= OBSERVATION_CHARS else text[:OBSERVATION_CHARS] + " ..."


@lru_cache(maxsize=8)
def _prompt(name: str) -> str:
    return (Path(__file__).parent / "prompts" / f"{name}.md").read_text(encoding="utf-8")
