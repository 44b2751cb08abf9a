"""A whole experiment as YAML: parsed strictly, every key has its unit in its name or its comment."""

from __future__ import annotations

import difflib
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from archive import selection
from design_space import catalogue
from meta_agent.errors import BadInput
from sandbox.backend import Limits
from sandbox.evaluate import Protocol
from sandbox.registry import find_agent, make_source, settings_of

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class StreamConfig(_Strict):
    """Where tasks come from.

    Attributes:
        source: `household`, `textworld`, or ``module:Name`` of a source of one's own.
        settings: of the source; see `HouseholdSettings` and `TextWorldSettings`.
    """

    source: str
    settings: dict[str, Any] = {}

    @model_validator(mode="after")
    def _known(self) -> StreamConfig:
        known = settings_of(self.source)
        for name in self.settings if known else ():
            if name not in known:
                raise ValueError(f"unknown setting {name!r} of {self.source}{_nearest(name, known)}")
        make_source(self.source, self.settings, str(Path.cwd()))
        return self


class EvaluationConfig(_Strict):
    """How a design is scored.

    Attributes:
        agent: `evidence`, or ``module:Name`` of an agent of one's own.
        recall_chars: characters of recall that the agent is shown at once.
    """

    protocol: Protocol = "online"
    agent: str = "evidence"
    recall_chars: int = Field(default=6_000, ge=0, le=1_000_000)
    limits: Limits = Limits()

    @field_validator("agent")
    @classmethod
    def _known(cls, name: str) -> str:
        find_agent(name, str(Path.cwd()))
        return name


class SandboxConfig(_Strict):
    """Where designs run.

    Attributes:
        backend: `auto` is docker where a daemon answers, else embedded.
        runtime: of Docker, such as runsc; null is the daemon's default.
        prestart: sandboxes that each worker keeps ready.
    """

    backend: Literal["auto", "docker", "embedded"] = "auto"
    runtime: str | None = None
    prestart: int = Field(default=1, ge=0, le=8)


class ProposerConfig(_Strict):
    """Shares of the proposals, by proposer; they need not sum up to 1."""

    compose: float = Field(default=0.85, ge=0.0)
    tune: float = Field(default=0.15, ge=0.0)

    @model_validator(mode="after")
    def _some(self) -> ProposerConfig:
        if self.compose + self.tune <= 0.0:
            raise ValueError("at least one proposer wants a share above 0")
        return self


class SearchConfig(_Strict):
    """How designs are looked for.

    Attributes:
        seeds: designs of the catalogue that the archive begins with.
        generation_size: designs that are asked for before any of them is told.
        rungs: streams seen after each rung; a generation's designs see the first, the better part the next ones.
        keep: share that is promoted from rung to rung.
    """

    seeds: tuple[str, ...]
    generation_size: int = Field(default=8, ge=1, le=1_000)
    selection: str = "thompson"
    proposers: ProposerConfig = ProposerConfig()
    rungs: tuple[int, ...] = (2, 4, 8)
    keep: float = Field(default=0.5, gt=0.0, le=1.0)

    @field_validator("seeds")
    @classmethod
    def _known(cls, seeds: tuple[str, ...]) -> tuple[str, ...]:
        if not seeds:
            raise ValueError("at least one design of the catalogue is wanted")
        for name in seeds:
            if name not in catalogue.names():
                raise ValueError(f"unknown design {name!r}{_nearest(name, catalogue.names())}")
        return seeds

    @field_validator("selection")
    @classmethod
    def _selection(cls, name: str) -> str:
        if name not in selection.NAMES:
            raise ValueError(f"unknown selection {name!r}{_nearest(name, selection.NAMES)}")
        return name

    @field_validator("rungs")
    @classmethod
    def _growing(cls, rungs: tuple[int, ...]) -> tuple[int, ...]:
        if not rungs or rungs[0] < 1 or any(a >= b for a, b in pairwise(rungs)):
            raise ValueError(f"{list(rungs)} are not growing numbers of streams")
        return rungs


class FinalConfig(_Strict):
    """How the winner is chosen and measured.

    Attributes:
        candidates: the best designs of the search that see further streams before one of them is the winner.
        confirm_streams: how many further streams of the search split those see.
        validation_streams: fresh streams on which the winner is compared with its ancestors and the controls.
    """

    candidates: int = Field(default=3, ge=1, le=100)
    confirm_streams: int = Field(default=8, ge=0)
    validation_streams: int = Field(default=16, ge=2)


class BudgetConfig(_Strict):
    """What may be spent.

    Attributes:
        evaluations: designs times streams, the final measurements included. Runs stopped by it repeat exactly.
        wall_seconds: after it nothing new of the search is started; the final measurements are still made.
    """

    evaluations: int = Field(ge=1)
    wall_seconds: float | None = Field(default=None, gt=0.0)


class WorkersConfig(_Strict):
    """Who does the work.

    Attributes:
        count: processes; null is one for each core. Results do not depend on it.
    """

    count: int | None = Field(default=None, ge=1, le=10_000)


class Config(_Strict):
    """One experiment.

    Attributes:
        name: of the run's folder.
        seed: of everything: streams, agents, proposals.
        controls: designs of the catalogue that are measured beside the winner.
        keep_episodes_streams: search streams of which every design's episodes are kept for `episodes`.
    """

    name: str = Field(pattern=NAME)
    seed: int = Field(default=0, ge=0)
    stream: StreamConfig
    evaluation: EvaluationConfig = EvaluationConfig()
    sandbox: SandboxConfig = SandboxConfig()
    search: SearchConfig
    controls: tuple[str, ...] = catalogue.CONTROLS
    final: FinalConfig = FinalConfig()
    budget: BudgetConfig
    workers: WorkersConfig = WorkersConfig()
    keep_episodes_streams: int = Field(default=1, ge=0)

    @field_validator("controls")
    @classmethod
    def _known(cls, controls: tuple[str, ...]) -> tuple[str, ...]:
        if "no_memory" not in controls:
            raise ValueError("no_memory must be among the controls: every gain is measured against it")
        for name in controls:
            if name not in catalogue.names():
                raise ValueError(f"unknown design {name!r}{_nearest(name, catalogue.names())}")
        return controls


def load(path: Path, overrides: tuple[str, ...] = ()) -> Config:
    """Read a config file.

    Args:
        overrides: ``key.key=value`` each, the value in YAML.

    Raises:
        BadInput: no such file, no YAML, an unknown key (the nearest valid one is named), a value out of range.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"cannot read the config {path}: {error}", "name a YAML file, such as configs/quickstart.yaml"
        ) from error
    return parse(text, str(path), overrides)


def parse(text: str, where: str, overrides: tuple[str, ...] = ()) -> Config:
    """Parse a config; `where` names it in messages."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"{where} is no YAML: {' '.join(str(error).split())}", "mend the file") from error
    if not isinstance(data, dict):
        raise BadInput(f"{where} holds a {type(data).__name__}, wanted keys and values", "see configs/quickstart.yaml")
    for override in overrides:
        _override(data, override)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise BadInput(f"{where}: {_explain(error)}", "see configs/quickstart.yaml for a complete config") from error


def dump(config: Config) -> str:
    """The config as YAML that `parse` reads to an equal one."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


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
        place[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"--set {override!r}: the value is no YAML") from error


def _explain(error: ValidationError) -> str:
    """The first thing that is wrong, in words, with the nearest valid key where one is unknown."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = _keys(first["loc"][:-1])
        return f"unknown key {place!r}{_nearest(str(first['loc'][-1]), known)}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{place or 'config'}: {message}"


def _keys(location: tuple[int | str, ...]) -> list[str]:
    """The valid keys at a place in a config."""
    model: Any = Config
    for part in location:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        if field is None:
            return []
        model = field.annotation
    fields: Any = getattr(model, "model_fields", None) or getattr(model, "__dataclass_fields__", {})
    return list(fields)


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known are {', '.join(known)}" if known else ""
