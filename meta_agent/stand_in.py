"""A model that costs nothing: it answers at once, at about the usual length, and counts what it was asked."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from design_space import catalogue
from design_space.text import HashedEmbedder
from meta_agent.llm import EXAMPLE, prompt
from sandbox.calls import Call, CallRefused, ModelSpec, Reply, Role
from sandbox.gateway import Price

TOKEN_BYTES = 4
"""Bytes of English to a token, about what tokenizers of today make of it."""
MESSAGE_TOKENS = 4
DESIGN_TOKENS = 1_200
"""Taken for the length of an answer that holds a design: about that of the longer ones of the catalogue."""
REPAIRS_PER_DESIGN = 0.5
"""Taken for how often a design has to be mended."""
THOUGHT = "I will try what I have not tried yet, since it may bring me closer to the goal."
REMARK = " ".join([THOUGHT] * 3)
"""Taken for the length of each thing that a model says of a design, and of an answer to one."""
Counts = tuple[float, float, float]
"""Calls, input and output tokens."""

_COMMAND = re.compile(r"^\* (.+)$", re.MULTILINE)
_SOURCE = re.compile(r"^\[source ([0-9a-f]+)\]\n(.*?)\n\[end source \1\]$", re.MULTILINE | re.DOTALL)


class StandIn:
    """`sandbox.calls.Models`, and `sandbox.gateway.Provider` of a gateway. Used by one thread at a time.

    The agent types one of the commands on offer, drawn by what it was asked. A design that it writes says what its
    parent says, so that it recalls as much, and has a fault in the first place as often as `REPAIRS_PER_DESIGN` says.

    Attributes:
        seen: what it was asked, by role.
        scopes: of the calls, by role.
    """

    def __init__(self) -> None:
        self.seen: dict[Role, Counts] = {}
        self.scopes: dict[Role, set[str]] = {}
        self._embedder = HashedEmbedder()
        self._written = 0
        self._faults = 0.0

    def ask(self, call: Call) -> Reply:
        answer, length = self._answer(call)
        asked = sum(tokens(message.content) + MESSAGE_TOKENS for message in call.messages)
        self.seen[call.role] = added(self.seen.get(call.role, (0, 0, 0)), (1, asked, length))
        self.scopes.setdefault(call.role, set()).add(call.scope)
        vectors = b""
        if call.role == "embedding":
            vectors = self._embedder.embed([message.content for message in call.messages]).astype("<f4").tobytes()
        return Reply(answer, asked, length, None, vectors=vectors)

    def ask_all(self, calls: Sequence[Call]) -> list[Reply | CallRefused]:
        return [self.ask(call) for call in calls]

    def price(self, spec: ModelSpec) -> Price | None:
        return None

    async def attempt(self, spec: ModelSpec, call: Call) -> Reply:
        return self.ask(call)

    def _answer(self, call: Call) -> tuple[str, int]:
        """What it says, and what that is taken to have in tokens."""
        if call.role == "embedding":
            return "", 0
        schema = json.loads(call.schema) if call.schema else {}
        wanted = set(schema.get("properties", ()))
        told: Any = _filled(schema, schema, THOUGHT if call.role == "agent" else REMARK) if schema else REMARK
        if {"source", "edits"} <= wanted:
            return json.dumps(told | {"source": self._design(call)}), DESIGN_TOKENS
        if "command" in wanted:
            told |= {"command": _chosen(call)}
        text = json.dumps(told) if schema else told
        return text, tokens(text)

    def _design(self, call: Call) -> str:
        """The parent's source, as far as it was shown, with a line that makes another one of it."""
        shown = (_SOURCE.search(message.content) for message in call.messages)
        source = next((found[2] for found in shown if found is not None), catalogue.load(EXAMPLE).source)
        self._written += 1
        made = f"{source}\nREVISION = {self._written}\n"
        if call.messages[-1].content.startswith(prompt("repair").partition("$")[0]):
            return made
        self._faults += REPAIRS_PER_DESIGN
        if self._faults < 1.0:
            return made
        self._faults -= 1.0
        return f"{made}import socket\n"


def added(one: Counts, other: Counts, factor: float = 1.0) -> Counts:
    """One and so much of the other."""
    return one[0] + factor * other[0], one[1] + factor * other[1], one[2] + factor * other[2]


def tokens(text: str) -> int:
    """About how many there are."""
    return math.ceil(len(text.encode()) / TOKEN_BYTES)


def _chosen(call: Call) -> str:
    """One of the commands on offer, drawn by what was asked."""
    told = call.messages[-1].content
    offered = _COMMAND.findall(told.rpartition("Commands:\n")[2]) or ["wait"]
    return str(offered[int(hashlib.sha256(told.encode()).hexdigest(), 16) % len(offered)])


def _filled(schema: Mapping[str, Any], root: Mapping[str, Any], text: str) -> Any:
    """Something that a JSON schema allows: `text` for each string, lists as short as may be, the first of choices."""
    if "$ref" in schema:
        return _filled(root["$defs"][schema["$ref"].rpartition("/")[2]], root, text)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    if "anyOf" in schema:
        return _filled(schema["anyOf"][0], root, text)
    match schema.get("type"):
        case "object":
            return {name: _filled(part, root, text) for name, part in schema.get("properties", {}).items()}
        case "array":
            return [_filled(schema.get("items", {}), root, text)] * int(schema.get("minItems", 0))
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case "null":
            return None
    return text
