"""Git's objects, read without git: an object is known by its hash, so it is whole or it is not there.

One wrong byte in the header of a pack makes git refuse all of it. Here, whatever is intact is read. (Formats:
https://git-scm.com/docs/pack-format)
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_KINDS = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_OFFSET_DELTA, _NAME_DELTA = 6, 7
_SUM = 20
_HEADER = 12


@dataclass(frozen=True, slots=True)
class GitObject:
    kind: str
    content: bytes

    @property
    def sha(self) -> str:
        return hashlib.sha1(b"%s %d\0%s" % (self.kind.encode(), len(self.content), self.content)).hexdigest()


@dataclass(slots=True)
class ObjectStore:
    """All that can be read of the objects in a repository's folder, held in memory.

    Attributes:
        objects: by SHA-1.
        damaged: files that are not what was written, and what is wrong with each.
        holding: what could be read of each damaged file.
    """

    objects: dict[str, GitObject] = field(default_factory=dict)
    damaged: dict[Path, str] = field(default_factory=dict)
    holding: dict[Path, set[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, repository: Path) -> ObjectStore:
        store, folder = cls(), repository / "objects"
        for path in sorted(folder.glob("[0-9a-f][0-9a-f]/*")):
            if not path.name.startswith("tmp_"):
                store._read_loose(path)
        packs = {p.with_suffix("") for suffix in (".pack", ".idx") for p in (folder / "pack").glob(f"pack-*{suffix}")}
        for stem in sorted(packs):
            store._read_pack(stem)
        return store

    def _read_loose(self, path: Path) -> None:
        try:
            head, _, content = inflate(path.read_bytes()).partition(b"\0")
            found = GitObject(head.split(b" ")[0].decode(), content)
        except ValueError as error:
            self.damaged[path] = str(error)
            return
        if found.sha != path.parent.name + path.name:
            self.damaged[path] = f"it holds object {found.sha}"
        else:
            self.objects[found.sha] = found

    def _read_pack(self, stem: Path) -> None:
        pack, index = stem.with_suffix(".pack"), stem.with_suffix(".idx")
        for path in (pack, index, *(p for p in (stem.with_suffix(".rev"), stem.with_suffix(".bitmap")) if p.exists())):
            if not path.is_file():
                self.damaged[path] = "it is missing"
            elif not summed(path.read_bytes()):
                self.damaged[path] = "its checksum does not fit"
        content = pack.read_bytes() if pack.is_file() else b""
        names = {} if index in self.damaged else dict(_index(index.read_bytes()))
        found = {o.sha: o for o in _pack(content, names)}
        if names:
            found = {sha: o for sha, o in found.items() if sha in names}
            if pack not in self.damaged and len(found) < len(names):
                self.damaged[pack] = f"{len(names) - len(found)} of its objects cannot be read"
        self.objects.update(found)
        for path in (pack, index):
            if path in self.damaged:
                self.holding[path] = set(found)


def inflate(content: bytes) -> bytes:
    """Return what was compressed.

    Raises:
        ValueError: it is not whole, or more follows.
    """
    reader = zlib.decompressobj()
    try:
        plain = reader.decompress(content)
    except zlib.error as error:
        raise ValueError(f"it cannot be decompressed ({error})") from error
    if not reader.eof or reader.unused_data:
        raise ValueError("it is not as long as it was written")
    return plain


def summed(content: bytes) -> bool:
    """Whether a file ends with the SHA-1 of what comes before."""
    return len(content) > _SUM and hashlib.sha1(content[:-_SUM]).digest() == content[-_SUM:]


def _index(content: bytes) -> Iterator[tuple[str, int]]:
    """Yield name and offset of each object of a sound index (version 2, packs below 2 GB)."""
    start = 8 + 256 * 4
    (count,) = struct.unpack_from(">I", content, start - 4)
    offsets = struct.unpack_from(f">{count}I", content, start + count * (_SUM + 4))
    for number, offset in enumerate(offsets):
        yield content[start + number * _SUM : start + (number + 1) * _SUM].hex(), offset


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a pack; `base` is where a delta's base is in this pack, or its name."""

    kind: int
    base: int | str | None
    content: bytes
    end: int


def _pack(content: bytes, names: dict[str, int]) -> Iterator[GitObject]:
    """Yield every object whose entry, and those that it is a delta to, can be read."""
    entries: dict[int, _Entry] = {}
    for start in (_HEADER, *sorted(names.values())):
        place = start
        while place not in entries and _HEADER <= place < len(content) - _SUM:
            try:
                entries[place] = _entry(content, place)
            except (ValueError, IndexError):
                break
            place = entries[place].end
    by_place: dict[int | str, GitObject] = {}
    waiting = dict(entries)
    while waiting:
        ready = [p for p, e in waiting.items() if e.base is None or e.base in by_place]
        if not ready:
            return
        for place in ready:
            entry = waiting.pop(place)
            try:
                found = _resolved(entry, None if entry.base is None else by_place[entry.base])
            except (ValueError, IndexError):
                continue
            by_place[place] = by_place[found.sha] = found
            yield found


def _entry(content: bytes, start: int) -> _Entry:
    place, byte = start + 1, content[start]
    kind, size, shift = byte >> 4 & 7, byte & 15, 4
    while byte & 128:
        byte = content[place]
        size, shift, place = size | (byte & 127) << shift, shift + 7, place + 1
    base: int | str | None = None
    if kind == _NAME_DELTA:
        base, place = content[place : place + _SUM].hex(), place + _SUM
    elif kind == _OFFSET_DELTA:
        byte, place = content[place], place + 1
        back = byte & 127
        while byte & 128:
            byte, place = content[place], place + 1
            back = (back + 1) << 7 | byte & 127
        base = start - back
    elif kind not in _KINDS:
        raise ValueError(f"there is no kind {kind} of objects")
    reader = zlib.decompressobj()
    most = min(place + size + size // 1000 + 64, len(content) - _SUM)  # what cannot be compressed grows a little
    try:
        plain = reader.decompress(content[place:most], size + 1)
        if not reader.eof:  # an empty object, or the checksum at the end of the stream, may still be unread
            plain += reader.decompress(reader.unconsumed_tail, 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not reader.eof or len(plain) != size:
        raise ValueError(f"it has {len(plain)} bytes, wanted {size}")
    return _Entry(kind, base, plain, most - len(reader.unused_data))


def _resolved(entry: _Entry, base: GitObject | None) -> GitObject:
    if base is None:
        return GitObject(_KINDS[entry.kind], entry.content)
    delta, place = entry.content, 0
    sizes = []
    for _ in range(2):
        size, shift, byte = 0, 0, 128
        while byte & 128:
            byte, place = delta[place], place + 1
            size, shift = size | (byte & 127) << shift, shift + 7
        sizes.append(size)
    made = bytearray()
    while place < len(delta):
        code, place = delta[place], place + 1
        if code & 128:
            numbers = []
            for bits in (range(4), range(4, 7)):
                value = 0
                for shift, bit in enumerate(bits):
                    if code >> bit & 1:
                        value, place = value | delta[place] << 8 * shift, place + 1
                numbers.append(value)
            offset, length = numbers[0], numbers[1] or 0x10000
            made += base.content[offset : offset + length]
        else:
            made += delta[place : place + code]
            place += code
    if sizes != [len(base.content), len(made)]:
        raise ValueError("a delta does not fit its base")
    return GitObject(base.kind, bytes(made))
