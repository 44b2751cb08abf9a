"""The attach stream of a container: pieces of its standard output and error in one, as Docker's API frames them."""

from __future__ import annotations

import struct

from sandbox.guest.frames import FrameError

HEADER = struct.Struct(">B3sI")
STDIN, STDOUT, STDERR = 0, 1, 2
ERRORS_BYTES = 4_096


class AttachReader:
    """Takes the stream apart as it arrives; of a piece that is not whole yet nothing is held back.

    Attributes:
        errors: the end of what came from standard error.
    """

    def __init__(self) -> None:
        self.errors = bytearray()
        self._header = bytearray()
        self._pipe = STDOUT
        self._left = 0  # bytes of the present piece that are still to come
        self._fault = ""

    def feed(self, data: bytes) -> bytes:
        """Take `data` in; return what of it is standard output.

        Raises:
            FrameError: a piece says that it is of no pipe that there is, now or earlier.
        """
        out = bytearray()
        rest = memoryview(data)
        while rest and not self._fault:
            if self._left:
                piece, rest = rest[: self._left], rest[self._left :]
                self._left -= len(piece)
                if self._pipe == STDOUT:
                    out += piece
                else:
                    self.errors = (self.errors + piece)[-ERRORS_BYTES:]
                continue
            wanted = HEADER.size - len(self._header)
            self._header += rest[:wanted]
            rest = rest[wanted:]
            if len(self._header) == HEADER.size:
                self._begin()
        if self._fault and not out:
            raise FrameError(self._fault)
        return bytes(out)

    def _begin(self) -> None:
        """Read the header of a piece."""
        self._pipe, zeros, self._left = HEADER.unpack(self._header)
        if self._pipe not in (STDIN, STDOUT, STDERR) or any(zeros):
            self._fault = f"a piece begins with {bytes(self._header)!r}"
        self._header.clear()
