"""Holds one design's live memory and answers the worker's requests about it.

The same object serves the pipe inside a sandbox (`sandbox.guest.main`) and, for code that is trusted, a plain call in
the worker's own process (`sandbox.inprocess`).
"""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

from design_space.kit import GuestKit, Upcall
from design_space.memory import Budget, Memory, ModelUnavailable, Recall

from . import wire
from .remote_embedder import RemoteEmbedder

TRACEBACK_CHARS = 4_000


class BadDesign(Exception):
    """The module is no memory design, or its methods return what they must not."""


def load(source: str) -> type[Memory]:
    """Execute a design's module and return its one concrete subclass of `Memory`.

    Raises:
        BadDesign: there is none, or more than one.
        Exception: whatever the module raises.
    """
    module = ModuleType("design")
    sys.modules["design"] = module
    exec(compile(source, "design.py", "exec"), module.__dict__)
    found = [
        value
        for value in module.__dict__.values()
        if isinstance(value, type) and issubclass(value, Memory) and value.__module__ == "design"
    ]
    leaves = [c for c in found if not c.__abstractmethods__ and not any(d is not c and issubclass(d, c) for d in found)]
    if len(leaves) != 1:
        names = ", ".join(c.__name__ for c in leaves) or "none"
        raise BadDesign(f"a design defines exactly one concrete subclass of Memory, this one: {names}")
    return leaves[0]


class MemoryHost:
    """One instance of a design, from `open` to the end of a stream.

    Args:
        upcall: asks the worker for what only it may do (`ask`, `embed`); see `design_space.kit`.
        frame_bytes: largest frame that carries such a question or its answer.
    """

    def __init__(self, upcall: Upcall, frame_bytes: int) -> None:
        self._upcall = upcall
        self._frame_bytes = frame_bytes
        self._kit: GuestKit | None = None
        self._memory: Memory | None = None
        self._recalls: list[Recall] = []
        self._writer = wire.RecallWriter(0)
        self._handlers: dict[str, Callable[[Any], Any]] = {
            "open": self._open,
            "retrieve": self._retrieve,
            "observe": self._observe,
            "update": self._update,
            "snapshot": self._snapshot,
            "restore": self._restore,
            "tool": self._tool,
        }

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry one request out; an exception of the design becomes an `error` in the answer.

        Args:
            request: ``{"id": int, "op": str, "arg": ...}``, and ``"budget": [calls, tokens]`` where it has changed.

        Returns:
            ``{"id", "ok"}`` or ``{"id", "error": {"kind", "message", "traceback"}}``.
        """
        try:
            if "budget" in request and self._kit is not None:
                self._kit.renew(Budget(*request["budget"]))
            return {"id": request["id"], "ok": self._handlers[request["op"]](request["arg"])}
        except BaseException as error:  # noqa: BLE001
            # The design's own code may raise anything, SystemExit included; all of it is data for the worker.
            return {"id": request["id"], "error": _describe(error)}

    @property
    def memory(self) -> Memory:
        if self._memory is None:
            raise RuntimeError("no design is open")
        return self._memory

    def _open(self, arg: dict[str, Any]) -> dict[str, Any]:
        remote = arg["embedder"] == "remote"
        vectors = RemoteEmbedder(self._upcall, arg["dimensions"], self._frame_bytes) if remote else None
        self._kit = GuestKit(arg["seed"], arg["folder"], self._upcall, arg["calls"], arg["tokens"], vectors)
        self._writer = wire.RecallWriter(arg["recall_chars"])
        kind = load(arg["source"])
        self._memory = kind(self._kit, **arg["params"])
        return {
            "name": kind.__name__,
            "retrieve": "step" if kind.RETRIEVE == "step" else "task",
            "observes": kind.observe is not Memory.observe,
            "tools": [wire.tool_to_json(tool) for tool in self._memory.tools()],
        }

    def _retrieve(self, arg: Any) -> dict[str, Any]:
        recall = self.memory.retrieve(wire.query_from_json(arg))
        answer = self._writer.write(recall)
        self._recalls.append(recall)
        return answer

    def _observe(self, arg: Any) -> None:
        self.memory.observe(wire.step_from_json(arg, self._recalls))

    def _update(self, arg: Any) -> None:
        episode = wire.episode_from_json(arg, self._recalls)
        self._recalls = []
        self.memory.update(episode)

    def _snapshot(self, arg: Any) -> dict[str, Any]:
        return wire.snapshot_to_json(self.memory.snapshot())

    def _restore(self, arg: Any) -> None:
        self.memory.restore(wire.snapshot_from_json(arg))

    def _tool(self, arg: dict[str, Any]) -> str:
        for tool in self.memory.tools():
            if tool.name == arg["name"]:
                return str(tool.call(**arg["arguments"]))
        raise BadDesign(f"no tool {arg['name']!r}")


def _describe(error: BaseException) -> dict[str, str]:
    kind = "crashed"
    if isinstance(error, BadDesign | TypeError) and _raised_here(error):
        kind = "invalid"
    elif isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        kind = "out_of_memory"
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        kind = "disk_full"
    elif isinstance(error, RuntimeError) and "start new thread" in str(error):
        kind = "too_many_processes"
    elif isinstance(error, ModelUnavailable):
        kind = "model_unavailable"
    try:
        text = _trace(error)
        message = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001
        # A design may raise an exception whose own __str__ raises.
        text, message = "", type(error).__name__
    return {"kind": kind, "message": message[:1_000], "traceback": text[-TRACEBACK_CHARS:]}


def _trace(error: BaseException) -> str:
    """The traceback from the design's first line on; empty if none of its lines was reached."""
    frames = traceback.extract_tb(error.__traceback__)
    start = next((i for i, frame in enumerate(frames) if frame.filename == "design.py"), None)
    return "" if start is None else "".join(traceback.format_list(frames[start:]))


def _raised_here(error: BaseException) -> bool:
    """Was it raised by us, of what the design gave or returned, and not by its own code or what else that called?"""
    frames = traceback.walk_tb(error.__traceback__)
    packages = [str(frame.f_globals.get("__name__")).partition(".")[0] for frame, _ in frames]
    return "design" not in packages or packages[-1] in ("sandbox", "design_space")
