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
            # In bytes: a process may give itself any name, and that need not be text.
            for line in Path(f"/proc/{pid}/status").read_bytes().split(b"\n"):
                name, _, value = line.partition(b":")
                fields[name] = value.split()
        return cls(int(fields.get(b"VmPeak", [b"0"])[0]), int(fields.get(b"Threads", [b"0"])[0]))


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process, dead ones included."""
    # The kernel's encoding of a process's CPU clock, which Python offers for threads only.
    return time.clock_gettime(((~pid) << 3) | 2)


class WallClock:
    """A clock that stands still while the first thread of a process wants to run and gets no processor.

    So a busy machine is not taken for a slow design; to sleep is not to want to run. It is read at every frame, so the
    kernel's file is opened once: in a container its path leads through a file system that may live in user space.
    """

    def __init__(self, pid: int) -> None:
        self._file: int | None = None
        self._waited = 0
        with contextlib.suppress(OSError):  # a kernel without the statistics: a busy machine counts then
            self._file = os.open(f"/proc/{pid}/schedstat", os.O_RDONLY | os.O_CLOEXEC)

    def seconds(self) -> float:
        """Where it stands; only differences mean anything."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # the process is gone: it waits no more
                self._waited = int(os.pread(self._file, 96, 0).split()[1])
        return time.monotonic() - self._waited * 1e-9

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def is_full(folder: str) -> bool:
    """Has the file system of `folder` no free block or no free inode?"""
    state = os.statvfs(folder)
    return state.f_bavail == 0 or state.f_favail == 0
