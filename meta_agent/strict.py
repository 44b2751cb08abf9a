"""Strict parsing of YAML: what is wrong is said in one sentence that names the nearest valid key."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from meta_agent.errors import BadInput

_TOLD_CHARS = 500


class Strict(BaseModel):
    """Takes no key that it does not know and no number that is infinite or none, and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """Takes no key twice: YAML would keep the last one, and say nothing of the other."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            told = (key.tag, str(key.value))
            if told in seen:
                raise yaml.composer.ComposerError(None, None, f"the key {key.value!r} is there twice", key.start_mark)
            seen.add(told)
        return node


def _read(text: str) -> Any:
    """What a text in YAML says.

    Raises:
        ValueError: it is no YAML, or none that is meant to be read; in one line.
    """
    try:
        return yaml.load(text, _Loader)
    except RecursionError:
        pass
    except (yaml.YAMLError, ValueError) as error:  # of a date or a number that cannot be, it is the second
        raise ValueError(" ".join(str(error).split())[:_TOLD_CHARS]) from error
    raise ValueError("it is nested too deeply")


def read_yaml(kind: type[Model], path: Path, overrides: tuple[str, ...], example: str) -> Model:
    """Read a file.

    Args:
        overrides: ``key.key=value`` each, the value in YAML.
        example: a file that is right, for messages.

    Raises:
        BadInput: no such file, no YAML, an unknown key (the nearest valid one is named), a value out of range.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the config {path}: {error}", f"name a YAML file, such as {example}") from error
    return parse_yaml(kind, text, str(path), overrides, example)


def parse_yaml(kind: type[Model], text: str, where: str, overrides: tuple[str, ...], example: str) -> Model:
    """Parse what stood in a file; `where` names it in messages."""
    try:
        data = _read(text)
    except ValueError as error:
        raise BadInput(f"{where} is no YAML: {error}", "mend the file") from error
    if not isinstance(data, dict):
        raise BadInput(f"{where} holds a {type(data).__name__}, wanted keys and values", f"see {example}")
    for override in overrides:
        _override(data, override)
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        hint = f"see {example} for a complete config"
        raise BadInput(f"{where}: {_explain(kind, error)}", hint) from error


def _override(data: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise BadInput(f"--set {override!r} is not KEY=VALUE", "such as --set budget.evaluations=200")
    place = data
    *parents, last = path.split(".")
    for name in parents:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            raise BadInput(f"--set {override!r}: {name!r} holds a value, not keys")
    try:
        place[last] = _read(text)
    except ValueError as error:
        raise BadInput(f"--set {override!r}: the value is no YAML: {error}") from error


def _explain(kind: type[BaseModel], error: ValidationError) -> str:
    """The first thing that is wrong, in words, with the nearest valid key where one is unknown."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = _keys(kind, first["loc"][:-1])
        return f"unknown key {place!r}{nearest(str(first['loc'][-1]), known)}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{place or 'config'}: {message}"


def _keys(kind: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The valid keys at a place in a config."""
    model: Any = kind
    for part in location:
        if isinstance(part, int):
            model = next(iter(get_args(model)), None)
            continue
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        if field is None:
            return []
        model = field.annotation
        if isinstance(model, UnionType):  # with None
            model = get_args(model)[0]
    fields: Any = getattr(model, "model_fields", None) or getattr(model, "__dataclass_fields__", {})
    return list(fields)


def nearest(name: str, known: Collection[str]) -> str:
    """For the end of a message about an unknown name: the one that was probably meant, or all there are."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known are {', '.join(known)}" if known else ""
