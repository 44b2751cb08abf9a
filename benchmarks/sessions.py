"""Kills a run's driver at random instants and checks that nothing recorded is lost, repeated or left behind.

    python benchmarks/kills.py [--kills 20] [--config configs/quickstart.yaml] [--set KEY=VALUE ...]

Prints one line a kill, and at the end: evaluations lost, evaluations run twice, whether the archive is that of an
undisturbed run, and containers left 60 s after the last kill.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from archive.ledger import Ledger
from archive.repository import Repository
from sandbox.backend import SandboxUnavailable
from sandbox.docker_backend import connect

PROJECT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-m", "meta_agent.cli"]


Rows = dict[str, tuple[int, tuple[float, ...]]]


def snapshot(run: Path) -> tuple[dict[str, str], Rows]:
    """Refs, and by evaluation its place of arrival and rewards; empty before there is a ledger."""
    if not (run / "ledger.sqlite").exists():
        return {}, {}
    with Ledger(run / "ledger.sqlite", read_only=True) as ledger:
        rows = {r.evaluation.key.digest: (r.sequence, r.evaluation.rewards) for r in ledger.evaluations()}
    if not (run / "archive.git").exists():
        return {}, rows
    return {str(name): commit for name, commit in Repository(run / "archive.git", read_only=True).refs().items()}, rows


def start(arguments: list[str], cwd: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.Popen(
        [*COMMAND, *arguments], cwd=cwd, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )


def containers(run: str) -> int | None:
    """Containers of a run, running or not; None where no daemon answers."""
    try:
        client = connect(5.0)
    except SandboxUnavailable:
        return None
    try:
        return len(client.containers.list(all=True, filters={"label": f"mnemogen.run={run}"}))
    finally:
        client.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most-seconds", type=float, default=15.0, help="longest life of a driver")
    parser.add_argument("--config", type=Path, default=PROJECT / "configs" / "quickstart.yaml")
    parser.add_argument("--set", action="append", default=["budget.wall_seconds=null"], dest="overrides")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    overrides = [part for override in options.overrides for part in ("--set", override)]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        begin = ["run", str(options.config), *overrides, "--name"]
        if start([*begin, "whole"], place).wait() != 0:
            raise SystemExit("the undisturbed run failed")
        run = place / "runs" / "killed"
        recorded: Rows = {}
        lost = twice = 0
        for number in range(1, options.kills + 1):
            process = start([*begin, "killed"], place)
            time.sleep(chance.uniform(0.2, options.most_seconds))
            ended = process.poll() is not None
            if not ended:
                process.send_signal(signal.SIGKILL)
                process.wait()
            _, now = snapshot(run)
            lost += sum(key not in now for key in recorded)
            twice += sum(now[key] != recorded[key] for key in recorded if key in now)
            recorded = now
            sys.stdout.write(f"kill {number}: {len(now)} evaluations recorded{', run had ended' if ended else ''}\n")
            sys.stdout.flush()
        time.sleep(60.0)
        left = containers("killed")
        if start([*begin, "killed"], place).wait() != 0:
            raise SystemExit("the resumed run failed")
        whole, killed = snapshot(place / "runs" / "whole"), snapshot(run)
    rewards = [{key: value[1] for key, value in rows.items()} for _, rows in (whole, killed)]
    same = whole[0] == killed[0] and rewards[0] == rewards[1]
    sys.stdout.write(
        f"kills {options.kills}; lost {lost}; run twice {twice}; same archive {same};"
        f" containers left after 60 s: {'no daemon' if left is None else left}; evaluations {len(killed[1])}\n"
    )
    return 0 if same and not lost and not twice and not left else 1


if __name__ == "__main__":
    sys.exit(main())
