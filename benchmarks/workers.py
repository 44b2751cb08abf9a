"""Runs one config with different numbers of workers and checks that their archives are the same.

    python benchmarks/workers.py [--workers 1 8] [--config configs/quickstart.yaml] [--set KEY=VALUE ...]

Prints a line a run, and whether all have the same refs, and the same rewards for every evaluation.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from sessions import PROJECT, snapshot, start

from meta_agent.ending import ending


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--config", type=Path, default=PROJECT / "configs" / "quickstart.yaml")
    parser.add_argument("--set", action="append", default=["budget.wall_seconds=null"], dest="overrides")
    options = parser.parse_args()
    overrides = [part for override in options.overrides for part in ("--set", override)]
    archives = []
    with tempfile.TemporaryDirectory() as folder:
        for count in options.workers:
            name, began = f"with-{count}", time.monotonic()
            arguments = ["run", str(options.config.resolve()), *overrides, "--name", name, "--workers", str(count)]
            if start(arguments, Path(folder)).wait() != 0:
                raise SystemExit(f"the run with {count} workers failed")
            refs, rows = snapshot(Path(folder) / "runs" / name)
            archives.append((refs, {key: rewards for key, (_, rewards) in rows.items()}))
            told = f"{count} workers: {len(refs)} refs, {len(rows)} evaluations, {time.monotonic() - began:.0f} s\n"
            sys.stdout.write(told)
            sys.stdout.flush()
    same = all(archive == archives[0] for archive in archives)
    sys.stdout.write(f"same archive: {same}\n")
    return 0 if same else 1


if __name__ == "__main__":
    with ending():
        sys.exit(main())
