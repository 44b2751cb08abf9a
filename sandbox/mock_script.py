"""What a scripted model answers, and which faults it shows.

Every decision is a hash of the request's body, never of when it came: the same requests get the same answers and the
same faults, whatever order hundreds of them arrive in. Two things count instead, and say so: ``replies`` by order, and
how often a fault was shown to a request already.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Hook = Callable[[Mapping[str, Any]], str]
"""Answers the body of a chat request."""

FaultKind = Literal[
    "status", "stall", "reset", "malformed", "empty", "html", "truncated", "slow", "no_usage", "cut"
]  # fmt: skip
UNANSWERED: tuple[FaultKind, ...] = ("status", "stall", "reset", "malformed", "html")
"""Faults that show nothing of an answer."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_BYTES_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 4


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from error
    return text


Regex = Annotated[str, AfterValidator(_regex)]
Seconds = Annotated[float, Field(ge=0.0, le=86_400.0)]


class NoRule(Exception):
    """The script has no answer to a request."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as a script looks at it.

    Attributes:
        texts: of its messages; of an embedding what is to be embedded.
        limit: most tokens of the answer; None if it does not say.
        digest: of the body, whatever order its keys are in.
        body: as it came.
    """

    model: str
    texts: tuple[str, ...]
    limit: int | None
    digest: str
    body: Mapping[str, Any]

    @classmethod
    def chat(cls, body: object) -> Asked:
        """Read the body of a chat request.

        Raises:
            ValueError: it is none, or one for a stream.
        """
        if isinstance(body, dict) and body.get("stream"):
            raise ValueError("this server does not stream: leave `stream` out")
        messages = body.get("messages") if isinstance(body, dict) else None
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            raise ValueError("wanted a JSON object with a list of `messages`")
        return cls._of(body, [_text(message.get("content")) for message in messages])

    @classmethod
    def embedding(cls, body: object) -> Asked:
        """Read the body of a request for embeddings.

        Raises:
            ValueError: it is none, or holds tokens in the place of texts.
        """
        given = body.get("input") if isinstance(body, dict) else None
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError("wanted a JSON object with an `input` of one or several texts")
        return cls._of(body, texts)

    @classmethod
    def _of(cls, body: Any, texts: Sequence[str]) -> Asked:
        if not isinstance(body.get("model"), str):
            raise ValueError("wanted the name of a `model`")
        limit = body.get("max_tokens") or body.get("max_completion_tokens")
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        return cls(body["model"], tuple(texts), limit if isinstance(limit, int) and limit > 0 else None, digest, body)

    @property
    def tokens(self) -> int:
        return sum(count_tokens(text) + _TOKENS_PER_MESSAGE for text in self.texts)

    def fits(self, model: str | None, when: str | None) -> bool:
        """Is it of this model (a whole match), and does this occur in its texts?"""
        if model is not None and re.fullmatch(model, self.model) is None:
            return False
        return when is None or re.search(when, "\n".join(self.texts)) is not None

    def draw(self, purpose: str) -> int:
        """A number below 2**64 that is the request's own for a purpose."""
        return int.from_bytes(hashlib.sha256(f"{purpose}\n{self.digest}".encode()).digest()[:8])


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Strict):
    """What is answered to some requests; see docs/models.md.

    Attributes:
        model: regex, of the whole name of the model.
        when: regex, somewhere in the texts of all messages, joined by newlines.
        reply: the answer.
        replies: several, taken in turn (`by` order) or by the request's hash (`by` request).
        pick: regex, every line of the last message; one of its matches is chosen by the request's hash. A request
            without any does not fit the rule.
        template: what is answered with the pick: ``{json}`` is it as a JSON string, ``{text}`` as it is.
        size_bytes: of an answer of letters.
        latency_seconds: None is the script's.
        unlimited: the answer is not cut at the request's `max_tokens`: a server that does not keep to it.
    """

    model: Regex | None = None
    when: Regex | None = None
    reply: str | None = None
    replies: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    by: Literal["order", "request"] = "order"
    pick: Regex | None = None
    template: str = "{text}"
    size_bytes: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    latency_seconds: Seconds | None = None
    unlimited: bool = False

    @model_validator(mode="after")
    def _one_answer(self) -> Self:
        ways = {"reply": self.reply, "replies": self.replies, "pick": self.pick, "size_bytes": self.size_bytes}
        said = [name for name, value in ways.items() if value is not None]
        if len(said) != 1:
            raise ValueError(f"wants exactly one of {', '.join(ways)}; it has {' and '.join(said) or 'none'}")
        for key, owner in (("by", "replies"), ("template", "pick")):
            if key in self.model_fields_set and owner not in said:
                raise ValueError(f"{key} says nothing without {owner}")
        return self

    def answer(self, asked: Asked, turn: int, number: int) -> str | None:
        """What it answers; None if the request does not fit it.

        Args:
            turn: how many requests it answered before.
            number: its place in the script.
        """
        if not asked.fits(self.model, self.when):
            return None
        if self.reply is not None:
            return self.reply
        if self.replies is not None:
            chosen = turn if self.by == "order" else asked.draw(f"rule {number}")
            return self.replies[chosen % len(self.replies)]
        if self.pick is not None:
            return self._picked(asked, number)
        size = self.size_bytes or 0
        return (_LETTERS * (size // len(_LETTERS) + 1))[:size]

    def _picked(self, asked: Asked, number: int) -> str | None:
        last = asked.texts[-1] if asked.texts else ""
        found = list(re.finditer(self.pick or "", last, re.MULTILINE))
        if not found:
            return None
        match = found[asked.draw(f"rule {number}") % len(found)]
        text = (match[1] if match.re.groups else match[0]) or ""
        ways = {"json": json.dumps(text), "text": text}
        return re.sub(r"\{(json|text)\}", lambda place: ways[place[1]], self.template)


class Fault(_Strict):
    """What goes wrong with some requests; see docs/models.md.

    Attributes:
        kind: `status`: an error of this HTTP status; `stall`: nothing comes, the connection stays; `reset`: the
            connection is torn down; `malformed`: broken JSON; `html`: a page; `truncated`: the body ends in its middle;
            `slow`: the body comes byte by byte; `empty`: an answer without text; `no_usage`: one that does not say its
            tokens; `cut`: half an answer, with the finish_reason of a reached limit.
        retry_after: the header; seconds or a date.
        code, message: of the error in the body. ``{key}`` in a message is the key that came with the request.
        share: of the requests, in (0, 1]; which ones, their hash decides.
        times: how often it is shown to equal requests before they are answered; None is always.
        latency_seconds: before it shows; of `slow` between two bytes.
    """

    kind: FaultKind
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    retry_after: Annotated[str, Field(coerce_numbers_to_str=True)] | None = None
    code: str | None = None
    message: str | None = None
    share: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    times: Annotated[int, Field(ge=1)] | None = 1
    latency_seconds: Seconds = 0.0
    model: Regex | None = None
    when: Regex | None = None

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if self.kind == "status" and self.status is None:
            raise ValueError("kind status wants a status, such as 429")
        if self.kind != "status":
            for key in ("status", "retry_after", "code", "message"):
                if key in self.model_fields_set:
                    raise ValueError(f"{key} says nothing where kind is {self.kind}")
        if self.kind == "slow" and not self.latency_seconds:
            raise ValueError("kind slow wants latency_seconds, between two bytes")
        return self

    def strikes(self, asked: Asked, number: int) -> bool:
        """Is this request among its share? `number` is its place in the script."""
        return asked.fits(self.model, self.when) and asked.draw(f"fault {number}") < self.share * 2.0**64


class Script(_Strict):
    """What a scripted model does.

    Attributes:
        latency_seconds: before every answer.
        rules: the first that fits a request answers it.
        faults: looked at before the rules; the first that strikes is shown.
        embedding_dimensions: of the vectors at /v1/embeddings: hashed words, of unit norm.
        answer: ``module:function``, which answers in the place of rules.
    """

    latency_seconds: Seconds = 0.0
    rules: tuple[Rule, ...] = ()
    faults: tuple[Fault, ...] = ()
    embedding_dimensions: Annotated[int, Field(ge=1, le=65_536)] = 32
    answer: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.answer is not None and self.rules:
            raise ValueError("answer takes the place of rules: it wants one of the two")
        return self


class Play:
    """A script on stage: it knows what was shown. Used by one thread."""

    def __init__(self, script: Script, hook: Hook | None) -> None:
        self._script = script
        self._hook = hook
        self._turns: Counter[int] = Counter()
        self._shown: Counter[tuple[int, str]] = Counter()

    def fault(self, asked: Asked) -> Fault | None:
        """The fault to show to a request; it counts as shown."""
        for number, fault in enumerate(self._script.faults):
            shown = self._shown[number, asked.digest] if fault.times is not None else 0
            if fault.strikes(asked, number) and (fault.times is None or shown < fault.times):
                if fault.times is not None:
                    self._shown[number, asked.digest] += 1
                return fault
        return None

    def answer(self, asked: Asked, spoiled: bool) -> tuple[str, bool, float]:
        """The text of an answer, whether it ends at the request's limit, and the seconds before it comes.

        Args:
            spoiled: it will not arrive as it is, so it takes no turn.

        Raises:
            NoRule: no rule fits.
        """
        if self._hook is not None:
            return *_limited(self._hook(asked.body), asked.limit), self._script.latency_seconds
        for number, rule in enumerate(self._script.rules):
            text = rule.answer(asked, self._turns[number], number)
            if text is not None:
                self._turns[number] += not spoiled
                limit = None if rule.unlimited else asked.limit
                seconds = self._script.latency_seconds if rule.latency_seconds is None else rule.latency_seconds
                return *_limited(text, limit), seconds
        raise NoRule(f"no rule of the script fits this request for the model {asked.model!r}")


def count_tokens(text: str) -> int:
    """A token is four bytes of UTF-8 here, and every text is rounded up."""
    return -(-len(_bytes(text)) // _BYTES_PER_TOKEN)


def _limited(text: str, limit: int | None) -> tuple[str, bool]:
    """As much of a text as a limit of tokens allows, and whether that is less than all."""
    if limit is None or count_tokens(text) <= limit:
        return text, False
    return _bytes(text)[: limit * _BYTES_PER_TOKEN].decode(errors="ignore"), True


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(content: object) -> str:
    """The text of a message: its content, or the texts among its parts."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""
