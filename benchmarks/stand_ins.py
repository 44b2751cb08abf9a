"""What the benchmarks share: workers that evaluate nothing, a search that they drive, an evaluation made by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

from archive.ledger import Ledger
from archive.repository import Repository
from design_space import Design, Evaluation, Outcome, catalogue
from meta_agent.config import Config, load
from meta_agent.driver import Driver, make_search
from meta_agent.errors import Interrupted
from meta_agent.pool import never
from meta_agent.progress import Watcher
from meta_agent.proposer import BatchProposer
from meta_agent.run import RunFolder, create
from meta_agent.search import Search
from meta_agent.worker import Done, Facts, Job, WorkerSpec, key_of, pack
from sandbox.backend import Backend
from sandbox.evaluate import Evaluator, Result
from sandbox.inprocess import InProcessBackend
from sandbox.registry import find_agent
from sandbox.streams.base import Stream, generator

PROJECT = Path(__file__).resolve().parents[1]
WORTH, WORTH_SD = 0.35, 0.1
"""What designs are worth, drawn for each: the chance that it solves a task."""
EXAMPLE = "arcmemo"
"""Of the catalogue: the design whose episodes are filed as those of every design."""


def endless(file: Path, overrides: Sequence[str], designs: int) -> Config:
    """A config whose budget ends no search before it holds so many designs."""
    budget = ("budget.wall_seconds=null", f"budget.evaluations={10_000 + 100 * designs}")
    return load(file, (*overrides, *budget))


def evaluator(spec: WorkerSpec, backend: Backend) -> Evaluator:
    """What a worker has for the tasks of a search."""
    bench = spec.benches[0]
    agent = find_agent(bench.setting.agent, spec.folder)
    return Evaluator(bench.open_source(spec.folder), agent, backend, bench.setting)


def streams(evaluator: Evaluator, spec: WorkerSpec, count: int) -> list[Stream]:
    """The first streams of the search, their games made."""
    return [evaluator.source.stream("search", spec.benches[0].stream_seed, index) for index in range(count)]


def example(spec: WorkerSpec) -> Result:
    """One real evaluation, in this process."""
    backend, design = InProcessBackend(spec.limits), catalogue.load(EXAMPLE)
    made = evaluator(spec, backend)
    (stream,) = streams(made, spec, 1)
    with made.open(design, spec.run) as guest:
        result = made.evaluate(design, stream, guest, made.key(design, stream))
    backend.close()
    return result


class StandInPool:
    """`meta_agent.pool.Pool` that evaluates nothing: every design works, and its rewards are drawn.

    Args:
        digest: what its sandboxes are said to hold.
    """

    def __init__(self, spec: WorkerSpec, digest: str = "stand-in") -> None:
        self._spec = spec
        self._digest = digest
        self._source = spec.benches[0].open_source(spec.folder)
        played = example(spec)
        self._steps = played.evaluation.steps
        self._episodes = pack(played)

    def facts(self, stopping: Callable[[], bool] = never) -> Facts:
        return Facts("stand-in", "nothing is evaluated", self._digest)

    def run(self, jobs: Sequence[Job], late: Callable[[], bool] = never) -> Iterator[Done | None]:
        for job in jobs:
            yield self.carry_out(job)

    def carry_out(self, job: Job) -> Done:
        results = [(self._evaluation(job, index), index in job.keep) for index in job.streams]
        return Done(job.number, tuple((made, self._episodes if kept else None) for made, kept in results))

    def _evaluation(self, job: Job, index: int) -> Evaluation:
        key = key_of(self._spec.benches[0], self._source, self._digest, job.design, job.split, index)
        solved = generator("stand-in", key.digest).random(len(self._steps)) < _worth(job.design)
        return Evaluation(key, Outcome.SCORED, tuple(map(float, solved)), self._steps)

    def close(self) -> None:
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return


def _worth(design: Design) -> float:
    return float(generator("stand-in", design.id).normal(WORTH, WORTH_SD))


def drive(
    config: Config,
    folder: RunFolder,
    pool: StandInPool,
    designs: int,
    watcher: Watcher,
    meet: Callable[[Search, Ledger, Repository], None] = lambda *_: None,
) -> None:
    """Search until there are so many designs; the run is left as a clean stop would leave it.

    Args:
        config: see `endless`.
        meet: is shown the search, and what files it, before the first generation.
    """
    made: list[Search] = []
    with folder.held():
        create(folder, config)
        repository = Repository(folder.repository)
        with Ledger(folder.ledger) as ledger:

            def begin(config: Config, llm: BatchProposer | None) -> Search:
                made.append(make_search(config, llm))
                meet(made[0], ledger, repository)
                return made[0]

            def enough() -> bool:
                return len(made[0].population.members) >= designs

            try:
                Driver(config, ledger, repository, pool, watcher, enough, make_search=begin).run()
            except Interrupted:
                return
    raise SystemExit(f"the search ended by itself at {len(made[0].population.members)} designs: it found no new ones")
