"""Takes from the calling process, for good, all that a design has no need of.

The order matters: limits while they may still be set, then Landlock while folders may still be opened, the allow list
of system calls last.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import resource
from pathlib import Path

from . import landlock, seccomp
from .terms import Terms

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_OUR_PROCESSES = 4  # supervisor, zygote, launcher and the one between zygote and child
MIB = 1024 * 1024


def confine(terms: Terms) -> tuple[str, ...]:
    """Confine the calling process, which must have one thread only.

    Returns:
        The layers that this kernel granted: ``seccomp``, ``landlock``.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # When memory runs out the kernel then takes this process, not its supervisor. The file is ours only while dumpable.
    libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    _limit(terms)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    layers = []
    with contextlib.suppress(OSError):
        landlock.install(terms.readable, [terms.scratch] if terms.scratch else [], _DEVICES)
        layers.append("landlock")
    with contextlib.suppress(OSError):
        seccomp.install(scratch=bool(terms.scratch))
        layers.append("seccomp")
    return tuple(sorted(layers))


def _limit(terms: Terms) -> None:
    cpu = math.ceil(terms.stream_cpu_seconds) + 5  # the supervisor comes first; this is for the case that it cannot
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_NOFILE: terms.open_files_count,
        # Twice the scratch: that it is full shows before a file is too large, unless the file has holes.
        resource.RLIMIT_FSIZE: 2 * terms.scratch_mib * MIB,
        resource.RLIMIT_CPU: cpu,
    }
    if terms.address_space:
        limits[resource.RLIMIT_AS] = address_space() + terms.address_space_mib * MIB
    if terms.own_users:
        limits[resource.RLIMIT_NPROC] = terms.processes_count + _OUR_PROCESSES
    for which, wanted in limits.items():
        _, hard = resource.getrlimit(which)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(which, (value, value))


def address_space() -> int:
    """Size of this process's address space in bytes, which the limit of memory comes on top of."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
