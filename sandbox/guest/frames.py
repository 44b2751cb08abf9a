"""Length-prefixed JSON frames: four bytes of length, big-endian, then UTF-8 JSON.

Both ends parse strictly: a frame is an object of bounded size, depth and number of values, without NaN or repeated
keys, and whole numbers are bounded. Anything else raises `FrameError`, which is an outcome of the design, never a
crash of the reader.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator
from typing import Any

HEADER = struct.Struct(">I")
MAX_DIGITS = 40
_LONG_NUMBER = re.compile(rb"[0-9]{%d}" % MAX_DIGITS)
MAX_DEPTH = 200
"""Containers within containers; what is parsed here is also printed and written elsewhere, from deeper stacks."""
MAX_CONTAINERS, MAX_VALUES = 200_000, 1_000_000
"""Of a body, counted by its brackets and commas, those in texts too: three bytes of JSON can take 200 of memory."""


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


def _bounded(body: bytes) -> int:
    """Raise FrameError where `body` could hold more values than are taken; return how many containers it may hold."""
    containers = body.count(b"[") + body.count(b"{")
    if containers > MAX_CONTAINERS:
        raise FrameError(f"{containers} lists and objects, at most {MAX_CONTAINERS} are taken")
    if (values := body.count(b",")) > MAX_VALUES:
        raise FrameError(f"{values} values, at most {MAX_VALUES} are taken")
    return containers


def _check_depth(message: dict[str, Any]) -> None:
    level: list[Any] = [message]
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise FrameError(f"nested more than {MAX_DEPTH} levels deep")
        inner = (value for outer in level for value in (outer.values() if isinstance(outer, dict) else outer))
        level = [value for value in inner if isinstance(value, dict | list | tuple)]


def encode(message: dict[str, Any], limit: int) -> bytes:
    """Return `message` as one frame.

    Raises:
        FrameError: it is no JSON, larger than `limit` bytes, or more than `decode` takes.
    """
    try:
        body = json.dumps(message, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise FrameError(f"not JSON: {error}") from error
    if len(body) > limit:
        raise FrameError(f"a frame of {len(body)} bytes, at most {limit} are taken")
    if _bounded(body) > MAX_DEPTH:
        _check_depth(message)
    if _LONG_NUMBER.search(body):  # in a text, perhaps
        decode(body)
    return HEADER.pack(len(body)) + body


def decode(body: bytes) -> dict[str, Any]:
    """Parse the body of one frame.

    Raises:
        FrameError: it is no JSON object, nests too deeply, repeats a key, or holds too many values, NaN, an infinity
            or a huge number.
    """
    containers = _bounded(body)
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
    if containers > MAX_DEPTH:
        _check_depth(message)
    return message


class FrameReader:
    """Cuts a stream of bytes into frames; feed it what arrives, take what is complete.

    Args:
        limit: largest body in bytes; a longer announcement raises before anything of it is kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._fault = ""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take `data` in, and yield the bodies that it completed.

        What comes out does not depend on how the stream was cut: whole bodies first, then the error.

        Raises:
            FrameError: a frame announces more than the limit, now or earlier: there is no way back into the stream.
        """
        if not self._fault:
            self._buffer += data
        return self._bodies()

    def _bodies(self) -> Iterator[bytes]:
        while not self._fault and len(self._buffer) >= HEADER.size:
            (length,) = HEADER.unpack_from(self._buffer)
            if length > self._limit:
                self._fault = f"a frame of {length} bytes, at most {self._limit} are taken"
                self._buffer.clear()
                break
            end = HEADER.size + length
            if len(self._buffer) < end:
                break
            body = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield body
        if self._fault:
            raise FrameError(self._fault)

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame."""
        return len(self._buffer)
