"""What does a design cost besides its evaluations, and does that grow with the archive?

    python benchmarks/overhead.py --designs 10000

The real driver, search, ledger (SQLite) and repository (git), in a temporary folder; only the workers are stand-ins,
whose evaluations cost nothing and whose own time is left out. Their rewards are drawn, their steps and episodes are
those of one real evaluation, so that as much is filed as in a real run.

Told is CPU time, of this process and of the git processes that it waits for, in milliseconds for each new design, in
windows of designs: of the search's `ask` (propose, validate, look for duplicates), of what the search is told and asked
about its beliefs (`tell`; of its population `observe`, `pool`, `best` and the like; its prompts too), of git, of
SQLite, and of the rest (driver, jobs, keys, progress). What a part calls of another part counts for that one. Then the
wall time of git and of SQLite for each generation, waiting for the disk included: both write by generation, SQLite also
by evaluation.
A value is one generation's, over the window's mean of new designs in a generation: n counts generations.
"""

from __future__ import annotations

import argparse
import functools
import math
import resource
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from stand_ins import PROJECT, StandInPool, drive, endless

from archive.ledger import Ledger
from archive.repository import Repository
from archive.search_book import SearchBook
from archive.statistics import Interval, mean_interval
from meta_agent.coach import Coach
from meta_agent.console import ConsoleWatcher
from meta_agent.ending import ending
from meta_agent.evaluations import worker_spec
from meta_agent.progress import Progress
from meta_agent.run import RunFolder
from meta_agent.search import Search

ASK, TELL, GIT, SQLITE, REST, STAND_IN = "ask", "tell", "git", "SQLite", "rest", "stand-in"
OURS = (ASK, TELL, GIT, SQLITE, REST)
BELIEFS = ("observe", "pool", "best", "ranked", "compared", "parent", "line", "roots")
WRITTEN = ("record_generation", "record_evaluation", "record_decisions", "set_meta")
READ = ("meta", "find", "proposals", "decisions")
BOOK = ("record_prompts", "record_insights", "insights")


class Meter:
    """Seconds by part, each counted for the innermost part that is being called.

    Attributes:
        cpu: of this process and of its children that have ended; wall: by the clock.
    """

    def __init__(self) -> None:
        self.cpu = dict.fromkeys((*OURS, STAND_IN), 0.0)
        self.wall = dict.fromkeys((*OURS, STAND_IN), 0.0)
        self._within = [REST]
        self._last = self._now()

    @staticmethod
    def _now() -> tuple[float, float]:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime, time.monotonic()

    def settle(self) -> None:
        """Count what has passed since the last time."""
        now = self._now()
        self.cpu[self._within[-1]] += now[0] - self._last[0]
        self.wall[self._within[-1]] += now[1] - self._last[1]
        self._last = now

    def watch(self, owner: object, part: str, *names: str) -> None:
        """Count the time of these methods, of an object or of a class, for a part."""
        for name in names:
            setattr(owner, name, self._metered(part, getattr(owner, name)))

    def _metered(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def metered(*values: Any, **named: Any) -> Any:
            self.settle()
            self._within.append(part)
            try:
                return call(*values, **named)
            finally:
                self.settle()
                self._within.pop()

        return metered


@dataclass(frozen=True, slots=True)
class Mark:
    """Totals where a generation begins: designs, evaluations, seconds by part."""

    designs: int
    evaluations: int
    cpu: Mapping[str, float]
    wall: Mapping[str, float]


class Marking:
    """A `Watcher` that shows how far the run is, and takes down where each generation begins."""

    def __init__(self, watcher: ConsoleWatcher, meter: Meter) -> None:
        self._watcher = watcher
        self._meter = meter
        self.marks: list[Mark] = []

    def begun(self, backend: str, caveat: str) -> None:
        return

    def moved(self, progress: Progress) -> None:
        self._watcher.moved(progress)
        if progress.phase == "proposing":
            self._meter.settle()
            designs = progress.tried - progress.duplicates - progress.invalid
            cpu, wall = self._meter.cpu.copy(), self._meter.wall.copy()
            self.marks.append(Mark(designs, progress.evaluations, cpu, wall))


@dataclass(frozen=True, slots=True)
class Window:
    """Generations that began between two numbers of designs."""

    first: int
    last: int
    generations: Sequence[tuple[Mark, Mark]]

    @property
    def designs(self) -> int:
        return sum(after.designs - before.designs for before, after in self.generations)

    @property
    def evaluations(self) -> int:
        return sum(after.evaluations - before.evaluations for before, after in self.generations)

    def cpu(self, *parts: str) -> Interval:
        """Milliseconds for each new design."""
        size = self.designs / len(self.generations)
        spent = [sum(after.cpu[p] - before.cpu[p] for p in parts) for before, after in self.generations]
        return mean_interval([1e3 * seconds / size for seconds in spent], floor=0.0)

    def wall(self, part: str) -> Interval:
        """Milliseconds for each generation."""
        return mean_interval(
            [1e3 * (after.wall[part] - before.wall[part]) for before, after in self.generations], floor=0.0
        )


def measured(file: Path, overrides: Sequence[str], designs: int) -> list[Mark]:
    """One search; where its generations began."""
    config, meter = endless(file, overrides, designs), Meter()

    def meet(search: Search, ledger: Ledger, repository: Repository) -> None:
        meter.watch(search, ASK, "ask")
        meter.watch(search, TELL, "tell")
        meter.watch(search.population, TELL, *BELIEFS)
        meter.watch(repository, GIT, "commit", "refs")
        meter.watch(ledger, SQLITE, *WRITTEN, *READ)

    meter.watch(SearchBook, SQLITE, *BOOK)  # the driver makes both
    meter.watch(Coach, TELL, "begin", "after")
    with tempfile.TemporaryDirectory() as scratch, ConsoleWatcher(Console(stderr=True)) as watcher:
        pool, marking = StandInPool(worker_spec(config)), Marking(watcher, meter)
        meter.watch(pool, STAND_IN, "carry_out")
        drive(config, RunFolder(Path(scratch) / "run"), pool, designs, marking, meet)
    return marking.marks


def windows(marks: Sequence[Mark], designs: int, width: int, count: int) -> list[Window]:
    """Evenly spread, the first and the last designs among them; where they are few, fewer."""
    count = min(count, max(1, designs // width))
    starts = [round(place * (designs - width) / max(1, count - 1)) for place in range(count)]
    pairs = list(pairwise(marks))
    cut = [Window(s + 1, s + width, [pair for pair in pairs if s <= pair[0].designs < s + width]) for s in starts]
    return [window for window in cut if window.designs]


def told(value: Interval) -> str:
    return f"{value.mean:.2f} ± {value.half_width:.2f}" if math.isfinite(value.half_width) else f"{value.mean:.2f}"


def show(found: Sequence[Window], seconds: float, console: Console) -> None:
    table = Table(title="CPU milliseconds for each design, mean ± 95 % half-width", title_justify="left")
    for heading in ("designs", "n", "evaluations/design", *OURS, "all"):
        table.add_column(heading, no_wrap=True, justify="right")
    for window in found:
        figures = [told(window.cpu(part)) for part in OURS]
        each = f"{window.evaluations / window.designs:.2f}"
        place = f"{window.first}-{window.last}"
        table.add_row(place, str(len(window.generations)), each, *figures, told(window.cpu(*OURS)))
    console.print(table)
    waits = Table(title="wall milliseconds for each generation, mean ± 95 % half-width", title_justify="left")
    for heading in ("designs", "n", "designs/generation", GIT, SQLITE):
        waits.add_column(heading, no_wrap=True, justify="right")
    for window in found:
        size = f"{window.designs / len(window.generations):.1f}"
        place = f"{window.first}-{window.last}"
        waits.add_row(place, str(len(window.generations)), size, told(window.wall(GIT)), told(window.wall(SQLITE)))
    console.print(waits)
    first, last = found[0], found[-1]
    for parts in (OURS, *((part,) for part in OURS)):
        before, after = first.cpu(*parts), last.cpu(*parts)
        ratio = after.mean / before.mean
        half = ratio * math.hypot(before.half_width / before.mean, after.half_width / after.mean)
        name = parts[0] if len(parts) == 1 else "all"
        n = f"n={len(last.generations)} and {len(first.generations)}"
        console.print(f"last window over first, {name}: {ratio:.2f} ± {half:.2f} ({n})")
    for name, window in (("first", first), ("last", last)):
        share = window.cpu(*OURS).mean / 1e3 / (seconds * window.evaluations / window.designs)
        console.print(f"{name} window: {share:.1%} of the evaluations' time, were each {seconds:g} s of one core")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--designs", type=int, default=1_000)
    parser.add_argument("--window", type=int, default=100, help="designs")
    parser.add_argument("--windows", type=int, default=6, help="how many are shown")
    parser.add_argument("--evaluation-seconds", type=float, default=0.2, help="what an evaluation is taken to cost")
    parser.add_argument("--config", type=Path, default=PROJECT / "configs" / "quickstart.yaml")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    options = parser.parse_args()
    marks = measured(options.config, options.overrides, options.designs)
    found = windows(marks, options.designs, options.window, options.windows)
    if not found:
        raise SystemExit(f"{options.designs} designs are too few to show a window of")
    show(found, options.evaluation_seconds, Console(width=140))


if __name__ == "__main__":
    with ending():
        main()
