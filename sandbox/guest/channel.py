"""The child's end of the pipes to its supervisor."""

from __future__ import annotations

import os

from .frames import HEADER, FrameReader


class Channel:
    """Frames over two blocking file descriptors.

    Args:
        limit: largest body in bytes.
    """

    def __init__(self, read_fd: int, write_fd: int, limit: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._reader = FrameReader(limit)
        self._bodies: list[bytes] = []

    def read(self) -> bytes:
        """Wait for one body.

        Raises:
            EOFError: the other end is closed.
        """
        while not self._bodies:
            data = os.read(self._read_fd, 1 << 16)
            if not data:
                raise EOFError
            self._bodies.extend(self._reader.feed(data))
        return self._bodies.pop(0)

    def write(self, frame: bytes) -> None:
        """Write one whole frame, header included."""
        rest = memoryview(frame)
        while rest:
            rest = rest[os.write(self._write_fd, rest) :]


def frame(body: bytes) -> bytes:
    """`body` with its length before it."""
    return HEADER.pack(len(body)) + body
