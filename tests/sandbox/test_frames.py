"""Frames survive any cutting of the stream; what is no frame is refused and named."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.guest.channel import Channel, frame
from sandbox.guest.frames import FrameError, FrameReader, decode, encode

LIMIT = 10_000
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)
MESSAGES = st.dictionaries(st.text(max_size=8), VALUES, max_size=5)


@settings(deadline=None)
@given(st.lists(MESSAGES, max_size=4), st.data())
def test_frames_round_trip_however_the_stream_is_cut(messages: list[dict[str, object]], data: st.DataObject) -> None:
    stream = b"".join(encode(message, LIMIT) for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader = FrameReader(LIMIT)
    bodies = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        bodies += reader.feed(stream[start:end])
    assert [decode(body) for body in bodies] == messages
    assert reader.pending == 0


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_frame_error(body: bytes) -> None:
    try:
        message = decode(body)
    except FrameError:
        return
    assert isinstance(message, dict)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"1",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1,"a":2}',
        b'{"a":' + b"9" * 41 + b"}",
        b'{"a":' + b"9" * 10_000_000 + b"}",
        b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
        b'{"a":"\xff"}',
        b'{"a":1}x',
        b"\xef\xbb\xbf{}",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_frame_is_refused(body: bytes) -> None:
    with pytest.raises(FrameError):
        decode(body)


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}, b"x", "x" * LIMIT])
def test_what_is_no_json_or_too_large_is_not_sent(value: object) -> None:
    with pytest.raises(FrameError):
        encode({"a": value}, LIMIT)


def test_huge_announcement_is_refused_before_anything_is_kept() -> None:
    with pytest.raises(FrameError, match="2147483647 bytes"):
        list(FrameReader(LIMIT).feed(b"\x7f\xff\xff\xff"))


def test_half_a_frame_is_pending() -> None:
    reader = FrameReader(LIMIT)
    assert list(reader.feed(frame(b"abc")[:-1])) == []
    assert reader.pending == 6


def test_channel_carries_frames_over_pipes() -> None:
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()
    try:
        ours, theirs = Channel(ours_in, ours_out, LIMIT), Channel(theirs_in, theirs_out, LIMIT)
        for body in (b"", b"x", json.dumps({"a": "x" * 9_000}).encode()):
            ours.write(frame(body))
            assert theirs.read() == body
        os.close(theirs_out)
        with pytest.raises(EOFError):
            ours.read()
    finally:
        for fd in (ours_in, theirs_in, ours_out):
            os.close(fd)
