"""A player that is a language model: it thinks, then acts, with what the memory recalls in its prompt (ReAct,
arXiv 2210.03629). It sees what every agent sees, and nothing of the design.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from design_space.memory import Item, Recall
from design_space.text import normal
from sandbox import structured
from sandbox.agents.base import Offer, Toolbox, situation
from sandbox.calls import CallRefused, Line, Message
from sandbox.streams.base import Observation
from sandbox.streams.grading import NOT_TOLD
from sandbox.tokens import count_tokens

RECALL_TOKENS = 1_500
"""Most tokens of recall in a prompt, as `sandbox.tokens` counts: whatever a memory stuffs into it, the rest fits."""
OFFER_TOKENS = 500
"""Likewise of the tools that it offers."""
HISTORY_STEPS = 20
OBSERVATION_CHARS = 600
TOOL_USES = 3
"""Of a memory's tools, before each decision."""


class Act(structured.Answer):
    """What it does."""

    thought: str
    command: str


class Say(structured.Answer):
    """What it answers."""

    thought: str
    answer: str


class Argument(structured.Answer):
    """Of a tool."""

    name: str
    value: str


class _Using(structured.Answer):
    """What it says where its memory offers tools: it decides, or it uses one first.

    Attributes:
        tool: empty if it decides.
    """

    tool: str
    arguments: list[Argument]


class ActUsing(_Using, Act):
    """What it does, or what tool it uses first."""


class SayUsing(_Using, Say):
    """What it answers, or what tool it uses first."""


class LLMAgent:
    """ReAct over the environment's text.

    An answer that is no command on offer is complained of once; after that the step is lost. So is a step that the
    provider refuses to answer. Where its memory offers tools, it may use `TOOL_USES` of them before each decision.

    Args:
        rng: unused: what chance there is, is the model's.
    """

    name = "llm"

    def __init__(self, rng: np.random.Generator) -> None:
        self._line: Line | None = None
        self._goal = ""
        self._done: list[tuple[str, str]] = []
        self._toolbox: Toolbox | None = None

    def connect(self, line: Line) -> None:
        """Say whom it asks; before anything else."""
        self._line = line

    def equip(self, toolbox: Toolbox) -> None:
        """Say what its memory offers."""
        self._toolbox = toolbox

    def begin(self, goal: str) -> None:
        self._goal = goal
        self._done = []

    def choose(self, observation: Observation, recall: Recall) -> str:
        """Return a command on offer, or what the model said instead."""
        messages = [Message("system", _prompt("act")), Message("user", self._told(observation, recall))]
        messages, said = self._consult(messages, ActUsing, Act)
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
        _, said = self._consult([Message("system", _prompt("answer")), Message("user", told)], SayUsing, Say)
        return said.answer if isinstance(said, Say) else NOT_TOLD

    def _consult(
        self, messages: list[Message], using: type[_Using], kind: type[structured.T]
    ) -> tuple[list[Message], structured.T | str]:
        """Have it decide, after it has used what tools it wants; what was said until then, and the decision."""
        if self._toolbox is None:
            return messages, self._ask(messages, kind)
        system, user = messages
        offered = _whole(map(_offer, self._toolbox.offers), OFFER_TOKENS)
        asked = [
            Message("system", system.content + _prompt("tools")),
            Message("user", f"{user.content}\n\nTools of your memory:\n{offered}"),
        ]
        for _ in range(TOOL_USES):
            said = self._ask(asked, using)
            if isinstance(said, str):
                return asked, said
            if not said.tool:
                return asked, kind.model_validate({name: getattr(said, name) for name in kind.model_fields})
            told = self._toolbox.use(said.tool, {argument.name: argument.value for argument in said.arguments})
            asked += [Message("assistant", said.model_dump_json()), Message("user", f"{said.tool}: {_cut(told)}")]
        asked.append(Message("user", "Decide now, without a tool: leave `tool` and `arguments` out."))
        return asked, self._ask(asked, kind)

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
    return _whole(map(_line, recall.items), RECALL_TOKENS) or "(nothing)"


def _offer(offer: Offer) -> str:
    takes = "; ".join(f"{name}: {meaning}" for name, meaning in offer.parameters.items())
    return f"* {offer.name} ({takes or 'takes nothing'}): {offer.description}"


def _whole(lines: Iterable[str], room: int) -> str:
    """As many lines as there is room for, in tokens, each of them whole."""
    taken = []
    for line in lines:
        room -= count_tokens(line)
        if room < 0:
            break
        taken.append(line)
    return "\n".join(taken)


def _cut(text: str) -> str:
    """As much of a text as a prompt has room for."""
    while count_tokens(text) > RECALL_TOKENS:
        text = text[: len(text) * RECALL_TOKENS // count_tokens(text)]
    return text


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
