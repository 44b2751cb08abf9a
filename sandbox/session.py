"""The worker's end of the pipe: one design's memory, as calls that return values or say what the design did wrong."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from design_space.design import Design
from design_space.evaluation import Outcome
from design_space.memory import Budget, Episode, ModelUnavailable, Query, Recall, Snapshot, Step
from sandbox.agents.base import Offer
from sandbox.backend import Ending, Guest, GuestEnded, Reason, classify
from sandbox.guest import wire
from sandbox.guest.frames import FrameError, decode

MESSAGE_CHARS, TRACEBACK_CHARS = 1_000, 4_000
"""Of what a design says of its own error."""
DETAIL_CHARS = 10_000
"""Of all that is told of a fault: more than an error and the last that was printed can be together."""
REFUSALS_COUNT = 16
"""Of one request, the last ones, that are remembered to tell what a design failed by."""
TOOLS_COUNT = 16
"""Of a memory, that an agent is told of."""


class DesignFault(Exception):
    """The design did something that ends its evaluation.

    Attributes:
        detail: for people and for the meta agent; begins with one line that says what happened.
    """

    def __init__(self, outcome: Outcome, detail: str) -> None:
        # What is wrong with a frame is told by naming it, and names may be as long as the frame.
        self.outcome = outcome
        self.detail = detail[:DETAIL_CHARS].encode("utf-8", "replace").decode()
        super().__init__(self.detail)


class AllowanceUsedUp(ModelUnavailable):
    """A broker refuses a call that the allowance does not grant; a design that fails by it is over its budget."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model call of a design brought, and what is left of its allowance (None is unlimited)."""

    text: str
    calls: int | None
    tokens: int | None


class Broker(Protocol):
    """Carries out the model calls of one evaluation. Owes: metering, and a refusal before money is spent.

    Attributes:
        calls, tokens, dollars: what the design has used in all; dollars are None once a price was unknown.
        left: what it may still ask for now.
        dimensions: of the vectors that `embed` returns; None leaves it to the guest, which hashes words.

    Any of them may raise `sandbox.calls.ModelFault`: the run must stop, and the design is not to blame.
    """

    @property
    def calls(self) -> int: ...
    @property
    def tokens(self) -> int: ...
    @property
    def dollars(self) -> float | None: ...
    @property
    def left(self) -> Budget: ...
    @property
    def dimensions(self) -> int | None: ...

    def task(self) -> None:
        """A new task begins, and with it the allowance of one task."""
        ...

    def ask(self, prompt: str, max_tokens: int) -> Answer:
        """Raises AllowanceUsedUp where the allowance does not grant it, ModelUnavailable where no model answers."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a row for each text: of unit norm, zeros for a text without words.

        Raises:
            ModelUnavailable: the guest embeds for itself.
            AllowanceUsedUp: the allowance does not grant it.
        """
        ...


class KeyFreeBroker:
    """Refuses every model call: the run has no provider.

    Args:
        scope: ignored, as there is nothing to be filed under it.

    Attributes:
        refused: calls so far.
    """

    calls = 0
    tokens = 0
    dollars = 0.0
    left = Budget(0, 0)
    dimensions = None

    def __init__(self, scope: str = "") -> None:
        self.refused = 0

    def task(self) -> None:
        return

    def ask(self, prompt: str, max_tokens: int) -> Answer:
        self.refused += 1
        raise ModelUnavailable("this run is key-free: no language model is to be had")

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise ModelUnavailable("this run is key-free: texts are embedded in the sandbox")


@dataclass(frozen=True, slots=True)
class Opened:
    """What a design says of itself when it is opened.

    Attributes:
        each_step: it wants to be asked before each action, not only before each task.
        observes: it wants to be told of each action at once.
        tools: what it offers to the agent.
    """

    name: str
    each_step: bool
    observes: bool
    tools: tuple[Offer, ...]


class MemorySession:
    """One process of a guest that holds one design, for one stream.

    Args:
        guest: started by `open`, stopped by `close`; remains the caller's.
        recall_chars: characters of recall that the agent is shown; the guest drops items beyond, whole.

    All calls raise `DesignFault`, and `SandboxUnavailable` where the machine is at fault.
    """

    def __init__(self, guest: Guest, broker: Broker, recall_chars: int) -> None:
        self._guest = guest
        self._broker = broker
        self._recall_chars = recall_chars
        self._requests = 0
        self._told = Budget(0, 0)  # what the guest believes to be left
        self._refusals: deque[str] = deque(maxlen=REFUSALS_COUNT)  # for lack of allowance, within this request
        self._recalls = 0  # of this episode
        self._reader = wire.RecallReader(recall_chars)

    def open(self, design: Design, seed: int, folder: str) -> Opened:
        """Start a fresh process, load the design into it, make its memory."""
        dimensions = self._broker.dimensions
        self._told = self._broker.left
        # A fresh process counts its recalls and their items from the beginning.
        self._recalls, self._reader = 0, wire.RecallReader(self._recall_chars)
        self._guest.start()
        arg = {
            "source": design.source,
            "params": dict(design.params),
            "seed": seed,
            "folder": folder,
            "recall_chars": self._recall_chars,
            "calls": self._told.calls,
            "tokens": self._told.tokens,
            "embedder": "hashed" if dimensions is None else "remote",
            "dimensions": dimensions or 0,
        }
        told = self._request("open", arg)
        try:
            tools = tuple(Offer(*wire.tool_from_json(tool)) for tool in told["tools"][:TOOLS_COUNT])
            return Opened(str(told["name"])[:80], told["retrieve"] == "step", bool(told["observes"]), tools)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise DesignFault(Outcome.PROTOCOL, f"malformed answer to open: {error}") from error

    def retrieve(self, query: Query) -> tuple[Recall, wire.RecallRef]:
        """Ask for a recall; what exceeds the cap does not come."""
        told = self._request("retrieve", wire.query_to_json(query))
        try:
            recall = self._reader.read(told)
        except FrameError as error:
            raise DesignFault(Outcome.PROTOCOL, f"malformed recall: {error}") from error
        ref = (self._recalls, len(recall.items))
        self._recalls += 1
        return recall, ref

    def observe(self, step: Step, recall: wire.RecallRef) -> None:
        self._request("observe", wire.step_to_json(step, recall))

    def update(self, episode: Episode, recalls: list[wire.RecallRef], before: wire.RecallRef) -> None:
        self._recalls = 0
        self._request("update", wire.episode_to_json(episode, recalls, before))

    def snapshot(self) -> tuple[Snapshot, int]:
        """What the memory has learned, and its size in bytes."""
        told = self._request("snapshot", None)
        try:
            return wire.snapshot_from_json(told), len(json.dumps(told))
        except FrameError as error:
            raise DesignFault(Outcome.PROTOCOL, f"malformed snapshot: {error}") from error

    def restore(self, snapshot: Snapshot) -> None:
        self._request("restore", wire.snapshot_to_json(snapshot))

    def call_tool(self, name: str, arguments: Mapping[str, str]) -> str:
        """What a tool says, cut to what an agent is shown.

        Args:
            arguments: as the tool takes them.
        """
        told = self._request("tool", {"name": name, "arguments": dict(arguments)})
        try:
            return wire.said_from_json(told)[: self._recall_chars]
        except FrameError as error:
            raise DesignFault(Outcome.PROTOCOL, f"malformed answer of a tool: {error}") from error

    def close(self) -> Ending:
        """End the process; says what it used."""
        return self._guest.stop()

    def _request(self, op: str, arg: Any) -> Any:
        self._requests += 1
        self._refusals.clear()
        request = {"id": self._requests, "op": op, "arg": arg}
        if self._told != self._broker.left:
            self._told = self._broker.left
            request["budget"] = [self._told.calls, self._told.tokens]
        try:
            self._guest.send(_dump(request))
            while True:
                message = decode(self._guest.receive())
                if "call" in message:
                    asked = self._broker.calls
                    answer = self._serve(message)
                    refusal = "error" in answer and self._broker.calls == asked
                    self._guest.send(_dump(answer), resume=True, refusal=refusal)
                    continue
                if message.get("id") != self._requests or len(message) != 2:
                    raise FrameError("an answer to no request")
                if "error" in message:
                    raise self._fault(op, message["error"])
                if "ok" not in message:
                    raise FrameError("an answer that says neither ok nor error")
                return message["ok"]
        except GuestEnded as ended:
            raise DesignFault(classify(ended.ending), _explain(op, ended.ending)) from ended
        except FrameError as error:
            raise DesignFault(Outcome.PROTOCOL, f"{op}: {error}") from error

    def _serve(self, message: dict[str, Any]) -> dict[str, Any]:
        """Answer an up-call; refusing it is an answer too."""
        call, op, arg = message["call"], message.get("op"), message.get("arg")
        if type(call) is not int or len(message) != 3:
            raise FrameError("an unknown call")
        try:
            if op == "ask":
                return {"call": call, "ok": self._ask(*wire.ask_from_json(arg))}
            if op == "embed":
                return {"call": call, "ok": wire.vectors_to_json(self._broker.embed(wire.texts_from_json(arg)))}
        except ModelUnavailable as error:
            if isinstance(error, AllowanceUsedUp):
                self._refusals.append(str(error))
            return {"call": call, "error": str(error)}
        raise FrameError(f"a call for {op!r:.40}, wanted ask or embed")

    def _ask(self, prompt: str, max_tokens: int) -> dict[str, Any]:
        answer = self._broker.ask(prompt, max_tokens)
        self._told = Budget(answer.calls, answer.tokens)
        return {"text": answer.text, "calls": answer.calls, "tokens": answer.tokens}

    def _fault(self, op: str, error: Any) -> DesignFault:
        """What an exception of the design counts as; its own word for a lack of resources needs our evidence."""
        try:
            kind, message, trace = str(error["kind"]), str(error["message"]), str(error["traceback"])
        except (TypeError, KeyError) as wrong:
            raise FrameError("a malformed error") from wrong
        ending = self._guest.stop()
        outcome = Outcome.INVALID if kind == "invalid" else Outcome.CRASHED
        if kind == "out_of_memory" and (ending.memory_denied or ending.oom_kills):
            outcome = Outcome.OUT_OF_MEMORY
        elif kind == "disk_full" and ending.scratch_full:
            outcome = Outcome.DISK_FULL
        elif kind == "too_many_processes" and ending.process_limit_hits:
            outcome = Outcome.TOO_MANY_PROCESSES
        elif kind == "model_unavailable" and any(refusal in message for refusal in self._refusals):
            outcome = Outcome.OVER_BUDGET
        # The caps of the guest are no caps where a design writes to the pipe itself.
        told = f"{op}: {message[:MESSAGE_CHARS]}\n{trace[-TRACEBACK_CHARS:]}".strip()
        return DesignFault(outcome, told)


def _dump(message: dict[str, Any]) -> bytes:
    return json.dumps(message, allow_nan=False, separators=(",", ":")).encode()


def _explain(op: str, ending: Ending) -> str:
    what = {
        Reason.CPU: "passed its limit of processor time",
        Reason.WALL: "passed its limit of wall time",
        Reason.OUTPUT: "printed more than it may",
        Reason.PROTOCOL: "broke the protocol",
    }.get(ending.reason)
    if what is None:
        what = f"exited with {ending.exit_code}" if ending.signal is None else f"was ended by signal {ending.signal}"
    lines = [f"{op}: the design's process {what}"]
    if ending.detail:
        lines.append(ending.detail)
    if ending.output_tail:
        lines.append(f"last output: {ending.output_tail}")
    return "\n".join(lines)
