"""Designs side by side on the panel: what is evaluated, and the tables that come of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from archive.ledger import Ledger
from archive.records import Purpose
from archive.standings import Entrant, Standings, Table, place, spread
from archive.statistics import Verdict, by_stream, paired_difference
from design_space import Design, Evaluation, catalogue
from design_space.foreign import wrap
from meta_agent.config import NAME, SandboxConfig, WorkersConfig
from meta_agent.errors import BadInput
from meta_agent.evaluations import Evaluations
from meta_agent.panel import Stand, find, record_opening
from meta_agent.policy import Request
from meta_agent.progress import Progress
from meta_agent.session import system
from meta_agent.single import read_design
from meta_agent.strict import Strict, read_yaml
from meta_agent.worker import Bench
from sandbox.backend import Limits
from sandbox.evaluate import Experience
from sandbox.registry import find_agent

BASELINE = "no_memory"


class ArenaConfig(Strict):
    """What is set side by side.

    Attributes:
        streams: names of the panel, or stands of one's own.
        agents: with each of them; the controls are measured with the first.
        designs: names of the catalogue or files, one of another system as ``alma:FILE``; empty is the whole catalogue.
        controls: measured for every design that earns more than no memory; elsewhere there is nothing that they could
            take away.
    """

    name: str = Field(pattern=NAME)
    seed: int = Field(default=0, ge=0, lt=2**63)
    streams: tuple[Stand | str, ...] = Field(min_length=1)
    agents: tuple[str, ...] = Field(default=("evidence",), min_length=1)
    designs: tuple[str, ...] = ()
    controls: tuple[Literal["amnesia", "shuffled"], ...] = ("amnesia", "shuffled")
    limits: Limits = Limits()
    sandbox: SandboxConfig = SandboxConfig()
    workers: WorkersConfig = WorkersConfig()

    @field_validator("agents")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            find_agent(name, str(Path.cwd()))
        return tuple(dict.fromkeys(names))

    @property
    def stands(self) -> tuple[Stand, ...]:
        """Raises BadInput for a name that the panel does not have, or that two of them have."""
        found = tuple(find(stream) if isinstance(stream, str) else stream for stream in self.streams)
        names = Counter(stand.name for stand in found)
        if (twice := next((name for name in names if names[name] > 1), None)) is not None:
            raise BadInput(f"two of `streams` are called {twice!r}", "give each a name of its own")
        return found

    def entrants(self) -> dict[str, Design]:
        """The designs by name, no memory among them.

        Raises:
            BadInput: one cannot be read, or two have one name.
        """
        names = self.designs or catalogue.names()
        found = {BASELINE: catalogue.load(BASELINE)}
        for name in names:
            prefix, colon, file = name.partition(":")
            foreign = bool(colon) and prefix in wrap.SYSTEMS
            design = read_design(Path(file), system(prefix)) if foreign else read_design(Path(name))
            if found.setdefault(design.name, design).id != design.id:
                raise BadInput(f"two designs are called {design.name!r}, one of them is {name}", "rename a file")
        return found


def load(path: Path, overrides: tuple[str, ...] = ()) -> ArenaConfig:
    """Read an arena's config file.

    Raises:
        BadInput: as `meta_agent.config.load`.
    """
    return read_yaml(ArenaConfig, path, overrides, "configs/arena.yaml")


class Arena:
    """Has everything evaluated that is not in the ledger yet.

    Args:
        evaluations: its benches are every stand with every agent, stand by stand.
    """

    def __init__(self, config: ArenaConfig, evaluations: Evaluations, ledger: Ledger, progress: Progress) -> None:
        self._config = config
        self._stands = config.stands
        self._evaluations = evaluations
        self._ledger = ledger
        self._progress = progress

    def run(self, backend: str, guest: str, versions: Mapping[str, str]) -> Standings:
        """Return the tables, stand by stand and agent by agent.

        Raises:
            Interrupted: a signal asked for a stop; what was finished is filed.
            SandboxUnavailable: the machine is at fault.
        """
        designs = self._config.entrants()
        everyone = {bench: list(designs.values()) for bench in range(len(self._pairs()))}
        found = self._have(designs, everyone, ("own",))
        first = self._config.agents[0]
        gaining = {
            bench: self._gaining(stand, agent, designs, found)
            for bench, (stand, agent) in enumerate(self._pairs())
            if agent == first
        }
        found |= self._have(designs, gaining, self._config.controls)
        tables = tuple(self._table(stand, agent, designs, found) for stand, agent in self._pairs())
        return Standings(self._config.name, self._config.seed, tables, backend, guest, versions)

    def _pairs(self) -> list[tuple[Stand, str]]:
        """In the order of the benches."""
        return [(stand, agent) for stand in self._stands for agent in self._config.agents]

    def _request(self, stand: Stand, agent: str, design: Design, experience: Experience = "own") -> Request:
        bench = self._pairs().index((stand, agent))
        return Request(design.id, tuple(range(stand.streams_count)), bench, 0, experience)

    def _have(
        self, designs: Mapping[str, Design], wanted: Mapping[int, Sequence[Design]], kinds: Sequence[Experience]
    ) -> dict[Request, list[Evaluation]]:
        """Args: wanted: by bench."""
        by_id = {design.id: design for design in designs.values()}
        requests = {
            bench: [self._request(*self._pairs()[bench], design, kind) for design in chosen for kind in kinds]
            for bench, chosen in wanted.items()
        }
        self._progress.allowed += sum(len(request.streams) for made in requests.values() for request in made)
        found: dict[Request, list[Evaluation]] = {}
        for split in dict.fromkeys(stand.split for stand in self._stands):
            benches = [bench for bench in wanted if self._pairs()[bench][0].split == split]
            for bench in benches if split == "sealed" else ():
                record_opening(self._evaluations, self._ledger, self._pairs()[bench][0], bench, tuple(by_id))
            asked = [request for bench in benches for request in requests[bench]]
            purpose = Purpose.SEALED if split == "sealed" else Purpose.VALIDATION
            found.update(self._evaluations.have(by_id, asked, split, purpose))
        return found

    def _gaining(
        self, stand: Stand, agent: str, designs: Mapping[str, Design], found: Mapping[Request, list[Evaluation]]
    ) -> list[Design]:
        """The designs that are shown to earn more than no memory."""
        scores = {name: by_stream(found[self._request(stand, agent, design)]) for name, design in designs.items()}
        gains = {name: paired_difference(own, scores[BASELINE]) for name, own in scores.items() if name != BASELINE}
        return [designs[name] for name, gain in gains.items() if gain.verdict is Verdict.BETTER]

    def _table(
        self, stand: Stand, agent: str, designs: Mapping[str, Design], found: Mapping[Request, list[Evaluation]]
    ) -> Table:
        def made(design: Design, kind: Experience) -> list[Evaluation]:
            return found.get(self._request(stand, agent, design, kind), [])

        entrants = [
            Entrant(name, design.id, made(design, "own"), made(design, "amnesia"), made(design, "shuffled"))
            for name, design in designs.items()
        ]
        return Table(
            stream=stand.name,
            agent=agent,
            protocol=stand.protocol,
            streams=stand.streams_count,
            tasks=len(entrants[0].own[0].rewards),
            note=stand.note,
            placed=place(entrants, BASELINE),
            spread_p=spread(entrants),
        )


def benches(config: ArenaConfig) -> list[Bench]:
    """What the workers are to offer, in the order that `Arena` counts them."""
    return [stand.bench(agent, config.seed, config.limits) for stand in config.stands for agent in config.agents]
