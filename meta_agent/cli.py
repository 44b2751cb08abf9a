"""The command line. Data goes to stdout, everything said about it to stderr.

Exit codes: 0 done · 1 it failed, see the message · 2 what was given cannot be used · 3 sandbox or workers not to be had
· 4 the archive is damaged or its disk full · 130 stopped by a signal, `resume` goes on.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from archive.errors import ArchiveDamaged, ArchiveError, ArchiveFull, ArchiveUnwritable, UnknownDesign
from meta_agent.errors import BadInput, MnemogenError
from sandbox.backend import SandboxUnavailable

app = typer.Typer(
    name="mnemogen",
    help="Evolves the memory of language-model agents: designs as code, in a sandbox, scored on streams of tasks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
err = Console(stderr=True)
out = Console(highlight=False)

RunName = Annotated[str, typer.Argument(help="name or folder of a run")]
Who = Annotated[str, typer.Argument(help="a design: its id, the beginning of it, or its name; 'winner' is the winner")]
Runs = Annotated[Path, typer.Option("--runs", help="folder that holds the runs")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout")]
Overrides = Annotated[list[str], typer.Option("--set", help="KEY=VALUE, such as budget.evaluations=200; repeatable")]
RayAddress = Annotated[str | None, typer.Option("--ray-address", help="of a Ray cluster; default: this machine")]

RUNS = Path("runs")


def main() -> None:
    """Run a command; every expected failure ends in one message and its exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        app()
    except MnemogenError as error:
        _die(str(error), error.hint, error.code)
    except UnknownDesign as error:
        _die(str(error.args[0]), error.hint, 2)
    except SandboxUnavailable as error:
        _die(str(error), error.hint, 3)
    except ArchiveFull as error:
        _die(str(error.args[0]), error.hint or "free some space; `mnemogen resume` goes on", 2)
    except (ArchiveDamaged, ArchiveUnwritable) as error:
        _die(str(error.args[0]), error.hint, 4)
    except ArchiveError as error:
        _die(str(error.args[0]), error.hint, 1)
    except OSError as error:
        hint = "free some space; `mnemogen resume` goes on" if error.errno == 28 else "see the path in the message"
        _die(str(error), hint, 2)
    except KeyboardInterrupt:
        _die("stopped", "`mnemogen resume` goes on with a run", 130)


def _die(message: str, hint: str, code: int) -> None:
    err.print(f"error: {message}", style="red", markup=False, highlight=False)
    if hint:
        err.print(f"hint: {hint}", markup=False, highlight=False)
    sys.exit(code)


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="a YAML file, such as configs/quickstart.yaml")],
    overrides: Overrides = [],  # noqa: B006 - typer reads the default, nobody changes it
    name: Annotated[str | None, typer.Option("--name", help="of the run's folder; default: the config's")] = None,
    runs: Runs = RUNS,
    ray_address: RayAddress = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="processes; default: the config's, or one a core")
    ] = None,
) -> None:
    """Evolve memory designs as a config says; a run that was stopped goes on."""
    from meta_agent import config as configs
    from meta_agent.run import RunFolder

    extra = [] if name is None else [f"name={name}"]
    parsed = configs.load(config, (*overrides, *extra))
    _drive(RunFolder(runs / parsed.name), parsed, workers, ray_address)


@app.command()
def resume(
    name: RunName,
    runs: Runs = RUNS,
    ray_address: RayAddress = None,
    workers: Annotated[int | None, typer.Option("--workers", help="processes; results do not depend on it")] = None,
) -> None:
    """Go on with a run that was stopped, killed or cut off; what was recorded is not paid for again."""
    from meta_agent.run import find

    folder = find(name, runs)
    _drive(folder, folder.read_config(), workers, ray_address)


def _drive(folder: Any, config: Any, workers: int | None, ray_address: str | None) -> None:
    from archive.ledger import Ledger
    from archive.report import write
    from archive.repository import Repository
    from meta_agent.config import dump
    from meta_agent.console import ConsoleWatcher, summarise
    from meta_agent.driver import Driver
    from meta_agent.evaluations import worker_spec
    from meta_agent.pool import RayPool
    from meta_agent.run import create

    with folder.held(), _stoppable() as stopping:
        create(folder, config)
        reap(config.name)
        began = time.monotonic()
        with Ledger(folder.ledger) as ledger, ConsoleWatcher(err) as watcher:
            repository = Repository(folder.repository)
            count = workers or config.workers.count
            try:
                with RayPool(worker_spec(config), count, ray_address) as pool:
                    final = Driver(config, ledger, repository, pool, watcher, stopping).run()
            finally:
                reap(config.name)
        summarise(final, err)
        with folder.open_ledger() as ledger:
            write(ledger, folder.open_repository(), folder.report, config.name, dump(config))
    err.print(f"took {time.monotonic() - began:.0f} s; everything is in {folder.path}", highlight=False)
    name = config.name
    steps = f"open {folder.report} · mnemogen show {name} winner · mnemogen export {name} winner ./my-memory"
    err.print(f"next: {steps}", highlight=False, soft_wrap=True)


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Signals ask for a clean stop; a second one ends the process at once."""
    asked: list[int] = []

    def ask(number: int, _: FrameType | None) -> None:
        if asked:
            os._exit(128 + number)
        asked.append(number)
        err.print("stopping: what is finished is kept (again to quit at once)")

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, ask) for number in signals]
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def reap(run_name: str | None) -> list[str]:
    """Remove containers that a dead process left; none where no daemon answers."""
    from sandbox import reaper
    from sandbox.docker_backend import connect

    try:
        client = connect(2.0)
    except SandboxUnavailable:
        return []
    try:
        return reaper.reap(client, run_name)
    finally:
        client.close()


@app.command()
def stop(name: RunName, runs: Runs = RUNS) -> None:
    """Ask a running run to stop cleanly, and wait until it has."""
    from meta_agent.run import find

    folder = find(name, runs)
    pid = folder.holder_pid()
    if pid is None or not folder.busy():
        raise BadInput(f"{folder.path} is not running", "`mnemogen status` tells how far it came")
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 30.0
    while folder.busy():
        if time.monotonic() > deadline:
            raise MnemogenError(
                f"process {pid} has not stopped after 30 s", "it may be waiting for the disk; look at it"
            )
        time.sleep(0.1)
    err.print(f"stopped; `mnemogen resume {name}` goes on")


@app.command()
def status(name: RunName, runs: Runs = RUNS, as_json: AsJson = False) -> None:
    """How far a run is."""
    from archive.plain import told_score

    with _opened(name, runs) as (folder, config, view, _, ledger):
        final = _final(ledger)
        state = "running" if folder.busy() else "finished" if final is not None else "stopped"
        facts: dict[str, Any] = {
            "run": config.name,
            "state": state,
            "evaluations": ledger.counts().evaluations,
            "budget": config.budget.evaluations,
            "designs": view.tried,
            "invalid": view.invalid,
            "duplicates": view.duplicates,
            "failed": view.failed,
            "generations": view.generations,
            "best": None if view.best is None else {"id": view.best.id, "name": view.best.name, **_score(view.best)},
        }
    if as_json:
        _print_json(facts)
        return
    best = facts["best"]
    out.print(f"{config.name}: {state}, {facts['evaluations']} of {facts['budget']} evaluations")
    out.print(f"{view.tried} designs tried, {view.invalid} invalid, {view.duplicates} duplicates, {view.failed} failed")
    if best is not None and view.best is not None:
        split, score = view.best.trusted or ("search", None)
        out.print(f"best: {best['name']} ({view.best.short}) {told_score(score)} {split} streams", markup=False)


@app.command()
def designs(
    name: RunName,
    runs: Runs = RUNS,
    as_json: AsJson = False,
    count: Annotated[int, typer.Option("--count", min=1, help="designs that are listed, the best first")] = 20,
) -> None:
    """The designs of a run, the best first."""
    from archive.plain import number, told_score

    with _opened(name, runs) as (_, _, view, _, _):
        shown = view.designs[:count]
    if as_json:
        _print_json([_plain_view(design) for design in shown])
        return
    table = Table()
    for heading in ("rank", "id", "name", "score on search streams", "believed", "made by", "fate"):
        table.add_column(heading, no_wrap=heading in ("id", "score on search streams"))
    for design in shown:
        belief = "" if design.believed is None else number(design.believed.mean)
        rank = "" if design.rank is None else str(design.rank)
        table.add_row(rank, design.short, design.name, told_score(design.score), belief, design.operator, design.fate)
    out.print(table)
    if len(view.designs) > count:
        err.print(f"{len(view.designs) - count} more; --count shows them")


@app.command()
def show(name: RunName, who: Who = "winner", runs: Runs = RUNS, as_json: AsJson = False) -> None:
    """One design: what it is, what it earned, why it was made."""
    from archive.plain import plain_lines, told_score

    with _opened(name, runs) as (_, _, view, repository, ledger):
        design = _find(view, who, ledger)
        source = plain_lines(repository.load(design.id).source)
    if as_json:
        _print_json({**_plain_view(design), "source": source})
        return
    out.print(f"{design.name}  {design.id}", style="bold", markup=False)
    out.print(
        f"made by {design.proposer}/{design.operator} in generation {design.generation}: {design.note}", markup=False
    )
    for split, score in (("search", design.score), ("validation", design.validation), ("sealed", design.sealed)):
        if score is not None:
            out.print(f"{split}: {told_score(score)}")
    if design.gain is not None:
        out.print(design.gain.words, markup=False)
    for line in (*design.why, *([design.reason] if design.reason else [])):
        out.print(f"- {line}", markup=False)
    if design.params:
        out.print("params: " + ", ".join(design.params), markup=False)
    out.print(Syntax(source, "python", background_color="default") if out.is_terminal else source, markup=False)


@app.command()
def diff(name: RunName, a: Who, b: Who, runs: Runs = RUNS) -> None:
    """What two designs differ in."""
    from archive.plain import plain_lines

    with _opened(name, runs) as (_, _, view, repository, ledger):
        text = plain_lines(repository.diff(_find(view, a, ledger).id, _find(view, b, ledger).id))
    out.print(Syntax(text, "diff", background_color="default") if out.is_terminal else text, markup=False)


@app.command()
def lineage(name: RunName, who: Who = "winner", runs: Runs = RUNS, as_json: AsJson = False) -> None:
    """Where a design comes from, and what was made of it."""
    from archive.plain import told_score
    from archive.views import lineage_of

    with _opened(name, runs) as (_, _, view, _, ledger):
        found = lineage_of(view, _find(view, who, ledger))
    if as_json:
        _print_json(
            {
                k: _plain_view(v) if not isinstance(v, tuple) else [_plain_view(d) for d in v]
                for k, v in (("design", found.design), ("ancestors", found.ancestors), ("children", found.children))
            }
        )
        return
    for title, group in (("ancestors", found.ancestors), ("design", (found.design,)), ("children", found.children)):
        out.print(title, style="bold")
        for design in group:
            out.print(f"  {design.short} {told_score(design.score)} {design.operator}: {design.name}", markup=False)


@app.command()
def episodes(
    name: RunName,
    who: Who = "winner",
    runs: Runs = RUNS,
    task: Annotated[int | None, typer.Option("--task", min=1, help="only this task of the stream")] = None,
    as_json: AsJson = False,
) -> None:
    """What a memory recalled and stored, step by step, on the streams whose episodes were kept."""
    from archive.episodes import episodes as read

    with _opened(name, runs) as (_, _, view, _, ledger):
        design = _find(view, who, ledger)
        kept = [(r.evaluation.key, read(ledger, r.evaluation.key)) for r in ledger.evaluations(design.id)]
    kept = [(key, found) for key, found in kept if found]
    if not kept:
        raise BadInput(f"no episodes of {design.short} were kept", "keep_episodes_streams in the config keeps more")
    if as_json:
        _print_json({key.stream: [dataclasses.asdict(e) for e in found] for key, found in kept})
        return
    for key, found in kept:
        out.print(f"stream {key.stream}", style="bold", markup=False)
        for number, episode in enumerate(found, 1):
            if task in (None, number):
                _print_episode(number, episode)


def _print_episode(number: int, episode: Any) -> None:
    reward = "not told" if episode.reward is None else f"{episode.reward:.2f}"
    out.print(f"task {number}: {episode.goal}  [reward {reward}]", style="bold", markup=False)
    shown: tuple[int, ...] | None = None
    for step in episode.steps:
        if step.recall and step.recall != shown:
            shown = step.recall
            for item in episode.recalled(step.recall)[:8]:
                value = "" if item.value is None else f" ({item.value:.2f})"
                out.print(f"    recalled {item.id}{value}: {item.text}", style="dim", markup=False)
            if len(step.recall) > 8:
                out.print(f"    and {len(step.recall) - 8} more", style="dim")
        earned = f"  +{step.reward:.2f}" if step.reward else ""
        out.print(f"  > {step.action}: {step.observation}{earned}", markup=False)
    if episode.stored is not None:
        out.print(f"    at the end it held {episode.stored.count} things", style="dim")


@app.command()
def report(
    name: RunName,
    runs: Runs = RUNS,
    output: Annotated[Path | None, typer.Option("--output", help="default: report.html in the run's folder")] = None,
) -> None:
    """Write one self-contained HTML page about a run."""
    from archive.report import write
    from meta_agent.config import dump
    from meta_agent.run import find

    folder = find(name, runs)
    config = folder.read_config()
    with folder.open_ledger() as ledger:
        path = write(ledger, folder.open_repository(), output or folder.report, config.name, dump(config))
    print(path)  # noqa: T201 - the data of this command


@app.command()
def export(
    name: RunName,
    who: Who,
    folder: Annotated[Path, typer.Argument(help="where the package is written; must not exist, or be empty")],
    learned: Annotated[bool, typer.Option("--learned", help="with what it learned on one search stream")] = False,
    runs: Runs = RUNS,
) -> None:
    """Write a design out as a Python package of its own, for any agent."""
    from meta_agent.take_home import take_home

    with _opened(name, runs) as (_, config, view, repository, ledger):
        written = take_home(config, _find(view, who, ledger), repository, ledger, folder, learned)
    package = next((written / "src").iterdir()).name
    err.print(f"wrote {written}", highlight=False, markup=False, soft_wrap=True)
    err.print(
        f"next: pip install {folder} && python -m {package}.example", highlight=False, markup=False, soft_wrap=True
    )


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="a design of your own")],
    backend: Annotated[str, typer.Option("--backend", help="auto, docker or embedded")] = "auto",
) -> None:
    """Is this file a valid design, and does it hold its contract in the sandbox?"""
    from meta_agent.single import check_file

    told = check_file(file, _backend(backend))
    err.print(f"{file}: {told}", highlight=False, markup=False)


@app.command()
def evaluate(
    file: Annotated[Path, typer.Argument(help="a design of your own, or the name of one of the catalogue")],
    config: Annotated[Path, typer.Argument(help="the experiment whose streams it is scored on")],
    overrides: Overrides = [],  # noqa: B006 - typer reads the default, nobody changes it
    streams: Annotated[int, typer.Option("--streams", min=2, help="fresh validation streams")] = 8,
    as_json: AsJson = False,
) -> None:
    """Score a design beside the controls."""
    from meta_agent import config as configs
    from meta_agent.console import summarise
    from meta_agent.single import evaluate_file

    final = evaluate_file(file, configs.load(config, tuple(overrides)), streams, err)
    if as_json:
        _print_json(json.loads(final.to_json()))
    else:
        summarise(final, err)


@app.command()
def unseal(
    name: RunName,
    runs: Runs = RUNS,
    streams: Annotated[int, typer.Option("--streams", min=2, help="sealed streams")] = 40,
    ray_address: RayAddress = None,
    workers: Annotated[int | None, typer.Option("--workers", help="processes")] = None,
) -> None:
    """Open the sealed split once: the winner, the best catalogue design and no memory. The opening is recorded."""
    from archive.ledger import Ledger
    from archive.repository import Repository
    from meta_agent import sealed
    from meta_agent.console import ConsoleWatcher, summarise
    from meta_agent.evaluations import Evaluations, worker_spec
    from meta_agent.pool import RayPool
    from meta_agent.progress import Progress
    from meta_agent.run import find

    folder = find(name, runs)
    config = folder.read_config()
    with (
        folder.held(),
        _stoppable() as stopping,
        Ledger(folder.ledger) as ledger,
        ConsoleWatcher(err) as watcher,
        RayPool(worker_spec(config), workers or config.workers.count, ray_address) as pool,
    ):
        progress = Progress("the sealed streams", allowed=3 * streams)
        evaluations = Evaluations(config, ledger, pool, watcher, stopping, progress)
        evaluations.begin()
        final = sealed.unseal(streams, ledger, Repository(folder.repository), evaluations)
    summarise(final, err)


@app.command()
def clean(
    name: Annotated[str | None, typer.Argument(help="only this run's containers")] = None,
    images: Annotated[bool, typer.Option("--images", help="old sandbox images too")] = False,
) -> None:
    """Remove containers that dead processes left behind, and old images."""
    from sandbox import image
    from sandbox.docker_backend import connect

    removed = reap(name)
    err.print(f"{len(removed)} containers removed")
    if images:
        client = connect(5.0)
        err.print(f"{len(image.prune(client))} images removed")
        client.close()


@app.command()
def prepare(backend: Annotated[str, typer.Option("--backend", help="auto, docker or embedded")] = "auto") -> None:
    """Make the sandbox ready, so that the first run does not have to: builds its image where Docker is used."""
    from sandbox.backend import Limits
    from sandbox.choose import choose

    ready = choose(_backend(backend), Limits(), "prepare", 0)
    err.print(f"sandbox: {ready.name}. {ready.caveat}", highlight=False, markup=False)
    ready.close()


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """What this machine offers, and what to do about what it lacks."""
    from meta_agent.doctor import examine

    findings = examine()
    if as_json:
        _print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = "ok  " if finding.good else "lack"
            hint = f"  hint: {finding.hint}" if finding.hint else ""
            out.print(f"{mark} {finding.what}: {finding.told}{hint}", markup=False, soft_wrap=True)
    if not all(finding.good for finding in findings if finding.needed):
        raise MnemogenError("something that every run needs is missing")


def _backend(name: str) -> Any:
    if name not in ("auto", "docker", "embedded"):
        raise BadInput(f"unknown backend {name!r}", "auto, docker or embedded")
    return name


@contextmanager
def _opened(name: str, runs: Path) -> Iterator[tuple[Any, Any, Any, Any, Any]]:
    """A run for reading: folder, config, overview, repository, ledger."""
    from archive.views import overview
    from meta_agent.run import find

    folder = find(name, runs)
    config = folder.read_config()
    with folder.open_ledger() as ledger:
        repository = folder.open_repository()
        yield folder, config, overview(ledger, repository), repository, ledger


def _find(view: Any, who: str, ledger: Any) -> Any:
    if who == "winner":
        final = _final(ledger)
        if final is not None:
            return view.find(final.winner)
        if view.best is None:
            raise BadInput("there is no winner yet", "`mnemogen status` tells how far the run is")
        return view.best
    return view.find(who)


def _final(ledger: Any) -> Any:
    from meta_agent.verdict import Final

    text = ledger.meta("final")
    return None if text is None else Final.from_json(text)


def _score(design: Any) -> dict[str, Any]:
    trusted = design.trusted
    return {} if trusted is None else {"split": trusted[0], **dataclasses.asdict(trusted[1])}


def _plain_view(design: Any) -> dict[str, Any]:
    return dataclasses.asdict(design)


def _print_json(data: Any) -> None:
    # Infinite bounds (one stream says nothing of the spread) are null in JSON.
    text = json.dumps(_finite(data), indent=2, default=str)
    print(text)  # noqa: T201 - the data of the command


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if abs(data) < float("inf") else None
    if isinstance(data, dict):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return data


if __name__ == "__main__":
    main()
