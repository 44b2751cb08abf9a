"""What a job will cost, before its first call: its search is rehearsed to its end with stand-ins for workers and
models, and each design that it begins with plays once, so that the prompts are the real ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from design_space import Design, DesignId, catalogue
from meta_agent.config import Config
from meta_agent.evaluations import worker_spec
from meta_agent.rehearsal import rehearse
from meta_agent.stand_in import Counts, StandIn, added
from meta_agent.worker import WorkerSpec, pack
from sandbox.broker import model_brokers
from sandbox.calls import Line, ModelSpec, Role
from sandbox.evaluate import Evaluator
from sandbox.gateway import Price, Provider
from sandbox.inprocess import InProcessBackend
from sandbox.registry import find_agent

SEEDS_COUNT = 4
"""Seeds that play, beside the controls."""
SAMPLE_STREAMS = 2
START_SECONDS, TOKENS_PER_SECOND = 0.5, 60.0
"""Taken for how fast a model answers."""
NOTHING: Counts = (0.0, 0.0, 0.0)


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
class _Sample:
    """What one evaluation of a design asks of models, and its episodes, packed."""

    asked: Mapping[Role, Counts]
    episodes: tuple[bytes, ...]


def forecast(config: Config, provider: Provider) -> Forecast:
    """Price a job; nothing is asked of anyone.

    Designs that are not known yet are taken to ask for as much as the seeds do, whose offspring they are.

    Args:
        provider: for prices only.

    Raises:
        ValueError: the streams cannot be made.
        BadInput: the budget does not pay for the least that a run does.
    """
    spec, specs = worker_spec(config), config.models.specs
    seeds = [catalogue.load(name) for name in config.search.seeds[:SEEDS_COUNT]]
    controls = [catalogue.load(name) for name in config.controls] if spec.models else []
    samples = _play(spec, [*seeds, *controls] if spec.models else seeds[:1]) if specs else {}
    rehearsed = rehearse(config, samples[seeds[0].id].episodes if samples else ())
    counted = dict(rehearsed.asked)
    for design, count in rehearsed.evaluations.items():
        alike = [samples[design]] if design in samples else [samples[seed.id] for seed in seeds if seed.id in samples]
        for sample in alike:
            for role, asked in sample.asked.items():
                counted[role] = added(counted.get(role, NOTHING), asked, count / len(alike))
    roles = tuple(
        _priced(role, model, *counted[role], provider.price(model)) for role, model in specs.items() if role in counted
    )
    waiting = sum(r.calls * START_SECONDS + r.output_tokens / TOKENS_PER_SECOND for r in roles if r.role != "meta")
    thinking = sum(r.calls * START_SECONDS + r.output_tokens / TOKENS_PER_SECOND for r in roles if r.role == "meta")
    seconds = waiting / config.models.in_flight + thinking / max(1, config.search.generation_size)
    return Forecast(sum(rehearsed.evaluations.values()), rehearsed.written, roles, seconds / 3_600)


def _play(spec: WorkerSpec, designs: list[Design]) -> dict[DesignId, _Sample]:
    """Have each design play one of the first streams."""
    bench = spec.benches[0]
    samples: dict[DesignId, _Sample] = {}
    for place, design in enumerate(designs):
        stand_in = StandIn()
        with _evaluator(spec, stand_in) as evaluator:
            stream = evaluator.source.stream("search", bench.stream_seed, place % SAMPLE_STREAMS)
            with evaluator.open(design, "dry-run") as guest:
                result = evaluator.evaluate(design, stream, guest, evaluator.key(design, stream))
        samples[design.id] = _Sample(stand_in.seen, pack(result))
    return _as_long(samples)


def _as_long(samples: Mapping[DesignId, _Sample]) -> dict[DesignId, _Sample]:
    """Let all play for the same time: a stand-in heeds no memory, so that one game is longer by chance alone."""
    played = [sample.asked["agent"][0] for sample in samples.values() if "agent" in sample.asked]
    evened: dict[DesignId, _Sample] = {}
    for design, sample in samples.items():
        asked = dict(sample.asked)
        if "agent" in asked:
            asked["agent"] = added(NOTHING, asked["agent"], sum(played) / len(played) / asked["agent"][0])
        evened[design] = replace(sample, asked=asked)
    return evened


@contextmanager
def _evaluator(spec: WorkerSpec, stand_in: StandIn) -> Iterator[Evaluator]:
    """A worker's evaluator without a sandbox: designs of the catalogue are trusted."""
    bench, agent, memory = spec.benches[0], spec.models.get("agent"), spec.models.get("memory")
    backend = InProcessBackend(spec.limits)
    answer_tokens = None if memory is None else memory.max_tokens
    try:
        yield Evaluator(
            bench.open_source(spec.folder),
            find_agent(bench.setting.agent, str(Path.cwd())),
            backend,
            bench.setting,
            model_brokers(stand_in, answer_tokens, spec.embedder, spec.allowance),
            None if agent is None else partial(_line, stand_in, agent.max_tokens),
        )
    finally:
        backend.close()


def _line(stand_in: StandIn, max_tokens: int, scope: str) -> Line:
    return Line(stand_in, scope, "agent", max_tokens)


def _priced(role: Role, spec: ModelSpec, calls: float, asked: float, told: float, price: Price | None) -> RoleForecast:
    dollars = None if price is None else price.nanodollars(round(asked), round(told)) / 1e9
    return RoleForecast(role, spec.model, round(calls), round(asked), round(told), dollars)
