"""Answers of models as values: asked for by JSON schema, parsed strictly, mended once at most."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from sandbox.calls import Line, Message

_QUOTED_CHARS = 2_000


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


def complaint(text: str, problem: str) -> tuple[Message, Message]:
    """The turns that ask for a better answer."""
    return (
        Message("assistant", text[:_QUOTED_CHARS]),
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


def _document(text: str) -> str:
    text = text.strip()
    if text.startswith("<think>") and "</think>" in text:
        text = text.partition("</think>")[2].strip()
    lines = text.split("\n")
    if len(lines) > 2 and lines[0].startswith("```") and lines[-1].strip() == "```":
        text = "\n".join(lines[1:-1])
    return text
