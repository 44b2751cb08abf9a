"""Does evolution beat the honest alternatives at equal cost? Evolution, random compositions and enumeration, sealed.

    python benchmarks/alternatives.py configs/quickstart.yaml [--sealed 40] [--set KEY=VALUE ...]

Each way gets the config's whole budget of evaluations, search and confirmation included. Their winners, the best
catalogue design (by the search streams) and no memory are then scored on the same sealed streams, in one opening.
Prints a table: score, and the paired difference of evolution's winner from each, with 95 % intervals over streams.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from archive.ledger import Ledger
from archive.plain import told_score
from archive.repository import Repository
from archive.selection import make
from archive.statistics import mean_interval, paired_difference
from design_space import Design, catalogue
from design_space.compose import ENCODERS, RETRIEVE, SLOTS, Gene, Genome
from meta_agent.compose import random_genome
from meta_agent.config import Config, load
from meta_agent.console import ConsoleWatcher
from meta_agent.driver import Driver, make_search
from meta_agent.evaluations import Evaluations, worker_spec
from meta_agent.pool import RayPool, never
from meta_agent.progress import Progress
from meta_agent.proposer import BatchProposer, Draft, Parent
from meta_agent.run import RunFolder, create
from meta_agent.sealed import best_seed, open_sealed
from meta_agent.search import Search


class RandomProposer:
    """Compositions drawn at random, parents or not."""

    name = "random"

    def propose(self, parents: tuple[Parent, ...], rng: np.random.Generator) -> Draft:
        return Draft(random_genome(rng).design(), (), self.name, "random", "")

    def observe(self, design: Design, score: float | None) -> None:
        return None


@dataclass
class EnumeratingProposer:
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

    def propose(self, parents: tuple[Parent, ...], rng: np.random.Generator) -> Draft:
        return Draft(self._left.pop().design(), (), self.name, "next", "")

    def observe(self, design: Design, score: float | None) -> None:
        return None


MakeSearch = Callable[[Config, BatchProposer | None], Search]


def without_evolution(proposer: Callable[[Config], RandomProposer | EnumeratingProposer]) -> MakeSearch:
    """A search that spends as evolution does, but proposes without looking at what was found."""

    def build(config: Config, llm: BatchProposer | None = None) -> Search:
        controls = [catalogue.load(name) for name in sorted(config.controls, key=lambda name: name != "no_memory")]
        seeds = [catalogue.load(name) for name in config.search.seeds]
        size = config.search.generation_size
        return Search(config.seed, seeds, controls, size, make("random"), [(proposer(config), 1.0)])

    return build


WAYS: dict[str, MakeSearch] = {
    "evolution": make_search,
    "random compositions": without_evolution(lambda config: RandomProposer()),
    "enumeration": without_evolution(lambda config: EnumeratingProposer(config.seed)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("config", type=Path)
    parser.add_argument("--sealed", type=int, default=40)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    options = parser.parse_args()
    config = load(options.config, tuple(options.overrides))
    console = Console(stderr=True)
    designs: dict[str, Design] = {}
    with RayPool(worker_spec(config), config.workers.count) as pool:
        for way, build in WAYS.items():
            named = config.model_copy(update={"name": f"{config.name}-{way.replace(' ', '-')}"})
            folder = RunFolder(options.runs / named.name)
            began = time.monotonic()
            with folder.held():
                create(folder, named)
                with Ledger(folder.ledger) as ledger, ConsoleWatcher(console) as watcher:
                    repository = Repository(folder.repository)
                    winner = Driver(named, ledger, repository, pool, watcher, never, make_search=build).run().winner
                    designs[way] = repository.load(winner)
                    console.print(
                        f"{way}: {designs[way].name} in {time.monotonic() - began:.0f} s,"
                        f" {ledger.counts().designs} designs, {ledger.counts().evaluations} evaluations",
                        highlight=False,
                    )
                    if way == "evolution" and (seed := best_seed(ledger)) is not None:
                        designs["best of the catalogue"] = repository.load(seed)
        designs["no memory"] = catalogue.load("no_memory")
        folder = RunFolder(options.runs / f"{config.name}-evolution")
        with folder.held(), Ledger(folder.ledger) as ledger, ConsoleWatcher(console) as watcher:
            progress = Progress("the sealed streams", allowed=len(designs) * options.sealed)
            evaluations = Evaluations(worker_spec(config), ledger, pool, watcher, never, progress)
            evaluations.begin()
            once = tuple({design.id: design for design in designs.values()}.values())
            scores = open_sealed(once, options.sealed, ledger, evaluations)
    report(designs, {name: scores[design.id] for name, design in designs.items()})


def report(designs: dict[str, Design], scores: dict[str, Mapping[str, float]]) -> None:
    table = Table(title="one opening of the sealed streams", title_justify="left")
    for heading in ("", "score", "evolution's gain over it", "design"):
        table.add_column(heading)
    for name, own in scores.items():
        gain = "" if name == "evolution" else str(paired_difference(scores["evolution"], own))
        table.add_row(name, told_score(mean_interval(list(own.values()))), gain, designs[name].name)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
