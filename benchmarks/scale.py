"""What does the loss of a node cost a run, and how long does a run take to go on?

    python benchmarks/scale.py --evaluations 400 --resume 1000

A node is lost. Two nodes of Ray on this machine, with a worker each, and a real run over both: driver, ledger,
repository, sandboxes. It is made twice: undisturbed, and so that one node is killed, without a warning, once half of
the evaluations are filed. Told for both are evaluations a second before that moment, in the ten seconds around it and
afterwards, and the longest pause after it: what is searched changes in the course of a run, so that only the same part
of the undisturbed one compares. The surviving node takes over the worker of the lost one, and both nodes share the
machine's processors: what shows is how long it takes to notice the loss and to make it good, not that there are fewer
processors. From the ledger: evaluations lost (asked for, and not there in the end) and filed twice; whether its
evaluations, and the designs, are those of the undisturbed run. From the driver: results that came once more, which the
ledger takes once. Ray listens on every address, so all of this is done in a network of its own (`unshare`).

A run goes on. A folder of so many designs is made with stand-ins for workers (`stand_ins.py`), then `mnemogen resume`
is started on it: told are the seconds from there to the first evaluation that is new, and that part of them that a
folder of a single generation takes as well: Python, Ray, sandboxes, the evaluation itself.
"""

from __future__ import annotations

import argparse
import fcntl
import math
import os
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.table import Table
from sessions import snapshot, start
from stand_ins import PROJECT, StandInPool, drive, endless

from archive.ledger import Ledger
from archive.repository import Repository
from archive.statistics import Interval, mean_interval
from meta_agent.config import Config, load
from meta_agent.console import ConsoleWatcher
from meta_agent.driver import Driver
from meta_agent.ending import ending
from meta_agent.evaluations import worker_spec
from meta_agent.pool import Pool, RayPool, SerialPool, never
from meta_agent.progress import Nobody
from meta_agent.run import RunFolder, create
from meta_agent.worker import Done, Facts, Job, key_of

ALONE = "MNEMOGEN_BENCHMARK_ALONE"
"""Set where this program is in a network of its own."""
PERIOD_SECONDS, AROUND_SECONDS = 2.0, 10.0
STORE_BYTES = 100 * 1024 * 1024
POLL_SECONDS = 0.05
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


class Watched:
    """A pool of which is taken down what it was asked for, and when results came.

    Args:
        half, act: what is called once so many results have come.
    """

    def __init__(self, pool: Pool, config: Config, half: int, act: Callable[[], None]) -> None:
        self._pool = pool
        self._benches = [(bench, bench.open_source(str(Path.cwd()))) for bench in worker_spec(config).benches]
        self._half = half
        self._act = act
        self._digest = ""
        self.asked: set[str] = set()
        self.came: list[float] = []
        self.half_at: float | None = None

    def facts(self, stopping: Callable[[], bool] = never) -> Facts:
        facts = self._pool.facts(stopping)
        self._digest = facts.digest
        return facts

    def run(self, jobs: Sequence[Job], late: Callable[[], bool] = never) -> Iterator[Done | None]:
        for job in jobs:
            bench = self._benches[job.bench]
            names = (key_of(*bench, self._digest, job.design, job.split, index) for index in job.streams)
            self.asked.update(key.digest for key in names)
        for done in self._pool.run(jobs, late):
            if done is not None:
                self.came += [time.monotonic()] * len(done.results)
            yield done
            if self.half_at is None and len(self.came) >= self._half:
                self.half_at = time.monotonic()
                self._act()

    def close(self) -> None:
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Ran:
    """A run over two nodes.

    Attributes:
        came: when results did, in seconds after half of them had.
        asked: keys of what the workers were asked for; filed: those of the ledger.
        archive: refs, and rewards by key.
    """

    came: tuple[float, ...]
    asked: frozenset[str]
    filed: tuple[str, ...]
    archive: tuple[Mapping[str, str], Mapping[str, tuple[float, ...]]]


def run(config: Config, lose: bool, notes: Console) -> Ran:
    """Over two nodes, of which one may be lost: the other one, which is the driver's, must stay."""
    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"})
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster: Any = Cluster(initialize_head=True, head_node_args=head)
    node = cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)

    def act() -> None:
        if lose:
            cluster.remove_node(node, allow_graceful=False)

    half = config.budget.evaluations // 2
    with tempfile.TemporaryDirectory() as scratch:
        folder = RunFolder(Path(scratch) / "run")
        with folder.held(), ConsoleWatcher(notes) as watcher, Ledger(folder.ledger) as ledger:
            create(folder, config)
            with Watched(RayPool(worker_spec(config), None, cluster.address), config, half, act) as pool:
                Driver(config, ledger, Repository(folder.repository), pool, watcher, never).run()
            ledger.check()
            filed = tuple(row.evaluation.key.digest for row in ledger.evaluations())
        refs, rows = snapshot(folder.path)
    cluster.shutdown()
    if pool.half_at is None:
        raise SystemExit(f"the run ended after {len(pool.came)} evaluations, before half of its budget was used")
    came = tuple(when - pool.half_at for when in pool.came)
    return Ran(came, frozenset(pool.asked), filed, (refs, {key: rewards for key, (_, rewards) in rows.items()}))


def lose_a_node(config: Config, console: Console, notes: Console) -> bool:
    """The first part; whether nothing was lost, nothing filed twice, and the archive is the undisturbed one."""
    whole, hit = (run(config, lose, notes) for lose in (False, True))
    title = f"evaluations a second, 95 % interval, n periods of {PERIOD_SECONDS:g} s"
    table = Table(title=title, title_justify="left")
    for heading in ("", "no node is lost", "one of two is lost"):
        table.add_column(heading, no_wrap=True)
    around = AROUND_SECONDS / 2
    for name, first, last in (
        ("before", -math.inf, -around),
        (f"the {AROUND_SECONDS:g} s around", -around, around),
        ("after", around, math.inf),
    ):
        table.add_row(name, *(rate(ran.came, first, last) for ran in (whole, hit)))
    console.print(table)
    pauses = [f"{pause(ran.came):.1f} s" for ran in (whole, hit)]
    console.print(
        f"longest pause in the second half: {pauses[0]} where no node is lost, {pauses[1]} where one is (n=1)"
    )
    lost, twice = len(hit.asked - set(hit.filed)), len(hit.filed) - len(set(hit.filed))
    again, same = len(hit.came) - len(hit.filed), whole.archive == hit.archive
    told_of = f"of {len(hit.asked)} evaluations: lost {lost}, filed twice {twice}, told again {again}"
    console.print(f"{told_of}; same archive {same}")
    return same and not lost and not twice


def rate(came: Sequence[float], first: float, last: float) -> str:
    """Evaluations a second between two moments, or from the first result on and until the last one."""
    first, last = max(first, min(came)), min(last, max(came))
    starts = [first + place * PERIOD_SECONDS for place in range(int((last - first) / PERIOD_SECONDS))]
    if not starts:
        return "too short"
    rates = [sum(s <= when < s + PERIOD_SECONDS for when in came) / PERIOD_SECONDS for s in starts]
    return told(mean_interval(rates, floor=0.0))


def pause(came: Sequence[float]) -> float:
    """The longest one after moment 0."""
    return max(b - a for a, b in pairwise([0.0, *sorted(when for when in came if when >= 0.0)]))


def go_on(config: Config, designs: int, digest: str, repeats: int, notes: Console) -> Interval:
    """Seconds from the start of `mnemogen resume` to the first new evaluation."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = RunFolder(Path(scratch) / "runs" / config.name)
        drive(config, folder, StandInPool(worker_spec(config), digest), designs, Nobody())
        seconds = []
        with Ledger(folder.ledger, read_only=True) as ledger:
            for repeat in range(repeats):
                before, began = ledger.spent().evaluations, time.monotonic()
                process = start(["resume", config.name], Path(scratch))
                while ledger.spent().evaluations == before:
                    if process.poll() is not None:
                        raise SystemExit(f"`mnemogen resume` ended with code {process.returncode}, nothing was new")
                    time.sleep(POLL_SECONDS)
                seconds.append(time.monotonic() - began)
                process.send_signal(signal.SIGINT)
                process.wait()
                notes.print(f"{designs} designs, {before} evaluations: {seconds[-1]:.1f} s ({repeat + 1} of {repeats})")
    return mean_interval(seconds, floor=0.0)


def told(value: Interval) -> str:
    return f"{value.mean:.2f} [{value.low:.2f}, {value.high:.2f}] n={value.n}"


def isolate() -> None:
    """Begin this program again in a network of its own, unless that is where it is."""
    if ALONE not in os.environ:
        unshare = shutil.which("unshare")
        if unshare is None:
            raise SystemExit("no node can be lost here: `unshare` (util-linux) gives it a network of its own")
        arguments = [unshare, "-n" if os.geteuid() == 0 else "-rn", sys.executable, *sys.argv]
        os.execve(unshare, arguments, {**os.environ, ALONE: "1"})
    with socket.socket() as any_socket:  # a new network's loopback is down
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--evaluations", type=int, default=400, help="budget of a run that loses a node; 0: none")
    parser.add_argument("--resume", type=int, default=1_000, metavar="DESIGNS", help="0: none is resumed")
    parser.add_argument("--repeats", type=int, default=3, help="of each resumption")
    parser.add_argument("--config", type=Path, default=PROJECT / "configs" / "quickstart.yaml")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    options = parser.parse_args()
    isolate()
    console, notes = Console(width=120), Console(stderr=True)
    whole = True
    if options.evaluations:
        budget = ("budget.wall_seconds=null", f"budget.evaluations={options.evaluations}")
        config = load(options.config, (*options.overrides, *budget))
        whole = lose_a_node(config, console, notes)
    if options.resume:
        config = endless(options.config, options.overrides, options.resume)
        with SerialPool(worker_spec(config)) as pool:
            digest = pool.facts().digest
        table = Table(title="`mnemogen resume`: to the first new evaluation", title_justify="left")
        for heading in ("designs", "seconds, 95 % interval"):
            table.add_column(heading, no_wrap=True)
        for designs in (1, options.resume):
            table.add_row(str(designs), told(go_on(config, designs, digest, options.repeats, notes)))
        console.print(table)
    return 0 if whole else 1


if __name__ == "__main__":
    with ending():
        sys.exit(main())
