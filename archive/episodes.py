"""The episodes that a run kept: what a memory recalled and stored, step by step, parsed strictly and safe to show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, NonNegativeInt, TypeAdapter, ValidationError

from archive.errors import ArchiveDamaged
from archive.ledger import Ledger
from archive.plain import plain, plain_lines
from design_space import EvaluationKey

_Line = Annotated[str, AfterValidator(lambda text: plain(text, 1000))]
_Lines = Annotated[str, AfterValidator(lambda text: plain_lines(text, 4000))]
_Change = Annotated[
    str,
    BeforeValidator(lambda value: value if isinstance(value, str) else json.dumps(value)),
    AfterValidator(lambda text: plain(text, 1000)),
]
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class ItemView:
    """One thing that was recalled."""

    __pydantic_config__ = _STRICT
    id: _Line
    text: _Lines
    situation: _Lines
    action: _Line
    value: float | None


@dataclass(frozen=True, slots=True)
class StepView:
    """One action; `recall` are places in the episode's `items`."""

    __pydantic_config__ = _STRICT
    situation: _Lines
    action: _Line
    observation: _Lines
    reward: float | None
    recall: tuple[NonNegativeInt, ...]


@dataclass(frozen=True, slots=True)
class StoredView:
    """How the memory changed after an episode; `count` is how many entries it then had."""

    __pydantic_config__ = _STRICT
    added: tuple[_Change, ...]
    removed: tuple[_Change, ...]
    count: NonNegativeInt


@dataclass(frozen=True, slots=True)
class EpisodeView:
    """One attempt at a task, with what the memory recalled and stored.

    Attributes:
        before: places in `items` of what was recalled before the task.
        stored: None if the memory's content was not compared.
    """

    __pydantic_config__ = _STRICT
    goal: _Lines
    reward: float | None
    steps: tuple[StepView, ...]
    before: tuple[NonNegativeInt, ...]
    items: tuple[ItemView, ...]
    stored: StoredView | None

    def recalled(self, places: Sequence[int]) -> tuple[ItemView, ...]:
        return tuple(self.items[place] for place in places)

    @property
    def shown(self) -> tuple[ItemView, ...]:
        """Every item that was recalled in it, once, in the order of first use."""
        places = (*self.before, *(place for step in self.steps for place in step.recall))
        return self.recalled(tuple(dict.fromkeys(places)))


_EPISODE = TypeAdapter(EpisodeView)


def parse_episode(content: bytes, record: str) -> EpisodeView:
    """Parse the JSON of one episode strictly.

    Args:
        record: what to call it in an error.

    Raises:
        ArchiveDamaged: it is not of that form, or a recall names an item that is not there.
    """
    try:
        episode = _EPISODE.validate_json(content)
    except (ValidationError, RecursionError) as error:
        raise ArchiveDamaged(record, plain(_problem(error), 300)) from error
    last = len(episode.items)
    for place in (*episode.before, *(place for step in episode.steps for place in step.recall)):
        if place >= last:
            raise ArchiveDamaged(record, f"it recalls item {place}, but has {last} items")
    return episode


def episodes(ledger: Ledger, key: EvaluationKey) -> tuple[EpisodeView, ...]:
    """Return the episodes of one evaluation in stream order; none if they were not kept.

    Raises:
        ArchiveDamaged: names the episode that cannot be read.
    """
    return tuple(
        parse_episode(content, f"episode {place} of evaluation {key.digest}")
        for place, content in enumerate(ledger.episodes(key))
    )


def _problem(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "it is nested too deeply"
    first: Any = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else str(first["msg"])
