"""The `mnemogen` command, which also keeps a diary: what it is at, what it asks of its workers, what they tell.

    python benchmarks/watched.py DIARY LEASE_SECONDS|serial resume NAME

A line of the diary is one write to a file that is only added to, so that a process that is killed leaves whole lines.
A lease of 0 seconds is the one that a run gives; `serial` has one worker in the driver's own process, without Ray.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

SERIAL = "serial"


class Diary:
    """Lines of a kind and a text."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, kind: str, text: str) -> None:
        os.write(self._file, f"{kind} {text}\n".encode())


def watch(diary: Diary, how: str) -> None:
    """Have the command use a pool and a watcher that write down what they do."""
    from meta_agent import console, pool
    from meta_agent.progress import Progress
    from meta_agent.worker import Done, Facts, Job, WorkerSpec, key_of

    ray_pool = pool.RayPool  # that name will be the watched one's

    class WatchedPool:
        """A `meta_agent.pool.Pool`, made as a `RayPool` is."""

        def __init__(self, spec: WorkerSpec, count: int | None, address: str | None, models: Any) -> None:
            diary.write("phase", "workers start")
            self._bench = spec.benches[0]
            self._source = self._bench.open_source(spec.folder)
            self._pool: pool.Pool
            if how == SERIAL:
                self._pool = pool.SerialPool(spec, models)
            else:
                lease = (lambda *_: float(how)) if float(how) else pool.lease_seconds
                self._pool = ray_pool(spec, count, address, models, lease)

        def facts(self, stopping: Callable[[], bool] = pool.never) -> Facts:
            facts = self._pool.facts(stopping)
            self._digest = facts.digest
            return facts

        def run(self, jobs: Sequence[Job], late: Callable[[], bool] = pool.never) -> Iterator[Done | None]:
            for job in jobs:
                for index in job.streams:
                    key = key_of(self._bench, self._source, self._digest, job.design, job.split, index)
                    diary.write("asked", key.digest)
            for done in self._pool.run(jobs, late):
                for evaluation, _ in () if done is None else done.results:
                    diary.write("told", evaluation.key.digest)
                yield done

        def close(self) -> None:
            diary.write("phase", "closing")
            if isinstance(self._pool, ray_pool):
                diary.write("late", str(self._pool.late.results))
            self._pool.close()

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

    class WatchedWatcher(console.ConsoleWatcher):
        phase = ""

        def moved(self, progress: Progress) -> None:
            if progress.phase != self.phase:
                self.phase = progress.phase
                diary.write("phase", self.phase)
            super().moved(progress)

    vars(pool)["RayPool"] = WatchedPool
    vars(console)["ConsoleWatcher"] = WatchedWatcher


def main() -> None:
    diary = Diary(Path(sys.argv[1]))
    diary.write("phase", "Python starts")
    watch(diary, sys.argv[2])
    del sys.argv[1:3]
    from meta_agent import cli

    cli.main()


if __name__ == "__main__":
    main()
