"""Does it pay to evolve prompts, and by a tree? Four policies at equal cost, in a synthetic world and on household.

    python benchmarks/prompts.py                     # the world: 40, 200 and 1,000 designs, 50 seeds
    python benchmarks/prompts.py --household 10      # real searches on household, 10 seeds
    python benchmarks/prompts.py --household 10 --first-seed 10 --policies fixed flat

The world. A design has a region (of 4), a depth (how often it was changed) and a true quality. What a prompt brings is
known only to the world: for each region and each three steps of depth, one option of each of a prompt's four fields is
right, drawn for each seed. From one three steps to the next either one of the fields is drawn anew (`drifting`) or all
of them are (`abrupt`, where what was learned is soon worth nothing). A change succeeds with probability .05 + .45 m,
where m is the share of the fields that are right; a field that is left open counts as right in proportion to its
options. A success adds Exponential(.05) / (1 + depth / 6), a failure takes |Normal(0, .03)|; one change in ten moves to
another region, one in eight gives no working design. Qualities begin at Normal(.3, .05), and are seen through
Normal(0, .04) on each of two streams: a paired difference on one has .057, on household it has .03 to .08. Each
generation asks for 8 designs in blocks of two that are given the same parent, chosen by Thompson sampling over the
posteriors. Quality is 1 at most. A gain is the difference from the parent, less the luck that the parent's
posterior ascribes to it.

Cost is counted in streams, the same for every policy. Told is the true quality of the design of the highest posterior
mean, over seeds, and each policy's paired difference from `fixed` and from `flat`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from archive.ledger import Ledger
from archive.repository import Repository
from archive.statistics import Interval, mean_interval
from meta_agent.coach import beaten, revise
from meta_agent.config import load
from meta_agent.driver import Driver
from meta_agent.ending import ending
from meta_agent.evaluations import worker_spec
from meta_agent.pool import RayPool
from meta_agent.progress import Nobody
from meta_agent.prompt_tree import POLICIES, Policy, PromptId, Prompts, Trial
from meta_agent.run import RunFolder, create
from meta_agent.steer import OPTIONS, Steer, likeness

PROJECT = Path(__file__).parents[1]
REGIONS, PHASE = 4, 3
NOISE, START, START_SD, BROKEN, MOVING = 0.04, 0.3, 0.05, 0.125, 0.1
GENERATION, BLOCK, SEEDS, STREAMS = 8, 2, 4, 2
STEP_SD = 0.08


@dataclass(slots=True)
class Thing:
    """A design of the world."""

    region: int
    depth: int
    quality: float
    prior: float
    seen: list[float] = field(default_factory=list)

    def see(self, rng: np.random.Generator) -> None:
        self.seen = [self.quality + float(rng.normal(0.0, NOISE)) for _ in range(STREAMS)]

    def belief(self) -> tuple[float, float]:
        precision = STEP_SD**-2 + len(self.seen) * NOISE**-2
        mean = (self.prior * STEP_SD**-2 + sum(self.seen) * NOISE**-2) / precision
        return mean, precision**-0.5


class World:
    """What a change brings; see above."""

    def __init__(self, seed: int, abrupt: bool, horizon: int = 60) -> None:
        rng = np.random.default_rng([seed, 0])
        self._right = [self._drawn(rng, abrupt, horizon) for _ in range(REGIONS)]
        self.first = [Thing(r % REGIONS, 0, float(rng.normal(START, START_SD)), START) for r in range(SEEDS)]

    @staticmethod
    def _drawn(rng: np.random.Generator, abrupt: bool, horizon: int) -> list[dict[str, str]]:
        choices = {name: [option for option in options if option != _open(name)] for name, options in OPTIONS.items()}
        found: list[dict[str, str]] = []
        for phase in range(horizon):
            names = list(OPTIONS) if abrupt or phase == 0 else [list(OPTIONS)[int(rng.integers(len(OPTIONS)))]]
            drawn = {name: choices[name][int(rng.integers(len(choices[name])))] for name in names}
            found.append({**(found[-1] if found else {}), **drawn})
        return found

    def change(self, parent: Thing, steer: Steer, rng: np.random.Generator) -> Thing | None:
        right = self._right[parent.region][min(parent.depth // PHASE, len(self._right[0]) - 1)]
        match = np.mean([self._match(name, getattr(steer, name), right[name]) for name in OPTIONS])
        if rng.random() < BROKEN:
            return None
        if rng.random() < 0.05 + 0.45 * match:
            gain = float(rng.exponential(0.05)) / (1 + parent.depth / 6)
        else:
            gain = -abs(float(rng.normal(0.0, 0.03)))
        region = int(rng.integers(REGIONS)) if rng.random() < MOVING else parent.region
        return Thing(region, parent.depth + 1, min(1.0, parent.quality + gain), parent.belief()[0])

    @staticmethod
    def _match(name: str, option: str, right: str) -> float:
        return 1 / (len(OPTIONS[name]) - 1) if option == _open(name) else float(option == right)


def _open(name: str) -> str:
    """The option of a field that leaves it open."""
    return str(getattr(Steer(), name))


def search(policy: Policy, seed: int, streams: int, abrupt: bool) -> float:
    """One search; the true quality of what it chooses."""
    world, rng = World(seed, abrupt), np.random.default_rng([seed, 1])
    prompts = Prompts(Steer().to_text(), policy, np.random.default_rng([seed, 2]), likeness)
    things = list(world.first)
    for thing in things:
        thing.see(rng)
    spent, generation, sequence = 0, 0, 0
    while spent < streams:
        generation += 1
        trials: list[Trial] = []
        made: list[Thing] = []
        means, sds = (np.array(column) for column in zip(*(thing.belief() for thing in things), strict=True))
        for block in range(GENERATION // BLOCK):
            parent = things[int(np.argmax(rng.normal(means, sds)))]
            chosen: list[PromptId] = []
            for _ in range(BLOCK):
                chosen.append(prompts.choose(chosen[-1] if chosen else None))
            for prompt in chosen:
                changed = world.change(parent, Steer.from_text(prompts.nodes[prompt].content), rng)
                sequence += 1
                gain = None
                if changed is not None:
                    changed.see(rng)
                    spent += STREAMS
                    gain = float(np.mean(changed.seen)) - parent.belief()[0]
                    made.append(changed)
                trials.append(Trial(prompt, f"{generation}/{block}", sequence, gain))
        things += made
        prompts.tell(trials)
        expand(prompts, trials, generation, np.random.default_rng([seed, 3, generation]))
    return max(things, key=lambda thing: thing.belief()[0]).quality


def expand(prompts: Prompts, trials: Sequence[Trial], generation: int, rng: np.random.Generator) -> None:
    """One new prompt, as a run makes it that has no insights."""
    for wide in prompts.widest(1):
        idea, _, _ = revise(prompts, wide, beaten(trials, wide), lambda _: 0.0, rng)
        prompts.add(wide, idea.to_text(), generation, "")


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    return mean_interval([a - b for a, b in zip(ours, theirs, strict=True)])


def table(title: str, found: dict[Policy, list[float]], console: Console) -> None:
    shown = Table(title=title, title_justify="left")
    for heading in ("policy", "quality", "over fixed, paired", "over flat, paired"):
        shown.add_column(heading, no_wrap=True)
    for policy, scores in found.items():
        others: tuple[Policy, ...] = ("fixed", "flat")
        differences = [str(paired(scores, found[o])) if o != policy and o in found else "" for o in others]
        shown.add_row(policy, str(mean_interval(scores)), *differences)
    console.print(shown)


def household(policy: Policy, seed: int, evaluations: int, folder: Path) -> float:
    """A real search; the winner's mean reward on fresh streams."""
    config = load(
        PROJECT / "configs" / "quickstart.yaml",
        (
            f"name={policy}-{seed}",
            f"seed={seed}",
            f"search.prompts.policy={policy}",
            f"budget.evaluations={evaluations}",
            "budget.wall_seconds=null",
            "sandbox.backend=embedded",
        ),
    )
    run = RunFolder(folder / config.name)
    with run.held():
        create(run, config)
        with Ledger(run.ledger) as ledger, RayPool(worker_spec(config), None) as pool:
            final = Driver(config, ledger, Repository(run.repository), pool, Nobody(), lambda: False).run()
    return final.score.mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--designs", type=int, nargs="+", default=[40, 200, 1_000])
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--household", type=int, metavar="SEEDS", help="real searches instead of the world")
    parser.add_argument("--evaluations", type=int, default=248, help="of each real search")
    parser.add_argument("--first-seed", type=int, default=0, help="of the real searches")
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=POLICIES, help="of the real searches")
    options = parser.parse_args()
    console = Console(width=140)
    if options.household:
        with tempfile.TemporaryDirectory() as scratch:
            seeds = range(options.first_seed, options.first_seed + options.household)
            wanted: list[Policy] = options.policies
            scores = {p: [household(p, seed, options.evaluations, Path(scratch)) for seed in seeds] for p in wanted}
        table(f"household: {options.evaluations} evaluations, the winners on 12 fresh streams each", scores, console)
        return
    for designs in options.designs:
        streams = STREAMS * designs
        for abrupt in (False, True):
            found = {p: [search(p, seed, streams, abrupt) for seed in range(options.seeds)] for p in POLICIES}
            kind = "abrupt" if abrupt else "drifting"
            table(f"{kind}: {designs} working designs, {options.seeds} seeds", found, console)


if __name__ == "__main__":
    with ending():
        main()
