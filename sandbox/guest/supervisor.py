"""The first process in a sandbox: starts children that hold a design, relays their frames and keeps the deadlines.

It is trusted, and never imports, runs or parses anything of a design's. Frames to and from the worker begin with a
byte that names the channel, those of a child do not, so that no child can speak on the supervisor's behalf:

    S   {"op": "start"}, {"op": "stop"}              from the worker
        {"event": "ready" | "started" | "failed" | "ended", ...}    to the worker
    M   a request for the child, or what the child says
    A   the worker's answer to an up-call of the child: the clocks of the open request go on
    R   that it refuses one without having asked anybody: the clocks have gone on

When its standard input closes, or nothing is heard of the worker for long, it kills the child and exits.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import time
from dataclasses import asdict
from typing import Any

from .channel import frame
from .child import CHUNK, Child
from .frames import FrameError, FrameReader, decode
from .terms import Terms
from .zygote import Zygote

START_SECONDS = 30.0
GRACE_SECONDS = 2.0  # between the end of a child's pipe and its own end
_GONE = select.POLLHUP | select.POLLERR


class Supervisor:
    """See the module.

    Args:
        wire_in, wire_out: the pipes to the worker, which no child inherits.
    """

    def __init__(self, terms: Terms, wire_in: int, wire_out: int) -> None:
        self._terms = terms
        self._wire_in = wire_in
        self._wire_out = wire_out
        os.set_blocking(wire_out, False)
        self._zygote = Zygote(terms, close=(wire_in, wire_out))
        self._reader = FrameReader(terms.frame_bytes + 1)
        self._outbox = bytearray()
        self._child: Child | None = None
        self._starting = 0.0  # when the child that is not ready yet was forked
        self._closed = 0.0  # when the child's pipe ended
        self._heard = time.monotonic()

    def run(self) -> None:
        """Serve until the worker is gone."""
        self._probe()
        while True:
            ready = dict(self._poll())
            if ready.get(self._wire_in, 0) & select.POLLIN:
                self._hear()
            elif ready.get(self._wire_in, 0) & _GONE or ready.get(self._wire_out, 0) & _GONE:
                return
            if time.monotonic() - self._heard > self._terms.idle_seconds:
                return
            if self._child is not None:
                self._tend(self._child, ready)
            self._flush()

    def close(self) -> None:
        if self._child is not None:
            self._child.end("stopped")

    def _probe(self) -> None:
        """Let a throw-away child find out what this kernel grants, and report it."""
        child = self._child = Child(self._zygote, self._terms)
        deadline = time.monotonic() + START_SECONDS
        while child.layers is None and not child.closed and time.monotonic() < deadline:
            child.push()
            for body in child.pull():
                child.ready(body)
            select.select([child.from_child], [], [], 0.1)
        ended = child.end("stopped")
        self._child = None
        if child.layers is None:
            self._tell({"event": "failed", "detail": f"no child came up: {ended.output_tail}"})
        else:
            self._tell({"event": "ready", "layers": child.layers, "python": sys.version.split()[0]})

    def _poll(self) -> list[tuple[int, int]]:
        poll = select.poll()
        poll.register(self._wire_in, select.POLLIN)
        poll.register(self._wire_out, select.POLLOUT if self._outbox else 0)
        wait = min(60.0, self._terms.idle_seconds)
        child = self._child
        if child is not None:
            wait = min(1.0, child.clocks.wait_seconds())
            # A worker that does not read must not make us hold more than a frame.
            if len(self._outbox) <= self._terms.frame_bytes and not child.closed:
                poll.register(child.from_child, select.POLLIN)
            if not child.silent:
                poll.register(child.output, select.POLLIN)
            poll.register(child.pidfd, select.POLLIN)
            if child.backlog:
                poll.register(child.to_child, select.POLLOUT)
        return poll.poll(wait * 1000)

    # The worker

    def _hear(self) -> None:
        data = os.read(self._wire_in, CHUNK)
        if not data:
            raise EOFError
        self._heard = time.monotonic()
        for body in self._reader.feed(data):
            channel, rest = body[:1], body[1:]
            if channel == b"S":
                self._order(decode(rest))
            elif channel in (b"M", b"A", b"R"):
                if self._child is not None:
                    self._child.backlog += frame(rest)
                    if channel == b"M":
                        self._child.clocks.arm()
                    else:
                        self._child.clocks.resume(refused=channel == b"R")
                    self._child.push()
            else:
                raise FrameError(f"no channel {channel!r}")

    def _order(self, message: dict[str, Any]) -> None:
        if message == {"op": "start"}:
            self._end("stopped")
            try:
                self._child = Child(self._zygote, self._terms)
            except OSError as error:
                self._tell({"event": "failed", "detail": str(error)})
                return
            self._starting, self._closed = time.monotonic(), 0.0
            self._child.push()
        elif message == {"op": "stop"}:
            self._end("stopped")
        else:
            raise FrameError(f"no order {message!r:.80}")

    def _tell(self, message: dict[str, Any]) -> None:
        self._outbox += frame(b"S" + json.dumps(message).encode())
        self._flush()

    def _flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._outbox:
                del self._outbox[: os.write(self._wire_out, self._outbox[:CHUNK])]

    # The child

    def _tend(self, child: Child, ready: dict[int, int]) -> None:
        """Serve what the child has for us, and hold it to its limits."""
        if child.backlog:
            child.push()
        if child.output in ready and not child.drain_output():
            return self._end("output", f"printed more than {self._terms.output_kib} KiB")
        dead = child.pidfd in ready
        try:
            if child.from_child in ready:
                self._relay(child)
            while dead and not child.closed:  # What it said before it died is still good.
                self._relay(child)
        except FrameError as error:
            return self._end("protocol", str(error))
        if dead:
            return self._end("exited")
        if child.closed:
            self._closed = self._closed or time.monotonic()
            if time.monotonic() - self._closed > GRACE_SECONDS:
                return self._end("protocol", "closed its pipe")
        if child.layers is None and time.monotonic() - self._starting > START_SECONDS:
            return self._end("stopped", f"not confined within {START_SECONDS:.0f} s")
        if limit := child.clocks.breach():
            return self._end(limit, _LIMIT_TEXT[limit])
        return None

    def _relay(self, child: Child) -> None:
        for body in child.pull():
            if child.layers is None:
                child.ready(body)
                self._tell({"event": "started", "layers": child.layers})
                continue
            if not child.clocks.running:
                raise FrameError("spoke without being asked, or twice")
            child.clocks.pause()
            self._outbox += frame(b"M" + body)

    def _end(self, reason: str, detail: str = "") -> None:
        child, self._child = self._child, None
        if child is None:
            return
        ended = child.end(reason, detail)
        if child.layers is None:
            self._tell({"event": "failed", "detail": detail or ended.output_tail or "it ended before it was confined"})
        else:
            self._tell({"event": "ended", **asdict(ended)})


_LIMIT_TEXT = {"cpu": "used up its processor time", "wall": "took too long"}


def main() -> None:
    terms = Terms.from_json(sys.argv[1])
    # The real pipes go where no print can reach them, before anything else runs.
    wire_in, wire_out = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    supervisor = Supervisor(terms, wire_in, wire_out)
    try:
        with contextlib.suppress(EOFError, BrokenPipeError):
            supervisor.run()
    finally:
        supervisor.close()
    os._exit(0)  # an interpreter with numpy takes a tenth of a second to take itself apart


if __name__ == "__main__":
    main()
