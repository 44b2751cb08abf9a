"""Functions of the C library that say otherwise, for child processes: how a machine fails, as a program sees it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FSYNC = """
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static int sick(void) { return access(getenv("SICK"), F_OK) == 0; }
int fsync(int fd) { if (sick()) { errno = EIO; return -1; } return syscall(SYS_fsync, fd); }
int fdatasync(int fd) { if (sick()) { errno = EIO; return -1; } return syscall(SYS_fdatasync, fd); }
"""
"""What is synced fails to be, while there is a file of the name in SICK."""

CLOCK = """
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long set(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return now.tv_nsec < 500000000 ? 400000 : -400000;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec += set();
    return failed;
}
time_t time(time_t *kept) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (kept) *kept = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}
"""
"""The time of day is set forward by nine days and back again twice a second; the time since the start goes on."""


def preloaded(folder: Path, source: str) -> dict[str, str]:
    """The environment of a child process in which a shim is in force."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler here to make a shim with")
    (folder / "shim.c").write_text(source)
    library = folder / "shim.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(folder / "shim.c")]
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    return {**os.environ, "LD_PRELOAD": str(library)}
