"""A gateway's surroundings: a record that lasts as long as a test, and models of servers on loopback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from raw_servers import RawServer

from sandbox.budget import Amount
from sandbox.calls import Call, CallRefused, Message, ModelSpec, Reply, Role
from sandbox.gateway import Entry, Gateway
from sandbox.mock_llm import ScriptedModel
from sandbox.mock_script import Fault, Rule, Script

KEY = "a-key-without-a-shape-4711"
ANSWER = "an answer of the script"

Open = Callable[..., Gateway]


class DictLog:
    """A record of calls that lasts as long as its test.

    Attributes:
        highest: most that was ever charged at once, reservations included.
        full: refuse to write, as a disk without space does.
    """

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str, int, str], Reply | CallRefused] = {}
        self.total = Amount()
        self.highest = Amount()
        self.full = False

    def find(self, call: Call) -> Reply | CallRefused | None:
        return self.answers.get(_place(call))

    def write(self, entries: Sequence[Entry]) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        for entry in entries:
            self.total += entry.charge
            self.highest = Amount(
                max(self.highest.calls, self.total.calls),
                max(self.highest.tokens, self.total.tokens),
                max(self.highest.nanodollars, self.total.nanodollars),
            )
            if entry.answer is not None:
                assert _place(entry.call) not in self.answers, "answered twice"
                self.answers[_place(entry.call)] = entry.answer

    def charged(self) -> Amount:
        return self.total

    def close(self) -> None:
        return None


def _place(call: Call) -> tuple[str, str, int, str]:
    return call.scope, call.role, call.position, call.content


def script(*faults: Fault, reply: str = ANSWER, latency: float = 0.0) -> Script:
    return Script(rules=(Rule(reply=reply),), faults=faults, latency_seconds=latency)


def spec(server: ScriptedModel | RawServer, **changed: Any) -> ModelSpec:
    """A model of the scripted server, at 1 and 2 dollars per million tokens."""
    told: dict[str, Any] = {
        "model": "openai/some-model", "api_base": server.url, "key_env": "MNEMOGEN_TEST_KEY", "timeout_seconds": 20.0,
        "attempts": 3, "backoff_seconds": 0.01, "input_dollars": 1.0, "output_dollars": 2.0,
    }  # fmt: skip
    return ModelSpec(**{**told, **changed})


def call(text: str = "what is it?", *, position: int = 0, role: Role = "agent", **more: Any) -> Call:
    tokens = 0 if role == "embedding" else 50
    return Call("a scope", role, position, (Message("user", text),), **{"max_tokens": tokens, **more})


def tokens_of(one: Call, text: str = ANSWER) -> int:
    """What the scripted server counts for a call and its answer."""
    told = sum(-(-len(message.content.encode()) // 4) + 4 for message in one.messages)
    return told + -(-len(text.encode()) // 4)


def reserved(one: Call) -> int:
    return one.input_bytes + one.max_tokens
