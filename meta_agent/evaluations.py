"""Has evaluations made and filed, each paid for once: what the ledger knows by its key is not run again."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from archive.ledger import Ledger
from archive.records import Decision, DesignStatus, Purpose
from design_space import Design, DesignId, Evaluation, EvaluationKey
from meta_agent.carried import Texts, texts_of
from meta_agent.config import Config
from meta_agent.errors import BadInput, Interrupted
from meta_agent.policy import Request
from meta_agent.pool import Pool, never
from meta_agent.progress import Progress, Watcher
from meta_agent.worker import Bench, Done, Job, WorkerSpec, key_of
from sandbox.backend import SandboxUnavailable
from sandbox.calls import Role
from sandbox.evaluate import Setting
from sandbox.registry import asks_a_model, lacking
from sandbox.streams import impossible
from sandbox.streams.base import Split

CHUNK = 8
"""Streams of one job: enough to pay for its sandbox, few enough to keep all workers busy at the end of a batch."""

IMPOSSIBLE_BENCH = 1
"""Of a search's workers: where answers are drawn at random, see `final.impossible_streams`."""

_ADDRESS = re.compile(r"0x[0-9a-f]{4,}")

Told = list[tuple[Request, list[Evaluation]]]
"""Each request with its evaluations in the order of its streams; fewer of them where the design broke its contract."""


def worker_spec(config: Config, extras: tuple[str, ...] = ()) -> WorkerSpec:
    """What the workers need to know of a config.

    Args:
        extras: what their sandboxes hold on top, for designs of other systems; see `sandbox.bundle`.

    Raises:
        BadInput: the streams need a package that is not installed.
    """
    if (lack := lacking(config.stream.source)) is not None:
        raise BadInput(f"the stream {config.stream.source!r} needs {lack}", f"pip install 'mnemogen[{lack}]'")
    evaluation = config.evaluation
    called: set[Role] = {"memory", "embedding"}
    if asks_a_model(evaluation.agent, str(Path.cwd())):
        called.add("agent")
    used = {role: spec for role, spec in config.models.specs.items() if role in called}
    models = "+".join(f"{role}-{spec.digest}" for role, spec in used.items()) or "key-free"
    if "memory" in used:
        models += f"/{evaluation.allowance.digest}"
    embedder = "hashed-256" if evaluation.embedder == "hashed" else evaluation.embedder
    setting = Setting(
        protocol=evaluation.protocol,
        agent=evaluation.agent,
        recall_chars=evaluation.recall_chars,
        seed=config.seed,
        config=f"{evaluation.limits.digest}/{evaluation.recall_chars}/{embedder}/{models}",
    )
    sandbox = config.sandbox
    benches = [Bench(config.stream.source, config.stream.settings, setting, config.seed)]
    if config.final.impossible_streams:
        benches.append(Bench(impossible.NAME, {}, setting, config.seed))
    return WorkerSpec(
        run=config.name,
        benches=tuple(benches),
        folder=str(Path.cwd()),
        limits=evaluation.limits,
        backend=sandbox.backend,
        runtime=sandbox.runtime,
        prestart=sandbox.prestart,
        extras=extras,
        models=used,
        in_flight=config.models.in_flight,
        embedder=evaluation.embedder,
        allowance=evaluation.allowance,
    )


class Evaluations:
    """The evaluations of one run, and the workers that make them.

    Args:
        controls: designs whose search evaluations are filed as those of controls.
        keep_episodes_streams: search streams of which the episodes are kept.
        stopping: says whether a signal asked for a clean stop.
        progress: is kept current.
        again: what to type after an interruption.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        ledger: Ledger,
        pool: Pool,
        watcher: Watcher,
        stopping: Callable[[], bool],
        progress: Progress,
        controls: frozenset[DesignId] = frozenset(),
        keep_episodes_streams: int = 0,
        again: str = "`mnemogen resume` goes on",
    ) -> None:
        self._ledger = ledger
        self._pool = pool
        self._watcher = watcher
        self._stopping = stopping
        self._progress = progress
        self._again = again
        self._spec = spec
        self._sources = [bench.open_source(spec.folder) for bench in spec.benches]
        self._controls = controls
        self._keep = frozenset(range(keep_episodes_streams))
        self._broken = {row.id for row in ledger.designs() if row.status is DesignStatus.INVALID}
        self._sound: set[DesignId] = set()  # what has passed the contract test already
        self._digest = ""

    def begin(self, one_guest: bool = True) -> None:
        """Wait for the workers' sandboxes; say what they are.

        Args:
            one_guest: all sessions must have the same, as a search goes on from what earlier ones scored. If not, what
                an earlier one scored in another is made anew: it is filed under another key.

        Raises:
            BadInput: an earlier session had others: its scores would not compare.
            Interrupted: a signal asked for a stop before they were there.
            SandboxUnavailable: none are to be had.
        """
        facts = self._pool.facts(self._stopping)
        if one_guest:
            self._agree("guest", facts.digest)
        self._digest = facts.digest
        self._watcher.begun(facts.backend, facts.caveat)

    def stream_names(self, split: Split, count: int, bench: int = 0) -> tuple[str, ...]:
        """Names of the first streams of a split, which need not be made for it."""
        source, seed = self._sources[bench], self._spec.benches[bench].stream_seed
        return tuple(source.stream_name(split, seed, index) for index in range(count))

    def competences(self, split: Split, count: int, bench: int = 0) -> dict[str, tuple[str, ...]]:
        """What each question of the first streams of a split tests, by stream; empty where tasks are played."""
        source, seed = self._sources[bench], self._spec.benches[bench].stream_seed
        found = {}
        for stream in (source.stream(split, seed, index) for index in range(count)):
            if not stream.sessions and stream.tasks[0].question is None:
                return {}
            found[stream.name] = tuple(task.question.competence if task.question else "" for task in stream.tasks)
        return found

    def texts(self, split: Split, count: int) -> Texts:
        """What is said in the first streams of a split, whose tasks are made for it."""
        source, seed = self._sources[0], self._spec.benches[0].stream_seed
        return texts_of(source, (source.stream(split, seed, index) for index in range(count)))

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
        found: dict[tuple[Request, int], Evaluation] = {}
        jobs: list[Job] = []
        asked: list[Request] = []
        keep = self._keep if split == "search" else frozenset()
        for request in requests:
            missing = []
            for index in request.streams:
                evaluation = self._ledger.find(self._key(request, designs[request.design], split, index))
                if evaluation is None:
                    missing.append(index)
                else:
                    found[request, index] = evaluation
            if request.design in self._broken:
                self._progress.invalid += contract
                continue
            fresh = contract and len(missing) == len(request.streams) and request.design not in self._sound
            # A design that breaks its contract must not be evaluated elsewhere meanwhile: one job then, not several.
            size = len(missing) if fresh else CHUNK
            for start in range(0, len(missing), size or 1):
                chunk = tuple(missing[start : start + size])
                place = (request.bench, request.order, request.experience)
                jobs.append(Job(len(jobs), designs[request.design], split, chunk, fresh, keep, *place))
                asked.append(request)
        self._progress.evaluations += len(found)
        self._watcher.moved(self._progress)
        for done in self._pool.run(jobs, late):
            if done is not None:
                evaluations = self._take(jobs[done.number], done, purpose)
                found.update({(asked[done.number], index): evaluation for index, evaluation in evaluations})
            if self._stopping():
                raise Interrupted("stopped; what was finished is kept", self._again)
            self._watcher.moved(self._progress)
        told = [(r, [found[r, i] for i in r.streams if (r, i) in found]) for r in requests]
        return [(r, got) for r, got in told if len(got) == len(r.streams) or r.design in self._broken]

    def verify(self, designs: Sequence[Design]) -> list[str]:
        """Put designs through the contract test, each once; for each, what is wrong, empty if nothing is.

        Raises:
            Interrupted, SandboxUnavailable: as `have`.
        """
        found: dict[DesignId, str] = {}
        for design in designs:
            known = [d.reason for d in self._ledger.decisions(subject=design.id) if d.kind == "checked"]
            found |= {design.id: known[0]} if known else {}
        missing = list({design.id: design for design in designs if design.id not in found}.values())
        jobs = [Job(number, design, "search", (), contract=True) for number, design in enumerate(missing)]
        for done in self._pool.run(jobs):
            if self._stopping():
                raise Interrupted("stopped; what was finished is kept", self._again)
            if done is not None:
                name = missing[done.number].id
                broken = () if done.broken is None else (": ".join(done.broken),)
                # Addresses differ from process to process; a repetition must be told the same.
                found[name] = _ADDRESS.sub("0x...", "\n".join((*broken, *done.flags)))
                self._ledger.record_decisions([Decision(0, "checked", found[name], name)])
        self._sound |= {name for name, problem in found.items() if not problem}
        return [found[design.id] for design in designs]

    def _key(self, request: Request, design: Design, split: Split, index: int) -> EvaluationKey:
        bench, source = self._spec.benches[request.bench], self._sources[request.bench]
        return key_of(bench, source, self._digest, design, split, index, request.order, request.experience)

    def _take(self, job: Job, done: Done, purpose: Purpose) -> list[tuple[int, Evaluation]]:
        """File what came of a job."""
        if done.broken is not None:
            outcome, detail = done.broken
            self._broken.add(job.design.id)
            self._ledger.record_status(job.design.id, DesignStatus.INVALID, f"{outcome}: {detail}"[:4_000])
            self._progress.invalid += 1
        if done.flags and job.design.id not in self._controls:
            known = {decision.reason for decision in self._ledger.decisions(subject=job.design.id)}
            self._ledger.record_decisions(
                Decision(0, "flag", flag, job.design.id) for flag in done.flags if flag not in known
            )
        if purpose is Purpose.SEARCH and job.design.id in self._controls:
            purpose = Purpose.CONTROL
        for evaluation, episodes in done.results:
            if evaluation.key.guest != self._digest:
                raise SandboxUnavailable(
                    f"a worker's sandbox holds {evaluation.key.guest}, the run's {self._digest}",
                    "install the same version of mnemogen, Python and numpy on every node",
                )
            self._ledger.record_evaluation(evaluation, purpose, episodes)
            self._progress.evaluations += 1
            self._progress.fresh += 1
        return [(index, evaluation) for index, (evaluation, _) in zip(job.streams, done.results, strict=False)]

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
