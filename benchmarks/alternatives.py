"""Does evolution beat the honest alternatives at equal cost? Independent runs of each, sealed.

    python benchmarks/alternatives.py configs/quickstart.yaml [--ways WAY ...] [--set KEY=VALUE ...]

The tables of the README, each with `--set search.prompts.policy=fixed --set sandbox.backend=embedded`:

* household: configs/quickstart.yaml --sealed 100 --set budget.evaluations=260
* facts: configs/quickstart.yaml --sealed 40 --set name=facts --set stream.source=facts --set stream.settings={}
  --set evaluation.protocol=inject --set search.seeds=[exprag,rag,memory_r1,arcmemo] --set budget.evaluations=200
  --set final.validation_streams=2 --set final.line=0; and with 600 evaluations
* permuted cooking: configs/textworld.yaml --sealed 20 --set name=permuted --set stream.settings.permuted=true
  --set budget.evaluations=200 --set final.validation_streams=2 --set final.line=0; with the config's own 600; and
  these for five further seeds and twice as many sealed streams, --first-seed 5 --sealed 40

For each seed, each way gets the config's whole budget of evaluations, search and confirmation included:

* evolution: the config as it is;
* random compositions: parts and parameters drawn at random, parents or not;
* enumeration: every composition of parts with their default values once, in a shuffled order;
* tuned catalogue: no part is changed; Optuna's TPE tunes the parameters of whichever design of the catalogue, tuned or
  not, is best so far;
* ALMA's procedure: its choice of parents, every design sees the same streams, the sample mean of all is not shrunk by
  rungs; proposals as evolution's;
* knock-outs of evolution: without crossover, without tuning, without the model of which parts do well.

The winners, the best design of the catalogue as it is (by the search streams) and no memory are then scored on the same
sealed streams, in one opening for each seed. Told is the score, and how much more evolution's winner earned: the mean
over seeds with its 95 % interval (n = seeds), and in how many of them the interval over streams lies above 0; of one
seed, the interval over streams. A run that is there already is not made again.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from archive.ledger import Ledger
from archive.plain import told_score
from archive.repository import Repository
from archive.selection import Selection, make
from archive.statistics import Verdict, mean_interval, paired_difference
from design_space import Design, catalogue
from design_space.compose import ENCODERS, RETRIEVE, SLOTS, Gene, Genome
from meta_agent.compose import ComposeProposer, random_genome
from meta_agent.config import Config, load
from meta_agent.console import ConsoleWatcher
from meta_agent.driver import Driver, make_search
from meta_agent.ending import ending
from meta_agent.evaluations import Evaluations, worker_spec
from meta_agent.pool import Pool, RayPool, never
from meta_agent.progress import Progress
from meta_agent.proposer import BatchProposer, Draft, Parent, Proposer
from meta_agent.run import RunFolder, create
from meta_agent.sealed import best_seed, open_sealed
from meta_agent.search import Search
from meta_agent.tune import TuneProposer
from meta_agent.verdict import Scores

EVOLUTION, CATALOGUE, NOTHING = "evolution", "best of the catalogue", "no memory"


class _Blind:
    """Proposes without looking at what was found."""

    def selection(self, prompt: str) -> Selection | None:
        return None

    def observe(self, design: Design, score: float | None) -> None:
        return None


class RandomProposer(_Blind):
    """Compositions drawn at random, parents or not."""

    name = "random"

    def propose(self, parents: tuple[Parent, ...], rng: np.random.Generator, prompt: str = "") -> Draft:
        return Draft(random_genome(rng).design(), (), self.name, "random", "")


@dataclass
class EnumeratingProposer(_Blind):
    """Every composition of parts with their default values once, in one shuffled order."""

    seed: int
    name: str = "enumeration"
    _left: list[Genome] = field(default_factory=list)

    def __post_init__(self) -> None:
        groups = [c for n in range(1, len(ENCODERS) + 1) for c in itertools.combinations(ENCODERS, n)]
        everything = list(itertools.product(groups, *SLOTS.values(), RETRIEVE))
        order = np.random.default_rng([self.seed, 3]).permutation(len(everything))
        for place in order[:20_000]:
            encoders, key, retriever, value, credit, manager, retrieve = everything[place]
            genes = dict(zip(SLOTS, map(Gene.of, (key, retriever, value, credit, manager)), strict=True))
            self._left.append(Genome(tuple(map(Gene.of, encoders)), retrieve=retrieve, recall_count=20, **genes))

    def propose(self, parents: tuple[Parent, ...], rng: np.random.Generator, prompt: str = "") -> Draft:
        return Draft(self._left.pop().design(), (), self.name, "next", "")


class LonelyProposer(ComposeProposer):
    """Evolution's, shown one parent only."""

    def propose(self, parents: tuple[Parent, ...], rng: np.random.Generator, prompt: str = "") -> Draft:
        return super().propose(parents[:1], rng, prompt)


@dataclass(frozen=True)
class Way:
    """What is proposed from which parents, and how a config is changed for it."""

    proposer: Callable[[Config], Proposer] | None = None
    selection: str = "thompson"
    change: Callable[[Config], Config] = lambda config: config

    def search(self, config: Config, llm: BatchProposer | None = None) -> Search:
        """As `driver.make_search`."""
        if self.proposer is None:
            return make_search(config, llm)
        controls = [catalogue.load(name) for name in sorted(config.controls, key=lambda name: name != "no_memory")]
        seeds = [catalogue.load(name) for name in config.search.seeds]
        size = config.search.generation_size
        return Search(config.seed, seeds, controls, size, make(self.selection), [(self.proposer(config), 1.0)])


def without_tuning(config: Config) -> Config:
    proposers = config.search.proposers.model_copy(update={"tune": 0.0})
    return config.model_copy(update={"search": config.search.model_copy(update={"proposers": proposers})})


def alma(config: Config) -> Config:
    update = {"selection": "alma", "rungs": config.search.rungs[-1:]}
    return config.model_copy(update={"search": config.search.model_copy(update=update)})


WAYS = {
    EVOLUTION: Way(),
    "random compositions": Way(lambda config: RandomProposer(), "random"),
    "enumeration": Way(lambda config: EnumeratingProposer(config.seed), "random"),
    "tuned catalogue": Way(lambda config: TuneProposer(config.seed), "greedy"),
    "ALMA's procedure": Way(change=alma),
    "without crossover": Way(lambda config: LonelyProposer()),
    "without tuning": Way(change=without_tuning),
    "without a model of parts": Way(lambda config: ComposeProposer(ideas=1)),
}


def winners(ways: Sequence[str], config: Config, runs: Path, pool: Pool, console: Console) -> dict[str, Design]:
    """The winner of each way, the best design of the catalogue, and no memory."""
    designs: dict[str, Design] = {}
    for name in ways:
        way = WAYS[name]
        named = way.change(config).model_copy(update={"name": f"{config.name}-{config.seed}-{_plain(name)}"})
        folder = RunFolder(runs / named.name)
        with folder.held():
            create(folder, named)
            with Ledger(folder.ledger) as ledger, ConsoleWatcher(console) as watcher:
                repository = Repository(folder.repository)
                final = Driver(named, ledger, repository, pool, watcher, never, make_search=way.search).run()
                designs[name] = repository.load(final.winner)
                counts = ledger.counts()
                told = f"{counts.designs} designs, {counts.evaluations} evaluations"
                console.print(f"seed {config.seed}, {name}: {designs[name].name}, {told}", highlight=False)
                if name == EVOLUTION and (seed := best_seed(ledger)) is not None:
                    designs[CATALOGUE] = repository.load(seed)
    return designs | {NOTHING: catalogue.load("no_memory")}


def sealed(
    ways: Sequence[str], config: Config, streams: int, runs: Path, pool: Pool, console: Console
) -> dict[str, Mapping[str, float]]:
    """Scores by way and sealed stream."""
    designs = winners(ways, config, runs, pool, console)
    folder = RunFolder(runs / f"{config.name}-{config.seed}-{EVOLUTION}")
    with folder.held(), Ledger(folder.ledger) as ledger, ConsoleWatcher(console) as watcher:
        progress = Progress("the sealed streams", allowed=len(designs) * streams)
        evaluations = Evaluations(worker_spec(config), ledger, pool, watcher, never, progress)
        evaluations.begin()
        once = tuple({design.id: design for design in designs.values()}.values())
        scores: Scores = open_sealed(once, streams, ledger, evaluations)
    return {name: scores[design.id] for name, design in designs.items()}


def report(found: list[dict[str, Mapping[str, float]]], config: Config, streams: int) -> Table:
    """Intervals are over runs; those of a single run, over its sealed streams."""
    title = f"{config.name}: {config.budget.evaluations} evaluations a run, n = {len(found)} runs of each way,"
    table = Table(title=f"{title} one opening of {streams} sealed streams for each seed", title_justify="left")
    for heading in ("", "score", "evolution's gain over it", "runs in which that is shown", "in which the opposite is"):
        table.add_column(heading)
    for name in found[0]:
        earned = [mean_interval(list(scores[name].values())) for scores in found]
        gains = [paired_difference(scores[EVOLUTION], scores[name]) for scores in found]
        score = told_score(earned[0] if len(found) == 1 else mean_interval([own.mean for own in earned]))
        if name == EVOLUTION:
            table.add_row(name, score)
            continue
        gain = gains[0] if len(found) == 1 else mean_interval([own.mean for own in gains])
        verdicts = [own.verdict for own in gains]
        shown = (f"{verdicts.count(verdict)} of {len(found)}" for verdict in (Verdict.BETTER, Verdict.WORSE))
        table.add_row(name, score, str(gain), *shown)
    return table


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--sealed", type=int, default=40)
    parser.add_argument("--ways", nargs="+", choices=tuple(WAYS), default=tuple(WAYS), metavar="WAY")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    options = parser.parse_args()
    config = load(options.config, (*options.overrides, "budget.wall_seconds=null"))
    console = Console(stderr=True)
    ways = (EVOLUTION, *(way for way in options.ways if way != EVOLUTION))
    found = []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        seeded = config.model_copy(update={"seed": seed})
        with RayPool(worker_spec(seeded), config.workers.count) as pool:
            found.append(sealed(ways, seeded, options.sealed, options.runs, pool, console))
    Console(width=160).print(report(found, config, options.sealed))


if __name__ == "__main__":
    with ending():
        main()
