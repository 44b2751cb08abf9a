"""Finds task sources and agents by name: those of the project, and ``module:Name`` for one's own."""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from pydantic import TypeAdapter, ValidationError

from sandbox.agents.base import Agent
from sandbox.agents.evidence import EvidenceAgent
from sandbox.agents.literal import LiteralAgent
from sandbox.agents.llm import LLMAgent
from sandbox.streams.base import Source
from sandbox.streams.data.bfcl_memory import BfclMemorySettings, BfclMemorySource
from sandbox.streams.data.jsonl import JsonlSettings, JsonlSource
from sandbox.streams.data.locomo import LocomoSettings, LocomoSource
from sandbox.streams.data.longmemeval import LongMemEvalSettings, LongMemEvalSource
from sandbox.streams.data.memoryagentbench import MemoryAgentBenchSettings, MemoryAgentBenchSource
from sandbox.streams.data.reading import explain
from sandbox.streams.facts import FactsSettings, FactsSource
from sandbox.streams.household import HouseholdSettings, HouseholdSource
from sandbox.streams.impossible import ImpossibleSettings, ImpossibleSource
from sandbox.streams.poisoned import PoisonedSettings, PoisonedSource
from sandbox.streams.textworld import TextWorldSettings, TextWorldSource

MakeAgent = Callable[[np.random.Generator], Agent]

SOURCES: dict[str, tuple[Callable[[Any], Source], Any]] = {
    "facts": (FactsSource, FactsSettings),
    "household": (HouseholdSource, HouseholdSettings),
    "impossible": (ImpossibleSource, ImpossibleSettings),
    "poisoned": (PoisonedSource, PoisonedSettings),
    "textworld": (TextWorldSource, TextWorldSettings),
    "jsonl": (JsonlSource, JsonlSettings),
    "locomo": (LocomoSource, LocomoSettings),
    "longmemeval": (LongMemEvalSource, LongMemEvalSettings),
    "memoryagentbench": (MemoryAgentBenchSource, MemoryAgentBenchSettings),
    "bfcl-memory": (BfclMemorySource, BfclMemorySettings),
}
NEEDS: Mapping[str, str] = {"textworld": "textworld"}
"""The Python package, and extra of this project, that a source needs."""
AGENTS: dict[str, MakeAgent] = {"evidence": EvidenceAgent, "literal": LiteralAgent, "llm": LLMAgent}


def settings_of(name: str) -> tuple[str, ...]:
    """The names of a source's settings; empty for one's own sources, which say for themselves what they take."""
    return tuple(SOURCES[name][1].__dataclass_fields__) if name in SOURCES else ()


def make_source(name: str, settings: Mapping[str, Any], folder: str) -> Source:
    """Make a source of tasks.

    Args:
        name: one of `SOURCES`, or ``module:Name`` of a callable that takes the settings by keyword.
        folder: where modules of one's own are looked for first, and what a relative `path` in the settings starts from.

    Raises:
        ValueError: there is none of that name, or it does not take the settings.
    """
    if name in SOURCES:
        make, kind = SOURCES[name]
        given = dict(settings)
        if isinstance(given.get("path"), str):
            given["path"] = str(Path(folder) / Path(given["path"]).expanduser())
        try:
            parsed = TypeAdapter(kind).validate_python(given)
        except ValidationError as error:
            raise ValueError(explain(error)) from error
        for key in settings_of(name):
            if isinstance(value := getattr(parsed, key), float) and not math.isfinite(value):
                raise ValueError(f"{key} is {value}, wanted a finite number")
        return make(parsed)
    found = _find(name, folder, "source", tuple(SOURCES))
    try:
        return cast(Source, found(**settings))
    except TypeError as error:
        raise ValueError(f"source {name!r} does not take {dict(settings)}: {error}") from error
    except (Exception, SystemExit) as error:  # whatever somebody's module does
        raise ValueError(f"source {name!r} cannot be made: {raised(error)}") from error


def find_agent(name: str, folder: str) -> MakeAgent:
    """Find an agent: `evidence`, `literal`, `llm`, or ``module:Name`` of a callable that takes a random generator.

    Raises:
        ValueError: there is none of that name.
    """
    return AGENTS[name] if name in AGENTS else cast(MakeAgent, _find(name, folder, "agent", tuple(AGENTS)))


def asks_a_model(name: str, folder: str) -> bool:
    """Whether the agent of this name asks a language model, see `sandbox.agents.base.Modelled`.

    Raises:
        ValueError: there is no such agent.
    """
    return hasattr(find_agent(name, folder), "connect")


def lacking(source: str) -> str | None:
    """The package that a source needs and that is not installed."""
    need = NEEDS.get(source)
    return need if need is not None and importlib.util.find_spec(need) is None else None


def _find(name: str, folder: str, what: str, known: tuple[str, ...]) -> Callable[..., Any]:
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ValueError(f"unknown {what} {name!r}; known are {', '.join(known)}, and module:Name for one's own")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:  # the last two of no name of a module
        raise ValueError(f"cannot find the {what} {name!r} from {folder}: {error}") from error
    except (Exception, SystemExit) as error:  # whatever somebody's module does
        raise ValueError(f"cannot import the {what} {name!r} from {folder}: {raised(error)}") from error
    if not callable(found):
        raise ValueError(f"the {what} {name!r} is a {type(found).__name__}, wanted what makes one when it is called")
    return cast(Callable[..., Any], found)


def raised(error: BaseException) -> str:
    """An exception of somebody's code, with the place where it was raised."""
    told = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        return told  # which names the line itself
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{told} ({place.filename}, line {place.lineno})"
