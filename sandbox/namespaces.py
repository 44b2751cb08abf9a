"""A program that gives a supervisor a world of its own, without any daemon; the embedded backend runs it as a script.

It imports nothing of ours. Run by root, it first becomes an unprivileged user; then, through ctypes, it makes user,
mount, process, network, IPC and host-name namespaces, a root that holds the bundle's two folders read-only, a few
devices and a scratch in memory, and starts the supervisor as the first process in there.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

NOBODY = 65534
_NEWNS, _NEWUTS, _NEWIPC = 0x00020000, 0x04000000, 0x08000000
_NEWUSER, _NEWPID, _NEWNET, _NEWCGROUP = 0x10000000, 0x20000000, 0x40000000, 0x02000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_DETACH = 2
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "arm64": 41}
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start, and in what.

    Attributes:
        namespaces: False starts the command in the machine's own namespaces.
        base, guest: the folders of the bundle.
        scratch_bytes, scratch_inodes: size of the scratch.
        command: absolute path of the program inside, and its arguments.
        environment: all of it.
    """

    namespaces: bool
    base: str
    guest: str
    scratch_bytes: int
    scratch_inodes: int
    command: list[str]
    environment: dict[str, str]


def _check(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def _mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    arguments = (source.encode(), target.encode(), kind.encode() if kind else None)
    _check(_libc.mount(*arguments, ctypes.c_ulong(flags), data.encode() or None), f"mount {target}")


def _bind(source: str, target: str) -> None:
    """Show a folder read-only at another place."""
    _mount(source, target, None, _BIND | _REC)
    # What the source may not do, its image may not be allowed to do either.
    locked = os.statvfs(source).f_flag & (_NOSUID | _NODEV | _NOEXEC)
    _mount(source, target, None, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV | locked)


def _is_nobody_already() -> bool:
    """Whether this root is that of a user namespace for one ordinary user: outside it is nobody special, and inside
    there is nobody else to become."""
    maps = [tuple(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    return len(maps) == 1 and maps[0][2] == 1 and maps[0][1] != 0


def _become_nobody() -> None:
    if os.geteuid() == 0 and not _is_nobody_already():
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    # Otherwise /proc/self belongs to root after a change of user, and the maps below could not be written.
    _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


def _unshare() -> None:
    user, group = os.geteuid(), os.getegid()
    flags = _NEWUSER | _NEWNS | _NEWPID | _NEWNET | _NEWIPC | _NEWUTS | _NEWCGROUP
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {group} 1")


def _build_root(launch: Launch) -> None:
    _mount("none", "/", None, _REC | _PRIVATE)
    _bind(launch.base, launch.base)
    _bind(launch.guest, f"{launch.base}/opt/mnemogen")
    for device in ("null", "zero", "urandom", "random"):
        _mount(f"/dev/{device}", f"{launch.base}/dev/{device}", None, _BIND)
    scratch = f"size={launch.scratch_bytes},nr_inodes={launch.scratch_inodes},mode=700"
    _mount("tmpfs", f"{launch.base}/tmp", "tmpfs", _NOSUID | _NODEV | _NOEXEC, scratch)


def _enter_root(base: str) -> None:
    """In the new process namespace: leave the machine's files behind."""
    _mount("proc", f"{base}/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    os.chdir(base)
    _check(_libc.syscall(_PIVOT_ROOT[platform.machine()], b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _DETACH), "umount")
    os.chdir("/")


def _start(launch: Launch) -> None:
    """Become the supervisor; never returns."""
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.execve(launch.command[0], launch.command, launch.environment)


def main() -> int:
    launch = Launch(**json.loads(sys.argv[1]))
    _become_nobody()
    if not launch.namespaces:
        _start(launch)
    _unshare()
    _build_root(launch)
    first = os.fork()
    if first == 0:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _enter_root(launch.base)
        _start(launch)
    # That the worker is gone shows as the end of these pipes, so nobody else may hold them.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    return abs(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]))


if __name__ == "__main__":
    sys.exit(main())
