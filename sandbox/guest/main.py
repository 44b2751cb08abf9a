"""The confined process: answers the worker's requests about one design until its pipe closes."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import Any, Protocol

from design_space.memory import ModelUnavailable

from . import frames
from .channel import frame
from .host import MemoryHost

_NO_MEMORY = b'{"id":%d,"error":{"kind":"out_of_memory","message":"MemoryError","traceback":""}}'


class Pipe(Protocol):
    """What `channel.Channel` offers."""

    def read(self) -> bytes:
        """Wait for a body; raises EOFError when there will be none."""
        ...

    def write(self, frame: bytes) -> None:
        """Send a whole frame."""
        ...


class Session:
    """One design's process as the worker sees it: a request at a time, with up-calls while one is open.

    Args:
        limit: largest body in bytes.
    """

    def __init__(self, channel: Pipe, limit: int) -> None:
        self._channel = channel
        self._limit = limit
        self._host = MemoryHost(self._upcall, limit)
        # Held through a whole up-call, and to answer: so no request is answered while one of a design's threads waits.
        self._lock = threading.Lock()
        self._open = False
        self._calls = 0

    def serve(self) -> None:
        """Answer requests until the supervisor closes the pipe."""
        while True:
            try:
                request = frames.decode(self._channel.read())
            except EOFError:
                return
            self._open = True
            reply = self._reply(request)
            # It is the design's to close or replace, and what it printed is of use to people only.
            with contextlib.suppress(OSError, ValueError, AttributeError):
                sys.stdout.flush()
            with self._lock:
                self._open = False
                self._channel.write(reply)

    def _reply(self, request: dict[str, Any]) -> bytes:
        try:
            answer = self._host.answer(request)
            try:
                return frames.encode(answer, self._limit)
            except frames.FrameError as error:
                problem = {"kind": "invalid", "message": f"{request['op']}: {error}"[:1_000], "traceback": ""}
                return frames.encode({"id": request["id"], "error": problem}, self._limit)
        except MemoryError:
            return frame(_NO_MEMORY % request["id"])

    def _upcall(self, op: str, arg: Any) -> Any:
        with self._lock:
            if not self._open:
                raise ModelUnavailable("the worker waits for nothing now: ask inside a call of your memory only")
            self._calls += 1
            try:
                question = frames.encode({"call": self._calls, "op": op, "arg": arg}, self._limit)
            except frames.FrameError as error:
                raise ModelUnavailable(f"{op}: {error}") from error
            self._channel.write(question)
            answer = frames.decode(self._channel.read())
        if "error" in answer:
            raise ModelUnavailable(str(answer["error"]))
        return answer["ok"]
