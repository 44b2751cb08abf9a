"""The worker's side of the pipe to a supervisor, the same for every backend that has one."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Protocol, Self

from sandbox.backend import Ending, GuestEnded, Limits, Reason, SandboxUnavailable
from sandbox.guest.channel import frame
from sandbox.guest.frames import FrameError, FrameReader, decode
from sandbox.guest.terms import Terms

START_SECONDS = 45.0
MARGIN_SECONDS = 20.0
"""What a busy machine may take over and above the supervisor's own deadlines."""


class Link(Protocol):
    """Bytes to and from one supervisor. Used by one thread."""

    def send(self, data: bytes) -> None:
        """Raises OSError where the other end is gone."""
        ...

    def receive(self, seconds: float) -> bytes:
        """What has arrived, empty at the end.

        Raises:
            TimeoutError: nothing came.
            OSError: the other end is gone.
        """
        ...

    def diagnosis(self) -> str:
        """What is known of why the supervisor is gone, for people."""
        ...

    def close(self) -> None:
        """Let go of it: the supervisor kills its child and exits. Safe to call twice."""
        ...


class Box:
    """A supervisor that is up: one sandbox, not yet or already used.

    Raises:
        SandboxUnavailable: it did not come up.
    """

    def __init__(self, link: Link, terms: Terms) -> None:
        self.terms = terms
        self._link = link
        self._reader = FrameReader(terms.frame_bytes + 1)
        self._bodies: list[bytes] = []
        try:
            self.layers = self._await_ready()
        except SandboxUnavailable:
            self.close()
            raise

    def _await_ready(self) -> tuple[str, ...]:
        _, body = self.receive(START_SECONDS)
        event = _event(body)
        if event.get("event") != "ready":
            raise SandboxUnavailable(f"the sandbox did not come up: {event.get('detail', body[:200])}")
        return tuple(str(layer) for layer in event["layers"])

    def send(self, channel: bytes, body: bytes) -> None:
        try:
            self._link.send(frame(channel + body))
        except OSError:
            # Why it is gone has perhaps been said: whoever receives next will read it.
            return

    def receive(self, seconds: float) -> tuple[bytes, bytes]:
        """Wait for the next frame: its channel and its body.

        Raises:
            SandboxUnavailable: there is none, since the supervisor is gone, or silent for too long.
        """
        deadline = time.monotonic() + seconds
        while not self._bodies:
            try:
                data = self._link.receive(max(deadline - time.monotonic(), 0.0))
            except TimeoutError as error:
                raise SandboxUnavailable(
                    f"the sandbox was silent for {seconds:.0f} s", "is the machine overloaded? use fewer workers"
                ) from error
            except OSError as error:
                raise SandboxUnavailable(f"the pipe to the sandbox broke: {error}") from error
            if not data:
                raise SandboxUnavailable(f"the sandbox is gone: {self._link.diagnosis() or 'it said nothing'}")
            try:
                self._bodies.extend(self._reader.feed(data))
            except FrameError as error:
                raise SandboxUnavailable(f"the supervisor said what is no frame: {error}") from error
        body = self._bodies.pop(0)
        return body[:1], body[1:]

    def alive(self) -> bool:
        """Is the supervisor there still? To be asked of a box that nobody has used."""
        try:
            self._link.receive(0.0)
            return False  # It speaks only when spoken to: this is its end.
        except TimeoutError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        self._link.close()


class SupervisedGuest:
    """`sandbox.backend.Guest` over a box.

    Args:
        minimum: layers of confinement without which no design is run.
    """

    def __init__(self, box: Box, minimum: frozenset[str]) -> None:
        self._box = box
        self._terms = box.terms
        self._minimum = minimum
        self._running = False
        self._ending: Ending | None = None

    def start(self) -> None:
        self.stop()
        self._ending = None
        self._box.send(b"S", b'{"op":"start"}')
        while True:
            channel, body = self._box.receive(START_SECONDS)
            if channel == b"S":
                break  # What came before is the last of an earlier process.
        event = _event(body)
        if event["event"] != "started":
            raise SandboxUnavailable(f"no process could be started in the sandbox: {event.get('detail')}")
        self._running = True
        missing = self._minimum - set(event["layers"])
        if missing:
            self.stop()
            raise SandboxUnavailable(f"the sandbox lacks {', '.join(sorted(missing))}")

    def send(self, body: bytes, *, resume: bool = False, refusal: bool = False) -> None:
        if self._ending is not None:
            raise GuestEnded(self._ending)
        if len(body) > self._terms.frame_bytes:
            raise FrameError(f"a frame of {len(body)} bytes, at most {self._terms.frame_bytes} are taken")
        self._box.send(b"R" if refusal else b"A" if resume else b"M", body)

    def receive(self) -> bytes:
        if self._ending is not None:
            raise GuestEnded(self._ending)
        channel, body = self._box.receive(self._terms.call_wall_seconds + MARGIN_SECONDS)
        if channel == b"M":
            return body
        raise GuestEnded(self._end(body))

    def stop(self) -> Ending:
        if self._ending is None and self._running:
            self._box.send(b"S", b'{"op":"stop"}')
            while self._ending is None:
                channel, body = self._box.receive(START_SECONDS)
                if channel == b"S":
                    self._end(body)
        return self._ending or Ending(Reason.STOPPED)

    def _end(self, body: bytes) -> Ending:
        event = _event(body)
        if event.pop("event") != "ended":
            raise SandboxUnavailable(f"the supervisor said {body[:200]!r}")
        self._ending = Ending(**{**event, "reason": Reason(event["reason"])})
        self._running = False
        return self._ending

    def close(self) -> None:
        self._running = False
        self._box.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _event(body: bytes) -> dict[str, Any]:
    try:
        event = decode(body)
    except FrameError as error:
        raise SandboxUnavailable(f"the supervisor said {body[:200]!r}") from error
    return event


def terms_of(limits: Limits, scratch: str, readable: tuple[str, ...], **place: bool) -> Terms:
    """The part of `limits` that the supervisor keeps, and where things lie in its sandbox."""
    return Terms(
        call_cpu_seconds=limits.call_cpu_seconds,
        call_wall_seconds=limits.call_wall_seconds,
        stream_cpu_seconds=limits.stream_cpu_seconds,
        stream_wall_seconds=limits.stream_wall_seconds,
        memory_mib=limits.memory_mib,
        processes_count=limits.processes_count,
        scratch_mib=limits.scratch_mib,
        open_files_count=limits.open_files_count,
        output_kib=limits.output_kib,
        frame_kib=limits.frame_kib,
        scratch=scratch,
        readable=readable,
        **place,
    )
