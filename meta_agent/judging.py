"""The commands that referee: `judge` one memory, `arena` many."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meta_agent.session import backend_kind, reap, stoppable, system
from meta_agent.terminal import RUNS, AsJson, From, Overrides, RayAddress, Runs, Workers, err, say

if TYPE_CHECKING:
    from archive.ledger import Ledger
    from meta_agent.evaluations import Evaluations
    from meta_agent.progress import Progress
    from meta_agent.worker import Bench, Facts
    from sandbox.backend import Limits

Streams = Annotated[
    str, typer.Option("--streams", help="of the panel, separated by commas (all is every one), or files: SOURCE:PATH")
]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="of streams, agents and memories")]
Backend = Annotated[str, typer.Option("--backend", help="auto, docker or embedded")]
DEFAULT_STREAMS = "household,facts"


def judge(
    file: Annotated[Path, typer.Argument(help="a design of your own, or the name of one of the catalogue")],
    streams: Streams = DEFAULT_STREAMS,
    seed: Seed = 0,
    backend: Backend = "auto",
    runs: Runs = RUNS,
    ray_address: RayAddress = None,
    workers: Workers = None,
    as_json: AsJson = False,
    style: From = "mnemogen",
) -> None:
    """What is this memory worth? An honest certificate: gains over controls, amnesia, another family's experience."""
    from archive.certificate import Repeat
    from archive.certificate_page import render
    from design_space.foreign.wrap import extras_of
    from meta_agent import panel
    from meta_agent.console import show_certificate
    from meta_agent.judge import AGENT, OTHER_AGENT, Judge, versions
    from meta_agent.single import read_design
    from sandbox.backend import Limits

    design = read_design(file, system(style))
    stands = panel.choose(streams)
    limits = Limits()
    benches = [stand.bench(agent, seed, limits) for stand in stands for agent in (AGENT, OTHER_AGENT)]
    folder = runs / f"judge-{design.name}-{design.id[:8]}"
    extras = extras_of(design.source)
    with _session(folder, benches, limits, backend, workers, ray_address, extras) as session:
        names = ",".join(stand.name for stand in stands) if streams == "all" else streams
        origin = [] if style == "mnemogen" else ["--from", style]
        repeat = Repeat(
            command=shlex.join(["mnemogen", "judge", file.name, *origin, "--streams", names, "--seed", str(seed)]),
            seed=seed,
            guest=session.facts.digest,
            backend=session.facts.backend,
            limits=limits.digest,
            versions=versions(stands),
        )
        certificate = Judge(stands, session.evaluations, session.ledger, session.progress).judge(design, repeat)
    if not as_json:
        show_certificate(certificate, err)
    _hand_over(folder, "certificate", certificate.to_json(), render(certificate), as_json)


def arena(
    config: Annotated[Path, typer.Argument(help="a YAML file, such as configs/arena.yaml")],
    overrides: Overrides = [],  # noqa: B006 - typer reads the default, nobody changes it
    runs: Runs = RUNS,
    ray_address: RayAddress = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """The catalogue, and designs of your own, side by side: ranks with their uncertainty, on every kind of tasks."""
    from archive.standings_page import render
    from design_space.foreign.wrap import extras_of
    from meta_agent.arena import Arena, benches, load
    from meta_agent.console import show_standings
    from meta_agent.judge import versions

    parsed = load(config, tuple(overrides))
    folder = runs / parsed.name
    places = benches(parsed)
    extras = tuple(sorted({extra for design in parsed.entrants().values() for extra in extras_of(design.source)}))
    with _session(folder, places, parsed.limits, parsed.sandbox.backend, workers, ray_address, extras) as session:
        facts = session.facts
        ring = Arena(parsed, session.evaluations, session.ledger, session.progress)
        standings = ring.run(facts.backend, facts.digest, versions(parsed.stands))
    if not as_json:
        show_standings(standings, err)
    _hand_over(folder, "standings", standings.to_json(), render(standings), as_json)


def _hand_over(folder: Path, name: str, text: str, page: str, as_json: bool) -> None:
    """Write a result into the run's folder as JSON and as a page, and say where it is."""
    from archive.page import write_page

    (folder / f"{name}.json").write_text(text, encoding="utf-8")
    written = write_page(page, folder / f"{name}.html")
    if as_json:
        typer.echo(text, nl=False)
    say(f"{name}: {written} and {name}.json beside it")


@dataclass(frozen=True, slots=True)
class _Session:
    evaluations: Evaluations
    ledger: Ledger
    progress: Progress
    facts: Facts


@contextmanager
def _session(
    folder: Path,
    benches: Sequence[Bench],
    limits: Limits,
    backend: str,
    workers: int | None,
    ray_address: str | None,
    extras: tuple[str, ...] = (),
) -> Iterator[_Session]:
    """Evaluations on these benches, filed in the folder's ledger; what it holds already is not paid for again."""
    from archive.ledger import Ledger
    from meta_agent.console import ConsoleWatcher
    from meta_agent.evaluations import Evaluations
    from meta_agent.pool import RayPool
    from meta_agent.progress import Progress
    from meta_agent.run import RunFolder
    from meta_agent.worker import WorkerSpec

    run = RunFolder(folder)
    spec = WorkerSpec(folder.name, tuple(benches), str(Path.cwd()), limits, backend_kind(backend), None, 1, extras)
    with run.held(), stoppable() as stopping:
        reap(folder.name)
        try:
            with (
                Ledger(run.ledger) as ledger,
                ConsoleWatcher(err) as watcher,
                RayPool(spec, workers, ray_address) as pool,
            ):
                progress = Progress("judging")
                evaluations = Evaluations(
                    spec, ledger, pool, watcher, stopping, progress, again="the same command goes on where it was"
                )
                evaluations.begin(one_guest=False)
                yield _Session(evaluations, ledger, progress, pool.facts())
        finally:
            reap(folder.name)
