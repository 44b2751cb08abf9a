"""What a sandbox owes: processes that hold a design, bytes to and from them, and evidence of how they ended.

Backend.open() -> Guest            one container (or its like) for one design
  Guest.start()                    a fresh, confined process and an empty scratch folder
  Guest.send() / Guest.receive()   bodies of frames to and from that process
  Guest.stop()                     end the process; what it used
GuestEnded(Ending)                 the process ended by itself or by a limit: data about the design
SandboxUnavailable                 the machine is at fault, never the design
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

from design_space.evaluation import Outcome


class SandboxUnavailable(RuntimeError):
    """The sandbox could not be had, or broke for a reason that no design could cause.

    Args:
        hint: what the user can do about it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[type[SandboxUnavailable], tuple[str, str]]:
        return type(self), (str(self), self.hint)


_MOST = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What a design may use. Every field's name ends with its unit.

    Attributes:
        call_cpu_seconds: processor time of one request (`retrieve`, `update`, ...).
        call_wall_seconds: wall time of one request, waiting for models not included.
        stream_cpu_seconds: processor time of one stream.
        stream_wall_seconds: wall time of all requests of one stream together.
        memory_mib: memory of the design's process with all it holds.
        processes_count: processes and threads.
        scratch_mib: size of the scratch folder.
        scratch_inodes_count: files and folders in it.
        open_files_count: file descriptors.
        output_kib: what the design may print over a stream; the last of it is kept for messages.
        frame_kib: one message over the pipe, in either direction.
        cpus_count: processors.

    Raises:
        ValueError: a number is out of its range.
    """

    call_cpu_seconds: float = 5.0
    call_wall_seconds: float = 20.0
    stream_cpu_seconds: float = 120.0
    stream_wall_seconds: float = 600.0
    memory_mib: int = 512
    processes_count: int = 64
    scratch_mib: int = 64
    scratch_inodes_count: int = 4_096
    open_files_count: int = 128
    output_kib: int = 1_024
    frame_kib: int = 8_192
    cpus_count: float = 1.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 < value <= _MOST:  # nor is what is no number at all
                raise ValueError(f"{name} is {value}, wanted more than 0 and at most {_MOST:,}")

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Labels:
    """Whose a container is, so that a reaper knows what is a stray.

    Attributes:
        run: name of the run.
        design: id of the design, empty while nobody has claimed the container.
    """

    run: str
    design: str = ""


class Reason(StrEnum):
    """Why the supervisor ended a process; `EXITED` if it did not."""

    EXITED = "exited"
    STOPPED = "stopped"
    CPU = "cpu"
    WALL = "wall"
    OUTPUT = "output"
    PROTOCOL = "protocol"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a design's process ended, seen from our side of the boundary.

    Attributes:
        exit_code: of the process; None if a signal ended it.
        signal: that ended it; None if it exited.
        oom_kills: processes that the kernel killed for memory while it ran.
        process_limit_hits: attempts to start a process or thread beyond the limit (the pids controller's count).
        scratch_full: the scratch folder had no free block or inode at the end.
        max_rss_kib: largest resident size.
        memory_denied: the process's own report that an allocation failed, confirmed by its peak address space.
        output_tail: the last that it printed, as text.
        detail: for people.
    """

    reason: Reason
    exit_code: int | None = None
    signal: int | None = None
    cpu_seconds: float | None = None
    max_rss_kib: int | None = None
    oom_kills: int = 0
    process_limit_hits: int = 0
    memory_denied: bool = False
    scratch_full: bool = False
    output_tail: str = ""
    detail: str = ""


class GuestEnded(Exception):
    """The design's process is gone; `ending` says how."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.detail or ending.reason.value)
        self.ending = ending


def classify(ending: Ending) -> Outcome:
    """The outcome that an unasked-for ending is evidence of."""
    if ending.reason in (Reason.CPU, Reason.WALL):
        return Outcome.TIMED_OUT
    if ending.reason is Reason.OUTPUT:
        return Outcome.OUTPUT_FLOOD
    if ending.reason is Reason.PROTOCOL:
        return Outcome.PROTOCOL
    if ending.oom_kills or ending.memory_denied:
        return Outcome.OUT_OF_MEMORY
    if ending.process_limit_hits:
        return Outcome.TOO_MANY_PROCESSES
    if ending.scratch_full:
        return Outcome.DISK_FULL
    return Outcome.CRASHED


class Guest(Protocol):
    """A place for one design's processes, one after the other. Not shared between threads."""

    def start(self) -> None:
        """Begin a fresh confined process with an empty scratch folder.

        Raises:
            SandboxUnavailable: it did not come up.
        """
        ...

    def send(self, body: bytes, *, resume: bool = False, refusal: bool = False) -> None:
        """Send one frame; the clocks of its request start.

        Args:
            resume: the frame answers an up-call, so the clocks of the open request go on where they stood.
            refusal: it refuses an up-call, for which nobody was asked: the clocks have gone on meanwhile.

        Raises:
            GuestEnded: the process is gone.
            FrameError: the frame is larger than `Limits.frame_kib`.
        """
        ...

    def receive(self) -> bytes:
        """Wait for the next frame from the process; the supervisor's deadlines bound the wait.

        Raises:
            GuestEnded: the process ended, or was ended for passing a limit.
            SandboxUnavailable: nothing was heard of the sandbox itself for longer than its deadlines allow.
        """
        ...

    def stop(self) -> Ending:
        """End the process and empty the scratch folder; does nothing new if it ended already."""
        ...

    def close(self) -> None:
        """Give the place up; safe to call twice."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Backend(Protocol):
    """A kind of sandbox.

    Attributes:
        name: `docker` or `embedded`, with the level of confinement that this machine grants.
        caveat: one sentence: what it does not protect against.
        digest: of all that the guest holds besides a design: interpreter, packages, our files.
        folder: the scratch folder's path as the design sees it.
    """

    name: str
    caveat: str
    digest: str
    folder: str

    def open(self, labels: Labels) -> Guest:
        """Hand out a place that nobody has used.

        Raises:
            SandboxUnavailable: none can be had.
        """
        ...

    def close(self) -> None:
        """End everything that this backend started."""
        ...
