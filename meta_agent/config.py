"""A whole experiment as YAML: parsed strictly, every key has its unit in its name or its comment."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from archive import selection
from design_space import catalogue
from meta_agent.prompt_tree import Constants, Policy
from meta_agent.strict import Strict, nearest, parse_yaml, read_yaml
from sandbox.backend import Limits
from sandbox.broker import Allowance
from sandbox.calls import ROLES, ModelSpec, Role
from sandbox.embedders import EmbedderName
from sandbox.evaluate import Protocol
from sandbox.registry import asks_a_model, find_agent, make_source, settings_of

EXAMPLE = "configs/quickstart.yaml"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class StreamConfig(Strict):
    """Where tasks come from.

    Attributes:
        source: `household`, `textworld`, or ``module:Name`` of a source of one's own.
        settings: of the source; see `HouseholdSettings` and `TextWorldSettings`.
    """

    source: str
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> StreamConfig:
        known = settings_of(self.source)
        for name in self.settings if known else ():
            if name not in known:
                raise ValueError(f"unknown setting {name!r} of {self.source}{nearest(name, known)}")
        make_source(self.source, self.settings, str(Path.cwd()))
        return self


class EvaluationConfig(Strict):
    """How a design is scored.

    Attributes:
        agent: `evidence`, `literal`, `llm`, or ``module:Name`` of an agent of one's own.
        recall_chars: characters of recall that the agent is shown at once.
        embedder: for `kit.embed`: `hashed` words, `use` (extra `embeddings`), or `model`, which is `models.embedding`.
        allowance: what a design may use of models in one evaluation.
    """

    protocol: Protocol = "online"
    agent: str = "evidence"
    recall_chars: int = Field(default=6_000, ge=0, le=1_000_000)
    limits: Limits = Limits()
    embedder: EmbedderName = "hashed"
    allowance: Allowance = Allowance()

    @field_validator("agent")
    @classmethod
    def _known(cls, name: str) -> str:
        find_agent(name, str(Path.cwd()))
        return name


class SandboxConfig(Strict):
    """Where designs run.

    Attributes:
        backend: `auto` is docker where a daemon answers, else embedded.
        runtime: of Docker, such as runsc; null is the daemon's default.
        prestart: sandboxes that each worker keeps ready.
    """

    backend: Literal["auto", "docker", "embedded"] = "auto"
    runtime: str | None = None
    prestart: int = Field(default=1, ge=0, le=8)


class ProposerConfig(Strict):
    """Shares of the proposals, by proposer; they need not sum up to 1.

    Attributes:
        llm: designs that the model `models.meta` writes.
        repairs: attempts of the model to mend a design that fails its checks.
    """

    compose: float = Field(default=0.85, ge=0.0)
    tune: float = Field(default=0.15, ge=0.0)
    llm: float = Field(default=0.0, ge=0.0)
    repairs: int = Field(default=2, ge=0, le=10)

    @model_validator(mode="after")
    def _some(self) -> ProposerConfig:
        if self.compose + self.tune + self.llm <= 0.0:
            raise ValueError("at least one proposer wants a share above 0")
        return self


class PromptConfig(Strict):
    """Which prompts steer the proposers, and how they evolve.

    Attributes:
        policy: `tree` (Monte Carlo tree search), `flat` (a bandit), `uniform`, or `fixed`: the first prompt, always.
        expansions: new prompts after each generation, at most.
        constants: of the choice, with their sources in `prompt_tree.Constants`.
    """

    policy: Policy = "flat"
    expansions: int = Field(default=1, ge=0, le=100)
    constants: Constants = Constants()


class SearchConfig(Strict):
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
    prompts: PromptConfig = PromptConfig()
    rungs: tuple[int, ...] = (1, 2, 4, 8)
    keep: float = Field(default=0.5, gt=0.0, le=1.0)

    @field_validator("seeds")
    @classmethod
    def _known(cls, seeds: tuple[str, ...]) -> tuple[str, ...]:
        if not seeds:
            raise ValueError("at least one design of the catalogue is wanted")
        for name in seeds:
            if name not in catalogue.names():
                raise ValueError(f"unknown design {name!r}{nearest(name, catalogue.names())}")
        return seeds

    @field_validator("selection")
    @classmethod
    def _selection(cls, name: str) -> str:
        if name not in selection.NAMES:
            raise ValueError(f"unknown selection {name!r}{nearest(name, selection.NAMES)}")
        return name

    @field_validator("rungs")
    @classmethod
    def _growing(cls, rungs: tuple[int, ...]) -> tuple[int, ...]:
        if not rungs or rungs[0] < 1 or any(a >= b for a, b in pairwise(rungs)):
            raise ValueError(f"{list(rungs)} are not growing numbers of streams")
        return rungs


class FinalConfig(Strict):
    """How the winner is chosen and measured.

    Attributes:
        candidates: the best designs of the search that see further streams before one of them is the winner.
        confirm_streams: how many further streams of the search split those see.
        impossible_streams: streams of the source `impossible` that the candidates play first; one that gets more right
            than chance explains stops the run. 0 leaves the leak alarm off.
        validation_streams: fresh streams on which the winner is compared with its ancestors and the controls.
        line: steps by which the winner came about, the last ones, that are labelled on these streams: which of them
            made it better?
    """

    candidates: int = Field(default=3, ge=1, le=100)
    confirm_streams: int = Field(default=8, ge=0)
    impossible_streams: int = Field(default=1, ge=0)
    validation_streams: int = Field(default=16, ge=2)
    line: int = Field(default=4, ge=0, le=100)


class BudgetConfig(Strict):
    """What may be spent.

    Attributes:
        evaluations: designs times streams, the final measurements included. Runs stopped by it repeat exactly.
        wall_seconds: after it nothing new of the search is started; the final measurements are still made. All sessions
            of a run together have it; where the search has ended by it, it goes on only if more is allowed.
        dollars, tokens, calls: on models, all roles together; never exceeded. A run that reaches one stops, and goes
            on once it is raised: `mnemogen resume RUN --set budget.dollars=20`.
    """

    evaluations: int = Field(ge=1, le=1_000_000_000)
    wall_seconds: float | None = Field(default=None, gt=0.0)
    dollars: float | None = Field(default=None, ge=0.0, le=1e9)
    tokens: int | None = Field(default=None, ge=0, lt=2**63)
    calls: int | None = Field(default=None, ge=0, lt=2**63)


class WorkersConfig(Strict):
    """Who does the work.

    Attributes:
        count: processes; null is one for each core. Results do not depend on it.
    """

    count: int | None = Field(default=None, ge=1, le=10_000)


class ModelsConfig(Strict):
    """Which model plays which role; a role without one is not played. None at all: the run is key-free.

    Attributes:
        meta: writes designs; judge: compares them.
        agent: plays the tasks, where `evaluation.agent` is `llm`.
        memory: answers what designs ask; embedding: embeds for them, where `evaluation.embedder` is `model`.
        in_flight: evaluations under way at once, all workers together, where the agent is a model: it waits much.
    """

    meta: ModelSpec | None = None
    judge: ModelSpec | None = None
    agent: ModelSpec | None = None
    memory: ModelSpec | None = None
    embedding: ModelSpec | None = None
    in_flight: int = Field(default=32, ge=1, le=4_096)

    @property
    def specs(self) -> dict[Role, ModelSpec]:
        """The roles that are played."""
        found: dict[Role, ModelSpec | None] = {role: getattr(self, role) for role in ROLES}
        return {role: spec for role, spec in found.items() if spec is not None}


class Config(Strict):
    """One experiment.

    Attributes:
        name: of the run's folder.
        seed: of everything: streams, agents, proposals.
        controls: designs of the catalogue that are measured beside the winner.
        keep_episodes_streams: search streams of which every design's episodes are kept for `episodes`.
    """

    name: str = Field(pattern=NAME)
    seed: int = Field(default=0, ge=0, lt=2**63)
    stream: StreamConfig
    evaluation: EvaluationConfig = EvaluationConfig()
    models: ModelsConfig = ModelsConfig()
    sandbox: SandboxConfig = SandboxConfig()
    search: SearchConfig
    controls: tuple[str, ...] = catalogue.CONTROLS
    final: FinalConfig = FinalConfig()
    budget: BudgetConfig
    workers: WorkersConfig = WorkersConfig()
    keep_episodes_streams: int = Field(default=1, ge=0)

    @model_validator(mode="after")
    def _played(self) -> Config:
        asks = asks_a_model(self.evaluation.agent, str(Path.cwd()))
        if asks and self.models.agent is None:
            raise ValueError(f"evaluation.agent {self.evaluation.agent!r} is a model, but models.agent names none")
        if self.evaluation.embedder == "model" and self.models.embedding is None:
            raise ValueError("evaluation.embedder is 'model', but models.embedding names no model")
        if self.search.proposers.llm > 0.0 and self.models.meta is None:
            raise ValueError("search.proposers.llm is above 0, but models.meta names no model")
        return self

    @field_validator("controls")
    @classmethod
    def _known(cls, controls: tuple[str, ...]) -> tuple[str, ...]:
        if "no_memory" not in controls:
            raise ValueError("no_memory must be among the controls: every gain is measured against it")
        for name in controls:
            if name not in catalogue.names():
                raise ValueError(f"unknown design {name!r}{nearest(name, catalogue.names())}")
        return controls


def load(path: Path, overrides: tuple[str, ...] = ()) -> Config:
    """Read a config file.

    Args:
        overrides: ``key.key=value`` each, the value in YAML.

    Raises:
        BadInput: as `strict.read_yaml`.
    """
    return read_yaml(Config, path, overrides, EXAMPLE)


def parse(text: str, where: str, overrides: tuple[str, ...] = ()) -> Config:
    """Parse a config; `where` names it in messages."""
    return parse_yaml(Config, text, where, overrides, EXAMPLE)


def dump(config: Config) -> str:
    """The config as YAML that `parse` reads to an equal one."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
