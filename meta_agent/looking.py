"""The commands that look at a run, also while it goes on; none of them changes anything but the page they write."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.syntax import Syntax
from rich.table import Table

from meta_agent.errors import BadInput
from meta_agent.terminal import RUNS, AsJson, RunName, Runs, Who, out, print_json, say

if TYPE_CHECKING:  # what reads an archive takes a second to import: only in the command that needs it
    from archive.episodes import EpisodeView
    from archive.views import DesignView


def status(name: RunName, runs: Runs = RUNS, as_json: AsJson = False) -> None:
    """How far a run is."""
    from archive.call_book import CallBook
    from archive.plain import told_score
    from meta_agent.console import told_dollars
    from meta_agent.opened import opened

    with opened(name, runs) as run, CallBook(run.folder.ledger, read_only=True) as book:
        costs = book.costs()
        config, view, spent = run.config, run.view, run.ledger.spent()
        state = "running" if run.folder.busy() else "finished" if run.final is not None else "stopped"
        facts: dict[str, Any] = {
            "run": config.name,
            "state": state,
            "evaluations": run.ledger.counts().evaluations,
            "budget": config.budget.evaluations,
            "spent": {"calls": spent.model_calls, "tokens": spent.model_tokens, "dollars": spent.dollars},
            "designs": view.tried,
            "invalid": view.invalid,
            "duplicates": view.duplicates,
            "failed": view.failed,
            "generations": view.generations,
            "best": None if view.best is None else {"id": view.best.id, "name": view.best.name, **_score(view.best)},
        }
    if as_json:
        print_json(facts)
        return
    best = facts["best"]
    say(f"{config.name}: {state}, {facts['evaluations']} of {facts['budget']} evaluations", out)
    for cost in costs:
        say(f"{cost.role}, {cost.model}: {cost.calls} calls, {cost.tokens:,} tokens, {told_dollars(cost.dollars)}", out)
    say(f"{view.tried} designs tried, {view.invalid} invalid, {view.duplicates} duplicates, {view.failed} failed", out)
    if best is not None and view.best is not None:
        split, score = view.best.trusted or ("search", None)
        say(f"best: {best['name']} ({view.best.short}) {told_score(score)} {split} streams", out)


def designs(
    name: RunName,
    runs: Runs = RUNS,
    as_json: AsJson = False,
    count: Annotated[int, typer.Option("--count", min=1, help="designs that are listed, the best first")] = 20,
) -> None:
    """The designs of a run, the best first."""
    from archive.plain import number, told_score
    from meta_agent.opened import opened

    with opened(name, runs) as run:
        view = run.view
        shown = view.designs[:count]
    if as_json:
        print_json([dataclasses.asdict(design) for design in shown])
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
        say(f"{len(view.designs) - count} more; --count shows them")


def show(name: RunName, who: Who = "winner", runs: Runs = RUNS, as_json: AsJson = False) -> None:
    """One design: what it is, what it earned, why it was made."""
    from archive.plain import plain_lines, told_score
    from meta_agent.opened import opened

    with opened(name, runs) as run:
        design = run.find(who)
        source = plain_lines(run.repository.load(design.id).source)
    if as_json:
        print_json({**dataclasses.asdict(design), "source": source})
        return
    say(f"{design.name}  {design.id}", out, style="bold")
    say(f"made by {design.proposer}/{design.operator} in generation {design.generation}: {design.note}", out)
    for split, score in (("search", design.score), ("validation", design.validation), ("sealed", design.sealed)):
        if score is not None:
            say(f"{split}: {told_score(score)}", out)
    if design.gain is not None:
        say(design.gain.words, out)
    for line in (*design.why, *([design.reason] if design.reason else [])):
        say(f"- {line}", out)
    if design.params:
        say("params: " + ", ".join(design.params), out)
    _print_code(source, "python")


def diff(name: RunName, a: Who, b: Who, runs: Runs = RUNS) -> None:
    """What two designs differ in."""
    from archive.plain import plain_lines
    from meta_agent.opened import opened

    with opened(name, runs) as run:
        text = plain_lines(run.repository.diff(run.find(a).id, run.find(b).id))
    _print_code(text, "diff")


def _print_code(text: str, language: str) -> None:
    """All of it: folded in a terminal, and to the letter where it goes into a file or a pipe."""
    if out.is_terminal:
        out.print(Syntax(text, language, background_color="default", word_wrap=True))
    else:
        out.print(text, markup=False, highlight=False, soft_wrap=True)


def lineage(name: RunName, who: Who = "winner", runs: Runs = RUNS, as_json: AsJson = False) -> None:
    """Where a design comes from, and what was made of it."""
    from archive.plain import told_score
    from archive.views import lineage_of
    from meta_agent.opened import opened

    with opened(name, runs) as run:
        found = lineage_of(run.view, run.find(who))
    if as_json:
        print_json(
            {
                k: dataclasses.asdict(v) if not isinstance(v, tuple) else [dataclasses.asdict(d) for d in v]
                for k, v in (("design", found.design), ("ancestors", found.ancestors), ("children", found.children))
            }
        )
        return
    for title, group in (("ancestors", found.ancestors), ("design", (found.design,)), ("children", found.children)):
        say(title, out, style="bold")
        for design in group:
            say(f"  {design.short} {told_score(design.score)} {design.operator}: {design.name}", out)


def episodes(
    name: RunName,
    who: Who = "winner",
    runs: Runs = RUNS,
    task: Annotated[int | None, typer.Option("--task", min=1, help="only this task of the stream")] = None,
    as_json: AsJson = False,
) -> None:
    """What a memory recalled and stored, step by step, on the streams whose episodes were kept."""
    from archive.episodes import episodes as read
    from meta_agent.opened import opened

    with opened(name, runs) as run:
        design = run.find(who)
        kept = [(r.evaluation.key, read(run.ledger, r.evaluation.key)) for r in run.ledger.evaluations(design.id)]
    kept = [(key, found) for key, found in kept if found]
    if not kept:
        raise BadInput(f"no episodes of {design.short} were kept", "keep_episodes_streams in the config keeps more")
    if as_json:
        print_json({key.stream: [dataclasses.asdict(e) for e in found] for key, found in kept})
        return
    most = max(len(found) for _, found in kept)
    if task is not None and task > most:
        raise BadInput(f"--task {task}: the streams have {most} tasks", f"give a number from 1 to {most}")
    for key, found in kept:
        say(f"stream {key.stream}", out, style="bold")
        for number, episode in enumerate(found, 1):
            if task in (None, number):
                _print_episode(number, episode)


def _print_episode(number: int, episode: EpisodeView) -> None:
    reward = "not told" if episode.reward is None else f"{episode.reward:.2f}"
    say(f"task {number}: {episode.goal}  [reward {reward}]", out, style="bold")
    shown: tuple[int, ...] | None = None
    for step in episode.steps:
        if step.recall and step.recall != shown:
            shown = step.recall
            for item in episode.recalled(step.recall)[:8]:
                value = "" if item.value is None else f" ({item.value:.2f})"
                say(f"    recalled {item.id}{value}: {item.text}", out, style="dim")
            if len(step.recall) > 8:
                say(f"    and {len(step.recall) - 8} more", out, style="dim")
        earned = f"  +{step.reward:.2f}" if step.reward else ""
        say(f"  > {step.action}: {step.observation}{earned}", out)
    if episode.stored is not None:
        say(f"    at the end it held {episode.stored.count} things", out, style="dim")


def report(
    name: RunName,
    runs: Runs = RUNS,
    output: Annotated[Path | None, typer.Option("--output", help="default: report.html in the run's folder")] = None,
) -> None:
    """Write one self-contained HTML page about a run."""
    from archive.report import write
    from meta_agent.config import dump
    from meta_agent.learned import learned
    from meta_agent.run import find

    folder = find(name, runs)
    config = folder.read_config()
    with folder.open_ledger() as ledger:
        shown = output or folder.report
        path = write(ledger, folder.open_repository(), shown, config.name, dump(config), learned(ledger))
    print(path)  # noqa: T201 - the data of this command


def export(
    name: RunName,
    who: Who,
    folder: Annotated[Path, typer.Argument(help="where the package is written; must not exist, or be empty")],
    learned: Annotated[bool, typer.Option("--learned", help="with what it learned on one search stream")] = False,
    runs: Runs = RUNS,
) -> None:
    """Write a design out as a Python package of its own, for any agent."""
    from meta_agent.opened import opened
    from meta_agent.take_home import take_home

    with opened(name, runs) as run:
        written = take_home(run.config, run.find(who), run.repository, run.ledger, folder, learned)
    package = next((written / "src").iterdir()).name
    say(f"wrote {written}")
    say(f"next: pip install {shlex.quote(str(written))} && python -m {package}.example")


def _score(design: DesignView) -> dict[str, Any]:
    trusted = design.trusted
    return {} if trusted is None else {"split": trusted[0], **dataclasses.asdict(trusted[1])}
