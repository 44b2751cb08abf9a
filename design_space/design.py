"""A design as data: source, parameters, and the id that both determine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import NewType

from design_space.space import Value

DesignId = NewType("DesignId", str)


@dataclass(frozen=True)
class Design:
    """Source code of one memory architecture plus values of its parameters.

    Attributes:
        source: a Python module that defines exactly one subclass of `Memory`.
        params: values that differ from the defaults of the design's SPACE.
        name: for people; not part of the identity.
    """

    source: str
    params: Mapping[str, Value] = field(default_factory=dict)
    name: str = "unnamed"

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", MappingProxyType(dict(sorted(self.params.items()))))

    @cached_property
    def id(self) -> DesignId:
        """Sixteen hexadecimal digits of the SHA-256 over source and parameters."""
        text = json.dumps([self.source, dict(self.params)], sort_keys=True, ensure_ascii=True)
        return DesignId(hashlib.sha256(text.encode()).hexdigest()[:16])

    def __reduce__(self) -> tuple[type[Design], tuple[str, dict[str, Value], str]]:
        return Design, (self.source, dict(self.params), self.name)
