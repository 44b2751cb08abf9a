"""The system calls that a confined process may make, with their numbers on each processor that we know.

Left out are fork, exec, sockets, namespaces, mounts, tracing, other processes' memory and limits, io_uring, bpf, keys,
shared memory, message queues and memfd: whatever is not named here fails with EPERM.
"""

from __future__ import annotations

X86_64 = 0xC000003E
AARCH64 = 0xC00000B7
"""AUDIT_ARCH_* of the kernel: what a filter sees as the architecture of a call."""

ARCHITECTURES = {"x86_64": X86_64, "aarch64": AARCH64, "arm64": AARCH64}

# Name, number on x86_64, number on aarch64; a dash where that processor has none.
_FILES = """
    read 0 63; write 1 64; readv 19 65; writev 20 66; pread64 17 67; pwrite64 18 68; preadv 295 69; pwritev 296 70;
    preadv2 327 286; pwritev2 328 287; lseek 8 62; open 2 -; openat 257 56; openat2 437 437; creat 85 -; close 3 57;
    close_range 436 436; stat 4 -; fstat 5 80; lstat 6 -; newfstatat 262 79; statx 332 291; statfs 137 43;
    fstatfs 138 44; access 21 -; faccessat 269 48; faccessat2 439 439; readlink 89 -; readlinkat 267 78; getdents 78 -;
    getdents64 217 61; getcwd 79 17; chdir 80 49; fchdir 81 50; mkdir 83 -; mkdirat 258 34; rmdir 84 -; unlink 87 -;
    unlinkat 263 35; rename 82 -; renameat 264 38; renameat2 316 276; link 86 -; linkat 265 37; symlink 88 -;
    symlinkat 266 36; ftruncate 77 46; fallocate 285 47; fsync 74 82; fdatasync 75 83; fadvise64 221 223; umask 95 166;
    dup 32 23; dup2 33 -; dup3 292 24; pipe 22 -; pipe2 293 59; sendfile 40 71; copy_file_range 326 285; getxattr 191 8;
    lgetxattr 192 9; fgetxattr 193 10; listxattr 194 11; llistxattr 195 12; flistxattr 196 13;
"""
# Landlock does not deny them (truncate in its first versions), so they are for who sees no file but its own.
_CHANGES = """
    chmod 90 -; fchmod 91 52; fchmodat 268 53; fchmodat2 452 452; utime 132 -; utimes 235 -; utimensat 280 88;
    futimesat 261 -; truncate 76 45;
"""
_WAITING = """
    poll 7 -; ppoll 271 73; select 23 -; pselect6 270 72; epoll_create 213 -; epoll_create1 291 20; epoll_ctl 233 21;
    epoll_wait 232 -; epoll_pwait 281 22; epoll_pwait2 441 441; eventfd 284 -; eventfd2 290 19; nanosleep 35 101;
    clock_nanosleep 230 115; pause 34 -; alarm 37 -; getitimer 36 102; setitimer 38 103;
"""
_MEMORY = """
    brk 12 214; mmap 9 222; munmap 11 215; mprotect 10 226; mremap 25 216; msync 26 227; mincore 27 232;
    madvise 28 233; membarrier 324 283;
"""
_PROCESS = """
    exit 60 93; exit_group 231 94; getpid 39 172; getppid 110 173; gettid 186 178; getuid 102 174; geteuid 107 175;
    getgid 104 176; getegid 108 177; getresuid 118 148; getresgid 120 150; getgroups 115 158; getpgrp 111 -;
    getpgid 121 155; getsid 124 156; getpriority 140 141; getrlimit 97 163; setrlimit 160 164; getrusage 98 165;
    times 100 153; sysinfo 99 179; uname 63 160; capget 125 90; wait4 61 260; waitid 247 95;
"""
_THREADS = """
    futex 202 98; futex_waitv 449 449; set_robust_list 273 99; set_tid_address 218 96; rseq 334 293;
    sched_yield 24 124; sched_getaffinity 204 123; sched_getparam 143 121; sched_getscheduler 145 120;
    sched_get_priority_max 146 125; sched_get_priority_min 147 126; getcpu 309 168; arch_prctl 158 -;
"""
_SIGNALS = """
    rt_sigaction 13 134; rt_sigprocmask 14 135; rt_sigreturn 15 139; rt_sigpending 127 136; rt_sigsuspend 130 133;
    rt_sigtimedwait 128 137; sigaltstack 131 132; restart_syscall 219 128;
"""
_TIME = """
    clock_gettime 228 113; clock_getres 229 114; gettimeofday 96 169; time 201 -; getrandom 318 278;
"""
_SOCKETS = """
    shutdown 48 210; sendto 44 206; recvfrom 45 207; sendmsg 46 211; recvmsg 47 212; getsockname 51 204;
    getpeername 52 205; getsockopt 55 209; setsockopt 54 208;
"""
# Allowed for some arguments only; see `seccomp`.
_CHECKED = """
    clone 56 220; clone3 435 435; kill 62 129; tgkill 234 131; prctl 157 167; ioctl 16 29; fcntl 72 25;
    prlimit64 302 261; socketpair 53 199; flock 73 32;
"""


def _parse(table: str) -> dict[str, tuple[str, str]]:
    rows = (row.split() for row in table.split(";") if row.strip())
    return {name: (x86_64, aarch64) for name, x86_64, aarch64 in rows}


_FREE = _parse(_FILES + _WAITING + _MEMORY + _PROCESS + _THREADS + _SIGNALS + _TIME + _SOCKETS)
_WITH_SCRATCH = _FREE | _parse(_CHANGES)
_ALL = _WITH_SCRATCH | _parse(_CHECKED)


def number(name: str, architecture: int) -> int | None:
    """Number of the call `name`; None where that processor has none."""
    text = _ALL[name][0 if architecture == X86_64 else 1]
    return None if text == "-" else int(text)


def unconditional(architecture: int, scratch: bool) -> list[int]:
    """Numbers of the calls that are allowed whatever their arguments.

    Args:
        scratch: there is a folder whose files may be changed, and no others that could be.
    """
    names = _WITH_SCRATCH if scratch else _FREE
    return [found for name in names if (found := number(name, architecture)) is not None]
