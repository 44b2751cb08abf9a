"""Reads files that people bring along: what is wrong with one is said in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


def read(path: str, otherwise: str) -> bytes:
    """The content of a file.

    Args:
        otherwise: what to do if there is none, such as where the data can be had.

    Raises:
        ValueError: there is no such file, it cannot be read, or nothing is in it.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise ValueError(f"there is no file {path}; {otherwise}") from error
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}; {otherwise}") from error
    if not content.strip():
        raise ValueError(f"{path} is empty; {otherwise}")
    return content


def parse_json(kind: TypeAdapter[T], content: bytes, where: str, expected: str) -> T:
    """Parse a JSON document.

    Args:
        where: the file, for messages.
        expected: what ought to be there, in a few words.

    Raises:
        ValueError: it is no JSON, or it does not hold what is expected.
    """
    try:
        return kind.validate_json(content)
    except ValidationError as error:
        raise ValueError(f"{where}: {explain(error)}; expected {expected}") from error


def parse_data(kind: TypeAdapter[T], data: Any, where: str, expected: str) -> T:
    """The same for what is parsed already.

    Raises:
        ValueError: it does not hold what is expected.
    """
    try:
        return kind.validate_python(data)
    except ValidationError as error:
        raise ValueError(f"{where}: {explain(error)}; expected {expected}") from error


def explain(error: ValidationError) -> str:
    """The first thing that is wrong: where, and what."""
    first = error.errors()[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown key {' '.join(place.split())!r}"
    message = first["msg"].removeprefix("Value error, ")
    return " ".join((f"{place}: {message}" if place else message).split())
