"""Whatever bytes arrive, in whatever pieces: bodies or a `FrameError`, the same ones, within bounded memory."""

from __future__ import annotations

import base64
import json
import math
import re
import struct
import tracemalloc
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from design_space import Item, Recall, Snapshot
from sandbox.attach import ERRORS_BYTES, AttachReader
from sandbox.guest import wire
from sandbox.guest.channel import frame
from sandbox.guest.frames import (
    MAX_CONTAINERS,
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_VALUES,
    FrameError,
    FrameReader,
    decode,
    encode,
)

LIMIT = 64
MIB = 1024 * 1024
FRAMES = st.lists(
    st.binary(max_size=LIMIT).map(frame)
    | st.binary(max_size=12)
    | st.integers(0, 2**32 - 1).map(lambda length: struct.pack(">I", length)),
    max_size=6,
).map(b"".join)
PIECES = st.lists(
    st.tuples(st.sampled_from([0, 1, 2, 2, 1, 1, 3, 200]), st.binary(max_size=40)).map(
        lambda piece: struct.pack(">BxxxI", piece[0], len(piece[1])) + piece[1]
    )
    | st.binary(max_size=10),
    max_size=6,
).map(b"".join)
CUTS = st.lists(st.integers(0, 500), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=6), inner, max_size=5),
    max_leaves=12,
)
ROWS = st.lists(JSON, max_size=6) | st.tuples(st.text(), st.text(), st.text(), st.text(), JSON).map(list) | JSON
ARRAYS = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["<f4", ">i8", "|b1", "|i8", "<f16", "O", "|V8", "<M8[s]"]) | JSON,
        "shape": st.lists(st.integers(-2, 3) | st.integers(), max_size=70) | JSON,
        "base64": st.binary(max_size=24).map(lambda content: base64.b64encode(content).decode()) | JSON,
    }
)


def pieces(stream: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    return [stream[start:end] for start, end in pairwise(places)]


def heard(stream: bytes, cuts: Sequence[int]) -> tuple[list[bytes], str, int]:
    """What a reader makes of a stream: bodies, the error, what is pending; it is read on after an error."""
    reader, bodies, fault = FrameReader(LIMIT), [], ""
    for piece in pieces(stream, cuts):
        try:
            for body in reader.feed(piece):
                bodies.append(body)
        except FrameError as error:
            fault = str(error)
        assert reader.pending <= LIMIT + 4
    return bodies, fault, reader.pending


@settings(deadline=None)
@given(FRAMES, CUTS)
@example(frame(b"{}") + b"\x7f\xff\xff\xff" + frame(b"{}"), [3])
def test_bodies_and_error_are_the_same_however_the_stream_is_cut(stream: bytes, cuts: list[int]) -> None:
    assert heard(stream, cuts) == heard(stream, []) == heard(stream, range(len(stream)))


def test_whole_bodies_come_before_the_error_that_follows_them() -> None:
    assert heard(frame(b"{}") + b"\x7f\xff\xff\xff" + b"x" * 100, []) == (
        [b"{}"],
        f"a frame of {2**31 - 1} bytes, at most {LIMIT} are taken",
        0,
    )


def test_after_an_error_nothing_more_is_kept() -> None:
    reader = FrameReader(LIMIT)
    tracemalloc.start()
    try:
        for _ in range(200):
            with pytest.raises(FrameError):
                list(reader.feed(b"\xff" * 65_536))
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def unpacked(stream: bytes, cuts: Sequence[int]) -> tuple[bytes, bytes, bool]:
    reader, out, broken = AttachReader(), b"", False
    for piece in [*pieces(stream, cuts), b""]:
        try:
            out += reader.feed(piece)
        except FrameError:
            broken = True
        assert len(reader.errors) <= ERRORS_BYTES
    return out, bytes(reader.errors), broken


@settings(deadline=None)
@given(PIECES, CUTS)
def test_the_attach_stream_comes_apart_the_same_however_it_is_cut(stream: bytes, cuts: list[int]) -> None:
    assert unpacked(stream, cuts) == unpacked(stream, []) == unpacked(stream, range(len(stream)))


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50)), max_size=8))
def test_the_attach_stream_gives_each_pipe_its_own(told: list[tuple[int, bytes]]) -> None:
    stream = b"".join(struct.pack(">BxxxI", pipe, len(piece)) + piece for pipe, piece in told)
    out, errors = (b"".join(piece for pipe, piece in told if pipe == wanted) for wanted in (1, 2))
    assert unpacked(stream, []) == (out, errors, False)


def test_an_announced_piece_of_two_gibibytes_is_handed_on_as_it_comes() -> None:
    reader = AttachReader()
    assert reader.feed(struct.pack(">BxxxI", 1, 2**31)) == b""
    assert reader.feed(b"x" * 65_536) == b"x" * 65_536


def deep(levels: int) -> bytes:
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


@settings(deadline=None)
@given(JSON)
def test_what_was_encoded_is_decoded_unless_a_number_is_huge(value: object) -> None:
    sent = encode({"a": value}, MIB)[4:]
    try:
        back = decode(sent)
    except FrameError:
        assert max(len(digits) for digits in re.findall(rb"\d+", sent)) >= 40
        return
    assert back == {"a": value}


@pytest.mark.parametrize(
    ("body", "taken"),
    [
        (deep(MAX_DEPTH), True),
        (deep(MAX_DEPTH + 1), False),
        (deep(900), False),
        (deep(5_000_000), False),
        (b'{"a":' * 900 + b"0" + b"}" * 900, False),
        (b'{"a":[' + b"[]," * (MAX_CONTAINERS - 3) + b"[]]}", True),
        (b'{"a":[' + b"[]," * MAX_CONTAINERS + b"[]]}", False),
        (b'{"a":[' + b"{}," * 2_700_000 + b"{}]}", False),
        (b'{"a":[' + b"1," * (MAX_VALUES + 1) + b"1]}", False),
        (b'{"a":' + b"9" * 40 + b"}", True),
        (b'{"a":-' + b"9" * 40 + b"}", False),
        (b'{"a":1e400}', False),
        (b'{"a":-Infinity}', False),
        (b'{"a":{"b":1,"b":1}}', False),
        (b'{"a":"\\ud800"}', True),
        (b'{"a":"\xed\xa0\x80"}', False),
        (b"\x00" * 1_000, False),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_extremes(body: bytes, taken: bool) -> None:
    try:
        message = decode(body)
    except FrameError:
        assert not taken
        return
    assert taken
    json.dumps(message)
    repr(message)


@pytest.mark.parametrize("row", [b"[0],", b"{},", b'{"a":0},', b'"ab",', b"1e9,", b"[[]],"], ids=repr)
def test_eight_megabytes_of_small_values_take_little_memory(row: bytes) -> None:
    body = b'{"a":[' + row * ((8 * MIB - 20) // len(row)) + b"0]}"
    tracemalloc.start()
    try:
        with pytest.raises(FrameError):
            decode(body)
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("row", [b'{"a":0},', b"[0],", b"{},"], ids=repr)
def test_as_many_containers_as_are_taken_take_less_than_64_mib(row: bytes) -> None:
    body = b'{"a":[' + row * (MAX_CONTAINERS - 2) + b"0]}"
    tracemalloc.start()
    try:
        decode(body)
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    finally:
        tracemalloc.stop()


def test_what_the_reader_would_refuse_is_not_sent() -> None:
    nested: list[Any] = []
    for _ in range(MAX_DEPTH):
        nested = [nested]
    for value in (nested, [[]] * MAX_CONTAINERS, [0] * (MAX_VALUES + 2), 10**MAX_DIGITS, -(10 ** (MAX_DIGITS - 1))):
        with pytest.raises(FrameError):
            encode({"a": value}, 8 * MIB)
    for value in (10**MAX_DIGITS - 1, str(10**MAX_DIGITS)):
        assert decode(encode({"a": value}, MIB)[4:]) == {"a": value}


READERS: dict[str, Callable[[Any], object]] = {
    "recall": lambda value: wire.RecallReader(1_000).read(value),
    "snapshot": wire.snapshot_from_json,
    "ask": wire.ask_from_json,
    "texts": wire.texts_from_json,
}


@settings(deadline=None)
@pytest.mark.parametrize("reader", READERS)
@given(
    value=JSON
    | st.fixed_dictionaries({"items": st.lists(ROWS, max_size=3), "mode": st.sampled_from(["append", "x"]) | JSON})
    | st.fixed_dictionaries({"data": JSON, "arrays": st.dictionaries(st.text(max_size=2), ARRAYS | JSON, max_size=2)})
    | st.fixed_dictionaries({"prompt": JSON, "max_tokens": JSON})
    | st.fixed_dictionaries({"texts": st.lists(JSON, max_size=3) | JSON})
)
def test_what_a_design_says_is_read_or_refused_and_never_crashes_the_worker(reader: str, value: object) -> None:
    try:
        READERS[reader](value)
    except FrameError:
        return


@given(st.text(st.characters(), max_size=wire.ID_CHARS), st.floats(0, 1))
def test_a_recall_keeps_no_half_characters(text: str, value: float) -> None:
    told = json.loads(json.dumps({"items": [[text, text, text, text, value]], "mode": "append"}))
    (item,) = wire.RecallReader(1_000).read(told).items
    assert (item.id, item.text, item.situation, item.action) == (text.encode("utf-8", "replace").decode(),) * 4


@given(st.lists(st.builds(Item, *(st.text(max_size=5),) * 4, st.none() | st.floats(0, 1)), max_size=4))
def test_recalls_and_snapshots_round_trip(items: list[Item]) -> None:
    writer, reader = wire.RecallWriter(1_000), wire.RecallReader(1_000)
    recall = Recall(tuple(items))
    for _ in range(2):
        assert reader.read(decode(encode(writer.write(recall), MIB)[4:])) == recall
    snapshot = Snapshot([item.text for item in items], {"a": np.arange(len(items), dtype=np.float32)})
    back = wire.snapshot_from_json(decode(encode(wire.snapshot_to_json(snapshot), MIB)[4:]))
    assert back.data == snapshot.data
    assert np.array_equal(back.arrays["a"], snapshot.arrays["a"])


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 1.1, True, "1", 10**30])
def test_a_value_outside_of_its_range_is_refused(value: object) -> None:
    with pytest.raises(FrameError):
        wire.RecallReader(1_000).read({"items": [["", "", "", "", value]], "mode": "append"})
