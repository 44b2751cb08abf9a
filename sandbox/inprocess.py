"""A backend without any isolation, for code that is trusted: tests and benchmarks of what is around the sandbox.

Never hand it a design that a model wrote: it runs in the caller's own process, with all that the caller may do, and
none of the limits is kept.
"""

from __future__ import annotations

import queue
import tempfile
import threading
from types import TracebackType
from typing import Self

from sandbox import bundle
from sandbox.backend import Ending, GuestEnded, Labels, Limits, Reason, SandboxUnavailable
from sandbox.guest import scratch
from sandbox.guest.frames import HEADER
from sandbox.guest.main import Session


class _Queues:
    """What `guest.channel.Channel` is to a child, between two threads."""

    def __init__(self) -> None:
        self.to_session: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.from_session: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read(self) -> bytes:
        body = self.to_session.get()
        if body is None:
            raise EOFError
        return body

    def write(self, frame: bytes) -> None:
        self.from_session.put(frame[HEADER.size :])


class InProcessGuest:
    """`sandbox.backend.Guest` over a thread of this process."""

    def __init__(self, limits: Limits, folder: str, turn: threading.Lock) -> None:
        self._limits = limits
        self._folder = folder
        self._turn = turn
        self._queues: _Queues | None = None
        self._ending: Ending | None = None
        self._open = True

    def start(self) -> None:
        self.stop()
        self._ending = None
        scratch.wipe(self._folder)
        self._queues = _Queues()
        session = Session(self._queues, self._limits.frame_kib * 1024)
        threading.Thread(target=session.serve, name="in-process guest", daemon=True).start()

    def _live(self) -> _Queues:
        if self._queues is None:
            raise GuestEnded(self._ending or Ending(Reason.STOPPED))
        return self._queues

    def send(self, body: bytes, *, resume: bool = False, refusal: bool = False) -> None:
        self._live().to_session.put(body)

    def receive(self) -> bytes:
        try:
            return self._live().from_session.get(timeout=self._limits.call_wall_seconds)
        except queue.Empty as error:
            raise SandboxUnavailable(
                f"trusted code took more than {self._limits.call_wall_seconds} s, and a thread cannot be ended",
                "use an isolating backend",
            ) from error

    def stop(self) -> Ending:
        if self._queues is not None:
            self._queues.to_session.put(None)
            self._queues = None
            self._ending = Ending(Reason.STOPPED)
        return self._ending or Ending(Reason.STOPPED)

    def close(self) -> None:
        self.stop()
        if self._open:
            self._open = False
            self._turn.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class InProcessBackend:
    """See the module. One guest at a time, as a process has one module named ``design``: `open` waits for its turn."""

    name = "in-process (no isolation)"
    caveat = "it protects against nothing: for trusted code only"

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._turn = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="mnemogen-inprocess-")
        self.folder = self._folder.name
        self.digest = bundle.digest()

    def open(self, labels: Labels) -> InProcessGuest:
        self._turn.acquire()
        return InProcessGuest(self._limits, self.folder, self._turn)

    def close(self) -> None:
        self._folder.cleanup()
