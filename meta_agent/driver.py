"""Drives a run: asks the search, files what is durable, sends out evaluations, tells the search, measures the winner.

The search is deterministic and the ledger knows every evaluation by its key. So going on after a crash is doing the
same again from the beginning: what the ledger has is not paid for a second time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from archive.card import Card
from archive.errors import ArchiveDamaged
from archive.ledger import Ledger
from archive.novelty import fingerprint
from archive.records import Decision, DesignRow, DesignStatus, Json, Proposal, ProposalVerdict, Purpose
from archive.repository import Repository
from archive.selection import make
from design_space import Design, DesignId, Evaluation, Outcome, catalogue
from meta_agent import policy
from meta_agent.compose import ComposeProposer
from meta_agent.config import Config
from meta_agent.errors import BadInput, Interrupted
from meta_agent.policy import Request
from meta_agent.pool import Pool
from meta_agent.proposer import Proposer
from meta_agent.search import Generation, Search, Slot
from meta_agent.tune import TuneProposer
from meta_agent.verdict import Final, compare
from meta_agent.worker import Done, Job, WorkerSpec, key_of
from sandbox.evaluate import Setting
from sandbox.registry import make_source
from sandbox.streams.base import Split

log = logging.getLogger(__name__)

CHUNK = 4
"""Streams of one job: enough to pay for its sandbox, few enough to keep all workers busy at the end of a batch."""


class Watcher(Protocol):
    """Hears how a run goes. Owes: to return at once."""

    def begun(self, backend: str, caveat: str) -> None: ...

    def moved(self, progress: Progress) -> None: ...


@dataclass(slots=True)
class Progress:
    """How far a run is.

    Attributes:
        phase: what it is at, in words.
        evaluations, allowed: done (earlier sessions included), and the budget.
        fresh: done in this session.
        tried, invalid, duplicates, failed: designs.
        best: name, posterior mean and 95 % half-width, and streams of the design that leads; None before any.
    """

    phase: str = "starting"
    evaluations: int = 0
    allowed: int = 0
    fresh: int = 0
    tried: int = 0
    invalid: int = 0
    duplicates: int = 0
    failed: int = 0
    best: tuple[str, float, float, int] | None = None


def worker_spec(config: Config) -> WorkerSpec:
    """What the workers need to know of a config."""
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
    )


def make_search(config: Config) -> Search:
    """The search that a config describes."""
    shares = config.search.proposers
    proposers: list[tuple[Proposer, float]] = [(ComposeProposer(), shares.compose)]
    if shares.tune > 0.0:
        proposers.append((TuneProposer(config.seed), shares.tune))
    seeds = [catalogue.load(name) for name in config.search.seeds]
    # The null memory comes first: it is what every gain is measured against.
    controls = sorted(config.controls, key=lambda name: name != "no_memory")
    yardsticks = [catalogue.load(name) for name in controls]
    return Search(
        config.seed, seeds, yardsticks, config.search.generation_size, make(config.search.selection), proposers
    )


@dataclass(slots=True)
class Driver:
    """One session of a run.

    Args:
        stopping: says whether a signal asked for a clean stop.
        clock: monotonic seconds.
        make_search: makes the search that is driven; the same one each time for the same config.
    """

    config: Config
    ledger: Ledger
    repository: Repository
    pool: Pool
    watcher: Watcher
    stopping: Callable[[], bool]
    clock: Callable[[], float] = time.monotonic
    make_search: Callable[[Config], Search] = make_search
    _progress: Progress = field(default_factory=Progress)
    _planned: int = 0
    _digest: str = ""
    _began: float = 0.0
    _known: set[DesignId] = field(default_factory=set)
    _broken: set[DesignId] = field(default_factory=set)
    _controls: frozenset[DesignId] = frozenset()

    def __post_init__(self) -> None:
        self._controls = frozenset(catalogue.load(name).id for name in self.config.controls)

    def run(self) -> Final:
        """Search until the budget is used, then measure the winner on fresh streams.

        Raises:
            Interrupted: a signal asked for a stop; everything that was recorded is kept.
            SandboxUnavailable: the machine is at fault.
            ArchiveError: the archive cannot be read or written.
        """
        self._began = self.clock()
        self._check_archive()
        facts = self.pool.facts()
        self._agree("guest", facts.digest)
        self._digest = facts.digest
        self.watcher.begun(facts.backend, facts.caveat)
        self._progress.allowed = self.config.budget.evaluations
        search = self.make_search(self.config)
        self._search(search)
        winner = self._confirm(search)
        return self._validate(search, winner)

    def _search(self, search: Search) -> None:
        allowance = self.config.budget.evaluations - self._reserve()
        first = {*self.config.search.seeds, *self.config.controls}
        least = len(first) * self.config.search.rungs[-1]
        if allowance < least:
            raise BadInput(
                f"budget.evaluations is {self.config.budget.evaluations}; seeds and controls alone take {least},"
                f" the final measurements up to {self._reserve()}",
                f"allow at least {least + self._reserve()}, or have fewer seeds, rungs or final streams",
            )
        while True:
            generation = search.ask()
            self._file(generation)
            more = self._climb(search, generation, allowance)
            search.tell(generation)
            self._label(search, generation)
            if not more or self._late() or not generation.designs:
                return

    def _climb(self, search: Search, generation: Generation, allowance: int) -> bool:
        """Take a generation up the rungs; False once the allowance does not pay for all that was wanted."""
        rungs = self.config.search.rungs
        designs = {d: search.members[d].design for d in generation.designs}
        if generation.number == 0:
            wanted = [Request(d, tuple(range(rungs[-1]))) for d in designs]
            return self._spend(search, generation, wanted, allowance, contract=True)
        if not self._spend(search, generation, policy.first_rung(list(designs), rungs), allowance, contract=True):
            return False
        standing = list(designs)
        for rung in range(1, len(rungs)):
            if self._late():
                return False
            means = {d: None if search.members[d].failed else search.believed(d).mean for d in standing}
            wanted = policy.next_rung(means, rung, rungs, self.config.search.keep)
            reasons = {r.design: f"to {rungs[rung]} streams: posterior mean {means[r.design]:.3f}" for r in wanted}
            self._decide(generation.number, [Decision(generation.number, "promote", reasons[d], d) for d in reasons])
            if not self._spend(search, generation, wanted, allowance):
                return False
            standing = [r.design for r in wanted]
        return True

    def _spend(
        self, search: Search, generation: Generation, wanted: Sequence[Request], allowance: int, contract: bool = False
    ) -> bool:
        paid = policy.within(wanted, allowance - self._planned)
        self._planned += sum(len(request.streams) for request in paid)
        self._progress.phase = f"generation {generation.number}"
        for request, evaluations in self._evaluate(search.designs, paid, "search", Purpose.SEARCH, contract):
            self._progress.failed += self._observe(search, request, evaluations)
        self._lead(search)
        return len(paid) == len(wanted)

    @staticmethod
    def _observe(search: Search, request: Request, evaluations: Sequence[Evaluation]) -> bool:
        """Tell the search what a design earned; whether it failed on any of the streams."""
        failed = len(evaluations) < len(request.streams) or any(e.outcome is not Outcome.SCORED for e in evaluations)
        scores = {s: e.score for s, e in zip(request.streams, evaluations, strict=False) if e.score is not None}
        search.observe(request.design, scores, failed)
        return failed

    def _confirm(self, search: Search) -> DesignId:
        """Choose the winner: the best few of the search see further streams, then the best posterior mean wins."""
        final = self.config.final
        best = search.ranked()[: final.candidates]
        if not best:
            raise BadInput("no design was scored, not even a seed", "see `mnemogen designs` for the reasons")
        self._progress.phase = "confirming the best"
        start = self.config.search.rungs[-1]
        streams = tuple(range(start, start + final.confirm_streams))
        wanted = [Request(design, streams) for design in best]
        for request, evaluations in self._evaluate(search.designs, wanted, "search", Purpose.SEARCH, False):
            self._observe(search, request, evaluations)
        return max(best, key=lambda design: search.believed(design).mean)

    def _validate(self, search: Search, winner: DesignId) -> Final:
        """Measure the winner, its ancestors and the controls on streams that nothing was chosen by."""
        self._progress.phase = "measuring the winner on fresh streams"
        rivals = self._rivals(search, winner)
        streams = tuple(range(self.config.final.validation_streams))
        designs = {d: search.members[d].design for d in (winner, *rivals)}
        controls = {name: catalogue.load(name).id for name in self.config.controls}
        everyone = {**designs, **{d: search.members[d].design for d in controls.values()}}
        requests = [Request(d, streams) for d in everyone]
        scores = {}
        for request, evaluations in self._evaluate(search.designs, requests, "validation", Purpose.VALIDATION, False):
            scores[request.design] = {e.key.stream: e.score for e in evaluations if e.score is not None}
        final = compare(winner, everyone, rivals, controls, scores)
        self._conclude(search, final)
        return final

    def _conclude(self, search: Search, final: Final) -> None:
        if self.ledger.meta("final") is None:
            generation = max(member.generation for member in search.members.values())
            belief = search.believed(final.winner)
            reason = f"the highest posterior mean of the confirmed designs: {belief.mean:.3f} ± {belief.sd:.3f}"
            self._decide(generation, [Decision(generation, "winner", reason, final.winner)])
        self.ledger.set_meta("final", final.to_json())

    def unseal(self, streams: int) -> Final:
        """Open the sealed split for a list that is frozen and recorded first: winner, best catalogue design, no memory.

        An opening that was cut off goes on with its own list; the seeds of its streams are fresh for each run.

        Raises:
            BadInput: the run has no winner yet, or was opened with another number of streams.
        """
        text = self.ledger.meta("final")
        if text is None:
            raise BadInput("the run has no winner yet", "finish it first: `mnemogen resume`")
        self._check_archive()
        facts = self.pool.facts()
        self._agree("guest", facts.digest)
        self._digest = facts.digest
        self.watcher.begun(facts.backend, facts.caveat)
        winner = Final.from_json(text).winner
        seeds = [row.id for row in self.ledger.designs() if row.operator == "seed"]
        null = catalogue.load("no_memory").id
        best = max((d for d in seeds if d != winner), key=self.search_mean, default=null)
        spec = worker_spec(self.config)
        source = make_source(spec.source, spec.settings, spec.folder)
        names = tuple(source.stream_name("sealed", self.config.seed, index) for index in range(streams))
        listed = tuple(dict.fromkeys((winner, best, null)))
        openings = self.ledger.openings()
        if not any(o.designs == listed and o.streams == names for o in openings):
            decided = max((p.sequence for p in self.ledger.proposals()), default=0)
            self.ledger.record_opening(listed, names, decided_at=decided)
        designs = {d: self.repository.load(d) for d in listed}
        requests = [Request(d, tuple(range(streams))) for d in listed]
        self._progress.allowed = len(requests) * streams
        self._progress.phase = "the sealed streams"
        scores = {
            request.design: {e.key.stream: e.score for e in evaluations if e.score is not None}
            for request, evaluations in self._evaluate(designs, requests, "sealed", Purpose.SEALED, False)
        }
        return compare(winner, designs, [d for d in listed[1:] if d != null], {"no_memory": null}, scores)

    def search_mean(self, design: DesignId) -> float:
        """Mean score on the search streams that it saw; 0 if none."""
        scores = [r.evaluation.score or 0.0 for r in self.ledger.evaluations(design, Purpose.SEARCH)]
        return sum(scores) / len(scores) if scores else 0.0

    def _rivals(self, search: Search, winner: DesignId) -> list[DesignId]:
        """What the archive began with and the winner must beat: the best seeds it descends from, and the best seed."""
        seeds = [d for d in search.ranked() if search.members[d].generation == 0 and d != winner]
        roots = search.roots(winner)
        return list(dict.fromkeys([*[d for d in seeds if d in roots][:2], *seeds[:1]]))

    def _reserve(self) -> int:
        """Evaluations that the end of the run takes at most."""
        final = self.config.final
        return final.candidates * final.confirm_streams + final.validation_streams * (4 + len(self.config.controls))

    def _evaluate(
        self,
        designs: Mapping[DesignId, Design],
        requests: Sequence[Request],
        split: Split,
        purpose: Purpose,
        contract: bool,
    ) -> list[tuple[Request, list[Evaluation]]]:
        """Have every request in the ledger; pay only for what is not there. Results in the order of the requests."""
        spec = worker_spec(self.config)
        source = make_source(spec.source, spec.settings, spec.folder)
        found: dict[tuple[DesignId, int], Evaluation] = {}
        jobs: list[Job] = []
        for request in requests:
            missing = []
            for index in request.streams:
                key = key_of(spec, source, self._digest, designs[request.design], split, index)
                evaluation = self.ledger.find(key)
                if evaluation is None:
                    missing.append(index)
                else:
                    found[request.design, index] = evaluation
            if request.design in self._broken:
                continue
            fresh = contract and len(missing) == len(request.streams)
            keep = frozenset(range(self.config.keep_episodes_streams)) if split == "search" else frozenset()
            # A design that breaks its contract must not be evaluated elsewhere meanwhile: one job then, not several.
            size = len(missing) if fresh else CHUNK
            for start in range(0, len(missing), size or 1):
                chunk = tuple(missing[start : start + size])
                jobs.append(Job(len(jobs), designs[request.design], split, chunk, fresh, keep))
        self._progress.evaluations += len(found)
        self.watcher.moved(self._progress)
        for job, done in self._carry_out(jobs):
            self._take(job, done, purpose, found)
        return [(r, [found[r.design, i] for i in r.streams if (r.design, i) in found]) for r in requests]

    def _carry_out(self, jobs: Sequence[Job]) -> Iterable[tuple[Job, Done]]:
        by_number = {job.number: job for job in jobs}
        for done in self.pool.run(jobs):
            if self.stopping():
                raise Interrupted("stopped; what was finished is kept", "`mnemogen resume` goes on")
            if done is not None:
                yield by_number[done.number], done
            self.watcher.moved(self._progress)

    def _take(self, job: Job, done: Done, purpose: Purpose, found: dict[tuple[DesignId, int], Evaluation]) -> None:
        if done.broken is not None:
            outcome, detail = done.broken
            self._broken.add(job.design.id)
            self.ledger.record_status(job.design.id, DesignStatus.INVALID, f"{outcome}: {detail}"[:4_000])
            self._progress.invalid += 1
        if purpose is Purpose.SEARCH and job.design.id in self._controls:
            purpose = Purpose.CONTROL
        for index, (evaluation, episodes) in zip(job.streams, done.results, strict=False):
            self.ledger.record_evaluation(evaluation, purpose, episodes)
            found[job.design.id, index] = evaluation
            self._progress.evaluations += 1
            self._progress.fresh += 1

    def _file(self, generation: Generation) -> None:
        """Git first, then the rows: a commit without a row is adopted here, a row without a commit is damage."""
        entries = [(self._card(generation, slot), slot.draft.design) for slot in generation.slots if slot.novel]
        commits = {done.id: done.commit for done in self.repository.commit(entries)}
        filed = {proposal.sequence for proposal in self.ledger.proposals(generation.number)}
        if not filed:
            self.ledger.record_generation(
                designs=[
                    self._row(generation, slot, commits[slot.draft.design.id])
                    for slot in generation.slots
                    if slot.novel and slot.draft.design.id not in self._known
                ],
                proposals=[_proposal(generation, slot) for slot in generation.slots],
                decisions=[
                    Decision(generation.number, "parent", slot.why, slot.draft.design.id)
                    for slot in generation.slots
                    if slot.novel and slot.why and slot.draft.parents
                ],
            )
        self._progress.tried += len(generation.slots)
        self._progress.invalid += sum(bool(slot.problem) for slot in generation.slots)
        self._progress.duplicates += sum(slot.duplicate_of is not None for slot in generation.slots)

    def _card(self, generation: Generation, slot: Slot) -> Card:
        draft = slot.draft
        return Card.of(
            draft.design,
            sequence=slot.sequence,
            generation=generation.number,
            parents=draft.parents,
            proposer=draft.proposer,
            operator=draft.operator,
            note=draft.note,
        )

    def _row(self, generation: Generation, slot: Slot, commit: str) -> DesignRow:
        design = slot.draft.design
        return DesignRow(
            id=design.id,
            sequence=slot.sequence,
            name=design.name,
            commit=commit,
            generation=generation.number,
            ast_hash=fingerprint(design.source, design.params),
            parents=slot.draft.parents,
            proposer=slot.draft.proposer,
            operator=slot.draft.operator,
        )

    def _label(self, search: Search, generation: Generation) -> None:
        """Say of each new design whether it is better than its parent, worse, or undecided."""
        decisions = []
        for design in generation.designs:
            compared = search.compared(design)
            if compared is not None:
                parent, gain = compared
                data: Json = {
                    "verdict": gain.verdict.value,
                    "parent": parent,
                    "mean": gain.mean,
                    "low": gain.low,
                    "high": gain.high,
                    "n": gain.n,
                }
                reason = f"{gain.verdict.value}: {gain} against its parent {parent}"
                decisions.append(Decision(generation.number, "label", reason, design, data))
        self._decide(generation.number, decisions)

    def _decide(self, generation: int, decisions: Sequence[Decision]) -> None:
        """Record decisions, but for those that an earlier session has recorded already."""
        known = {(d.kind, d.subject, d.reason) for d in self.ledger.decisions(generation)}
        self.ledger.record_decisions(d for d in decisions if (d.kind, d.subject, d.reason) not in known)

    def _lead(self, search: Search) -> None:
        ranked = search.ranked()
        if ranked:
            belief, member = search.believed(ranked[0]), search.members[ranked[0]]
            self._progress.best = (member.design.name, belief.mean, 1.96 * belief.sd, len(member.scores))
        self.watcher.moved(self._progress)

    def _late(self) -> bool:
        limit = self.config.budget.wall_seconds
        return limit is not None and self.clock() - self._began > limit

    def _agree(self, name: str, value: str) -> None:
        """What the whole run must share across sessions.

        Raises:
            BadInput: an earlier session had another value.
        """
        known = self.ledger.meta(name)
        if known is None:
            self.ledger.set_meta(name, value)
        elif known != value:
            raise BadInput(
                f"the run was begun with {name} {known[:12]}, here it is {value[:12]}: scores would not compare",
                "resume it with the same version of mnemogen, Python and numpy, or start a new run",
            )

    def _check_archive(self) -> None:
        """Every row has its commit; what is known is remembered, so that no step reads the whole archive again.

        Raises:
            ArchiveDamaged: one has not, or the repository is damaged.
        """
        refs = self.repository.refs()
        for row in self.ledger.designs():
            self._known.add(row.id)
            if row.status is DesignStatus.INVALID:
                self._broken.add(row.id)
            if row.id not in refs:
                raise ArchiveDamaged(f"design {row.id}", f"design {row.id} is in the ledger, but has no commit")


def _proposal(generation: Generation, slot: Slot) -> Proposal:
    verdict = ProposalVerdict.NEW
    if slot.problem:
        verdict = ProposalVerdict.INVALID
    elif slot.duplicate_of is not None:
        verdict = ProposalVerdict.DUPLICATE
    design = None if slot.problem else slot.duplicate_of or slot.draft.design.id
    return Proposal(
        sequence=slot.sequence,
        generation=generation.number,
        slot=generation.slots.index(slot),
        design=design,
        verdict=verdict,
        proposer=slot.draft.proposer,
        operator=slot.draft.operator,
        note=slot.draft.note,
        reason=slot.problem or ("" if slot.duplicate_of is None else f"says the same as {slot.duplicate_of}"),
    )
