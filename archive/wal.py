"""Looks for damage in SQLite's write-ahead log before SQLite opens it.

SQLite takes the first frame whose checksum fails for the end of the log and silently drops what follows, committed
transactions included. With `synchronous=FULL` a crash can only tear the last transaction; so a bad frame with two
commits at or after it was damaged after it had been written. (Format: https://sqlite.org/fileformat2.html#walformat)
"""

from __future__ import annotations

import struct
from pathlib import Path

from archive.errors import ArchiveDamaged

HEADER, FRAME = 32, 24
MAGIC = 0x377F0682


def check_wal(path: Path) -> None:
    """Read the write-ahead log at `path`, if there is one.

    Raises:
        ArchiveDamaged: committed transactions in it cannot be read. A torn last transaction is no damage.
    """
    if not path.is_file():
        return
    content = path.read_bytes()
    if len(content) <= HEADER:
        return
    magic, _, size, _, salt, checksum = struct.unpack_from(">IIII8s8s", content)
    order = ">" if magic & 1 else "<"
    sums = checksum_of(content[:24], (0, 0), order)
    if magic & ~1 != MAGIC or struct.pack(">II", *sums) != checksum:
        raise ArchiveDamaged(str(path), "its header is not what was written", hint="restore the run's folder")
    bad, commits = 0, 0
    for number, start in enumerate(range(HEADER, len(content) - FRAME - size + 1, FRAME + size), 1):
        _, committed, found_salt, found = struct.unpack_from(">II8s8s", content, start)
        if not bad:
            page = content[start : start + 8] + content[start + FRAME : start + FRAME + size]
            sums = checksum_of(page, sums, order)
            if found_salt != salt or struct.pack(">II", *sums) != found:
                bad = number
        if bad and committed and found_salt == salt:
            commits += 1
    if commits > 1:
        problem = f"frame {bad} is not what was written, and {commits} transactions would be lost with it"
        raise ArchiveDamaged(str(path), problem, hint="restore the run's folder")


def checksum_of(content: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
