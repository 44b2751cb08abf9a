"""A call of a language model or an embedder: what is asked and by whom, what comes of it. Knows no provider.

ModelFault                the run stops, and can be resumed; never the fault of a design
├── ProviderRefused       no further attempt would help: a wrong key, an unknown model, a used-up quota
│   └── PriceUnknown      there is a cap in dollars, and nobody knows what a model costs; nothing was asked
├── ProviderDown          every attempt failed
├── BudgetUsedUp          a cap does not pay for the call
└── NotRecorded           a replay has no answer to it
CallRefused               this one call has no answer, others may: whoever asked copes with it
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

Role = Literal["meta", "judge", "agent", "memory", "embedding"]
ROLES: tuple[Role, ...] = ("meta", "judge", "agent", "memory", "embedding")


_PLACE = (
    "api_base and key_env say where a model is and which variable holds its key, which itself is never written down"
)
_BOUND = "max_tokens bounds an answer, and is what is reserved for it"
_OURS = "it is this program that decides on it"
TAKEN_OPTIONS: Mapping[str, str] = {
    **dict.fromkeys(("api_key", "api_base", "base_url"), _PLACE),
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "max_output_tokens", "n", "best_of"), _BOUND),
    **dict.fromkeys(("timeout", "request_timeout"), "timeout_seconds bounds an attempt"),
    **dict.fromkeys(("num_retries", "max_retries", "fallbacks", "context_window_fallback_dict"), "attempts says it"),
    **dict.fromkeys(("model", "messages", "input", "stream", "mock_response", "response_format"), _OURS),
    **dict.fromkeys(("model_list", "client", "mock_timeout", "additional_drop_params"), _OURS),
}
"""What the options of a model cannot say, and why: a call would cost more than was reserved, or be another one."""
_SECRET_OPTION = re.compile(r"api_key|secret|password|credentials|access_key|^oci_key$|(^|_)token$", re.IGNORECASE)
_SECRET_HEADER = re.compile(r"authorization|cookie|key|token|secret|password", re.IGNORECASE)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MOST_TOKENS = 1_000_000_000
MOST_DOLLARS = 1_000_000.0
"""Of an answer, and per million tokens: so the record can hold what a call is charged."""


class ModelFault(Exception):
    """No answer, for a reason that no design could cause.

    Args:
        hint: what the user can do about it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[type[ModelFault], tuple[str, str]]:
        return type(self), (str(self), self.hint)


class ProviderRefused(ModelFault):
    pass


class PriceUnknown(ProviderRefused):
    pass


class ProviderDown(ModelFault):
    pass


class BudgetUsedUp(ModelFault):
    pass


class NotRecorded(ModelFault):
    pass


class CallRefused(Exception):
    """The provider will not answer this very call: too long for its model, or against its rules.

    Args:
        used: input and output tokens that it has used nevertheless. Not part of the answer that is recorded.
    """

    def __init__(self, message: str, used: tuple[int, int] = (0, 0)) -> None:
        super().__init__(message)
        self.used = used


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Which model plays a role, and how it is reached.

    Attributes:
        model: as litellm names it, such as ``openai/gpt-5-mini`` or ``anthropic/claude-sonnet-4-5``.
        api_base: of an OpenAI-compatible server; None is the provider's own.
        key_env: environment variable that holds the key; None leaves it to litellm's own names. Never the key itself.
        temperature: None is the provider's default.
        max_tokens: most tokens of an answer, reserved in full before each call.
        timeout_seconds: of one attempt, from its first byte to its last.
        attempts: at one call, before the run stops; waits grow from `backoff_seconds`, doubling.
        input_dollars, output_dollars: per million tokens; None is litellm's table of prices.
        options: passed on to litellm as they are, such as ``{"reasoning_effort": "low"}``; none of `TAKEN_OPTIONS`.

    Raises:
        ValueError: a number is out of its range, or an option is not open to choice.
    """

    model: str
    api_base: str | None = None
    key_env: str | None = None
    temperature: float | None = None
    max_tokens: int = 1_024
    timeout_seconds: float = 120.0
    attempts: int = 6
    backoff_seconds: float = 1.0
    input_dollars: float | None = None
    output_dollars: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or self.attempts < 1:
            raise ValueError(f"max_tokens is {self.max_tokens}, attempts {self.attempts}: wanted at least 1")
        if self.max_tokens > MOST_TOKENS:
            raise ValueError(f"max_tokens is {self.max_tokens}: wanted at most {MOST_TOKENS:,}")
        if not 0.0 < self.timeout_seconds < math.inf or not 0.0 <= self.backoff_seconds < math.inf:
            raise ValueError("timeout_seconds is to be above 0, backoff_seconds not below it, and both finite")
        if not all(0.0 <= (price or 0.0) <= MOST_DOLLARS for price in (self.input_dollars, self.output_dollars)):
            raise ValueError(f"a price is not below 0, and at most {MOST_DOLLARS:,.0f} dollars per million tokens")
        if self.key_env is not None and not _VARIABLE.fullmatch(self.key_env):
            # Which is not quoted: it may be the key.
            raise ValueError("key_env is no name of a variable; it says which one holds the key, and is not the key")
        for name in (*self.options, *_names(self.options, "extra_body")):
            if name in TAKEN_OPTIONS:
                raise ValueError(f"{name!r} is no option: {TAKEN_OPTIONS[name]}")
            if _SECRET_OPTION.search(name):
                raise ValueError(f"{name!r} is no option: {_PLACE}")
        for name in (*_names(self.options, "headers"), *_names(self.options, "extra_headers")):
            if _SECRET_HEADER.search(name):
                raise ValueError(f"the header {name!r} is no option: {_PLACE}")

    @property
    def digest(self) -> str:
        """Of what an answer depends on; not where the model is served, nor how often it is tried."""
        told = (self.model, self.temperature, self.max_tokens, dict(self.options))
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _names(options: Mapping[str, Any], option: str) -> list[str]:
    """The names that an option holds, if it holds any."""
    held = options.get(option)
    return [str(name) for name in held] if isinstance(held, Mapping) else []


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Call:
    """One question to a model, under a name that a repetition of the run gives it again.

    Attributes:
        scope: what it belongs to: the digest of an evaluation's key, the name of a proposal.
        position: how many calls of this role the scope had before.
        messages: for the role `embedding` the texts, one a message.
        max_tokens: of the answer; 0 for embeddings.
        schema: of the answer, a JSON schema as text; empty for free text.
        whole: an answer that is cut off at `max_tokens` is worth nothing, so it is asked for again.
    """

    scope: str
    role: Role
    position: int
    messages: tuple[Message, ...]
    max_tokens: int
    schema: str = ""
    whole: bool = False

    @property
    def content(self) -> str:
        """Digest of what is asked."""
        told = ([(m.role, m.content) for m in self.messages], self.max_tokens, self.schema)
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]

    @property
    def input_bytes(self) -> int:
        """No tokenizer makes more tokens than bytes; servers put something around each message and before the first."""
        asked = sum(len(m.content.encode()) + MESSAGE_TOKENS for m in self.messages)
        return CALL_TOKENS + asked + len(self.schema.encode())


CALL_TOKENS, MESSAGE_TOKENS = 256, 16
"""Reserved for what a server adds to a call (a system prompt of its template's own) and to each message."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, with what it cost. What attempts cost that brought none is in the record alone.

    Attributes:
        cut: it ends where `max_tokens` did.
        dollars: None where nobody knows the price.
        vectors: of the role `embedding`: float32, little-endian, row after row; empty otherwise.
        attempts: how often it was asked.
        seconds: of the attempt that answered.
    """

    text: str
    input_tokens: int
    output_tokens: int
    dollars: float | None
    cut: bool = False
    vectors: bytes = b""
    attempts: int = 1
    seconds: float = 0.0


class Models(Protocol):
    """Answers calls. Owes: safety for threads; the same answer to the same call of the same run; a price before it
    is paid, and nothing spent beyond the budget.
    """

    def ask(self, call: Call) -> Reply:
        """Return the answer, however long that takes.

        Raises:
            CallRefused: this call has none.
            ModelFault: the run must stop.
        """
        ...

    def ask_all(self, calls: Sequence[Call]) -> list[Reply | CallRefused]:
        """Return the answers to several calls that wait for each other no longer than they must, in their order.

        Raises:
            ModelFault: the run must stop.
        """
        ...


class Line:
    """What one role of one scope asks, call after call. Used by one thread.

    Attributes:
        calls, tokens, seconds: so far, those answered from the record included.
        dollars: the same; None once a price was unknown.
    """

    def __init__(self, models: Models, scope: str, role: Role, max_tokens: int) -> None:
        self._models = models
        self._scope = scope
        self._role: Role = role
        self._max_tokens = max_tokens
        self.calls = 0
        self.tokens = 0
        self.seconds = 0.0
        self.dollars: float | None = 0.0

    def next(
        self, messages: Sequence[Message], max_tokens: int | None = None, schema: str = "", whole: bool = False
    ) -> Call:
        """The call that comes next; it is not made."""
        limit = self._max_tokens if max_tokens is None else min(max_tokens, self._max_tokens)
        return Call(self._scope, self._role, self.calls, tuple(messages), limit, schema, whole)

    def ask(
        self, messages: Sequence[Message], max_tokens: int | None = None, schema: str = "", whole: bool = False
    ) -> Reply:
        """Make the next call.

        Args:
            max_tokens: of the answer, within what the role allows.

        Raises:
            CallRefused, ModelFault: as `Models.ask`.
        """
        call = self.next(messages, max_tokens, schema, whole)
        self.calls += 1
        return self.count(self._models.ask(call))

    def count(self, reply: Reply) -> Reply:
        """Add up what an answer cost."""
        self.tokens += reply.input_tokens + reply.output_tokens
        self.seconds += reply.seconds
        known = self.dollars is not None and reply.dollars is not None
        self.dollars = (self.dollars or 0.0) + (reply.dollars or 0.0) if known else None
        return reply


def plain(call: Call) -> list[dict[str, str]]:
    """The messages as providers take them."""
    return [asdict(message) for message in call.messages]
