"""A process with Python, numpy and `design_space` in it that forks the children that run designs.

It is forked off the supervisor before that has relayed anything, so that no child's memory holds what an earlier child
of the same design was told. A child is forked twice over: its parent ends at once, and the supervisor inherits it.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import json
import os
import random
import signal
import socket
import sys
import threading

import numpy as np
import numpy.random

import design_space.parts  # noqa: F401 - what most designs import, for the same reason

from .channel import Channel, frame
from .confine import confine
from .main import Session
from .terms import THREAD_STACK_MIB, Terms

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36


class Zygote:
    """The supervisor's handle on it.

    Args:
        close: file descriptors of the supervisor that no child may have.
    """

    def __init__(self, terms: Terms, close: tuple[int, ...]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        supervisor = os.getpid()
        if os.fork() == 0:
            self._socket.close()
            for fd in close:
                os.close(fd)
            _serve(other, terms, supervisor)
        other.close()

    def fork(self, read_fd: int, write_fd: int, output_fd: int) -> int:
        """Return the id of a new child that reads, writes and prints to these; it waits for one frame first.

        Raises:
            OSError: it could not be forked.
        """
        socket.send_fds(self._socket, [b"fork"], [read_fd, write_fd, output_fd])
        pid = int(self._socket.recv(32) or b"0")
        if pid <= 0:
            raise OSError(-pid, f"no child could be forked: {os.strerror(-pid)}")
        return pid


def _serve(connection: socket.socket, terms: Terms, supervisor: int) -> None:
    """Fork a child for each message until the supervisor is gone; never returns."""
    gc.freeze()  # what is there now is never looked at again, so that children share it for good
    while True:
        message, fds, _, _ = socket.recv_fds(connection, 16, 3)
        if not message:
            os._exit(0)
        try:
            pid = _fork_twice(fds, terms, supervisor)
        except OSError as error:
            pid = -(error.errno or 1)
        for fd in fds:
            os.close(fd)
        connection.send(b"%d" % pid)


def _fork_twice(fds: list[int], terms: Terms, supervisor: int) -> int:
    reader, writer = os.pipe()
    between = os.fork()
    if between == 0:
        pid = -1
        try:
            pid = os.fork()
            if pid == 0:
                _run(fds, terms, supervisor)
            os.write(writer, b"%d" % pid)
        finally:
            os._exit(0)
    os.close(writer)
    # Once it is waited for, the supervisor has inherited the child and may wait for that.
    os.waitpid(between, 0)
    pid = int(os.read(reader, 32) or b"-11")
    os.close(reader)
    return pid


def _run(fds: list[int], terms: Terms, supervisor: int) -> None:
    """The child's whole life; never returns."""
    code = 1
    try:
        channel = Channel(*_arrange(fds), terms.frame_bytes)
        channel.read()  # The supervisor is now our parent: that its end is ours can be asked for.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != supervisor:
            os._exit(1)
        # A design should draw from its kit's generator; one that does not is at least the same each time.
        random.seed(0)
        np.random.seed(0)
        threading.stack_size(THREAD_STACK_MIB << 20)
        layers = confine(terms)
        channel.write(frame(json.dumps({"layers": layers}).encode()))
        Session(channel, terms.frame_bytes).serve()
        sys.stdout.flush()
        code = 0
    except BaseException:  # noqa: BLE001 - whatever it is, this process must not go on as another zygote
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _arrange(fds: list[int]) -> tuple[int, int]:
    """Give the child its pipes at 3 and 4, the output pipe at 1 and 2, nothing to read at 0, and nothing else."""
    # Out of the way first: any of them may lie where another has to go.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in fds]
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(high[2], 1)
    os.dup2(high[2], 2)
    os.dup2(high[0], 3, inheritable=False)
    os.dup2(high[1], 4, inheritable=False)
    os.closerange(5, 1 << 16)
    return 3, 4
