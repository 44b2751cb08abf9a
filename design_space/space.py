"""The tunable parameters of a design: names, ranges, defaults."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Value = int | float | str | bool


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number in [low, high]; `log` samples its magnitude evenly."""

    low: int
    high: int
    default: int
    log: bool = False

    def check(self, value: object) -> Value:
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            raise ValueError(f"{value!r} is not a whole number in [{self.low}, {self.high}]")
        return value


@dataclass(frozen=True, slots=True)
class Float:
    """A finite number in [low, high]; `log` samples its magnitude evenly."""

    low: float
    high: float
    default: float
    log: bool = False

    def check(self, value: object) -> Value:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{value!r} is not a number")
        if not self.low <= value <= self.high:
            raise ValueError(f"{value!r} is not in [{self.low}, {self.high}]")
        return float(value)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few named options."""

    options: tuple[Value, ...]
    default: Value

    def check(self, value: object) -> Value:
        for option in self.options:
            if type(option) is type(value) and option == value:
                return option
        raise ValueError(f"{value!r} is not one of {', '.join(map(repr, self.options))}")


Parameter = Int | Float | Choice


class Space(Mapping[str, Parameter]):
    """Named parameters, in the order given.

    Raises:
        ValueError: a default lies outside its own range.
    """

    def __init__(self, **parameters: Parameter) -> None:
        self._parameters = parameters
        for name, parameter in parameters.items():
            try:
                parameter.check(parameter.default)
            except ValueError as error:
                raise ValueError(f"default of parameter {name!r}: {error}") from error

    def __getitem__(self, name: str) -> Parameter:
        return self._parameters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __repr__(self) -> str:
        return f"Space({', '.join(f'{name}={p!r}' for name, p in self._parameters.items())})"

    def fill(self, params: Mapping[str, object]) -> dict[str, Value]:
        """Return a value for every parameter: the one given, or its default.

        Raises:
            ValueError: an unknown name, or a value outside its range.
        """
        unknown = [name for name in params if name not in self._parameters]
        if unknown:
            known = ", ".join(self._parameters) or "none"
            raise ValueError(f"unknown parameter {unknown[0]!r}; this design has: {known}")
        filled: dict[str, Value] = {}
        for name, parameter in self._parameters.items():
            try:
                filled[name] = parameter.check(params.get(name, parameter.default))
            except ValueError as error:
                raise ValueError(f"parameter {name!r}: {error}") from error
        return filled
