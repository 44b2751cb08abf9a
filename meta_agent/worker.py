"""What a worker does with a job: one design, one sandbox, some streams; in a process of the pool or in the driver's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from design_space import Design, Evaluation, EvaluationKey, Recall, Snapshot
from sandbox.attempt import Played
from sandbox.backend import Limits, SandboxUnavailable
from sandbox.broker import Allowance, model_brokers
from sandbox.calls import Line, ModelFault, Models, ModelSpec, Role
from sandbox.choose import Kind, choose
from sandbox.contract import check
from sandbox.embedders import EmbedderName
from sandbox.evaluate import FOREIGN, Evaluator, Experience, Result, Setting
from sandbox.registry import find_agent, make_source, raised
from sandbox.streams.base import Source, SourceFault, Split, Stream, neighbour


@dataclass(frozen=True, slots=True)
class Bench:
    """Tasks, and all that a score on them depends on besides the design.

    Attributes:
        source, settings: of tasks, see `sandbox.registry`.
        stream_seed: which draw of the streams.
    """

    source: str
    settings: Mapping[str, Any]
    setting: Setting
    stream_seed: int

    def open_source(self, folder: str) -> Source:
        """Raises ValueError as `make_source` does."""
        return make_source(self.source, self.settings, folder)

    @contextmanager
    def told_of(self) -> Iterator[None]:
        """Whatever a source or an agent of one's own raises ends the run by a message that names the place."""
        own = [name for name in (self.source, self.setting.agent) if ":" in name]
        try:
            yield
        except (SandboxUnavailable, ModelFault, SourceFault):
            raise
        except Exception as error:
            if not own:
                raise
            raise SourceFault(f"with {' and '.join(own)}: {raised(error)}") from error


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """Everything that a worker needs to know of an experiment; travels to other nodes.

    Attributes:
        run: name of the run, for the labels of its containers.
        benches: what designs are tried on; a search has one, and one more where nobody can earn more than by chance.
        folder: where modules of one's own are looked for.
        extras: what the sandbox holds on top for designs of other systems, see `sandbox.bundle`.
        models: of the roles that workers call; empty in a key-free run. Says where keys are, not what they are.
        in_flight: evaluations under way at once, all workers together; of account only where there are models.
        embedder: for `kit.embed`; allowance: what a design may use of models in one evaluation.
    """

    run: str
    benches: tuple[Bench, ...]
    folder: str
    limits: Limits
    backend: Kind
    runtime: str | None
    prestart: int
    extras: tuple[str, ...] = ()
    models: Mapping[Role, ModelSpec] = field(default_factory=dict)
    in_flight: int = 1
    embedder: EmbedderName = "hashed"
    allowance: Allowance = field(default_factory=Allowance)


@dataclass(frozen=True, slots=True)
class Job:
    """One design on some streams of a split, in one sandbox.

    Attributes:
        number: names the job within its batch.
        bench: position among the benches.
        order: of the streams' tasks; experience: see `sandbox.evaluate.Experience`.
        contract: begin with the contract smoke test; a design that fails it is not evaluated.
        keep: streams of which the episodes are wanted.
    """

    number: int
    design: Design
    split: Split
    streams: tuple[int, ...]
    contract: bool = False
    keep: frozenset[int] = frozenset()
    bench: int = 0
    order: int = 0
    experience: Experience = "own"


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a job.

    Attributes:
        results: in the order of the job's streams; each with its episodes as JSON, None where they were not wanted.
        broken: how the contract test ended, (outcome, detail); then there are no results.
        flags: what the contract test found besides, see `sandbox.contract.Checked`.
    """

    number: int
    results: tuple[tuple[Evaluation, tuple[bytes, ...] | None], ...] = ()
    broken: tuple[str, str] | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What a worker says of its sandbox."""

    backend: str
    caveat: str
    digest: str


class Worker:
    """Evaluates designs; with models, several at a time, each in a thread of the caller's.

    Args:
        models: answers calls of the roles that `spec` names.
    """

    def __init__(self, spec: WorkerSpec, models: Models | None = None) -> None:
        self._spec = spec
        self._models = models
        asked = None if models is None else spec.models.get("memory")
        answer_tokens = None if asked is None else asked.max_tokens
        self._broker = model_brokers(models, answer_tokens, spec.embedder, spec.allowance)
        self._backend = choose(spec.backend, spec.limits, spec.run, spec.prestart, spec.runtime, spec.extras)
        self._evaluators = [
            Evaluator(
                bench.open_source(spec.folder),
                find_agent(bench.setting.agent, spec.folder),
                self._backend,
                bench.setting,
                broker=self._broker,
                line=self._line("agent"),
            )
            for bench in spec.benches
        ]

    def _line(self, role: Role) -> Callable[[str], Line] | None:
        """How a scope reaches the model of a role; None where there is none."""
        models, spec = self._models, self._spec.models.get(role)
        if models is None or spec is None:
            return None
        return lambda scope: Line(models, scope, role, spec.max_tokens)

    def facts(self) -> Facts:
        return Facts(self._backend.name, self._backend.caveat, self._backend.digest)

    def run(self, job: Job) -> Done:
        """Carry a job out.

        Raises:
            SandboxUnavailable: the machine is at fault.
            ModelFault: a model is, or the budget is used up.
            SourceFault: the tasks are, or an agent of the user's.
        """
        bench, evaluator = self._spec.benches[job.bench], self._evaluators[job.bench]
        seed = bench.stream_seed
        with bench.told_of(), evaluator.open(job.design, self._spec.run) as guest:
            flags: tuple[str, ...] = ()
            if job.contract:
                checked = check(job.design, guest, self._backend.folder, self._broker(f"contract/{job.design.id}"))
                flags = checked.flags
                if checked.fault is not None:
                    return Done(job.number, broken=(checked.fault.outcome.value, checked.fault.detail))
            results = []
            for index in job.streams:
                stream = evaluator.source.stream(job.split, seed, index)
                if not isinstance(stream, Stream) or not stream.tasks:
                    told = f"is a {type(stream).__name__} without tasks"
                    raise SourceFault(f"stream {index} of {evaluator.source.name!r} ({job.split}) {told}")
                other = None
                if job.experience in FOREIGN:
                    other = evaluator.source.stream(job.split, seed, neighbour(evaluator.source, job.split, index))
                key = evaluator.key(job.design, stream, job.order, job.experience)
                result = evaluator.evaluate(job.design, stream, guest, key, job.experience, other)
                results.append((result.evaluation, pack(result) if index in job.keep else None))
        return Done(job.number, tuple(results), flags=flags)

    def learn(self, design: Design) -> Snapshot:
        """What a design has learned after the first search stream.

        Raises:
            SandboxUnavailable: the machine is at fault.
            ValueError: the design did not come to the end of the stream.
        """
        evaluator = self._evaluators[0]
        stream = evaluator.source.stream("search", self._spec.benches[0].stream_seed, 0)
        with evaluator.open(design, self._spec.run) as guest:
            result = evaluator.evaluate(design, stream, guest, evaluator.key(design, stream))
        if result.snapshot is None:
            raise ValueError(f"it did not come to the end of a stream: {result.evaluation.detail}")
        return result.snapshot

    def close(self) -> None:
        self._backend.close()


def key_of(
    bench: Bench,
    source: Source,
    digest: str,
    design: Design,
    split: Split,
    index: int,
    order: int = 0,
    experience: Experience = "own",
) -> EvaluationKey:
    """The ledger's key of an evaluation, without a sandbox at hand and without making the stream."""
    name = source.stream_name(split, bench.stream_seed, index)
    return bench.setting.key(design, name, split, digest, order, experience)


def pack(result: Result) -> tuple[bytes, ...]:
    """The episodes as the archive keeps them: one JSON document each, recalled items listed once.

    The last one also tells what the memory held at the end, as far as its snapshot lists things with an id and a text.
    """
    documents = [_episode(played) for played in result.played]
    if documents and result.snapshot is not None:
        documents[-1]["stored"] = {"added": list(_texts(result.snapshot.data)), "removed": [], "count": None}
        documents[-1]["stored"]["count"] = len(documents[-1]["stored"]["added"])
    # A lone surrogate is no text that JSON could be read back from, written out or escaped.
    return tuple(json.dumps(document, ensure_ascii=False).encode("utf-8", "replace") for document in documents)


def _episode(played: Played) -> dict[str, Any]:
    items: dict[tuple[Any, ...], int] = {}

    def places(recall: Recall) -> list[int]:
        return [items.setdefault((i.id, i.text, i.situation, i.action, i.value), len(items)) for i in recall.items]

    episode = played.episode
    before = places(episode.recall)
    steps = [
        {
            "situation": step.situation,
            "action": step.action,
            "observation": step.observation,
            "reward": step.reward,
            "recall": places(step.recall),
        }
        for step in episode.steps
    ]
    names = ("id", "text", "situation", "action", "value")
    return {
        "goal": episode.goal,
        "reward": episode.reward,
        "steps": steps,
        "before": before,
        "items": [dict(zip(names, item, strict=True)) for item in items],
        "stored": None,
    }


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        if isinstance(data.get("id"), str) and isinstance(data.get("text"), str):
            yield data["text"]
            return
        data = list(data.values())
    if isinstance(data, list):
        for value in data:
            yield from _texts(value)
