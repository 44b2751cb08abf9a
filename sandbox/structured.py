"""Answers of models as values: asked for by JSON schema, parsed strictly, mended once at most."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from sandbox.calls import CallRefused, Line, Message, Models

_QUOTED_CHARS = 2_000
_ANSWER_CHARS = 24_000
"""Shown again of an answer that can be read: what is good in it is to be kept."""


class Answer(BaseModel):
    """What a model is to say. Every field is required: providers that keep to a schema want it so."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


T = TypeVar("T", bound=Answer)


class Unusable(Exception):
    """The model was told what is wrong with its answer, and answered no better."""


@lru_cache(maxsize=64)
def schema_of(kind: type[Answer]) -> str:
    """The JSON schema of an answer, as text."""
    return json.dumps(kind.model_json_schema(), sort_keys=True)


def parse(kind: type[T], text: str) -> T:
    """Read one JSON document, and nothing around it.

    Two things that models put around it do not count: reasoning in front, marked as such, and one code fence about the
    whole. No fence can stand unnoticed inside: within a JSON string a line break is written as an escape.

    Raises:
        ValueError: what is wrong, in words that the model can act on.
    """
    try:
        return kind.model_validate_json(_document(text))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{place + ': ' if place else ''}{first['msg']}") from error


def complaint(text: str, problem: str, limit: int = _QUOTED_CHARS) -> tuple[Message, Message]:
    """The turns that ask for a better answer.

    Args:
        limit: characters of the answer that are shown again.
    """
    return (
        Message("assistant", text[:limit]),
        Message("user", f"That cannot be used: {problem}\nAnswer again, with the JSON object alone."),
    )


def ask(line: Line, messages: Sequence[Message], kind: type[T], max_tokens: int | None = None) -> T:
    """Ask until the answer is of its kind, twice at most.

    Raises:
        Unusable: the second answer was no better.
        CallRefused, ModelFault: as `Models.ask`.
    """
    schema = schema_of(kind)
    text = line.ask(messages, max_tokens, schema).text
    try:
        return parse(kind, text)
    except ValueError as error:
        again = [*messages, *complaint(text, str(error))]
    try:
        return parse(kind, line.ask(again, max_tokens, schema).text)
    except ValueError as error:
        raise Unusable(str(error)) from error


@dataclass(frozen=True, slots=True)
class Heard(Generic[T]):
    """What came of one question.

    Attributes:
        answer: None if there is none of its kind.
        problem: why there is no answer, or what is wrong with it still; empty if it is good.
    """

    answer: T | None
    problem: str = ""


def ask_all(
    models: Models,
    lines: Sequence[Line],
    messages: Sequence[Sequence[Message]],
    kind: type[T],
    check: Callable[[int, T], str] | None = None,
) -> list[Heard[T]]:
    """Ask one question on each line, all at once, and once more where the answer is not good.

    Where the second answer cannot be read, the first one stands if it could be. What one line is answered changes
    nothing on another.

    Args:
        models: that the lines belong to.
        check: says what is wrong with the answer in a place, in words that the model can act on; empty if nothing is.

    Raises:
        ModelFault: as `Models.ask_all`.
    """

    def round_(asked: Mapping[int, Sequence[Message]]) -> dict[int, _Read[T]]:
        read = _ask_once(models, [lines[place] for place in asked], list(asked.values()), kind)
        return {place: _checked(found, check, place) for place, found in zip(asked, read, strict=True)}

    heard = round_(dict(enumerate(messages)))
    wrong = {place: read for place, read in heard.items() if read.problem and not read.refused}
    second = round_({place: [*messages[place], *read.complaint()] for place, read in wrong.items()})
    heard |= {place: read for place, read in second.items() if read.answer is not None or heard[place].answer is None}
    return [read.heard() for read in heard.values()]


@dataclass(frozen=True, slots=True)
class _Read(Generic[T]):
    """One reply, as far as it could be read."""

    answer: T | None
    text: str
    problem: str = ""
    refused: bool = False

    def complaint(self) -> tuple[Message, Message]:
        return complaint(self.text, self.problem, _QUOTED_CHARS if self.answer is None else _ANSWER_CHARS)

    def heard(self) -> Heard[T]:
        unusable = self.answer is None and not self.refused
        return Heard(self.answer, f"the answer cannot be used: {self.problem}" if unusable else self.problem)


def _ask_once(
    models: Models, lines: Sequence[Line], messages: Sequence[Sequence[Message]], kind: type[T]
) -> list[_Read[T]]:
    schema = schema_of(kind)
    calls = []
    for line, asked in zip(lines, messages, strict=True):
        calls.append(line.next(asked, schema=schema, whole=True))
        line.calls += 1
    found: list[_Read[T]] = []
    for line, reply in zip(lines, models.ask_all(calls), strict=True):
        if isinstance(reply, CallRefused):
            found.append(_Read(None, "", f"the model refused: {reply}", refused=True))
            continue
        line.count(reply)
        try:
            found.append(_Read(parse(kind, reply.text), reply.text))
        except ValueError as error:
            found.append(_Read(None, reply.text, str(error)))
    return found


def _checked(read: _Read[T], check: Callable[[int, T], str] | None, place: int) -> _Read[T]:
    if check is None or read.answer is None:
        return read
    return replace(read, problem=check(place, read.answer))


def _document(text: str) -> str:
    text = text.strip()
    if text.startswith("<think>") and "</think>" in text:
        text = text.partition("</think>")[2].strip()
    lines = text.split("\n")
    if len(lines) > 2 and lines[0].startswith("```") and lines[-1].strip() == "```":
        text = "\n".join(lines[1:-1])
    return text
