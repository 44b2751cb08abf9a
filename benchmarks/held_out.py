"""How well is a score foretold that was not seen? What lineage and traits add to what is believed of designs.

    python benchmarks/held_out.py runs/quickstart [RUN ...]

The search scores of each finished run are dealt out to `FOLDS` parts; each part is foretold from the others by
`archive.beliefs`, in three ways: each design by its own scores, the level of all and the streams; by its lineage as
well; by its traits as well. Told is the root of the mean squared error over all scores of a run, in reward units, most
of which is the noise of a single stream; and how much smaller the error becomes, paired by run, with a 95 % interval
over runs (n = runs).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from archive.beliefs import Beliefs
from archive.ledger import Ledger
from archive.repository import Repository
from archive.statistics import mean_interval
from design_space import DesignId, Outcome
from design_space.compose import traits
from meta_agent.ending import ending
from meta_agent.errors import BadInput
from meta_agent.run import RunFolder

FOLDS = 12
ROUNDS = 10
"""In which the scales of belief are learned."""
WAYS = ("own scores", "lineage", "lineage and traits")


@dataclass(frozen=True, slots=True)
class Known:
    """A design of a run that was scored, in the order of asking.

    Attributes:
        scores: by search stream.
    """

    id: DesignId
    parents: tuple[DesignId, ...]
    traits: tuple[str, ...]
    scores: dict[int, float]


def scored(folder: RunFolder) -> list[Known]:
    """The designs of a run that were scored on search streams, and nowhere failed."""
    with Ledger(folder.ledger, read_only=True) as ledger:
        rows = sorted(ledger.designs(), key=lambda row: row.sequence)
        found = [recorded.evaluation for recorded in ledger.evaluations(split="search")]
    failed = {evaluation.key.design for evaluation in found if evaluation.outcome is not Outcome.SCORED}
    places: dict[str, int] = {}
    scores: dict[DesignId, dict[int, float]] = {}
    for evaluation in found:
        place = places.setdefault(evaluation.key.stream, len(places))
        scores.setdefault(evaluation.key.design, {})[place] = float(np.mean(evaluation.rewards))
    repository = Repository(folder.repository, read_only=True)
    sources = {card.id: design.source for card, design in repository.entries()}
    designs = [
        Known(row.id, row.parents, traits(sources[row.id]), scores[row.id])
        for row in rows
        if row.id in scores and row.id not in failed
    ]
    if sum(len(design.scores) for design in designs) < FOLDS:
        raise BadInput(f"{folder.path} has fewer than {FOLDS} scores on search streams", "name a run that has searched")
    return designs


def errors(designs: list[Known], way: str) -> Iterator[float]:
    """By how much each score was foretold wrongly."""
    told = [(design.id, stream) for design in designs for stream in design.scores]
    fold = dict(zip(told, np.random.default_rng(0).permutation(len(told)) % FOLDS, strict=True))
    for part in range(FOLDS):
        beliefs, numbers = Beliefs(), dict[DesignId, int]()
        for design in designs:
            known = [] if way == WAYS[0] else [numbers[parent] for parent in design.parents if parent in numbers]
            numbers[design.id] = beliefs.add(known[0] if known else None, design.traits if way == WAYS[2] else ())
            shown = {stream: score for stream, score in design.scores.items() if fold[design.id, stream] != part}
            beliefs.tell(numbers[design.id], shown)
        beliefs.learn(ROUNDS)
        for design in designs:
            believed = beliefs.of(numbers[design.id]).mean
            for stream, score in design.scores.items():
                if fold[design.id, stream] == part:
                    yield score - believed - beliefs.ease(stream)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    options = parser.parse_args()
    table = Table(title=f"root mean squared error, n = {len(options.runs)} runs", title_justify="left")
    for heading in ("run", "designs", "scores", *WAYS):
        table.add_column(heading)
    found: list[list[float]] = []
    for run in options.runs:
        designs = scored(RunFolder(run))
        found.append([float(np.sqrt(np.mean(np.square(list(errors(designs, way)))))) for way in WAYS])
        counts = len(designs), sum(len(design.scores) for design in designs)
        table.add_row(run.name, *map(str, counts), *(f"{error:.4f}" for error in found[-1]))
    console = Console(width=120)
    console.print(table)
    for way, before, after in ((WAYS[1], 0, 1), (WAYS[2], 1, 2)):
        smaller = mean_interval([1.0 - row[after] / row[before] for row in found])
        console.print(f"by {way} the error is smaller by the share {smaller}")


if __name__ == "__main__":
    with ending():
        main()
