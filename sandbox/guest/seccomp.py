"""A seccomp allow list for the process that runs a design, in classic BPF through ctypes."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

from . import calls

_LOAD, _AND, _EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_CLONE_THREAD = 0x00010000
_ALL_BITS = 0xFFFFFFFF

# The harmless commands of calls that could also send signals to other processes (F_SETOWN, FIOSETOWN) and much more.
_FCNTL = (0, 1, 2, 3, 4, 1030, 1032)  # dup, flags, size of a pipe
_LOCKS = (5, 6, 7, 36, 37, 38)
_IOCTL = (
    0x5401,
    0x5413,
    0x541B,
    0x5421,
    0x5450,
    0x5451,
)  # is it a terminal, its size, bytes to read, blocking, close on exec
_PRCTL = (3, 15, 16, 0x53564D41)  # get dumpable, name of a thread, name of a mapping (the allocator does that)
_UNIX, _STREAM, _SOCKET_KIND = 1, 1, 0xF

Instruction = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def machine() -> int:
    """The audit architecture of this machine.

    Raises:
        OSError: we hold no table of its system calls.
    """
    name = platform.machine()
    if name not in calls.ARCHITECTURES or struct.calcsize("P") != 8:
        raise OSError(errno.ENOSYS, f"no table of system calls for {name!r}, only for {', '.join(calls.ARCHITECTURES)}")
    return calls.ARCHITECTURES[name]


def program(architecture: int, pid: int, scratch: bool) -> list[Instruction]:
    """Return the filter for the process `pid` as BPF instructions (code, jump if true, jump if false, operand).

    Args:
        scratch: as of `calls.unconditional`.
    """
    filter_: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    for number in calls.unconditional(architecture, scratch):
        filter_ += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    # The C library falls back from clone3, whose flags lie out of a filter's sight, to clone.
    filter_ += _if_call("clone3", architecture, [(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)])
    filter_ += _if_call("clone", architecture, _argument(0, _CLONE_THREAD, (_CLONE_THREAD,)))
    for name in ("kill", "tgkill"):
        filter_ += _if_call(name, architecture, _argument(0, _ALL_BITS, (pid,)))
    filter_ += _if_call("prlimit64", architecture, _argument(0, _ALL_BITS, (0, pid)))
    filter_ += _if_call("prctl", architecture, _argument(0, _ALL_BITS, _PRCTL))
    filter_ += _if_call("ioctl", architecture, _argument(1, _ALL_BITS, _IOCTL))
    # Nobody else has the scratch, so its locks need not be; one on a file that other sandboxes read too would be felt.
    granted = [(_RETURN, 0, 0, _ERRNO | 0)]
    locks = _argument(1, _ALL_BITS, _LOCKS, last=granted, otherwise=_argument(1, _ALL_BITS, _FCNTL))
    filter_ += _if_call("fcntl", architecture, locks)
    filter_ += _if_call("flock", architecture, granted)
    # A datagram socket could be aimed at any socket of the machine that has a path; a pair of streams cannot.
    stream = _argument(0, _ALL_BITS, (_UNIX,), last=_argument(1, _SOCKET_KIND, (_STREAM,)))
    filter_ += _if_call("socketpair", architecture, stream)
    return [*filter_, (_RETURN, 0, 0, _ERRNO | errno.EPERM)]


def _if_call(name: str, architecture: int, block: list[Instruction]) -> list[Instruction]:
    number = calls.number(name, architecture)
    assert number is not None
    return [(_EQUAL, 0, len(block), number), *block]


def _argument(
    position: int,
    mask: int,
    values: tuple[int, ...],
    last: list[Instruction] | None = None,
    otherwise: list[Instruction] | None = None,
) -> list[Instruction]:
    """Go on to `last` (by default: allow) if an argument's masked low half is one of `values`, else to `otherwise`
    (by default: refuse), which must end in a return.

    All the checked arguments are 32 bits wide to the kernel, so their upper halves mean nothing.
    """
    block: list[Instruction] = [(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * position), (_AND, 0, 0, mask)]
    refused = otherwise or [(_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    for index, value in enumerate(values):
        block.append((_EQUAL, len(values) - index - 1 + len(refused), 0, value))
    return [*block, *refused, *(last or [(_RETURN, 0, 0, _ALLOW)])]


def install(scratch: bool) -> None:
    """Bind the calling process, which must have one thread only, to the allow list for good.

    Args:
        scratch: as of `calls.unconditional`.

    Raises:
        OSError: the kernel has no seccomp filters, or we no table for this processor.
    """
    instructions = program(machine(), os.getpid(), scratch)
    packed = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    argument = _Program(len(instructions), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(argument), 0, 0
    ):
        code = ctypes.get_errno()
        raise OSError(code, f"seccomp: {os.strerror(code)}")
