"""Drives a run: asks the search, files what is durable, sends out evaluations, tells the search, measures the winner.

The search is deterministic and the ledger knows every evaluation by its key. So going on after a crash is doing the
same again from the beginning: what the ledger has is not paid for a second time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from archive.episodes import episodes
from archive.ledger import Ledger
from archive.plain import plain
from archive.records import Decision, Purpose
from archive.repository import Repository
from archive.search_book import SearchBook
from archive.search_view import STANDING
from archive.selection import make
from design_space import DesignId, Evaluation, Outcome, catalogue
from meta_agent import guide, policy, steer
from meta_agent.believing import labels
from meta_agent.carried import Vocabulary, flag
from meta_agent.coach import Asked, Coach, begun_with, standing
from meta_agent.compose import ComposeProposer
from meta_agent.config import Config
from meta_agent.deadline import Deadline, Place
from meta_agent.errors import BadInput, Interrupted, LeakAlarm
from meta_agent.evaluations import IMPOSSIBLE_BENCH, Evaluations, worker_spec
from meta_agent.filing import Filing
from meta_agent.generation import Generation
from meta_agent.insights import InsightStore
from meta_agent.leak import leak_in
from meta_agent.llm import LLMProposer
from meta_agent.pairwise import Judge
from meta_agent.policy import Request
from meta_agent.pool import Pool, never
from meta_agent.population import Population
from meta_agent.progress import Progress, Watcher
from meta_agent.prompt_tree import Prompts
from meta_agent.prompt_values import Likeness
from meta_agent.proposer import BatchProposer, Proposer
from meta_agent.record import Interruptible
from meta_agent.search import Search
from meta_agent.tune import TuneProposer
from meta_agent.verdict import Final, compare, scores_of
from sandbox.calls import Line, ModelFault
from sandbox.gateway import Gateway
from sandbox.streams import impossible

BARREN_GENERATIONS = 3
"""In a row without any new design, after which a search ends."""


def make_search(config: Config, llm: BatchProposer | None = None) -> Search:
    """The search that a config describes.

    Args:
        llm: takes the share of the proposals that a language model writes.
    """
    shares = config.search.proposers
    proposers: list[tuple[Proposer | BatchProposer, float]] = [(ComposeProposer(), shares.compose)]
    if shares.tune > 0.0:
        proposers.append((TuneProposer(config.seed), shares.tune))
    if llm is not None and shares.llm > 0.0:
        proposers.append((llm, shares.llm))
    seeds = [catalogue.load(name) for name in config.search.seeds]
    # The null memory comes first: it is what every gain is measured against.
    controls = sorted(config.controls, key=lambda name: name != "no_memory")
    yardsticks = [catalogue.load(name) for name in controls]
    selection = make(config.search.selection)
    return Search(
        config.seed, seeds, yardsticks, config.search.generation_size, selection, proposers, make_prompts(config)
    )


def make_prompts(config: Config) -> dict[str, Prompts]:
    """The prompts of each proposer that takes any, as yet the first one of each."""
    told, shares = config.search.prompts, config.search.proposers
    roots: dict[str, tuple[str, float, Likeness]] = {
        "compose": (steer.Steer().to_text(), shares.compose, steer.likeness),
        "llm": (guide.root(), shares.llm, guide.likeness),
    }
    return {
        name: Prompts(root, told.policy, np.random.default_rng([config.seed, 5, place]), alike, told.constants)
        for place, (name, (root, share, alike)) in enumerate(roots.items())
        if share > 0.0
    }


class Driver:
    """One session of a run.

    Args:
        stopping: says whether a signal asked for a clean stop.
        clock: monotonic seconds.
        models: answers the meta agent's calls; None where the run is key-free.
        read_texts: look for texts of the search streams in what won; their tasks are made for it.
        make_search: makes the search that is driven; the same one each time for the same config.

    Raises:
        ArchiveDamaged: ledger and repository do not fit together.
    """

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        repository: Repository,
        pool: Pool,
        watcher: Watcher,
        stopping: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        make_search: Callable[[Config, BatchProposer | None], Search] = make_search,
        models: Gateway | None = None,
        read_texts: bool = True,
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._watcher = watcher
        self._deadline = Deadline(config.budget.wall_seconds, ledger, clock)
        self._make_search = make_search
        self._filing = Filing(ledger, repository)
        self._progress = Progress(allowed=config.budget.evaluations)
        self._evaluations = Evaluations(
            worker_spec(config),
            ledger,
            pool,
            watcher,
            stopping,
            self._progress,
            frozenset(catalogue.load(name).id for name in config.controls),
            config.keep_episodes_streams,
        )
        self._models = models
        self._read_texts = read_texts
        self._answers = None if models is None else Interruptible(models, stopping)
        self._planned = 0

    @property
    def ended_by_clock(self) -> bool:
        """Whether wall time ended the search, so that another run of the same config may end elsewhere."""
        return self._deadline.ended

    def run(self) -> Final:
        """Search until the budget is used, then measure the winner on fresh streams.

        Raises:
            BadInput: the budget does not pay for the least that a run does, or an earlier session had another sandbox.
            Interrupted: a signal asked for a stop; everything that was recorded is kept.
            LeakAlarm: a finalist knows answers that are drawn at random.
            SandboxUnavailable: the machine is at fault.
            ModelFault: a model is, or a cap of the budget is reached; what was recorded is kept.
            ArchiveError: the archive cannot be read or written.
        """
        with threadpool_limits(1):  # the other cores are the workers'; and sums come out the same on any number of them
            return self._run()

    def _run(self) -> Final:
        self._evaluations.begin()
        with SearchBook(self._ledger.path, check=False) as book:
            insights = begun_with(book)
            search = self._make_search(self._config, self._writer(insights))
            prompts, asked = self._config.search.prompts, self._asked()
            try:
                self._search(search, Coach(self._config.seed, prompts.expansions, book, insights, asked))
            except (Interrupted, ModelFault):
                self._deadline.keep()
                raise
        population = search.population
        finalists = self._finalists(population)
        self._watch_for_leaks(population, finalists)
        winner = self._confirm(population, finalists)
        final = self._validate(population, winner)
        if self._read_texts:
            self._look_for_carried(population, finalists)
        return final

    def _writer(self, insights: InsightStore) -> BatchProposer | None:
        """The proposer that has a model write designs, if the config asks for it."""
        spec, shares, models = self._config.models.meta, self._config.search.proposers, self._answers
        if spec is None or shares.llm == 0.0 or models is None:
            return None
        recall, verify = self._config.evaluation.recall_chars, self._evaluations.verify
        return LLMProposer(models, spec.max_tokens, self._ledger, verify, shares.repairs, recall, insights)

    def _asked(self) -> Asked | None:
        """Who judges designs for the prompts' sake, if the config names a model for it and the prompts may change."""
        spec, models = self._config.models.judge, self._answers
        if spec is None or models is None or self._config.search.prompts.policy == "fixed":
            return None
        judge = Judge(models, spec.max_tokens, self._ledger)
        return Asked(judge, lambda scope: Line(models, scope, "judge", spec.max_tokens))

    def _search(self, search: Search, coach: Coach) -> None:
        allowance = self._config.budget.evaluations - self._reserve()
        first = {*self._config.search.seeds, *self._config.controls}
        least = len(first) * self._config.search.rungs[-1]
        if allowance < least:
            raise BadInput(
                f"budget.evaluations is {self._config.budget.evaluations}; seeds and controls alone take {least},"
                f" the final measurements up to {self._reserve()}",
                f"allow at least {least + self._reserve()}, or have fewer seeds, rungs or final streams",
            )
        coach.begin(search)
        barren = 0
        whole = self._config.search.generation_size * self._config.search.rungs[0]
        # A generation is asked for only if all of it can be looked at: to write designs costs something too.
        while self._planned == 0 or allowance - self._planned >= whole:
            self._progress.phase = "proposing"
            self._watcher.moved(self._progress)
            generation = search.ask()
            self._filing.file(generation)
            self._count(generation)
            more = self._climb(search.population, generation, allowance)
            if generation.number == 0:
                self._check_yardstick(search.population)
            search.tell(generation)
            if self._deadline.ended:
                return  # part of a generation teaches nothing: were more time allowed, all of it would teach otherwise
            self._filing.compare(search.population, generation)
            coach.after(search, generation)
            self._ledger.set_meta(STANDING, standing(search))
            barren = 0 if generation.designs else barren + 1
            if not more or barren == BARREN_GENERATIONS:
                return
            self._deadline.at = Place(generation.number, len(self._config.search.rungs))
            self._deadline.keep()
            if self._deadline.ends():
                return

    def _check_yardstick(self, population: Population) -> None:
        null = catalogue.load("no_memory").id
        if not population.members[null].failed:
            return
        lost = [found.evaluation for found in self._ledger.evaluations(null)]
        broke = next((e for e in lost if e.outcome is not Outcome.SCORED), None)
        why = "no result" if broke is None else f"{broke.outcome.value}: {plain(broke.detail, 200)}"
        raise BadInput(
            f"no_memory did not get through the search streams ({why}), and every gain is measured against it",
            "it does nothing, so look at `limits`, and at a source or agent of your own",
        )

    def _climb(self, population: Population, generation: Generation, allowance: int) -> bool:
        """Take a generation up the rungs; False once the allowance does not pay for all that was wanted."""
        rungs = self._config.search.rungs
        self._deadline.at = Place(generation.number)
        standing = list(generation.designs)
        if generation.number == 0:
            wanted = [Request(d, tuple(range(rungs[-1]))) for d in standing]
            paid = self._spend(population, generation, wanted, allowance, contract=True)
            self._pool(population, generation)
            return paid
        if not self._spend(population, generation, policy.first_rung(standing, rungs), allowance, contract=True):
            return False
        self._pool(population, generation)
        for rung in range(1, len(rungs)):
            self._deadline.at = Place(generation.number, rung)
            if self._deadline.ends():
                return False
            means = {d: None if population.members[d].spent_in_vain else population.believed(d).mean for d in standing}
            wanted = policy.next_rung(means, rung, rungs, self._config.search.keep)
            reasons = {r.design: f"to {rungs[rung]} streams: posterior mean {means[r.design]:.3f}" for r in wanted}
            self._filing.decide(
                generation.number, [Decision(generation.number, "promote", reasons[d], d) for d in reasons]
            )
            if not self._spend(population, generation, wanted, allowance):
                return False
            standing = [r.design for r in wanted]
        return True

    def _spend(
        self,
        population: Population,
        generation: Generation,
        wanted: Sequence[Request],
        allowance: int,
        contract: bool = False,
    ) -> bool:
        paid = policy.within(wanted, allowance - self._planned)
        self._planned += sum(len(request.streams) for request in paid)
        self._progress.phase = f"generation {generation.number}"
        # Without its seeds, a search has nothing to end with.
        late = self._deadline.passed if generation.number > 0 else never
        told = self._evaluations.have(population.designs, paid, "search", Purpose.SEARCH, contract, late)
        for request, evaluations in told:
            self._progress.failed += self._observe(population, request, evaluations)
        self._lead(population)
        if len(told) < len(paid):
            self._deadline.end()
        return len(told) == len(wanted)

    @staticmethod
    def _observe(population: Population, request: Request, evaluations: Sequence[Evaluation]) -> bool:
        """Tell the search what a design earned; whether it failed on any of the streams."""
        failed = len(evaluations) < len(request.streams) or any(e.outcome is not Outcome.SCORED for e in evaluations)
        seen = list(zip(request.streams, evaluations, strict=False))
        scores = {stream: e.score for stream, e in seen if e.score is not None}
        population.observe(request.design, scores, failed, next((e.recalls for stream, e in seen if stream == 0), ""))
        return failed

    def _pool(self, population: Population, generation: Generation) -> None:
        """Spend no more on designs that recall what an earlier one does."""
        told = "recalled on the first stream what {} had: it is that design, and gets no score of its own"
        decisions = [
            Decision(generation.number, "same", told.format(first), design)
            for design, first in population.pool(generation)
        ]
        self._filing.decide(generation.number, decisions)

    def _finalists(self, population: Population) -> list[DesignId]:
        """The best few of the search, one of which will be the winner."""
        best = population.ranked()[: self._config.final.candidates]
        if not best:
            raise BadInput("no design was scored, not even a seed", "see `mnemogen designs` for the reasons")
        return best

    def _watch_for_leaks(self, population: Population, finalists: Sequence[DesignId]) -> None:
        """Have the finalists play streams whose answers are drawn at random; that says nothing of their worth.

        Raises:
            LeakAlarm: one of them gets more right than chance explains.
        """
        count = self._config.final.impossible_streams
        if count == 0:
            return
        self._progress.phase = "looking for leaks"
        wanted = [Request(design, tuple(range(count)), IMPOSSIBLE_BENCH) for design in finalists]
        told = self._evaluations.have(population.designs, wanted, "validation", Purpose.CONTROL)
        found = {request.design: leak_in(evaluations, impossible.CHANCE) for request, evaluations in told}
        alarms = {design: leak for design, leak in found.items() if leak.alarm}
        if not alarms:
            return
        self._filing.alarm(population.generation, alarms)
        named = [f"{design} ({plain(population.designs[design].name, 80)}): {leak}" for design, leak in alarms.items()]
        raise LeakAlarm(
            f"leak alarm: {'; '.join(named)}. Either the boundary leaks answers, or the design reads what it must not"
            " see: no score of this run can be believed",
            f"`mnemogen show {self._config.name} {next(iter(alarms))}` shows its source; find out how it knew, and"
            " report it as SECURITY.md says; a source or agent of your own may be what tells it",
        )

    def _confirm(self, population: Population, finalists: Sequence[DesignId]) -> DesignId:
        """Choose the winner: the finalists see further streams, then the best posterior mean wins."""
        self._progress.phase = "confirming the best"
        start = self._config.search.rungs[-1]
        streams = tuple(range(start, start + self._config.final.confirm_streams))
        wanted = [Request(design, streams) for design in finalists]
        for request, evaluations in self._evaluations.have(population.designs, wanted, "search", Purpose.SEARCH):
            self._observe(population, request, evaluations)
        winner = population.first_of(finalists)
        if winner is None:
            raise BadInput("no design works on all its streams", "see `mnemogen designs` for the reasons")
        return winner

    def _validate(self, population: Population, winner: DesignId) -> Final:
        """Measure the winner, its ancestors and the controls on streams that nothing was chosen by."""
        self._progress.phase = "measuring the winner on fresh streams"
        rivals = self._rivals(population, winner)
        streams = tuple(range(self._config.final.validation_streams))
        controls = {name: catalogue.load(name).id for name in self._config.controls}
        steps = population.line(winner)[: self._config.final.line]
        everyone = dict.fromkeys([winner, *rivals, *controls.values(), *(parent for _, parent in steps)])
        requests = [Request(design, streams) for design in everyone]
        told = self._evaluations.have(population.designs, requests, "validation", Purpose.VALIDATION)
        scores = scores_of(told)
        final = compare(winner, population.designs, rivals, controls, scores)
        generation = population.generation
        self._filing.decide(generation, labels(steps, scores, generation))
        self._conclude(population, final, generation)
        return final

    def _look_for_carried(self, population: Population, finalists: Sequence[DesignId]) -> None:
        """Flag finalists whose source holds what the search streams alone say."""
        final = self._config.final
        known = self._evaluations.texts("search", self._config.search.rungs[-1] + final.confirm_streams)
        common = self._evaluations.texts("validation", final.validation_streams)
        shown = {parent for design in finalists for parent in population.members[design].slot.draft.parents}
        for design in (catalogue.load("no_memory").id, *sorted(shown)):
            for recorded in self._ledger.evaluations(design, split="search"):
                for episode in episodes(self._ledger, recorded.evaluation.key):
                    known.add(episode.goal)
                    for step in episode.steps:
                        known.add("\n".join((step.situation, step.action, step.observation)))
        vocabulary = Vocabulary(known, common)
        flags = {design: flag(vocabulary.phrases(population.designs[design].source)) for design in finalists}
        decisions = [Decision(population.generation, "flag", told, design) for design, told in flags.items() if told]
        self._filing.decide(population.generation, decisions)

    def _conclude(self, population: Population, final: Final, generation: int) -> None:
        belief = population.believed(final.winner)
        reason = f"the highest posterior mean of the confirmed designs: {belief.mean:.3f} ± {belief.sd:.3f}"
        self._filing.decide(generation, [Decision(generation, "winner", reason, final.winner)])
        self._ledger.set_meta("final", final.to_json())

    def _rivals(self, population: Population, winner: DesignId) -> list[DesignId]:
        """What the archive began with and the winner must beat: the best seeds it descends from, and the best seed."""
        seeds = [d for d in population.ranked() if population.members[d].generation == 0 and d != winner]
        roots = population.roots(winner)
        return list(dict.fromkeys([*[d for d in seeds if d in roots][:2], *seeds[:1]]))

    def _reserve(self) -> int:
        """Evaluations that the end of the run takes at most."""
        final = self._config.final
        measured = 4 + len(self._config.controls) + final.line
        return (
            final.candidates * (final.confirm_streams + final.impossible_streams) + final.validation_streams * measured
        )

    def _count(self, generation: Generation) -> None:
        self._progress.tried += len(generation.slots)
        self._progress.invalid += sum(bool(slot.problem) for slot in generation.slots)
        self._progress.duplicates += sum(slot.duplicate_of is not None for slot in generation.slots)

    def _lead(self, population: Population) -> None:
        best = population.best()
        if best is not None:
            belief, member = population.believed(best), population.members[best]
            self._progress.best = (member.design.name, belief.mean, 1.96 * belief.sd, len(member.scores))
        if self._models is not None:
            self._progress.dollars = self._models.spent.dollars
        self._watcher.moved(self._progress)
