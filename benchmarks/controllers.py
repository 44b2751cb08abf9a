"""How should a noisy search choose parents and spend its episodes? Strategies and policies side by side, truth known.

    python benchmarks/controllers.py                     # 21 landscapes, 200 seeds each, 3,000 episodes a run
    python benchmarks/controllers.py --episodes 15000 --seeds 20
    python benchmarks/controllers.py --null 2000         # false claims and coverage, where there is nothing to find
    python benchmarks/controllers.py --seeds 20 --only "ours, greedy" greedy

The landscapes are specified in `landscapes.py`, the peers' rules in `rivals.py`. An episode is one task, a stream ten.

A peer's procedure has every design see the same 3 streams, believes their mean, takes the design of the highest, and
reports that mean: what the published systems do. Ours has designs climb rungs of streams by successive halving at
generation barriers (`policy.next_rung`), believes the posterior of `archive.beliefs`, gives the best few further
streams, and reports the chosen one's mean on fresh streams, where its gain over the best of the first designs is
claimed or not. All that is paid for out of the same episodes; `Search` does the same with real designs.

Told, over seeds and landscapes: the true worth of the chosen design, and of its gain over the best first design the
share of what an oracle gains, twice: `made` is the best design that the procedure itself made, so that it measures the
choice alone; `seen` is told by a procedure that sees the truth of each design for the price of one stream and always
changes the best. `without noise` is our procedure itself, were each score the truth: what it lacks of the oracle is the
price of looking twice, what we lack of it is that of noise. Optimism is the reported score less the truth; coverage:
how often the reported interval holds it.
Differences are paired by landscape and seed; intervals are over seeds, landscapes averaged.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import Pool

import numpy as np
from landscapes import GENERATORS, STARTS, TASKS, World
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rivals import OURS, WEIGHTED, Cells, Gepa, Pareto, Weighted

from archive.beliefs import Beliefs
from archive.selection import Candidates, Selection
from archive.statistics import mean_interval, paired_difference
from design_space import DesignId
from meta_agent.policy import next_rung

GENERATION = 8
SEEN = 3
"""Streams that a peer's designs see."""
RUNGS, KEEP = (1, 2, 4), 0.5
CANDIDATES, CONFIRM, VALIDATE = 3, 6, 12
FRESH = 10_000
"""Number of the first stream that chooses nothing."""


@dataclass(frozen=True, slots=True)
class Procedure:
    """A strategy and a policy.

    Attributes:
        selection: its name, in `rivals`.
        ours: see above; otherwise a peer's.
        rungs, keep: of ours; noisy: whether it sees scores, not the truth.
        traits: whether ours believes that designs with a bit in common speak for each other.
    """

    name: str
    selection: str
    ours: bool
    rungs: tuple[int, ...] = RUNGS
    keep: float = KEEP
    noisy: bool = True
    traits: bool = True


PROCEDURES = (
    *(
        Procedure(f"peer's, {name}", name, False)
        for name in ("random", "alma", "openevolve", "dgm", "shinka", "gepa", "pareto", "greedy")
    ),
    *(
        Procedure(f"ours, {name}", name, True)
        for name in (
            "random",
            "alma",
            "openevolve",
            "dgm",
            "shinka",
            "gepa",
            "pareto",
            "cells",
            "greedy",
            "plain thompson",
            "narrow thompson",
        )
    ),
    Procedure("ours, thompson", "thompson", True),
    Procedure("ours, thompson, blind to traits", "thompson", True, traits=False),
    Procedure("ours, thompson, all see 3", "thompson", True, (SEEN,)),
    Procedure("ours, thompson, without noise", "thompson", True, noisy=False),
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How one run of a procedure ended.

    Attributes:
        worth: true, of the chosen design; first: of the best one that it began with; made: of the best it made.
        reported: score; covers: whether its interval holds the truth.
        claims: whether an improvement over what it began with is claimed.
        designs: made, the first ones included.
        tokens: that the chosen design takes, of what the first ones take.
    """

    worth: float
    first: float
    made: float
    reported: float
    covers: bool
    claims: bool
    designs: int
    tokens: float


class Run:
    """One procedure in one world, with so many streams to see."""

    def __init__(self, procedure: Procedure, generator: str, seed: int, streams: int) -> None:
        self._procedure = procedure
        self._streams = streams
        self._world = World(generator, seed, procedure.noisy)
        self._rng = np.random.default_rng([seed, 9])
        self._beliefs = Beliefs()
        self._children: list[int] = []
        self._roots: list[int] = []
        self._alive: list[int] = []
        self._rungs = procedure.rungs if procedure.ours else (SEEN,)
        self._reserve = CANDIDATES * CONFIRM + 2 * VALIDATE if procedure.ours else 0
        for first in range(STARTS):
            self._enter(first, None)
            self._see(first, range(self._rungs[-1]))
        self._beliefs.learn(10)

    def end(self) -> Ended:
        """Search until the streams are used up; choose, and report."""
        selection = self._selection()
        while self._left() >= GENERATION * self._rungs[0]:
            self._climb([self._child(parent) for parent in self._parents(selection)])
            self._beliefs.learn()
        return self._confirmed() if self._procedure.ours else self._highest()

    def _selection(self) -> Selection:
        name = self._procedure.selection
        if name == "gepa":
            return Gepa(self._table)
        if name == "pareto":
            return Pareto(self._table, lambda: np.array([self._world.things[i].costs for i in self._alive]))
        if name == "cells":
            return Cells(lambda: np.array([self._roots[i] for i in self._alive]))
        return OURS[name]() if name in OURS else Weighted(WEIGHTED[name])

    def _table(self) -> NDArray[np.float64]:
        table = np.full((len(self._alive), self._rungs[-1]), np.nan)
        for place, thing in enumerate(self._alive):
            for stream, score in self._world.things[thing].scores.items():
                table[place, stream] = score
        return table

    def _left(self) -> int:
        return self._streams - self._reserve - self._world.spent

    def _parents(self, selection: Selection) -> list[int]:
        mean, sd = self._believed(self._alive)
        children = np.array([self._children[i] for i in self._alive])
        ids = tuple(DesignId(f"{i:05d}") for i in self._alive)
        chosen = selection.choose(Candidates(ids, mean, sd, children, children, 0.3), GENERATION, self._rng)
        # A strategy that never takes one twice has too few to choose from at first.
        return [self._alive[chosen[place % len(chosen)].index] for place in range(GENERATION)]

    def _believed(self, things: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self._procedure.ours:
            mean, sd = self._beliefs.all()
            return mean[list(things)], sd[list(things)]
        means = [float(np.mean(list(self._world.things[i].scores.values()))) for i in things]
        return np.array(means), np.full(len(means), 0.05)

    def _child(self, parent: int) -> int:
        self._children[parent] += 1
        child = self._world.child(parent)
        self._enter(child, parent)
        return child

    def _enter(self, thing: int, parent: int | None) -> None:
        self._beliefs.add(parent, self._world.things[thing].traits if self._procedure.traits else ())
        self._children.append(0)
        self._roots.append(thing if parent is None else self._roots[parent])

    def _climb(self, generation: Sequence[int]) -> None:
        """Take a generation up the rungs, as far as the streams go."""
        streams: dict[int, Sequence[int]] = dict.fromkeys(generation, range(self._rungs[0]))
        for rung in range(len(self._rungs)):
            if rung > 0:
                mean, _ = self._believed(list(streams))
                told = zip(streams, mean, strict=True)
                means = {DesignId(str(i)): float(m) if i in self._alive else None for i, m in told}
                wanted = next_rung(means, rung, self._rungs, self._procedure.keep)
                streams = {int(request.design): request.streams for request in wanted}
            for thing, seen in streams.items():
                if self._left() < len(seen):
                    return
                self._see(thing, seen)

    def _see(self, thing: int, streams: Sequence[int]) -> None:
        before = set(self._world.things[thing].scores)
        if self._world.see(thing, streams):
            scores = self._world.things[thing].scores
            self._beliefs.tell(thing, {s: scores[s] for s in scores.keys() - before})
            if thing not in self._alive:
                self._alive.append(thing)

    def _highest(self) -> Ended:
        """A peer's end: the highest mean is taken and reported."""
        mean, _ = self._believed(self._alive)
        chosen, first = self._alive[int(np.argmax(mean))], self._believed(range(STARTS))[0].max()
        scores = list(self._world.things[chosen].scores.values())
        return self._ended(chosen, scores, float(mean.max()) > float(first))

    def _confirmed(self) -> Ended:
        """Our end: the best few see more, one of them is measured on fresh streams beside the best first design."""
        mean, _ = self._believed(self._alive)
        best = [self._alive[i] for i in np.argsort(-mean, kind="stable")[:CANDIDATES]]
        for thing in best:
            self._see(thing, range(self._rungs[-1], self._rungs[-1] + CONFIRM))
        chosen = best[int(np.argmax(self._believed(best)[0]))]
        first = int(np.argmax(self._believed(range(STARTS))[0]))
        fresh = range(FRESH, FRESH + VALIDATE)
        found = []
        for thing in (chosen, first):
            self._world.see(thing, fresh)
            found.append({s: self._world.things[thing].scores[s] for s in fresh})
        claims = chosen != first and paired_difference(found[0], found[1]).low > 0
        return self._ended(chosen, list(found[0].values()), claims)

    def _ended(self, chosen: int, scores: Sequence[float], claims: bool) -> Ended:
        things = self._world.things
        reported, worth = mean_interval(scores), things[chosen].worth
        return Ended(
            worth=worth,
            first=max(thing.worth for thing in things[:STARTS]),
            made=max(thing.worth for thing in things),
            reported=reported.mean,
            covers=reported.low <= worth <= reported.high,
            claims=claims,
            designs=len(things),
            tokens=things[chosen].costs[0],
        )


def oracle(generator: str, seed: int, streams: int) -> float:
    """What is reached by seeing each design's truth for one stream, and always changing the best."""
    world = World(generator, seed)
    for _ in range(streams - STARTS):
        world.child(max(range(len(world.things)), key=lambda i: (world.things[i].worth, -i)))
    return max(thing.worth for thing in world.things)


def _work(task: tuple[str, int, int, tuple[Procedure, ...]]) -> tuple[float, list[Ended]]:
    generator, seed, streams, procedures = task
    found = [Run(procedure, generator, seed, streams).end() for procedure in procedures]
    return oracle(generator, seed, streams), found


def told(
    procedures: Sequence[Procedure], found: Sequence[Sequence[tuple[float, list[Ended]]]], rival: int, episodes: int
) -> Table:
    """One row for each procedure.

    Args:
        found: by seed and landscape: what the oracle reached, and how each procedure ended.
        rival: procedure that differences are from.
    """

    def by_seed(value: Callable[[float, list[Ended]], float]) -> list[float]:
        return [float(np.mean([value(seen, ended) for seen, ended in row])) for row in found]

    table = Table(title=f"{episodes:,} episodes; n = {len(found)} seeds, each the mean of {len(found[0])} landscapes")
    for name in ("procedure", "worth", "less than the last", "share of made", "share of seen", "optimism", "coverage"):
        table.add_column(name, justify="left" if name == "procedure" else "right")
    table.add_column("claims", justify="right")
    table.add_column("designs", justify="right")
    table.add_column("tokens", justify="right")
    gained = np.mean(by_seed(lambda seen, ended: seen - ended[0].first))
    for place, procedure in enumerate(procedures):
        gain = np.mean(by_seed(lambda _, e, p=place: e[p].worth - e[p].first))  # type: ignore[misc]
        made = np.mean(by_seed(lambda _, e, p=place: e[p].made - e[p].first))  # type: ignore[misc]
        worth = mean_interval(by_seed(lambda _, e, p=place: e[p].worth))  # type: ignore[misc]
        less = mean_interval(by_seed(lambda _, e, p=place: e[rival].worth - e[p].worth), floor=0.0)  # type: ignore[misc]
        optimism = mean_interval(by_seed(lambda _, e, p=place: e[p].reported - e[p].worth), floor=0.0)  # type: ignore[misc]
        table.add_row(
            procedure.name,
            f"{worth.mean:.3f} ± {worth.half_width:.3f}",
            "" if place == rival else f"{less.mean:+.3f} ± {less.half_width:.3f}",
            f"{gain / made:.0%}" if made else "",
            f"{gain / gained:.0%}" if gained else "",
            f"{optimism.mean:+.3f} ± {optimism.half_width:.3f}",
            _share(by_seed(lambda _, e, p=place: e[p].covers)),  # type: ignore[misc]
            _share(by_seed(lambda _, e, p=place: e[p].claims)),  # type: ignore[misc]
            f"{np.mean(by_seed(lambda _, e, p=place: e[p].designs)):.0f}",  # type: ignore[misc]
            f"{np.mean(by_seed(lambda _, e, p=place: e[p].tokens)):.2f}",  # type: ignore[misc]
        )
    return table


def _share(values: Sequence[float]) -> str:
    return f"{np.mean(values):.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--episodes", type=int, default=3_000, help="of a run; ten are a stream")
    parser.add_argument("--null", type=int, default=0, metavar="SEEDS", help="the world without differences instead")
    parser.add_argument("--only", nargs="*", default=[], help="procedures, by name; the last one is the yardstick")
    options = parser.parse_args()
    known = {procedure.name: procedure for procedure in PROCEDURES}
    if unknown := [name for name in options.only if name not in known]:
        parser.error(f"unknown procedure {unknown[0]!r}, wanted some of: {', '.join(known)}")
    procedures = tuple(known[name] for name in options.only) or PROCEDURES
    generators = ["null"] if options.null else list(GENERATORS)
    seeds = options.null or options.seeds
    tasks = [
        (generator, seed, options.episodes // TASKS, procedures) for seed in range(seeds) for generator in generators
    ]
    with Pool() as pool, Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("worlds", total=len(tasks))
        found = []
        for ended in pool.imap(_work, tasks, chunksize=len(generators)):
            found.append(ended)
            progress.advance(bar)
    rows = [found[i : i + len(generators)] for i in range(0, len(found), len(generators))]
    rival = next((i for i, p in enumerate(procedures) if p.name == "ours, thompson"), len(procedures) - 1)
    Console(width=150).print(told(procedures, rows, rival, options.episodes))


if __name__ == "__main__":
    main()
