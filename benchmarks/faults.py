"""Does a run survive what may befall it? Real faults, one after the other, and a count of what each kind cost.

    python benchmarks/faults.py [--kills 300] [--minutes 20] [--ray-kills 20] [--stops 5] [--workers 10] ...

A small real run (real workers, sandboxes, git, SQLite) is made once without a fault. Then it is made again and again
while its driver is killed (SIGKILL) at instants drawn from the length of an undisturbed session, is asked to stop
(SIGINT, SIGTERM, SIGHUP), loses a worker in an evaluation, loses Ray's node, or has a worker stopped (SIGSTOP) past its
lease, who then goes on (SIGCONT). `mnemogen resume` goes on after each of them, to the end of the run. Most kills of
the driver are of one whose worker is in its own process, since Ray takes longer to start than all the rest; some are of
one with Ray. Counted are

* lost: evaluations that were in the ledger and are not, or are not the same;
* run twice: evaluations that workers were asked for although the ledger had them, or that the driver was told twice;
* orphans: processes of a session that are there some time after its end, and containers of a run at the end. This
  program is the subreaper of all that it starts, so none can hide;
* seconds from the start of `mnemogen resume` to the first evaluation that is new in the ledger;
* whether refs and rewards at the end are those of the run without a fault.

It ends with code 1 if anything was lost, run twice or left, took too long to stop, or ended otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import math
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sessions import PROJECT, Rows, containers, snapshot, start
from watched import SERIAL

from archive.errors import ArchiveError
from archive.ledger import Ledger
from meta_agent.ending import ending
from sandbox.reaper import owner

SMALL = (
    "sandbox.backend=embedded",
    "stream.settings={tasks_count: 6, max_steps: 12}",
    "search.seeds=[exprag, memento]",
    "search.generation_size=3",
    "search.rungs=[1, 2]",
    "final={candidates: 2, confirm_streams: 1, validation_streams: 3}",
    "budget={evaluations: 70, wall_seconds: null}",
)
WORKERS = 2
POLL_SECONDS = 0.02
STOP_SECONDS, LEFT_SECONDS = 10.0, 90.0
"""In which a session that is asked to has ended; after which a process of an ended session is an orphan.

Agents of Ray's wait a minute for the rest of a cluster that was killed, and end then.
"""
MOST_SECONDS = 180.0
"""That a session may take to its end."""
AS_EVER, LEASE = "0", "8"
"""Leases of sessions, see `watched`."""
PR_SET_CHILD_SUBREAPER = 36


@dataclass(slots=True)
class Tally:
    """What came of the faults of one kind.

    Attributes:
        wrong: what else was not as it must be, in words.
        seconds: from a resume to the first new evaluation.
        same: of each run that came to its end, whether its archive was that of the run without a fault.
        phases: what sessions were at when it happened.
        refused: evaluations that came in after their lease.
    """

    kind: str
    n: int = 0
    lost: int = 0
    twice: int = 0
    orphans: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    same: list[bool] = field(default_factory=list)
    phases: Counter[str] = field(default_factory=Counter)

    @property
    def fine(self) -> bool:
        return not (self.lost or self.twice or self.orphans or self.wrong) and all(self.same)


class Processes:
    """All that descends from this process; what of it belongs to no session any more, and since when."""

    def __init__(self) -> None:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._left: dict[str, tuple[Tally, float]] = {}
        self._counted: set[str] = set()

    @staticmethod
    def below(root: int) -> set[int]:
        """Processes that descend from one."""
        parents: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        family = {root}
        while new := {child for child, parent in parents.items() if parent in family} - family:
            family |= new
        return family - {root}

    @staticmethod
    def named(root: int, name: bytes) -> list[int]:
        """Processes below one whose command line holds a name."""
        found = []
        for pid in Processes.below(root):
            with contextlib.suppress(OSError):
                if name in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        return sorted(found)

    def look(self, tally: Tally, live: int | None = None, seconds: float = LEFT_SECONDS) -> None:
        """Take down who is left, and count those that have been for too long."""
        mine = self.below(os.getpid())
        if live is not None:
            mine -= self.below(live) | {live}
        for pid in mine:
            with contextlib.suppress(OSError):
                os.waitpid(pid, os.WNOHANG)  # an adopted child that has ended
        now = time.monotonic()
        alive = {identity for pid in mine if not (identity := owner(pid)).endswith(":")}
        self._left = {one: self._left.get(one, (tally, now)) for one in alive}
        for one, (whose, since) in self._left.items():
            if now - since > seconds and one not in self._counted:
                self._counted.add(one)
                whose.orphans += 1
                with contextlib.suppress(OSError):
                    line = Path(f"/proc/{one.partition(':')[0]}/cmdline").read_bytes().replace(b"\0", b" ")
                    whose.wrong.append(f"left: {line.decode(errors='replace')[:80]}")

    def settle(self, tally: Tally, seconds: float = LEFT_SECONDS) -> None:
        """Wait until nobody is left, or has been for too long."""
        while True:
            self.look(tally, seconds=seconds)
            if not set(self._left) - self._counted:
                return
            time.sleep(POLL_SECONDS)


class Session:
    """One process that drives a run, and its diary."""

    def __init__(self, place: Path, run: str, begin: list[str], number: int, how: str) -> None:
        self.folder = place / "runs" / run
        self.before: Rows = snapshot(self.folder)[1]
        self.first_new: float | None = None
        self.resumed = (self.folder / "config.yaml").exists()
        self._diary = place / f"diary-{number}"
        self._errors = place / f"errors-{number}"
        command = [sys.executable, str(PROJECT / "benchmarks" / "watched.py"), str(self._diary), how]
        arguments = ["resume", run] if self.resumed else [*begin, "--name", run]
        self.began = time.monotonic()
        with self._errors.open("wb") as errors:
            self.process = start([*arguments, "--workers", str(WORKERS)], place, command, errors)

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def errors(self) -> str:
        return self._errors.read_text(errors="replace")

    def lines(self, kind: str) -> list[str]:
        """The diary's lines of a kind."""
        if not self._diary.exists():
            return []
        rows = (line.partition(" ") for line in self._diary.read_text().splitlines())
        return [text for found, _, text in rows if found == kind]

    @property
    def phase(self) -> str:
        phase = next(reversed(self.lines("phase")), "Python starts")
        return "later generations" if phase.startswith("generation ") and phase != "generation 0" else phase

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass, looking for the first new evaluation; whether `until` came true, or the process ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.first_new is None and self.lines("told") and self._count() > len(self.before):
                self.first_new = time.monotonic() - self.began
            if until() or self.ended:
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _count(self) -> int:
        with contextlib.suppress(ArchiveError), Ledger(self.folder / "ledger.sqlite", read_only=True) as ledger:
            return ledger.spent().evaluations
        return 0

    def close(self, tally: Tally) -> None:
        """Count what the session, which has ended, did to the run."""
        self.process.wait()
        _, now = snapshot(self.folder)
        tally.lost += sum(now.get(key) != row for key, row in self.before.items())
        told = Counter(self.lines("told"))
        tally.twice += len(set(self.lines("asked")) & set(self.before)) + sum(count - 1 for count in told.values())
        tally.refused += sum(map(int, self.lines("late")))
        if self.resumed and self.first_new is not None:
            tally.seconds.append(self.first_new)
        for file in (self._diary, self._errors):
            file.unlink(missing_ok=True)


class Harness:
    """Makes the run without a fault, then as many with faults as are asked for."""

    def __init__(self, place: Path, config: Path, overrides: list[str], seed: int, notes: Console) -> None:
        self.place = place
        self.chance = random.Random(seed)
        self.processes = Processes()
        self.notes = notes
        changes = [part for override in (*SMALL, *overrides) for part in ("--set", override)]
        self._begin = ["run", str(config.resolve()), *changes]
        self._sessions = 0
        self._runs = 0
        self._whole = self.undisturbed("whole", AS_EVER)
        self._ray_lifetime = self.lifetime
        notes.print(f"without a fault: {len(self._whole[1])} evaluations")

    def undisturbed(self, run: str, how: str) -> tuple[dict[str, str], dict[str, tuple[float, ...]]]:
        """Make a run without a fault; how long it takes is what instants are drawn from."""
        tally, session = Tally("none"), self.session(run, how)
        if not self.finish(session, tally):
            raise SystemExit(f"the run without a fault failed: {tally.wrong[0]}")
        self.lifetime = time.monotonic() - session.began
        self.processes.settle(tally)
        return self._archive(run)

    def fresh(self) -> str:
        """The name of a run that has not begun."""
        self._runs += 1
        return f"run-{self._runs}"

    def session(self, run: str, how: str) -> Session:
        self._sessions += 1
        return Session(self.place, run, self._begin, self._sessions, how)

    def finish(self, session: Session, tally: Tally) -> bool:
        """Let a session come to the end of the run; whether it did."""
        if not session.wait(MOST_SECONDS, lambda: session.ended):
            tally.wrong.append(f"no end after {MOST_SECONDS:g} s")
            session.process.kill()
        code, said = session.process.wait(), session.errors
        session.close(tally)
        if code != 0:
            tally.wrong.append(f"code {code}: {said.strip()[-300:]}")
        return code == 0

    def compare(self, run: str, tally: Tally) -> None:
        """Whether the archive of a run that has ended is that of the run without a fault."""
        tally.same.append(self._archive(run) == self._whole)
        if containers(run):
            tally.orphans += 1
            tally.wrong.append(f"containers of {run} are left")

    def _archive(self, run: str) -> tuple[dict[str, str], dict[str, tuple[float, ...]]]:
        folder = self.place / "runs" / run
        with Ledger(folder / "ledger.sqlite", read_only=True) as ledger:
            ledger.check()
        refs, rows = snapshot(folder)
        return refs, {key: rewards for key, (_, rewards) in rows.items()}

    def runs(
        self,
        tally: Tally,
        wanted: int,
        strike: Callable[[Session], bool],
        until: float = math.inf,
        ends: bool = True,
        how: str = AS_EVER,
    ) -> None:
        """Make runs from beginning to end until so many faults have happened, or it is late.

        Args:
            strike: waits, and does harm; whether it came to that before the session had ended.
            ends: whether the harm ends a session.
            how: see `watched`.
        """
        if wanted and how == SERIAL:
            self.undisturbed(self.fresh(), how)
        elif wanted:
            self.lifetime = self._ray_lifetime
        while tally.n < wanted and time.monotonic() < until:
            run, over = self.fresh(), False
            while not over:
                session = self.session(run, how)
                struck = tally.n < wanted and time.monotonic() < until and strike(session)
                tally.n += struck
                self.processes.look(tally, session.process.pid)
                over = not (struck and ends) or session.process.returncode == 0
                if not over:
                    session.close(tally)
                elif self.finish(session, tally):
                    self.compare(run, tally)
                else:
                    tally.same.append(False)
            self.notes.print(f"{tally.kind}: {tally.n} of {wanted}, {len(tally.same)} runs, all fine: {tally.fine}")
        self.processes.settle(tally)


def kill_driver(harness: Harness, tally: Tally) -> Callable[[Session], bool]:
    def strike(session: Session) -> bool:
        if session.wait(harness.chance.uniform(0.05, harness.lifetime)):
            return False
        tally.phases[session.phase] += 1
        session.process.kill()
        session.process.wait()
        return True

    return strike


def stop(harness: Harness, tally: Tally, number: int) -> Callable[[Session], bool]:
    def strike(session: Session) -> bool:
        session.wait(MOST_SECONDS, lambda: session.phase != "Python starts")  # from then on signals are heard
        if session.wait(harness.chance.uniform(0.0, harness.lifetime / 2)):
            return False
        tally.phases[session.phase] += 1
        session.process.send_signal(number)
        if not session.wait(STOP_SECONDS):
            tally.wrong.append(f"no end {STOP_SECONDS:g} s after a signal, at: {session.phase}")
            session.process.kill()
        code = session.process.wait()
        if code not in (0, 130) and "next: " not in session.errors:  # the last line: it was at its end anyway
            tally.wrong.append(f"code {code} after a signal: {session.errors[-300:]}")
        harness.processes.settle(tally, STOP_SECONDS)
        return True

    return strike


def in_evaluation(session: Session) -> int | None:
    """A worker that has a job, once there is one."""
    found: list[int] = []

    def look() -> bool:
        if session.phase not in ("Python starts", "workers start"):
            found[:] = Processes.named(session.process.pid, b"ray::Worker.run")
        return bool(found)

    session.wait(MOST_SECONDS, look)
    return found[0] if found and not session.ended else None


def kill_worker(harness: Harness, tally: Tally) -> Callable[[Session], bool]:
    def strike(session: Session) -> bool:
        session.wait(harness.chance.uniform(0.0, harness.lifetime / 2))
        worker = in_evaluation(session)
        if worker is None:
            return False
        tally.phases[session.phase] += 1
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
        return True

    return strike


def kill_node(harness: Harness, tally: Tally) -> Callable[[Session], bool]:
    def strike(session: Session) -> bool:
        session.wait(MOST_SECONDS, lambda: session.phase not in ("Python starts", "workers start"))
        session.wait(harness.chance.uniform(0.0, harness.lifetime / 2))
        raylets = Processes.named(session.process.pid, b"raylet/raylet")
        if session.ended or not raylets:
            return False
        tally.phases[session.phase] += 1
        os.kill(raylets[0], signal.SIGKILL)
        if not session.wait(MOST_SECONDS, lambda: session.ended):
            tally.wrong.append(f"without its node it neither goes on nor ends: {session.phase}")
            session.process.kill()
        session.process.wait()
        return True

    return strike


def stop_worker(harness: Harness, tally: Tally) -> Callable[[Session], bool]:
    def strike(session: Session) -> bool:
        worker = in_evaluation(session)
        if worker is None:
            return False
        tally.phases[session.phase] += 1
        os.kill(worker, signal.SIGSTOP)
        if not session.wait(MOST_SECONDS, lambda: "past its lease" in session.errors):
            tally.wrong.append("a stopped worker kept its job")
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGCONT)
        return True

    return strike


def show(tallies: list[Tally], console: Console) -> None:
    """What it came to, and when it struck."""
    table = Table(title="faults of a run", title_justify="left")
    headings = ("kind", "n", "lost", "run twice", "orphans", "refused", "to the first new one, s", "same archive")
    for heading in headings:
        table.add_column(heading)
    for tally in tallies:
        seconds = tally.seconds
        told = f"{statistics.median(seconds):.1f}, at most {max(seconds):.1f} (n={len(seconds)})" if seconds else "-"
        same = f"{'yes' if all(tally.same) else 'NO'} ({sum(tally.same)} of {len(tally.same)} runs)"
        counts = (tally.n, tally.lost, tally.twice, tally.orphans, tally.refused)
        table.add_row(tally.kind, *map(str, counts), told, same)
    console.print(table)
    phases = Table(title="what the run was at", title_justify="left")
    for heading in ("", *(tally.kind for tally in tallies)):
        phases.add_column(heading)
    for phase in sorted({phase for tally in tallies for phase in tally.phases}):
        phases.add_row(phase, *(str(tally.phases[phase] or "") for tally in tallies))
    console.print(phases)
    for tally in tallies:
        for text in tally.wrong:
            console.print(f"{tally.kind}: {text}", markup=False)


def faults(options: argparse.Namespace, harness: Harness) -> Iterator[Tally]:
    """Each kind of faults, one after the other."""
    late = time.monotonic() + 60.0 * options.minutes
    for name, wanted, how in (("driver killed", options.kills, SERIAL), ("with Ray", options.ray_kills, AS_EVER)):
        tally = Tally(name)
        harness.runs(tally, wanted, kill_driver(harness, tally), late, how=how)
        yield tally
        late = math.inf
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        tally = Tally(number.name)
        harness.runs(tally, options.stops, stop(harness, tally, number))
        yield tally
    tally = Tally("node killed")
    harness.runs(tally, options.nodes, kill_node(harness, tally))
    yield tally
    tally = Tally("worker killed")
    harness.runs(tally, options.workers, kill_worker(harness, tally), ends=False)
    yield tally
    tally = Tally("worker stopped")
    harness.runs(tally, options.stopped, stop_worker(harness, tally), ends=False, how=LEASE)
    yield tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=300, help="of the driver")
    parser.add_argument("--ray-kills", type=int, default=20, help="of the driver where workers are processes of Ray's")
    parser.add_argument("--minutes", type=float, default=60.0, help="after which the driver is not killed any more")
    parser.add_argument("--stops", type=int, default=5, help="by each of three signals")
    parser.add_argument("--workers", type=int, default=10, help="killed")
    parser.add_argument("--nodes", type=int, default=3, help="killed")
    parser.add_argument("--stopped", type=int, default=3, help="workers stopped past their lease")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--config", type=Path, default=PROJECT / "configs" / "quickstart.yaml")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        harness = Harness(Path(folder), options.config, options.overrides, options.seed, Console(stderr=True))
        tallies = [tally for tally in faults(options, harness) if tally.same]  # what nothing was wanted of is not told
    show(tallies, Console(width=140))
    return 0 if all(tally.fine for tally in tallies) else 1


if __name__ == "__main__":
    with ending():
        sys.exit(main())
