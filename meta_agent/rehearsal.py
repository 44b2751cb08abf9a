"""A search from its first proposal to its winner, with stand-ins for workers and models: what it asks of them."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from archive.ledger import Ledger
from archive.repository import Repository
from design_space import Design, DesignId, Evaluation, Outcome
from meta_agent.config import Config
from meta_agent.driver import Driver
from meta_agent.evaluations import worker_spec
from meta_agent.pool import never
from meta_agent.progress import Nobody
from meta_agent.stand_in import Counts, StandIn
from meta_agent.worker import Done, Facts, Job, WorkerSpec, key_of
from sandbox.budget import Amount, Caps
from sandbox.calls import Call, Role
from sandbox.gateway import Entry, Gateway
from sandbox.streams.base import generator

DIGEST = "stand-in"


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a search asked for.

    Attributes:
        evaluations: of each design on each bench.
        designs: that were evaluated.
        written: designs that a model was asked to write.
        asked: of models, but for what evaluations ask of them.
    """

    evaluations: Counter[tuple[DesignId, int]]
    designs: Mapping[DesignId, Design]
    written: int
    asked: Mapping[Role, Counts]


def rehearse(config: Config, episodes: tuple[bytes, ...] = (), draw: int = 0) -> Rehearsed:
    """Drive a search as a run would; every design holds its contract, and none is better than another but by chance.

    Args:
        episodes: as `worker.pack` makes them: what is kept of every evaluation, to be told to who writes designs.
        draw: which draw of the rewards.

    Raises:
        BadInput: as `Driver.run`.
    """
    stand_in, specs = StandIn(), config.models.specs
    pool = _StandInPool(worker_spec(config), episodes, draw)
    with tempfile.TemporaryDirectory(prefix="mnemogen-rehearsal-") as folder:
        repository = Repository(Path(folder) / "archive.git")
        gateway = Gateway(specs, stand_in, _NoRecord, Caps()) if specs else nullcontext()
        with Ledger(Path(folder) / "ledger.sqlite") as ledger, gateway as models:
            driver = Driver(
                config, ledger, repository, pool, Nobody(), never, lambda: 0.0, models=models, read_texts=False
            )
            driver.run()
    written = sum(scope.startswith("proposal/") for scope in stand_in.scopes.get("meta", ()))
    return Rehearsed(pool.made, pool.designs, written, stand_in.seen)


class _StandInPool:
    """`meta_agent.pool.Pool` that evaluates nothing.

    Attributes:
        made: evaluations of each design on each bench.
        designs: those designs.
    """

    def __init__(self, spec: WorkerSpec, episodes: tuple[bytes, ...], draw: int) -> None:
        self._spec = spec
        self._sources = [bench.open_source(spec.folder) for bench in spec.benches]
        self._episodes = episodes
        self._draw = draw
        self.made: Counter[tuple[DesignId, int]] = Counter()
        self.designs: dict[DesignId, Design] = {}

    def facts(self, stopping: Callable[[], bool] = never) -> Facts:
        return Facts(DIGEST, "nothing is evaluated", DIGEST)

    def run(self, jobs: Sequence[Job], late: Callable[[], bool] = never) -> Iterator[Done | None]:
        for job in jobs:
            self.made[job.design.id, job.bench] += len(job.streams)
            self.designs[job.design.id] = job.design
            results = [(self._evaluation(job, index), index in job.keep) for index in job.streams]
            yield Done(job.number, tuple((made, self._episodes if kept else None) for made, kept in results))

    def _evaluation(self, job: Job, index: int) -> Evaluation:
        bench, source = self._spec.benches[job.bench], self._sources[job.bench]
        key = key_of(bench, source, DIGEST, job.design, job.split, index, job.order, job.experience)
        reward = float(generator("stand-in", self._draw, key.digest).random())
        return Evaluation(key, Outcome.SCORED, (reward,), (1,))

    def close(self) -> None:
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return


class _NoRecord:
    """`sandbox.gateway.CallLog` of calls that cost nothing."""

    def find(self, call: Call) -> None:
        return None

    def write(self, entries: Sequence[Entry]) -> None:
        return

    def charged(self) -> Amount:
        return Amount()

    def close(self) -> None:
        return
