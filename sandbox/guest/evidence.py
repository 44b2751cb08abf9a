"""What the kernel says about a child: counters that no design can write to."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

_OOM_FILES = ("/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events")
_PID_FILES = ("/sys/fs/cgroup/pids/pids.events", "/sys/fs/cgroup/pids.events")


@dataclass(frozen=True, slots=True)
class Counters:
    """Counts of the whole cgroup since it was made; 0 where there is none to read."""

    oom_kills: int
    process_limit_hits: int

    @classmethod
    def read(cls) -> Counters:
        return cls(_count(_OOM_FILES, "oom_kill"), _count(_PID_FILES, "max"))


def _count(files: tuple[str, ...], key: str) -> int:
    for file in files:
        with contextlib.suppress(OSError):
            rows = (line.split() for line in Path(file).read_text().splitlines())
            return next((int(row[1]) for row in rows if len(row) == 2 and row[0] == key), 0)
    return 0


@dataclass(frozen=True, slots=True)
class Status:
    """Of a live process: its largest address space so far, and its threads now."""

    peak_kib: int
    threads: int

    @classmethod
    def read(cls, pid: int) -> Status:
        fields = {}
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                name, _, value = line.partition(":")
                fields[name] = value.split()
        return cls(int(fields.get("VmPeak", ["0"])[0]), int(fields.get("Threads", ["0"])[0]))


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process, dead ones included."""
    # The kernel's encoding of a process's CPU clock, which Python offers for threads only.
    return time.clock_gettime(((~pid) << 3) | 2)


def wall_seconds(pid: int) -> float:
    """A clock that stands still while the first thread of a process wants to run and gets no processor.

    So a busy machine is not taken for a slow design; to sleep is not to want to run.
    """
    waited = 0
    with contextlib.suppress(OSError):
        waited = int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])
    return time.monotonic() - waited * 1e-9


def is_full(folder: str) -> bool:
    """Has the file system of `folder` no free block or no free inode?"""
    state = os.statvfs(folder)
    return state.f_bavail == 0 or state.f_favail == 0
