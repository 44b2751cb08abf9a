"""What a job will cost, before its first call: its search is counted through, and a few of its evaluations are played
with a stand-in for each model, so that the prompts are the real ones.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from design_space import Design, catalogue
from meta_agent import story
from meta_agent.config import Config
from meta_agent.evaluations import worker_spec
from meta_agent.llm import prompt, system_prompt
from sandbox.calls import Call, CallRefused, Line, ModelSpec, Reply, Role
from sandbox.evaluate import Evaluator
from sandbox.gateway import Price, Provider
from sandbox.inprocess import InProcessBackend
from sandbox.registry import find_agent
from sandbox.streams.base import Stream

SAMPLE_STREAMS = 2
TOKEN_BYTES = 4
"""Bytes of English to a token, about what tokenizers of today make of it."""
MESSAGE_TOKENS = 4
ANSWER_TOKENS: Mapping[Role, int] = {"agent": 30, "memory": 150, "judge": 600, "meta": 1_500, "embedding": 0}
"""Taken for the length of an answer, where nobody has answered yet."""
PLAN_TOKENS = 200
REPAIRS_PER_DESIGN = 0.5
"""Taken for how often a design has to be mended."""
START_SECONDS, TOKENS_PER_SECOND = 0.5, 60.0
"""Taken for how fast a model answers."""
Counts = tuple[float, float, float]
"""Calls, input and output tokens."""
_COMMAND = re.compile(r"^\* (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class RoleForecast:
    """What one role will take.

    Attributes:
        dollars: None where the price is not known.
    """

    role: Role
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    dollars: float | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a job will take.

    Attributes:
        evaluations: designs times streams; designs: that a model writes.
        hours: of waiting for models, as many calls in flight as the config allows; what is computed is not in it.
    """

    evaluations: int
    designs: int
    roles: tuple[RoleForecast, ...]
    hours: float

    @property
    def dollars(self) -> float | None:
        """None if any price is not known."""
        known = [role.dollars for role in self.roles if role.dollars is not None]
        return sum(known) if len(known) == len(self.roles) else None


@dataclass(frozen=True, slots=True)
class Plan:
    """How a search spends its evaluations, if none of its designs fails."""

    evaluations: int
    proposals: int
    generations: int


def plan(config: Config) -> Plan:
    """Count a search through as the driver goes through it."""
    search, final = config.search, config.final
    seeds = len({*search.seeds, *config.controls})
    last = final.candidates * final.confirm_streams + final.validation_streams * (3 + len(config.controls))
    reserve = last + final.validation_streams
    allowance = config.budget.evaluations - reserve
    spent, proposals, generations = seeds * search.rungs[-1], 0, 0
    while spent < allowance:
        generations += 1
        proposals += search.generation_size
        standing, before = search.generation_size, 0
        for place, rung in enumerate(search.rungs):
            standing = standing if place == 0 else math.ceil(search.keep * standing)
            wanted = standing * (rung - before)
            before = rung
            room = (allowance - spent) // max(1, wanted // max(1, standing))
            spent += min(standing, room) * (wanted // max(1, standing))
            if room < standing:
                return Plan(spent + last, proposals, generations)
    return Plan(spent + last, proposals, generations)


class StandIn:
    """`sandbox.calls.Models` that answers at once, with a text of the usual length, and counts tokens.

    Attributes:
        seen: calls, and input and output tokens, by role.
    """

    def __init__(self) -> None:
        self.seen: dict[Role, tuple[int, int, int]] = {}

    def ask(self, call: Call) -> Reply:
        answer = self._answer(call)
        asked = sum(tokens(message.content) + MESSAGE_TOKENS for message in call.messages)
        answered = tokens(answer) if call.role == "agent" else ANSWER_TOKENS[call.role]
        before = self.seen.get(call.role, (0, 0, 0))
        self.seen[call.role] = (before[0] + 1, before[1] + asked, before[2] + answered)
        return Reply(answer, asked, answered, None)

    def ask_all(self, calls: Sequence[Call]) -> list[Reply | CallRefused]:
        return [self.ask(call) for call in calls]

    @staticmethod
    def _answer(call: Call) -> str:
        """One of the commands on offer, drawn by what was asked."""
        if call.role != "agent":
            return "word " * 150
        thought = "I will try what I have not tried yet, since it may bring me closer to the goal."
        if '"answer"' in call.messages[0].content:
            return json.dumps({"thought": thought, "answer": "not known"})
        offered = _COMMAND.findall(call.messages[-1].content.rpartition("Commands:\n")[2]) or ["wait"]
        drawn = int(hashlib.sha256(call.messages[-1].content.encode()).hexdigest(), 16) % len(offered)
        return json.dumps({"thought": thought, "command": offered[drawn]})


def tokens(text: str) -> int:
    """About how many there are."""
    return math.ceil(len(text.encode()) / TOKEN_BYTES)


def forecast(config: Config, provider: Provider) -> Forecast:
    """Price a job; nothing is asked of anyone.

    Args:
        provider: for prices only.

    Raises:
        ValueError: the streams cannot be made.
    """
    planned = plan(config)
    per_evaluation = _rehearse(config)
    shares = config.search.proposers
    written = planned.proposals * shares.llm / (shares.llm + shares.compose + shares.tune)
    counted = {role: _times(seen, planned.evaluations) for role, seen in per_evaluation.items()}
    if config.models.meta is not None and written:
        counted["meta"] = _times(_writing(config), written)
    roles = tuple(
        _priced(role, config.models.specs[role], *counted[role], provider.price(config.models.specs[role]))
        for role in counted
        if role in config.models.specs
    )
    waiting = sum(r.calls * START_SECONDS + r.output_tokens / TOKENS_PER_SECOND for r in roles if r.role != "meta")
    thinking = sum(r.calls * START_SECONDS + r.output_tokens / TOKENS_PER_SECOND for r in roles if r.role == "meta")
    seconds = waiting / config.models.in_flight + thinking / max(1, config.search.generation_size)
    return Forecast(planned.evaluations, round(written), roles, seconds / 3_600)


def _times(counts: Counts, factor: float) -> Counts:
    return counts[0] * factor, counts[1] * factor, counts[2] * factor


def _rehearse(config: Config) -> dict[Role, Counts]:
    """Calls, input and output tokens of one evaluation, by role: the mean over some designs and streams."""
    spec = worker_spec(config)
    if not spec.models:
        return {}
    stand_in, bench = StandIn(), spec.benches[0]
    source = bench.open_source(str(Path.cwd()))
    streams = [source.stream("search", config.seed, index) for index in range(SAMPLE_STREAMS)]
    designs = [catalogue.load(name) for name in dict.fromkeys((*config.search.seeds[:2], "no_memory"))]
    backend = InProcessBackend(spec.limits)
    agent = spec.models.get("agent")
    try:
        evaluator = Evaluator(
            source,
            find_agent(config.evaluation.agent, str(Path.cwd())),
            backend,
            bench.setting,
            line=None if agent is None else partial(_line, stand_in, agent.max_tokens),
        )
        for design in designs:
            for stream in streams:
                _play(evaluator, design, stream)
    finally:
        backend.close()
    count = len(designs) * len(streams)
    return {role: (calls / count, asked / count, told / count) for role, (calls, asked, told) in stand_in.seen.items()}


def _line(stand_in: StandIn, max_tokens: int, scope: str) -> Line:
    return Line(stand_in, scope, "agent", max_tokens)


def _play(evaluator: Evaluator, design: Design, stream: Stream) -> None:
    with evaluator.open(design, "dry-run") as guest:
        evaluator.evaluate(design, stream, guest, evaluator.key(design, stream))


def _writing(config: Config) -> Counts:
    """Calls, input and output tokens of one design that a model writes."""
    system = tokens(system_prompt(config.evaluation.recall_chars))
    parent = tokens(catalogue.load(config.search.seeds[0]).source)
    shown = (story.WORST_COUNT + story.BEST_COUNT) * story.EPISODE_CHARS // TOKEN_BYTES
    told = system + parent + shown + tokens(prompt("plan"))
    writing = told + PLAN_TOKENS + tokens(prompt("write"))
    mending = writing + ANSWER_TOKENS["meta"] + tokens(prompt("repair"))
    repairs = min(REPAIRS_PER_DESIGN, config.search.proposers.repairs)
    return (
        2 + repairs,
        told + writing + repairs * mending,
        PLAN_TOKENS + (1 + repairs) * ANSWER_TOKENS["meta"],
    )


def _priced(role: Role, spec: ModelSpec, calls: float, asked: float, told: float, price: Price | None) -> RoleForecast:
    dollars = None if price is None else price.nanodollars(round(asked), round(told)) / 1e9
    return RoleForecast(role, spec.model, round(calls), round(asked), round(told), dollars)
