"""What a supervisor is told when it starts: the limits it keeps, and where things lie."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

THREAD_STACK_MIB = 2
"""Instead of 8, so that an address space that is bounded holds as many threads as are allowed."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The limits of `sandbox.backend.Limits` that are kept inside, and the place.

    Attributes:
        scratch: the folder that a design may write to; empty if there is none.
        readable: folders that a design may read.
        address_space: bound the memory by the size of the address space, since no cgroup does.
        own_users: the user namespace is the guest's own, so that the kernel can count its threads.
        idle_seconds: the supervisor gives up after so long without a word from the worker.
    """

    call_cpu_seconds: float
    call_wall_seconds: float
    stream_cpu_seconds: float
    stream_wall_seconds: float
    memory_mib: int
    processes_count: int
    scratch_mib: int
    open_files_count: int
    output_kib: int
    frame_kib: int
    scratch: str
    readable: tuple[str, ...]
    address_space: bool = False
    own_users: bool = False
    idle_seconds: float = 3_600.0

    @property
    def frame_bytes(self) -> int:
        return self.frame_kib * 1024

    @property
    def address_space_mib(self) -> int:
        """What a child's address space may grow by: its memory, and a stack for each thread."""
        return self.memory_mib + self.processes_count * THREAD_STACK_MIB

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Terms:
        fields = json.loads(text)
        return cls(**{**fields, "readable": tuple(fields["readable"])})
