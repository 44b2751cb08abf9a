"""The command line. Data goes to stdout, everything said about it to stderr.

Exit codes: 0 done · 1 it failed, see the message · 2 what was given cannot be used, or the disk is full · 3 sandbox or
workers not to be had · 4 the archive is damaged or cannot be written · 5 a cap of the budget is reached, `resume --set`
goes on · 6 a model's provider refuses or does not answer, `resume` goes on · 7 a leak alarm: the run's scores mean
nothing · 130 stopped by a signal, `resume` goes on.
"""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from meta_agent import judging, looking, mending, poisoning, prompting, serving
from meta_agent.ending import ending
from meta_agent.errors import BadInput, MnemogenError
from meta_agent.session import backend_kind, reap, stoppable, system
from meta_agent.terminal import (
    RUNS,
    AsJson,
    From,
    Overrides,
    RayAddress,
    RunName,
    Runs,
    Workers,
    err,
    out,
    print_json,
    say,
)

app = typer.Typer(
    name="mnemogen",
    help="Evolves the memory of language-model agents: designs as code, in a sandbox, scored on streams of tasks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for look in (
    looking.status,
    looking.designs,
    looking.show,
    looking.diff,
    looking.lineage,
    looking.episodes,
    prompting.prompts,
    prompting.prompt,
    prompting.insights,
    looking.report,
    looking.export,
    judging.judge,
    judging.arena,
    poisoning.poison,
    mending.fsck,
    serving.mock_llm,
    serving.local_llm,
):
    app.command()(look)


def main() -> None:
    """Run a command; every expected failure ends in one message and its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a character shows a question mark
            stream.reconfigure(errors="replace")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    with ending():
        app()


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="a YAML file, such as configs/quickstart.yaml")],
    overrides: Overrides = [],  # noqa: B006 - typer reads the default, nobody changes it
    name: Annotated[str | None, typer.Option("--name", help="of the run's folder; default: the config's")] = None,
    runs: Runs = RUNS,
    ray_address: RayAddress = None,
    workers: Workers = None,
    replay: Annotated[
        str | None, typer.Option("--replay", help="a run: its models' answers are used, none is asked")
    ] = None,
    insights_from: Annotated[
        str | None, typer.Option("--insights-from", help="a run: this new one begins with what that one has learned")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what it would cost, and do nothing")] = False,
    as_json: AsJson = False,
) -> None:
    """Evolve memory designs as a config says; a run that was stopped goes on."""
    from meta_agent import config as configs
    from meta_agent.run import RunFolder, find

    extra = [] if name is None else [f"name={json.dumps(name)}"]  # a text, also where YAML would take it for a date
    parsed = configs.load(config, (*overrides, *extra))
    if dry_run:
        _price(parsed, as_json)
        return
    recorded = None if replay is None else find(replay, runs)
    teacher = None if insights_from is None else find(insights_from, runs)
    if recorded is not None and recorded.path.resolve() == (runs / parsed.name).resolve():
        raise BadInput(f"{recorded.path} cannot be compared with itself", "--name gives the repetition another folder")
    _drive(RunFolder(runs / parsed.name), parsed, workers, ray_address, recorded, teacher)


def _compare(folder: Any, recorded: Any) -> None:
    """Say whether a repetition came to what was recorded."""
    from itertools import zip_longest

    from archive.content import content

    with folder.open_ledger() as ours, recorded.open_ledger() as theirs:
        for count, (here, there) in enumerate(zip_longest(content(ours), content(theirs)), 1):
            if here != there:
                say(f"recorded: {there}\nrepeated: {here}")
                raise MnemogenError(f"the repetition differs from {recorded.path} in row {count}")
    say(f"the same as {recorded.path}, in all {count} rows")


def _price(config: Any, as_json: bool) -> None:
    from meta_agent.console import show_forecast
    from meta_agent.forecast import forecast
    from sandbox.models import LiteLLMProvider

    with err.status("rehearsing the search, and playing a few evaluations, with a stand-in for each model"):
        told = forecast(config, LiteLLMProvider())
    if as_json:
        print_json(dataclasses.asdict(told) | {"dollars": told.dollars})
    else:
        show_forecast(told, config.budget.dollars, out)


@app.command()
def resume(
    name: RunName,
    overrides: Annotated[list[str], typer.Option("--set", help="another cap, such as budget.dollars=20")] = [],  # noqa: B006
    runs: Runs = RUNS,
    ray_address: RayAddress = None,
    workers: Workers = None,
) -> None:
    """Go on with a run that was stopped, killed or cut off; what was recorded is not paid for again."""
    from meta_agent.run import find, recap

    folder = find(name, runs)
    if overrides:
        with folder.held():
            recap(folder, tuple(overrides))
    _drive(folder, folder.read_config(), workers, ray_address)


def _drive(
    folder: Any,
    config: Any,
    workers: int | None,
    ray_address: str | None,
    recorded: Any = None,
    teacher: Any = None,
) -> None:
    from archive.ledger import Ledger
    from archive.report import write
    from archive.repository import Repository
    from meta_agent.config import dump
    from meta_agent.console import ConsoleWatcher, summarise
    from meta_agent.driver import Driver
    from meta_agent.evaluations import worker_spec
    from meta_agent.handing_on import begin_with
    from meta_agent.learned import learned
    from meta_agent.pool import RayPool
    from meta_agent.record import open_models
    from meta_agent.run import check_unchanged, create

    replay = None if recorded is None else recorded.ledger
    with folder.held(), stoppable() as stopping:
        create(folder, config)
        if teacher is not None:
            say(f"it begins with {begin_with(folder, teacher)} insights of {teacher.path}")
        reap(config.name)
        began = time.monotonic()
        with Ledger(folder.ledger) as ledger, ConsoleWatcher(err) as watcher:
            check_unchanged(ledger, config)
            repository = Repository(folder.repository)
            count = workers or config.workers.count
            try:
                with (
                    open_models(config, folder.ledger, replay) as models,
                    RayPool(worker_spec(config), count, ray_address, models) as pool,
                ):
                    driver = Driver(config, ledger, repository, pool, watcher, stopping, models=models)
                    final = driver.run()
            finally:
                reap(config.name)
        summarise(final, err)
        with folder.open_ledger() as ledger:
            write(ledger, folder.open_repository(), folder.report, config.name, dump(config), learned(ledger))
    if recorded is not None:
        _compare(folder, recorded)
    if driver.ended_by_clock:
        say("the clock ended the search before its evaluations were used: another run of this config may end elsewhere")
    say(f"took {time.monotonic() - began:.0f} s; everything is in {folder.path}")
    name = config.name
    steps = f"open {folder.report} · mnemogen show {name} winner · mnemogen export {name} winner ./my-memory"
    say(f"next: {steps}")


@app.command()
def stop(name: RunName, runs: Runs = RUNS) -> None:
    """Ask a running run to stop cleanly, and wait until it has."""
    from meta_agent.run import find

    folder = find(name, runs)
    pid = folder.holder_pid()
    if pid is None or not folder.busy():
        raise BadInput(f"{folder.path} is not running", "`mnemogen status` tells how far it came")
    os.kill(pid, signal.SIGINT)  # which Ray leaves alone
    deadline = time.monotonic() + 30.0
    while folder.busy():
        if time.monotonic() > deadline:
            raise MnemogenError(
                f"process {pid} has not stopped after 30 s", "it may be waiting for the disk; look at it"
            )
        time.sleep(0.1)
    say(f"stopped; `mnemogen resume {name}` goes on")


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="a design of your own")],
    backend: Annotated[str, typer.Option("--backend", help="auto, docker or embedded")] = "auto",
    style: From = "mnemogen",
) -> None:
    """Is this file a valid design, and does it hold its contract in the sandbox?"""
    from meta_agent.single import check_file

    told = check_file(file, backend_kind(backend), system(style))
    say(f"{file}: {told}")


@app.command()
def evaluate(
    file: Annotated[Path, typer.Argument(help="a design of your own, or the name of one of the catalogue")],
    config: Annotated[Path, typer.Argument(help="the experiment whose streams it is scored on")],
    overrides: Overrides = [],  # noqa: B006 - typer reads the default, nobody changes it
    streams: Annotated[int, typer.Option("--streams", min=2, help="fresh validation streams")] = 8,
    as_json: AsJson = False,
    style: From = "mnemogen",
) -> None:
    """Score a design beside the controls."""
    from meta_agent import config as configs
    from meta_agent.console import show_gains
    from meta_agent.single import evaluate_file

    final = evaluate_file(file, configs.load(config, tuple(overrides)), streams, err, system(style))
    if as_json:
        print_json(json.loads(final.to_json()))
    else:
        show_gains(final, "design", err)


@app.command()
def unseal(
    name: RunName,
    runs: Runs = RUNS,
    streams: Annotated[int, typer.Option("--streams", min=2, help="sealed streams")] = 40,
    ray_address: RayAddress = None,
    workers: Workers = None,
) -> None:
    """Open the sealed split once: the winner, the best catalogue design and no memory. The opening is recorded."""
    from archive.ledger import Ledger
    from archive.repository import Repository
    from meta_agent import sealed
    from meta_agent.console import ConsoleWatcher, summarise
    from meta_agent.evaluations import Evaluations, worker_spec
    from meta_agent.pool import RayPool
    from meta_agent.progress import Progress
    from meta_agent.record import open_models
    from meta_agent.run import check_unchanged, find

    folder = find(name, runs)
    config = folder.read_config()
    with folder.held(), Ledger(folder.ledger) as ledger:
        check_unchanged(ledger, config)
    with (
        folder.held(),
        stoppable() as stopping,
        Ledger(folder.ledger) as ledger,
        ConsoleWatcher(err) as watcher,
        open_models(config, folder.ledger) as models,
        RayPool(worker_spec(config), workers or config.workers.count, ray_address, models) as pool,
    ):
        progress = Progress("the sealed streams", allowed=3 * streams)
        evaluations = Evaluations(worker_spec(config), ledger, pool, watcher, stopping, progress)
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
    say(f"{len(removed)} containers removed")
    if images:
        client = connect(5.0)
        say(f"{len(image.prune(client))} images removed")
        client.close()


@app.command()
def prepare(backend: Annotated[str, typer.Option("--backend", help="auto, docker or embedded")] = "auto") -> None:
    """Make the sandbox ready, so that the first run does not have to: builds its image where Docker is used."""
    from sandbox.backend import Limits
    from sandbox.choose import choose

    ready = choose(backend_kind(backend), Limits(), "prepare", 0)
    say(f"sandbox: {ready.name}. {ready.caveat}")
    ready.close()


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """What this machine offers, and what to do about what it lacks."""
    from meta_agent.doctor import examine

    findings = examine()
    if as_json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = "ok  " if finding.good else "lack"
            hint = f"  hint: {finding.hint}" if finding.hint else ""
            say(f"{mark} {finding.what}: {finding.told}{hint}", out)
    if not all(finding.good for finding in findings if finding.needed):
        raise MnemogenError("something that every run needs is missing")


if __name__ == "__main__":
    main()
