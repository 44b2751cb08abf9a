"""A ledger's file with its write-ahead log applied, also where the log is damaged.

SQLite stops at the first frame of the log that is not what was written. A frame's checksum goes on from that of the
frame before, as stored there, so that frames behind a damaged one can be told whole, too, and are read as well.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from archive.wal import FRAME, HEADER, MAGIC, checksum_of

PAGE = 4096


@dataclass(frozen=True, slots=True)
class Images:
    """A ledger's file as bytes, with its write-ahead log applied.

    Attributes:
        seen: what SQLite makes of both.
        others: what else can be made of them, the most complete first; none if the log is whole.
        torn: how many frames of the log are not what was written, or were never written in full.
    """

    seen: bytes
    others: tuple[bytes, ...]
    torn: int

    @classmethod
    def of(cls, path: Path) -> Images:
        log = path.with_name(path.name + "-wal")
        main = path.read_bytes() if path.is_file() else b""
        frames = list(_frames(log.read_bytes())) if log.is_file() else []
        prefix = next((n for n, frame in enumerate(frames) if not frame.chained), len(frames))
        seen = _applied(main, frames[:prefix])
        if not any(frame.ours for frame in frames[prefix:]):
            return cls(seen, (), 0)
        last = max(number for number, frame in enumerate(frames) if frame.ours)
        torn = sum(not frame.whole for frame in frames[: last + 1])
        return cls(seen, (_applied(main, [frame for frame in frames if frame.whole]), main), torn)


@dataclass(frozen=True, slots=True)
class _Frame:
    """One page in the log.

    Attributes:
        pages: of the file after the transaction that ends with this frame; 0 if it does not end here.
        ours: it belongs to the log as it was last begun, not to an earlier one.
        whole: it is what was written.
        chained: so are all before it: SQLite reads it.
    """

    page: int
    pages: int
    content: bytes
    ours: bool
    whole: bool
    chained: bool


def _frames(log: bytes) -> Iterator[_Frame]:
    if len(log) < HEADER + FRAME:
        return
    magic, _, size, _, salt, stored = struct.unpack_from(">IIII8s8s", log)
    order = ">" if magic == MAGIC | 1 else "<"
    computed = struct.pack(">II", *checksum_of(log[:24], (0, 0), order))
    chained = magic & ~1 == MAGIC and computed == stored
    if not chained:
        salts = (log[start + 8 : start + 16] for start in range(HEADER, len(log) - FRAME + 1, FRAME + PAGE))
        size, salt = PAGE, Counter(salts).most_common(1)[0][0]
    before = {stored, computed}
    for start in range(HEADER, len(log) - FRAME - size + 1, FRAME + size):
        page, pages, found_salt, stored = struct.unpack_from(">II8s8s", log, start)
        content = log[start + FRAME : start + FRAME + size]
        after = {struct.pack(">II", *checksum_of(log[start : start + 8] + content, _sums(s), order)) for s in before}
        whole = found_salt == salt and stored in after
        chained = chained and whole
        yield _Frame(page, pages, content, found_salt == salt, whole, chained)
        before = {stored} if whole else {stored, min(after)}


def _sums(packed: bytes) -> tuple[int, int]:
    first, second = struct.unpack(">II", packed)
    return first, second


def _applied(main: bytes, frames: Sequence[_Frame]) -> bytes:
    """Return the file with every transaction that ends among the frames."""
    last = max((n for n, frame in enumerate(frames) if frame.pages), default=-1)
    image = bytearray(main)
    for frame in frames[: last + 1]:
        place = (frame.page - 1) * PAGE
        image.extend(bytes(max(0, place + PAGE - len(image))))
        image[place : place + PAGE] = frame.content
    if last >= 0:
        size = frames[last].pages * PAGE
        image = image[:size].ljust(size, b"\0")
    return bytes(image)
