"""What does it cost to play in a sandbox? The same evaluations in this process, in the embedded sandbox and in Docker.

    python benchmarks/isolation.py --streams 8

Each round is one design of the catalogue on one stream, in every backend, in an order that is drawn anew: whatever
else the machine does hits all of them alike. Told are, for each source of streams:

* seconds of an evaluation: the stream played to its end, in a place for the design that is up already;
* how much of that is the start of the fresh process in which each stream is played, measured by one more of it;
* what share of the throughput of this process a backend reaches: time in this process over time in the backend,
  paired by round;
* seconds until a place for a design is up. A run does not wait for it while its workers keep one ready
  (`sandbox.prestart`), but the processor does the work.

Games of TextWorld are made before anything is timed, and one round is played first that does not count. All backends
must give the same rewards. The backend in this process gives a design's time without any boundary, not without frames:
they are written and read there too.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from stand_ins import PROJECT, evaluator, streams

from archive.statistics import Interval, mean_interval
from design_space import Design, Outcome, catalogue
from meta_agent.config import load
from meta_agent.ending import ending
from meta_agent.errors import BadInput
from meta_agent.evaluations import worker_spec
from meta_agent.worker import WorkerSpec
from sandbox.backend import Backend, SandboxUnavailable
from sandbox.docker_backend import DockerBackend
from sandbox.embedded_backend import EmbeddedBackend
from sandbox.evaluate import Evaluator
from sandbox.inprocess import InProcessBackend
from sandbox.streams.base import Stream

HERE = "in-process"
CONFIGS = (PROJECT / "configs" / "quickstart.yaml", PROJECT / "configs" / "textworld.yaml")


@dataclass(slots=True)
class Times:
    """Seconds, a value a round."""

    up: list[float] = field(default_factory=list)
    started: list[float] = field(default_factory=list)
    played: list[float] = field(default_factory=list)


@contextmanager
def opened(spec: WorkerSpec, console: Console) -> Iterator[dict[str, Backend]]:
    """The backends that this machine has; none keeps places ready, so that bringing one up can be timed."""
    kinds: dict[str, Callable[[], Backend]] = {
        HERE: lambda: InProcessBackend(spec.limits),
        "embedded": lambda: EmbeddedBackend(spec.limits, spec.run, prestart=0),
        "docker": lambda: DockerBackend(spec.limits, spec.run, prestart=0),
    }
    with ExitStack() as stack:
        found: dict[str, Backend] = {}
        for name, make in kinds.items():
            try:
                backend = found[name] = make()
            except SandboxUnavailable as error:
                console.print(f"{name} is left out: {error}")
                continue
            stack.callback(backend.close)
            console.print(f"{name}: {backend.name}")
        yield found


def play(evaluator: Evaluator, design: Design, stream: Stream, run: str, times: Times) -> tuple[float, ...]:
    """One evaluation; its rewards."""
    began = time.perf_counter()
    with evaluator.open(design, run) as guest:
        up = time.perf_counter()
        guest.start()
        started = time.perf_counter()
        guest.stop()
        ready = time.perf_counter()
        evaluation = evaluator.evaluate(design, stream, guest, evaluator.key(design, stream)).evaluation
        ended = time.perf_counter()
    if evaluation.outcome is not Outcome.SCORED:
        raise SystemExit(f"{design.name} on {stream.name}: {evaluation.outcome.value} {evaluation.detail}")
    times.up.append(up - began)
    times.started.append(started - up)
    times.played.append(ended - ready)
    return evaluation.rewards


def compare(
    spec: WorkerSpec, backends: dict[str, Backend], designs: Sequence[Design], count: int, seed: int, bar: Progress
) -> dict[str, Times]:
    """Rounds of every design on every stream."""
    evaluators = {name: evaluator(spec, backend) for name, backend in backends.items()}
    source, chance = spec.benches[0].source, random.Random(seed)
    with_games = {name: streams(made, spec, count) for name, made in evaluators.items()}
    rounds = [(designs[0], 0), *((design, index) for index in range(count) for design in designs)]
    times = {name: Times() for name in backends}
    for number, (design, index) in enumerate(bar.track(rounds, description=source)):
        names = list(backends)
        chance.shuffle(names)
        kept = times if number else {name: Times() for name in names}
        rewards = {n: play(evaluators[n], design, with_games[n][index], spec.run, kept[n]) for n in names}
        if len(set(rewards.values())) != 1:
            raise SystemExit(f"{design.name} on {source} {index} earns another reward in another backend: {rewards}")
    return times


def told(value: Interval) -> str:
    return f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}] n={value.n}"


def of(values: Sequence[float]) -> str:
    return told(mean_interval(values, floor=0.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--streams", type=int, default=8, help="of each source; a round for each and each design")
    parser.add_argument("--designs", nargs="+", default=["no_memory", "exprag", "arcmemo"], help="of the catalogue")
    parser.add_argument("--config", type=Path, nargs="+", default=list(CONFIGS), help="a source of streams each")
    parser.add_argument("--seed", type=int, default=0, help="of the orders")
    options = parser.parse_args()
    console, notes = Console(width=140), Console(stderr=True)
    title = f"seconds, mean [95 % interval], n rounds: {', '.join(options.designs)} on {options.streams} streams each"
    table = Table(title=title, title_justify="left")
    for heading in (
        "streams",
        "backend",
        "an evaluation",
        "its process",
        "in-process time / time",
        "until a place is up",
    ):
        table.add_column(heading, no_wrap=True)
    designs = [catalogue.load(name) for name in options.designs]
    with Progress(console=notes) as bar:
        for file in options.config:
            try:
                spec = worker_spec(load(file))
            except BadInput as error:
                notes.print(f"{file.name} is left out: {error}")
                continue
            with opened(spec, notes) as backends:
                times = compare(spec, backends, designs, options.streams, options.seed, bar)
            here = times[HERE].played
            for name, mine in times.items():
                ratios = [ours / theirs for ours, theirs in zip(here, mine.played, strict=True)]
                share = "" if name == HERE else of(ratios)
                table.add_row(spec.benches[0].source, name, of(mine.played), of(mine.started), share, of(mine.up))
    console.print(table)


if __name__ == "__main__":
    with ending():
        main()
