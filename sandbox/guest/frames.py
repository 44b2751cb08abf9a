"""Length-prefixed JSON frames: four bytes of length, big-endian, then UTF-8 JSON.

Both ends parse strictly: a frame is an object of bounded size, without NaN or repeated keys, and whole
numbers are bounded. Anything else raises `FrameError`, which is an outcome of the design, never a crash of the reader.
"""

from __future__ import annotations

import json
import math
import struct
from typing import Any

HEADER = struct.Struct(">I")
MAX_DIGITS = 40


class FrameError(ValueError):
    """What came over the pipe is no frame."""


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise FrameError(f"a whole number of {len(text)} digits, at most {MAX_DIGITS} are taken")
    return int(text)


def _constant(text: str) -> float:
    raise FrameError(f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise FrameError(f"a number beyond all bounds: {text:.40}")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    message = dict(pairs)
    if len(message) != len(pairs):
        raise FrameError("an object repeats a key")
    return message


def encode(message: dict[str, Any], limit: int) -> bytes:
    """Return `message` as one frame.

    Raises:
        FrameError: it is no JSON, or larger than `limit` bytes.
    """
    try:
        body = json.dumps(message, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise FrameError(f"not JSON: {error}") from error
    if len(body) > limit:
        raise FrameError(f"a frame of {len(body)} bytes, at most {limit} are taken")
    return HEADER.pack(len(body)) + body


def decode(body: bytes) -> dict[str, Any]:
    """Parse the body of one frame.

    Raises:
        FrameError: it is no JSON object, nests beyond the interpreter's recursion limit, repeats a key, or holds NaN,
            an infinity or a huge number.
    """
    try:
        message = json.loads(
            body.decode("utf-8"),
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=_constant,
            object_pairs_hook=_unique,
        )
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise FrameError(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise FrameError(f"a {type(message).__name__}, wanted an object")
    return message


class FrameReader:
    """Cuts a stream of bytes into frames; feed it what arrives, take what is complete.

    Args:
        limit: largest body in bytes; a longer announcement raises before anything is buffered.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the bodies that `data` completed.

        Raises:
            FrameError: a frame announces more than the limit.
        """
        self._buffer += data
        bodies = []
        while len(self._buffer) >= HEADER.size:
            (length,) = HEADER.unpack_from(self._buffer)
            if length > self._limit:
                raise FrameError(f"a frame of {length} bytes, at most {self._limit} are taken")
            end = HEADER.size + length
            if len(self._buffer) < end:
                break
            bodies.append(bytes(self._buffer[HEADER.size : end]))
            del self._buffer[:end]
        return bodies

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame."""
        return len(self._buffer)
