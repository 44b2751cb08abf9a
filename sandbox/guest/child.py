"""The supervisor's view of one child: its pipes, its clocks, what it printed and how it ended."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from . import evidence, scratch
from .channel import frame
from .frames import FrameReader, decode
from .terms import Terms
from .zygote import Zygote

TAIL_BYTES = 2_048
CHUNK = 1 << 16
_NEAR = 0.9  # of the limit of memory: nearer than this a refused allocation is believed


class Clocks:
    """Bounds the time of one call, and of all calls of a child together.

    They stand still while the child waits for the worker: from a frame of the child to the next of the worker. If that
    refuses what the child asked for, they did not: else a design could keep the worker refusing for ever.

    Attributes:
        running: whether it is the child's turn; only then may it send a frame.
    """

    def __init__(self, pid: int, terms: Terms) -> None:
        self._pid = pid
        self._wall = evidence.WallClock(pid)
        self._terms = terms
        self.running = False
        self._cpu_left = self._wall_left = 0.0
        self._stream_left = terms.stream_wall_seconds
        self._cpu_mark = self._wall_mark = self._paused = 0.0

    def arm(self) -> None:
        """Start a call's clocks."""
        self._cpu_left, self._wall_left = self._terms.call_cpu_seconds, self._terms.call_wall_seconds
        self._go_on()

    def resume(self, refused: bool) -> None:
        """Go on with the clocks of the open call: the worker has answered an up-call, or `refused` it."""
        if refused:
            self._take(self._wall.seconds() - self._paused)
        self._go_on()

    def _go_on(self) -> None:
        self._cpu_mark, self._wall_mark = evidence.cpu_seconds(self._pid), self._wall.seconds()
        self.running = True

    def _take(self, waited: float) -> None:
        self._wall_left -= waited
        self._stream_left -= waited

    def pause(self) -> None:
        if self.running:
            self._cpu_left -= evidence.cpu_seconds(self._pid) - self._cpu_mark
            self._paused = self._wall.seconds()
            self._take(self._paused - self._wall_mark)
            self.running = False

    def breach(self) -> str:
        """The limit that has been passed, empty if none."""
        cpu = evidence.cpu_seconds(self._pid)
        if cpu > self._terms.stream_cpu_seconds:
            return "cpu"
        if self.running and cpu - self._cpu_mark > self._cpu_left:
            return "cpu"
        if self.running and self._wall.seconds() - self._wall_mark > min(self._wall_left, self._stream_left):
            return "wall"
        return ""

    def wait_seconds(self) -> float:
        """How long no limit can be passed, whatever the child does."""
        cpu = evidence.cpu_seconds(self._pid)
        left = self._terms.stream_cpu_seconds - cpu
        if self.running:
            left = min(left, self._cpu_left - (cpu - self._cpu_mark))
        left /= os.cpu_count() or 1
        if self.running:
            left = min(left, min(self._wall_left, self._stream_left) - (self._wall.seconds() - self._wall_mark))
        return max(left, 0.005)

    def close(self) -> None:
        self._wall.close()


@dataclass(frozen=True, slots=True)
class Ended:
    """The fields of `sandbox.backend.Ending`."""

    reason: str
    exit_code: int | None
    signal: int | None
    cpu_seconds: float
    max_rss_kib: int
    oom_kills: int
    process_limit_hits: int
    memory_denied: bool
    scratch_full: bool
    output_tail: str
    detail: str


class Child:
    """One confined process, from fork to wiped scratch."""

    def __init__(self, zygote: Zygote, terms: Terms) -> None:
        self._terms = terms
        self._before = self._counters()
        theirs_in, self.to_child = os.pipe()
        self.from_child, theirs_out = os.pipe()
        self.output, theirs_print = os.pipe()
        for fd in (self.to_child, self.from_child, self.output):
            os.set_blocking(fd, False)
        try:
            self.pid = zygote.fork(theirs_in, theirs_out, theirs_print)
        finally:
            for fd in (theirs_in, theirs_out, theirs_print):
                os.close(fd)
        self.pidfd = os.pidfd_open(self.pid)
        self.clocks = Clocks(self.pid, terms)
        self.backlog = bytearray(frame(b"{}"))
        self.closed = False
        self.silent = False  # nothing can be printed any more
        self.layers: tuple[str, ...] | None = None
        self._base_kib = 0
        self._reader = FrameReader(terms.frame_bytes)
        self._printed = 0
        self._tail = bytearray()

    def push(self) -> None:
        """Write what the child will take of the backlog."""
        with contextlib.suppress(BlockingIOError):
            try:
                while self.backlog:
                    del self.backlog[: os.write(self.to_child, self.backlog[:CHUNK])]
            except BrokenPipeError:
                self.backlog.clear()

    def pull(self) -> Iterator[bytes]:
        """Read whole bodies from the child, up to a chunk; sets `closed` at the end of its pipe.

        Raises, after the bodies that came before it:
            FrameError: a frame announces more than the limit.
        """
        try:
            data = os.read(self.from_child, CHUNK)
        except BlockingIOError:
            return iter(())
        self.closed = not data
        return self._reader.feed(data)

    def ready(self, body: bytes) -> None:
        """Take the child's first frame, sent when it was confined and before it knew of any design.

        Raises:
            FrameError: it is something else.
        """
        message = decode(body)
        self.layers = tuple(str(layer) for layer in message["layers"])
        self._base_kib = evidence.Status.read(self.pid).peak_kib

    def drain_output(self) -> bool:
        """Read what the child printed.

        Returns:
            Whether it is still within its limit.
        """
        with contextlib.suppress(BlockingIOError):
            data = os.read(self.output, CHUNK)
            self.silent = not data
            self._printed += len(data)
            self._tail = (self._tail + data)[-TAIL_BYTES:]
        return self._printed <= self._terms.output_kib * 1024

    def end(self, reason: str, detail: str = "") -> Ended:
        """Kill the process if it lives, empty the scratch, and say how it ended."""
        status = evidence.Status.read(self.pid)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        self._await_end(10.0)
        _, wait_status, usage = os.wait4(self.pid, 0)
        self.drain_output()
        after = self._counters()
        code = os.waitstatus_to_exitcode(wait_status)
        if reason == "exited" and code >= 0 and self._reader.pending:
            reason, detail = "protocol", "ended inside a frame"
        cpu = usage.ru_utime + usage.ru_stime
        if reason == "exited" and code < 0 and cpu >= self._terms.stream_cpu_seconds:
            reason = "cpu"
        full = bool(self._terms.scratch) and evidence.is_full(self._terms.scratch)
        if self._terms.scratch:
            scratch.wipe(self._terms.scratch)
        self._close()
        return Ended(
            reason,
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            cpu_seconds=cpu,
            max_rss_kib=usage.ru_maxrss,
            oom_kills=after.oom_kills - self._before.oom_kills,
            process_limit_hits=self._thread_hits(status, after),
            memory_denied=self._memory_denied(status, usage.ru_maxrss),
            scratch_full=full,
            output_tail=self._tail.decode("utf-8", "replace"),
            detail=detail,
        )

    def _counters(self) -> evidence.Counters:
        # Without a cgroup of our own, the counters in sight are those of the whole machine.
        return evidence.Counters(0, 0) if self._terms.address_space else evidence.Counters.read()

    def _thread_hits(self, status: evidence.Status, after: evidence.Counters) -> int:
        hits = after.process_limit_hits - self._before.process_limit_hits
        if self._terms.own_users and status.threads >= self._terms.processes_count:
            return max(hits, 1)
        return hits

    def _memory_denied(self, status: evidence.Status, max_rss_kib: int) -> bool:
        if not self._terms.address_space:
            return False
        grown = status.peak_kib - self._base_kib
        return (
            grown >= _NEAR * self._terms.address_space_mib * 1024
            or max_rss_kib >= _NEAR * self._terms.memory_mib * 1024
        )

    def _await_end(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def _close(self) -> None:
        self.clocks.close()
        for fd in (self.to_child, self.from_child, self.output, self.pidfd):
            os.close(fd)
