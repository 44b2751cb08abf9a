"""What a job will cost, before its first call: its search is rehearsed to its end, several times over, with stand-ins
for workers and models; each design that it begins with plays once, and so do some that came up in the rehearsals, so
that the prompts are the real ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean

from design_space import Design, DesignId, catalogue
from meta_agent.config import Config
from meta_agent.evaluations import worker_spec
from meta_agent.rehearsal import Rehearsed, rehearse
from meta_agent.stand_in import Counts, StandIn, added
from meta_agent.worker import Bench, WorkerSpec, pack
from sandbox.broker import model_brokers
from sandbox.calls import Line, ModelSpec, Role
from sandbox.evaluate import Evaluator
from sandbox.gateway import Provider
from sandbox.inprocess import InProcessBackend
from sandbox.registry import find_agent

SEEDS_COUNT = 4
"""Seeds that play, beside the controls."""
SAMPLE_STREAMS = 2
REHEARSALS_COUNT = 8
"""Who wins, and by which way, decides how much is measured in the end: each rehearsal draws it anew."""
OFFSPRING_COUNT = 8
"""Designs of the rehearsals that play, and stand for all that the search makes."""
START_SECONDS, TOKENS_PER_SECOND = 0.5, 60.0
"""Taken for how fast a model answers."""
NOTHING: Counts = (0.0, 0.0, 0.0)
Samples = Mapping[tuple[DesignId, int], "_Sample"]
"""By design and bench."""


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
        evaluations: designs times streams; designs: that a model writes. Means over the rehearsals, as all figures.
        evaluations_range, dollars_range: the least and the most of all rehearsals; dollars are None if any price is.
        hours: of waiting for models, as many calls in flight as the config allows; what is computed is not in it.
    """

    evaluations: int
    evaluations_range: tuple[int, int]
    designs: int
    roles: tuple[RoleForecast, ...]
    dollars_range: tuple[float, float] | None
    hours: float

    @property
    def dollars(self) -> float | None:
        """None if any price is not known."""
        return _in_all(self.roles)


@dataclass(frozen=True, slots=True)
class _Sample:
    """What one evaluation of a design asks of models, and its episodes, packed."""

    asked: Mapping[Role, Counts]
    episodes: tuple[bytes, ...]


def forecast(config: Config, provider: Provider) -> Forecast:
    """Price a job; nothing is asked of anyone.

    Args:
        provider: for prices only.

    Raises:
        ValueError: the streams cannot be made.
        BadInput: the budget does not pay for the least that a run does.
    """
    spec, specs = worker_spec(config), config.models.specs
    seeds = [catalogue.load(name) for name in config.search.seeds[:SEEDS_COUNT]]
    controls = [catalogue.load(name) for name in config.controls] if spec.models else []
    known = _play(spec, [*seeds, *controls] if spec.models else seeds[:1]) if specs else {}
    episodes = known[seeds[0].id, 0].episodes if known else ()
    rehearsals = [rehearse(config, episodes, draw) for draw in range(REHEARSALS_COUNT)]
    offspring = _offspring(rehearsals, {design for design, _ in known}) if spec.models else []
    samples = _as_long(known | _play(spec, offspring))
    alike = [design.id for design in offspring or seeds if (design.id, 0) in samples]
    asked = [_asked(rehearsed, samples, alike) for rehearsed in rehearsals]
    priced = [_priced(specs, counted, provider) for counted in asked]
    every = {role: _mean([counted.get(role, NOTHING) for counted in asked]) for role in specs}
    roles = _priced(specs, {role: counts for role, counts in every.items() if counts[0]}, provider)
    waiting = sum(r.calls * START_SECONDS + r.output_tokens / TOKENS_PER_SECOND for r in roles if r.role != "meta")
    thinking = sum(r.calls * START_SECONDS + r.output_tokens / TOKENS_PER_SECOND for r in roles if r.role == "meta")
    seconds = waiting / config.models.in_flight + thinking / max(1, config.search.generation_size)
    evaluations = [rehearsed.evaluations.total() for rehearsed in rehearsals]
    sums = [dollars for dollars in map(_in_all, priced) if dollars is not None]
    return Forecast(
        evaluations=round(fmean(evaluations)),
        evaluations_range=(min(evaluations), max(evaluations)),
        designs=round(fmean(rehearsed.written for rehearsed in rehearsals)),
        roles=roles,
        dollars_range=(min(sums), max(sums)) if len(sums) == len(priced) else None,
        hours=seconds / 3_600,
    )


def _offspring(rehearsals: Sequence[Rehearsed], known: Collection[DesignId]) -> list[Design]:
    """Some of the designs that the rehearsals made, each as likely as it is evaluated often."""
    designs: dict[DesignId, Design] = {}
    counts: Counter[DesignId] = Counter()
    for rehearsed in rehearsals:
        designs |= rehearsed.designs
        counts.update({design: count for (design, bench), count in rehearsed.evaluations.items() if bench == 0})
    made = [design for design in sorted(counts) for _ in range(counts[design]) if design not in known]
    step = max(1, len(made) // OFFSPRING_COUNT)
    return [designs[design] for design in dict.fromkeys(made[step // 2 :: step])]


def _asked(rehearsed: Rehearsed, samples: Samples, alike: Sequence[DesignId]) -> dict[Role, Counts]:
    """What a rehearsed job asks of models, its evaluations included.

    Args:
        alike: stand for the designs that have not played.
    """
    counted = dict(rehearsed.asked)
    for (design, bench), count in rehearsed.evaluations.items():
        played = [design] if (design, bench) in samples else alike
        for name in played:
            for role, asked in samples[name, bench].asked.items():
                counted[role] = added(counted.get(role, NOTHING), asked, count / len(played))
    return counted


def _play(spec: WorkerSpec, designs: Sequence[Design]) -> dict[tuple[DesignId, int], _Sample]:
    """Have each design play one of the first streams of each bench."""
    samples: dict[tuple[DesignId, int], _Sample] = {}
    for number, bench in enumerate(spec.benches):
        for place, design in enumerate(designs):
            stand_in = StandIn()
            with _evaluator(spec, bench, stand_in) as evaluator:
                stream = evaluator.source.stream("search", bench.stream_seed, place % SAMPLE_STREAMS)
                with evaluator.open(design, "dry-run") as guest:
                    result = evaluator.evaluate(design, stream, guest, evaluator.key(design, stream))
            samples[design.id, number] = _Sample(stand_in.seen, pack(result))
    return samples


def _as_long(samples: Samples) -> Samples:
    """Let all play a bench for the same time: a stand-in heeds no memory, so that a game is longer by chance alone."""
    calls: dict[int, list[float]] = {}
    for (_, bench), sample in samples.items():
        if "agent" in sample.asked:
            calls.setdefault(bench, []).append(sample.asked["agent"][0])
    evened: dict[tuple[DesignId, int], _Sample] = {}
    for (design, bench), sample in samples.items():
        asked = dict(sample.asked)
        if "agent" in asked:
            asked["agent"] = added(NOTHING, asked["agent"], fmean(calls[bench]) / asked["agent"][0])
        evened[design, bench] = replace(sample, asked=asked)
    return evened


@contextmanager
def _evaluator(spec: WorkerSpec, bench: Bench, stand_in: StandIn) -> Iterator[Evaluator]:
    """A worker's evaluator without a sandbox: designs of the catalogue are trusted."""
    agent, memory = spec.models.get("agent"), spec.models.get("memory")
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


def _priced(
    specs: Mapping[Role, ModelSpec], counted: Mapping[Role, Counts], provider: Provider
) -> tuple[RoleForecast, ...]:
    found = []
    for role, spec in specs.items():
        if role in counted:
            calls, asked, told = map(round, counted[role])
            price = provider.price(spec)
            dollars = None if price is None else price.nanodollars(asked, told) / 1e9
            found.append(RoleForecast(role, spec.model, calls, asked, told, dollars))
    return tuple(found)


def _in_all(roles: Sequence[RoleForecast]) -> float | None:
    known = [role.dollars for role in roles if role.dollars is not None]
    return sum(known) if len(known) == len(roles) else None


def _mean(counts: Sequence[Counts]) -> Counts:
    calls, asked, told = map(fmean, zip(*counts, strict=True))
    return calls, asked, told
