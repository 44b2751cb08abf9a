"""What a confined design sees of the machine, compared with what it is meant to see, down to the last item.

The golden files, one for each backend, lie in `posture/`. A difference is either a hole or meant; if it is meant,
`MNEMOGEN_RENEW_POSTURE=1 pytest tests/sandbox/test_posture.py` writes them anew, and the commit says why.
"""

from __future__ import annotations

import difflib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox import reaper
from sandbox.backend import Backend
from sandbox.docker_backend import connect
from sandbox.guest import calls, seccomp

if TYPE_CHECKING:
    from conftest import Driver

GOLDEN = Path(__file__).parent / "posture"
RENEW = "MNEMOGEN_RENEW_POSTURE"

# Name, number on x86_64, number on aarch64. They are made with arguments that no call accepts, or that change nothing.
TABLE = """
    getpid 39 172; read 0 63; openat 257 56; mmap 9 222; futex 202 98; getrandom 318 278; capget 125 90;
    socket 41 198; connect 42 203; bind 49 200; listen 50 201; accept 43 202; accept4 288 242;
    execve 59 221; execveat 322 281; clone3 435 435; ptrace 101 117; process_vm_readv 310 270;
    process_vm_writev 311 271; kcmp 312 272; pidfd_open 434 434; pidfd_getfd 438 438; pidfd_send_signal 424 424;
    process_madvise 440 440; tkill 200 130; rt_sigqueueinfo 129 138; setpriority 141 140; sched_setscheduler 144 119;
    sched_setaffinity 203 122; ioprio_set 251 30; setuid 105 146; setgid 106 144; setresuid 117 147; setgroups 116 159;
    capset 126 91; seccomp 317 277; landlock_create_ruleset 444 444; personality 135 92; setns 308 268; unshare 272 97;
    mount 165 40; umount2 166 39; pivot_root 155 41; chroot 161 51; fsopen 430 430; fsconfig 431 431; fsmount 432 432;
    move_mount 429 429; open_tree 428 428; mount_setattr 442 442; mknodat 259 33; open_by_handle_at 304 265;
    name_to_handle_at 303 264; fchownat 260 54; setxattr 188 5; inotify_init1 294 26; fanotify_init 300 262;
    io_uring_setup 425 425; io_setup 206 0; bpf 321 280; perf_event_open 298 241; userfaultfd 323 282;
    memfd_create 319 279; memfd_secret 447 447; shmget 29 194; msgget 68 186; semget 64 190; mq_open 240 180;
    add_key 248 217; request_key 249 218; keyctl 250 219; mlock 149 228; mbind 237 235; move_pages 279 239;
    pkey_alloc 330 289; splice 275 76; tee 276 77; vmsplice 278 75; timer_create 222 107; timerfd_create 283 85;
    signalfd4 289 74; clock_settime 227 112; settimeofday 164 170; adjtimex 159 171; sethostname 170 161;
    syslog 103 116; reboot 169 142; swapon 167 224; acct 163 89; quotactl 179 60; init_module 175 105;
    finit_module 313 273; delete_module 176 106; kexec_load 246 104; sync 162 81; vhangup 153 58;
"""
PROBE = """
import ctypes, errno, json, os, resource, stat

libc = ctypes.CDLL(None, use_errno=True)

def called(number):
    ctypes.set_errno(0)
    none = [ctypes.c_long(-1)] + [ctypes.c_long(0)] * 5
    failed = libc.syscall(ctypes.c_long(number), *none) < 0
    answers = {errno.EPERM: "refused", errno.EACCES: "refused", errno.ENOSYS: "unknown"}
    return answers.get(ctypes.get_errno(), "let through") if failed else "let through"

def tried(act):
    try:
        act()
    except OSError:
        return False
    return True

def written(folder):
    path = os.path.join(folder, "posture")
    with open(path, "w"):
        os.unlink(path)

def descriptors():
    kinds = [(stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"), (stat.S_ISREG, "file"), (stat.S_ISCHR, "device")]
    for number in range(1024):
        try:
            mode = os.fstat(number).st_mode
        except OSError:
            continue
        yield f"{number} " + next((name for is_it, name in kinds if is_it(mode)), "other")

def capabilities():
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, data) == 0
    return [name for name, at in (("effective", 0), ("permitted", 1), ("inheritable", 2)) if data[at] or data[at + 3]]

limits = {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name.upper()))
          for name in ("as", "core", "cpu", "fsize", "memlock", "nofile")}
out = json.dumps({
    "users": [*os.getresuid(), *os.getresgid()],
    "groups": sorted(os.getgroups()),
    "capabilities": capabilities(),
    "environment": sorted(os.environ),
    "descriptors": list(descriptors()),
    "limits": {name: "none" if value[0] < 0 else value if name in ("core", "fsize", "memlock", "nofile") else "some"
               for name, value in limits.items()},
    "calls": {name: called(number) for name, number in CALLS.items()},
    "writable folders": [f for f in FOLDERS if tried(lambda: written(f))],
    "readable folders": [f for f in FOLDERS if tried(lambda: os.listdir(f))],
    "readable files": [f for f in FILES if tried(lambda: open(f, "rb").close())],
    "writable files": [f for f in FILES if tried(lambda: open(f, "r+b", buffering=0).close())],
})
"""
FOLDERS = (
    *("/", "/bin", "/boot", "/dev", "/dev/shm", "/dev/mqueue", "/etc", "/home", "/lib", "/media", "/mnt", "/opt"),
    *("/opt/design_space", "/opt/packages", "/proc", "/proc/self", "/root", "/run", "/srv", "/sys", "/sys/fs/cgroup"),
    *("/tmp", "/usr", "/usr/lib", "/usr/local", "/usr/local/bin", "/var", "/var/tmp"),
)
FILES = (
    *("/dev/full", "/dev/kmsg", "/dev/mem", "/dev/null", "/dev/ptmx", "/dev/random", "/dev/tty", "/dev/urandom"),
    *("/dev/zero", "/dev/fuse", "/dev/kvm", "/etc/hostname", "/etc/hosts", "/etc/passwd", "/etc/resolv.conf"),
    *("/proc/cpuinfo", "/proc/kallsyms", "/proc/self/environ", "/proc/self/maps", "/proc/self/mem"),
    *("/proc/self/oom_score_adj", "/proc/self/status", "/proc/sysrq-trigger", "/proc/version", "/proc/1/environ"),
)
OPTIONS = ("ro", "rw", "nosuid", "nodev", "noexec")
VIRTUAL = frozenset({"tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "devtmpfs", "ramfs"})


def seen_inside(driver: Driver) -> dict[str, Any]:
    """What a design can say of itself."""
    column = 0 if seccomp.machine() == calls.X86_64 else 1
    rows = (row.split() for row in TABLE.split(";") if row.strip())
    numbers = {name: int(found[column]) for name, *found in rows}
    names = f"CALLS, FOLDERS, FILES = {numbers!r}, {FOLDERS!r}, {FILES!r}\n"
    told = json.loads(driver.look(names + PROBE))
    assert isinstance(told, dict)
    return told


def seen_outside(pid: int, kind: str) -> dict[str, Any]:
    """What the kernel says of it, as far as we may ask."""
    lines = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    status = {name: value.strip() for name, _, value in lines}
    told: dict[str, Any] = {
        "no new privileges": status["NoNewPrivs"] == "1",
        "seccomp": {"0": "none", "1": "strict", "2": "filter"}[status["Seccomp"]],
        "capabilities bounded": int(status["CapBnd"], 16) == 0,
        "capabilities ambient": int(status["CapAmb"], 16) != 0,
    }
    try:
        mounts = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
        spaces = sorted(p.name for p in Path(f"/proc/{pid}/ns").iterdir() if not p.name.endswith("_for_children"))
        # By the kind of cgroups, Docker decides whether there is a namespace of them; that of time nobody makes.
        spaces = [name for name in spaces if name not in ("cgroup", "time")]
        own = [name for name in spaces if _space(pid, name) != _space(os.getpid(), name)]
    except PermissionError:
        return told  # to look this far takes root
    return told | {"namespaces of its own": own, "mounts": sorted({normal(line, kind) for line in mounts} - {""})}


def _space(pid: int, name: str) -> str:
    return str(Path(f"/proc/{pid}/ns/{name}").readlink())


def normal(line: str, kind: str) -> str:
    """A mount without what differs from machine to machine: its source, its times, what kind of disk it is on."""
    before, _, after = line.partition(" - ")
    target, options = before.split()[4:6]
    if target.startswith(("/proc/", "/sys/")):
        return ""  # which of the kernel's files there are to be masked depends on its modules
    if kind == "embedded" and target.startswith("/dev/"):
        return f"{target} a device of the machine"
    system = after.split()[0] if after.split()[0] in VIRTUAL else "disk"
    kept = ("ro", "rw") if kind == "docker" and system == "disk" else OPTIONS  # the others are those of the disk
    return f"{target} {system} {' '.join(option for option in kept if option in options.split(','))}"


def confined(kind: str) -> int | None:
    """The process of the one design that runs here: the most filtered one. None where it is on another machine."""
    roots = {os.getpid()}
    if kind == "docker":
        client = connect()
        mine = {"label": f"{reaper.OWNER}={reaper.owner(os.getpid())}"}
        found = [client.api.inspect_container(c["Id"]) for c in client.api.containers(filters=mine)]
        client.close()
        roots = {int(c["State"]["Pid"]) for c in found}
    family, parents = set(roots), {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it ended meanwhile
    while new := {child for child, parent in parents.items() if parent in family} - family:
        family |= new
    filters = {pid: _filters(pid) for pid in family & set(parents)}
    most = [pid for pid, count in filters.items() if count == max(filters.values())]
    return most[0] if len(most) == 1 else None


def _filters(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Seccomp_filters:")), 0)


@pytest.mark.parametrize("kind", ["docker", "embedded"], indirect=True)
def test_a_design_sees_what_it_is_meant_to_see_and_nothing_more(kind: str, backend: Backend, driver: Driver) -> None:
    if "landlock" not in backend.name or (kind == "embedded" and "namespaces" not in backend.name):
        pytest.skip(f"this kernel grants less than the golden file is of: {backend.name}")
    seen, pid = seen_inside(driver), confined(kind)
    if pid is not None:
        seen |= seen_outside(pid, kind)
    file = GOLDEN / f"{kind}.json"
    if os.environ.get(RENEW):
        assert os.geteuid() == 0, "to write the golden files takes root: others do not see all"
        assert "mounts" in seen
        file.write_text(told(seen))
        pytest.skip(f"{file} was written anew")
    golden = json.loads(file.read_text())
    wanted = {name: value for name, value in golden.items() if name in seen}
    assert set(seen) <= set(golden)
    hint = f"if that is meant: {RENEW}=1 pytest tests/sandbox/test_posture.py, and say in the commit why"
    lines = difflib.unified_diff(told(wanted).splitlines(), told(seen).splitlines(), "meant", "seen", lineterm="", n=1)
    assert seen == wanted, "\n".join([*lines, hint])


def told(seen: dict[str, Any]) -> str:
    return json.dumps(seen, indent=1, sort_keys=True) + "\n"
