"""Has evaluations made and filed, each paid for once: what the ledger knows by its key is not run again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from archive.ledger import Ledger
from archive.records import DesignStatus, Purpose
from design_space import Design, DesignId, Evaluation, catalogue
from meta_agent.config import Config
from meta_agent.errors import BadInput, Interrupted
from meta_agent.policy import Request
from meta_agent.pool import Pool, never
from meta_agent.progress import Progress, Watcher
from meta_agent.worker import Done, Job, WorkerSpec, key_of
from sandbox.backend import SandboxUnavailable
from sandbox.evaluate import Setting
from sandbox.registry import make_source
from sandbox.streams.base import Split

CHUNK = 8
"""Streams of one job: enough to pay for its sandbox, few enough to keep all workers busy at the end of a batch."""

Told = list[tuple[Request, list[Evaluation]]]
"""Each request with its evaluations in the order of its streams; fewer of them where the design broke its contract."""


def worker_spec(config: Config, extras: tuple[str, ...] = ()) -> WorkerSpec:
    """What the workers need to know of a config.

    Args:
        extras: what their sandboxes hold on top, for designs of other systems; see `sandbox.bundle`.
    """
    evaluation = config.evaluation
    setting = Setting(
        protocol=evaluation.protocol,
        agent=evaluation.agent,
        recall_chars=evaluation.recall_chars,
        seed=config.seed,
        config=f"{evaluation.limits.digest}/{evaluation.recall_chars}/hashed-256/key-free",
    )
    sandbox = config.sandbox
    return WorkerSpec(
        run=config.name,
        source=config.stream.source,
        settings=config.stream.settings,
        folder=str(Path.cwd()),
        setting=setting,
        limits=evaluation.limits,
        backend=sandbox.backend,
        runtime=sandbox.runtime,
        prestart=sandbox.prestart,
        stream_seed=config.seed,
        extras=extras,
    )


class Evaluations:
    """The evaluations of one run, and the workers that make them.

    Args:
        stopping: says whether a signal asked for a clean stop.
        progress: is kept current.
    """

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        pool: Pool,
        watcher: Watcher,
        stopping: Callable[[], bool],
        progress: Progress,
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._pool = pool
        self._watcher = watcher
        self._stopping = stopping
        self._progress = progress
        self._spec = worker_spec(config)
        self._source = make_source(self._spec.source, self._spec.settings, self._spec.folder)
        self._controls = frozenset(catalogue.load(name).id for name in config.controls)
        self._broken = {row.id for row in ledger.designs() if row.status is DesignStatus.INVALID}
        self._digest = ""

    def begin(self) -> None:
        """Wait for the workers' sandboxes; say what they are.

        Raises:
            BadInput: an earlier session had others: its scores would not compare.
            SandboxUnavailable: none are to be had.
        """
        facts = self._pool.facts()
        self._agree("guest", facts.digest)
        self._digest = facts.digest
        self._watcher.begun(facts.backend, facts.caveat)

    def stream_names(self, split: Split, count: int) -> tuple[str, ...]:
        """Names of the first streams of a split, which need not be made for it."""
        return tuple(self._source.stream_name(split, self._spec.stream_seed, index) for index in range(count))

    def have(
        self,
        designs: Mapping[DesignId, Design],
        requests: Sequence[Request],
        split: Split,
        purpose: Purpose,
        contract: bool = False,
        late: Callable[[], bool] = never,
    ) -> Told:
        """Have every request in the ledger; pay only for what is not there.

        Args:
            contract: put designs that are not known yet through the contract test first.
            late: once it says so, nothing is begun any more; requests that are not complete then are left out.

        Raises:
            Interrupted: a signal asked for a stop; what was finished is filed.
            SandboxUnavailable: the machine is at fault.
        """
        found: dict[tuple[DesignId, int], Evaluation] = {}
        jobs: list[Job] = []
        for request in requests:
            missing = []
            for index in request.streams:
                key = key_of(self._spec, self._source, self._digest, designs[request.design], split, index)
                evaluation = self._ledger.find(key)
                if evaluation is None:
                    missing.append(index)
                else:
                    found[request.design, index] = evaluation
            if request.design in self._broken:
                self._progress.invalid += contract
                continue
            fresh = contract and len(missing) == len(request.streams)
            keep = frozenset(range(self._config.keep_episodes_streams)) if split == "search" else frozenset()
            # A design that breaks its contract must not be evaluated elsewhere meanwhile: one job then, not several.
            size = len(missing) if fresh else CHUNK
            for start in range(0, len(missing), size or 1):
                chunk = tuple(missing[start : start + size])
                jobs.append(Job(len(jobs), designs[request.design], split, chunk, fresh, keep))
        self._progress.evaluations += len(found)
        self._watcher.moved(self._progress)
        by_number = {job.number: job for job in jobs}
        for done in self._pool.run(jobs, late):
            if done is not None:
                self._take(by_number[done.number], done, purpose, found)
            if self._stopping():
                raise Interrupted("stopped; what was finished is kept", "`mnemogen resume` goes on")
            self._watcher.moved(self._progress)
        told = [(r, [found[r.design, i] for i in r.streams if (r.design, i) in found]) for r in requests]
        return [(r, got) for r, got in told if len(got) == len(r.streams) or r.design in self._broken]

    def _take(self, job: Job, done: Done, purpose: Purpose, found: dict[tuple[DesignId, int], Evaluation]) -> None:
        if done.broken is not None:
            outcome, detail = done.broken
            self._broken.add(job.design.id)
            self._ledger.record_status(job.design.id, DesignStatus.INVALID, f"{outcome}: {detail}"[:4_000])
            self._progress.invalid += 1
        if purpose is Purpose.SEARCH and job.design.id in self._controls:
            purpose = Purpose.CONTROL
        for index, (evaluation, episodes) in zip(job.streams, done.results, strict=False):
            if evaluation.key.guest != self._digest:
                raise SandboxUnavailable(
                    f"a worker's sandbox holds {evaluation.key.guest}, the run's {self._digest}",
                    "install the same version of mnemogen, Python and numpy on every node",
                )
            self._ledger.record_evaluation(evaluation, purpose, episodes)
            found[job.design.id, index] = evaluation
            self._progress.evaluations += 1
            self._progress.fresh += 1

    def _agree(self, name: str, value: str) -> None:
        """What the whole run must share across sessions.

        Raises:
            BadInput: an earlier session had another value.
        """
        known = self._ledger.meta(name)
        if known is None:
            self._ledger.set_meta(name, value)
        elif known != value:
            raise BadInput(
                f"the run was begun with {name} {known[:12]}, here it is {value[:12]}: scores would not compare",
                "resume it with the same version of mnemogen, Python and numpy, or start a new run",
            )
