"""Does anything that a design may send break the reader? Recorded frames, mutated a million times and read.

    python benchmarks/fuzz_frames.py --frames 1000000 --seed 0

What some designs of the catalogue said on a stream is recorded. Each try takes some of these frames, flips bits, cuts
off, splices two, repeats a part or edits the length, cuts the result into random pieces, and reads it: out of the
attach stream, out of its frames, out of JSON, and into the values that a worker expects. A frame is parsed or refused
by a `FrameError`; any other exception is a finding and ends in exit code 1. So does growth of memory: a reader holds a
frame, not more.
"""

from __future__ import annotations

import argparse
import random
import resource
import struct
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from design_space import catalogue
from sandbox.agents.evidence import EvidenceAgent
from sandbox.attach import AttachReader
from sandbox.backend import Labels, Limits
from sandbox.evaluate import Evaluator, Setting
from sandbox.guest import wire
from sandbox.guest.channel import frame
from sandbox.guest.frames import FrameError, FrameReader, decode
from sandbox.inprocess import InProcessBackend
from sandbox.streams.household import HouseholdSettings, HouseholdSource

DESIGNS = ("exprag", "memrl", "random_recall", "memory_r1")
LIMIT = 256 * 1024
GROWTH_MIB = 64.0
LENGTHS = (0, 1, 3, 2**16, LIMIT, LIMIT + 1, 2**31 - 1, 2**31, 2**32 - 1)
MORSELS = (
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 60,
    b'"\\ud800"',
    b"[" * 1_500,
    b'{"a":1,"a":2}',
    b"\xff\xfe",
    b"\x00",
)


def recorded() -> list[bytes]:
    """Bodies that designs sent, each once, and up-calls that the catalogue does not make key-free."""
    source = HouseholdSource(HouseholdSettings(tasks_count=6, max_steps=10))
    backend = InProcessBackend(Limits())
    evaluator = Evaluator(source, EvidenceAgent, backend, Setting("online", "evidence", 6_000, 0, "fuzz"))
    stream = source.stream("search", 0, 0)
    heard = [
        b'{"call":1,"op":"ask","arg":{"prompt":"What helps here?","max_tokens":64}}',
        b'{"call":2,"op":"embed","arg":{"texts":["an apple","a mug"]}}',
    ]
    for name in DESIGNS:
        design = catalogue.load(name)
        with backend.open(Labels("fuzz", design.id)) as guest:
            guest.receive = _kept(guest.receive, heard)  # type: ignore[method-assign]
            evaluator.evaluate(design, stream, guest, evaluator.key(design, stream))
    backend.close()
    return sorted(set(heard))


def _kept(receive: Callable[[], bytes], heard: list[bytes]) -> Callable[[], bytes]:
    def kept() -> bytes:
        heard.append(receive())
        return heard[-1]

    return kept


def mutated(rng: random.Random, seeds: list[bytes]) -> bytes:
    """The frames of one try, as bytes of a stream."""
    body = rng.choice(seeds)
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        body = rng.choice(MUTATIONS)(rng, body, seeds)
    whole = frame(body)
    kind = rng.random()
    if kind < 0.1:
        return struct.pack(">I", rng.choice(LENGTHS)) + body
    if kind < 0.2:
        return struct.pack(">I", max(0, len(body) + rng.randint(-8, 8))) + body
    return whole[: rng.randrange(len(whole))] if kind < 0.25 else whole


def _flip(rng: random.Random, body: bytes, seeds: list[bytes]) -> bytes:
    changed = bytearray(body)
    for _ in range(rng.choice((1, 1, 2, 8)) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _truncate(rng: random.Random, body: bytes, seeds: list[bytes]) -> bytes:
    return body[: rng.randrange(len(body) + 1)]


def _splice(rng: random.Random, body: bytes, seeds: list[bytes]) -> bytes:
    other = rng.choice(seeds)
    return body[: rng.randrange(len(body) + 1)] + other[rng.randrange(len(other)) :]


def _repeat(rng: random.Random, body: bytes, seeds: list[bytes]) -> bytes:
    start = rng.randrange(len(body) + 1)
    end = min(len(body), start + rng.randrange(1, 40))
    return (body[:start] + body[start:end] * rng.choice((2, 3, 50)) + body[end:])[: 2 * LIMIT]


def _insert(rng: random.Random, body: bytes, seeds: list[bytes]) -> bytes:
    place = rng.randrange(len(body) + 1)
    return body[:place] + rng.choice(MORSELS) + body[place:]


def _replace_value(rng: random.Random, body: bytes, seeds: list[bytes]) -> bytes:
    """Put a morsel in the place of a value: mostly still JSON, so that it comes further."""
    start = body.find(b":", rng.randrange(len(body) + 1)) + 1
    end = min((place for mark in b",}" if (place := body.find(mark, start)) >= 0), default=len(body))
    values = (b"null", b"true", b"[]", b"{}", b"-1", b"1e308", b"9" * 39, b'"x"', *MORSELS)
    return body[:start] + rng.choice(values) + body[end:]


MUTATIONS = (_flip, _truncate, _splice, _repeat, _insert, _replace_value)
READERS: tuple[Callable[[Any], object], ...] = (
    lambda value: wire.RecallReader(1_000).read(value),
    wire.snapshot_from_json,
    wire.ask_from_json,
    wire.texts_from_json,
)


def pieces(rng: random.Random, stream: bytes) -> Iterator[bytes]:
    """The stream in pieces as the daemon wraps them, and those cut anew."""
    wrapped = b"".join(
        struct.pack(">BxxxI", rng.choice((1, 1, 1, 2)) if rng.random() < 0.01 else 1, len(part)) + part
        for part in cut(rng, stream)
    )
    return cut(rng, wrapped)


def cut(rng: random.Random, stream: bytes) -> Iterator[bytes]:
    places = sorted({0, len(stream), *(rng.randrange(len(stream) + 1) for _ in range(rng.choice((0, 1, 3))))})
    return (stream[a:b] for a, b in pairwise(places))


def read(rng: random.Random, stream: bytes) -> Iterator[str]:
    """How each frame of a try ended: parsed, refused, or the name of another exception."""
    attach, reader = AttachReader(), FrameReader(LIMIT)
    try:
        for piece in pieces(rng, stream):
            for body in reader.feed(attach.feed(piece)):
                yield from understood(body)
        if reader.pending:
            yield "refused"
    except FrameError:
        yield "refused"


def understood(body: bytes) -> Iterator[str]:
    try:
        message = decode(body)
    except FrameError:
        yield "refused"
        return
    yield "parsed"
    for value in (message, message.get("ok"), message.get("arg")):
        for reader in READERS:
            try:
                reader(value)
            except FrameError:
                continue


@dataclass(slots=True)
class Found:
    """What came of the tries.

    Attributes:
        broken: exceptions that are none of the reader's, by name.
        growth_mib: of the peak of memory, from the end of the first twentieth on.
    """

    tried: int = 0
    parsed: int = 0
    refused: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    growth_mib: float = 0.0
    seconds: float = 0.0


def fuzz(count: int, seed: int, console: Console) -> Found:
    """Read `count` tries; what broke is told as it comes, a few times."""
    rng, seeds, found = random.Random(seed), recorded(), Found()
    console.print(f"{len(seeds)} recorded frames, {sum(map(len, seeds)) // len(seeds)} bytes each")
    began, settled = time.monotonic(), peak_mib()
    for tried in track(range(count), "fuzzing", console=console):
        stream = mutated(rng, seeds)
        try:
            for ended in read(rng, stream):
                found.parsed += ended == "parsed"
                found.refused += ended == "refused"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we are looking for
            found.broken[type(error).__name__] += 1
            if found.broken.total() <= 5:
                console.print(f"try {tried}: {stream[:200]!r}\n{traceback.format_exc(limit=-4)}")
        if tried == count // 20:
            settled = peak_mib()
    found.tried, found.growth_mib, found.seconds = count, peak_mib() - settled, time.monotonic() - began
    return found


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    console = Console(markup=False)
    found = fuzz(given.frames, given.seed, console)
    table = Table("frames tried", "parsed", "refused", "other exceptions", "growth of peak memory", "frames/s")
    table.add_row(
        f"{found.tried:,}",
        f"{found.parsed:,}",
        f"{found.refused:,}",
        ", ".join(f"{count} {name}" for name, count in found.broken.items()) or "0",
        f"{found.growth_mib:.1f} MiB",
        f"{found.tried / found.seconds:,.0f}",
    )
    console.print(table)
    if found.broken or found.growth_mib > GROWTH_MIB:
        sys.exit(1)


if __name__ == "__main__":
    main()
