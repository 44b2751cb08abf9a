"""What is told of a design beside its source: where it comes from, in one small JSON file."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from design_space import Design, DesignId
from design_space.space import Value

NAME_LIMIT, WORD_LIMIT, NOTE_LIMIT = 80, 40, 500
SEQUENCE_LIMIT = 2**31
_ID = re.compile(r"[0-9a-f]{16}")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def clean_line(text: str, limit: int) -> str:
    """Return `text` as one printable line of at most `limit` characters.

    Control, format (bidirectional and zero-width) and surrogate characters become blanks; runs of blanks become one.
    What a language model wrote can then stand in a commit, a terminal or a table.
    """
    shown = "".join(" " if unicodedata.category(c) in _HIDDEN else c for c in text[: limit * 8])
    return " ".join(shown.split())[:limit].strip()


def check_id(value: object) -> DesignId:
    """Return `value` if it is a design's id: sixteen hexadecimal digits.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError(f"{value!r} is not a design's id, wanted 16 hexadecimal digits")
    return DesignId(value)


@dataclass(frozen=True)
class Card:
    """Where a design comes from. It holds no times, so that equal runs write equal cards.

    Attributes:
        sequence: place in the order of asking, unique in an archive, in [0, 2**31).
        generation: 0 for the designs that a run starts from.
        parents: ids of the designs it was made from; the first one is the main parent.
        proposer: what made it (``llm``, ``compose``, ``tune``, ``catalogue``).
        operator: how (``mutate``, ``crossover``, ...).
        note: why, in one line; name, proposer, operator and note are cleaned and cut, see `clean_line`.

    Raises:
        ValueError: a field is of the wrong type or out of its range, or parents repeat or include the design itself.
    """

    id: DesignId
    name: str
    sequence: int
    generation: int
    parents: tuple[DesignId, ...] = ()
    proposer: str = ""
    operator: str = ""
    note: str = ""
    params: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_id(self.id)
        parents = tuple(check_id(parent) for parent in self.parents)
        if len(set(parents)) != len(parents) or self.id in parents:
            raise ValueError(f"parents of design {self.id} are {parents}, wanted different ones, and not itself")
        for name in ("sequence", "generation"):
            number = getattr(self, name)
            if type(number) is not int or not 0 <= number < SEQUENCE_LIMIT:
                raise ValueError(f"{name} of design {self.id} is {number!r}, wanted a whole number in [0, 2**31)")
        for name, value in self.params.items():
            if type(name) is not str or type(value) not in (bool, int, float, str):
                raise ValueError(f"parameter {name!r} of design {self.id} is {value!r}, wanted a number, text or bool")
            if type(value) is float and not math.isfinite(value):
                raise ValueError(f"parameter {name!r} of design {self.id} is {value!r}, wanted a finite number")
        object.__setattr__(self, "parents", parents)
        object.__setattr__(self, "params", MappingProxyType(dict(sorted(self.params.items()))))
        object.__setattr__(self, "name", clean_line(self.name, NAME_LIMIT) or "unnamed")
        object.__setattr__(self, "proposer", clean_line(self.proposer, WORD_LIMIT))
        object.__setattr__(self, "operator", clean_line(self.operator, WORD_LIMIT))
        object.__setattr__(self, "note", clean_line(self.note, NOTE_LIMIT))

    @classmethod
    def of(
        cls,
        design: Design,
        *,
        sequence: int,
        generation: int,
        parents: tuple[DesignId, ...] = (),
        proposer: str = "",
        operator: str = "",
        note: str = "",
    ) -> Card:
        """Return the card of `design`: id, name and parameters are taken from it."""
        return cls(design.id, design.name, sequence, generation, parents, proposer, operator, note, design.params)

    def to_json(self) -> str:
        """Return the card as JSON text: ASCII, keys in a fixed order, ends in a newline."""
        content = {
            "id": self.id,
            "name": self.name,
            "sequence": self.sequence,
            "generation": self.generation,
            "parents": list(self.parents),
            "proposer": self.proposer,
            "operator": self.operator,
            "note": self.note,
            "params": dict(self.params),
        }
        return json.dumps(content, indent=2, ensure_ascii=True, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Parse a card; anything but what `to_json` writes is refused.

        Raises:
            ValueError: not JSON, a field is missing, unknown, of the wrong type, or not as it was written.
        """
        try:
            content: Any = json.loads(text)
        except RecursionError as error:
            raise ValueError("the card is nested too deeply") from error
        if not isinstance(content, dict) or set(content) != set(cls.__dataclass_fields__):
            raise ValueError(f"fields of the card are {list(content)}, wanted {list(cls.__dataclass_fields__)}")
        texts = [content[name] for name in ("name", "proposer", "operator", "note")]
        if not all(isinstance(value, str) for value in texts):
            raise ValueError(f"name, proposer, operator and note are {texts}, wanted text")
        if not isinstance(content["parents"], list) or not isinstance(content["params"], dict):
            raise ValueError("parents of a card are a list, params an object")
        card = cls(**{**content, "parents": tuple(content["parents"])})
        if card.to_json() != text:
            raise ValueError("the card is not as it was written")
        return card

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Card, (
            self.id,
            self.name,
            self.sequence,
            self.generation,
            self.parents,
            self.proposer,
            self.operator,
            self.note,
            dict(self.params),
        )
