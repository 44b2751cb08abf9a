"""What people see of a run: one line of progress while it goes on, a summary at its end. All of it on stderr."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from archive.certificate import Certificate, Sheet
from archive.plain import number, plain, told_score
from archive.standings import Standings
from meta_agent.forecast import REHEARSALS_COUNT, Forecast
from meta_agent.progress import Progress
from meta_agent.terminal import say
from meta_agent.verdict import Final, Gain

QUIET_SECONDS = 10.0
"""Between two lines of progress where the output is no terminal."""


class ConsoleWatcher:
    """Draws a bar on a terminal, writes a line now and then elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[told]}"),
        )
        self._bar = Bar(*columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("starting", total=None, told="")
        self._began = time.monotonic()
        self._told = 0.0

    def __enter__(self) -> ConsoleWatcher:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begun(self, backend: str, caveat: str) -> None:
        say(f"sandbox: {backend}. {caveat}", self._console)

    def moved(self, progress: Progress) -> None:
        text = told(progress, time.monotonic() - self._began)
        self._bar.update(
            self._task,
            description=progress.phase,
            total=progress.allowed or None,
            completed=progress.evaluations,
            told=text,
        )
        now = time.monotonic()
        if not self._console.is_terminal and now - self._told > QUIET_SECONDS:
            self._told = now
            say(f"{progress.phase}: {text}", self._console)


def told(progress: Progress, seconds: float) -> str:
    """One line: best so far, designs, rate, budget spent and left."""
    parts = []
    if progress.best is not None:
        name, mean, half, n = progress.best
        parts.append(f"best {number(mean)} ± {number(half)} (n={n}) {plain(name, 40)}")
    bad = progress.invalid + progress.failed
    if progress.tried or bad:
        parts.append(f"{progress.tried} designs, {bad} failed, {progress.duplicates} duplicates")
    parts.append(f"{progress.fresh / max(seconds, 1e-3):.1f}/s")
    parts.append(f"{progress.evaluations} of {progress.allowed} evaluations")
    if progress.dollars is not None:
        parts.append(told_dollars(progress.dollars))
    return " | ".join(parts)


def summarise(final: Final, console: Console) -> None:
    """The winner beside what it must beat, and what may be claimed."""
    show_gains(final, "winner", console)
    say(conclusion(final), console)


def show_gains(final: Final, subject: str, console: Console) -> None:
    """A winner, or what else `subject` calls it, beside its rivals."""
    title = f"{subject}: {plain(final.name, 80)}  ({final.winner[:8]})"
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("on fresh streams", "score", f"the {subject}'s gain", "verdict"):
        table.add_column(heading, no_wrap=heading != "on fresh streams")
    table.add_row(f"the {subject}", told_score(final.score), "", "")
    for gain in final.gains:
        table.add_row(
            f"{gain.role}: {plain(gain.rival, 50)}", told_score(gain.score), str(gain.gain), gain.gain.verdict
        )
    console.print(table)


def conclusion(final: Final) -> str:
    """What may be claimed, in a sentence or two."""
    gain = final.over_ancestors
    if gain is None:
        return "The winner is the only seed: there is no ancestor to compare it with."
    if final.improved:
        return f"It earns more than the best of its ancestors: {gain.gain}."
    return f"No gain over its ancestors is shown: {gain.gain}{_smallest(gain)}. A larger budget may find one."


def _smallest(gain: Gain) -> str:
    return (
        "" if gain.detectable is None else f"; {gain.gain.n} streams show differences from {number(gain.detectable)} on"
    )


def show_certificate(certificate: Certificate, console: Console) -> None:
    """Each kind of tasks: what it earns beside the controls, and what may be claimed."""
    for sheet in certificate.sheets:
        n, tasks = sheet.subject.streams, sheet.subject.tasks
        title = f"{plain(certificate.name, 60)} on {sheet.subject.stream}: {n} streams of {tasks} tasks, "
        table = Table(title=f"{title}{sheet.subject.protocol}", title_justify="left", title_style="bold")
        for heading in ("", "score", "the memory's gain", "verdict"):
            table.add_column(heading, no_wrap=bool(heading))
        table.add_row("the memory", told_score(sheet.score), "", "")
        for rival in sheet.rivals:
            table.add_row(rival.name, told_score(rival.score), str(rival.gain), rival.gain.verdict)
        console.print(table)
        figures = Table(show_header=False)
        for name, told_figure in figures_of(sheet):
            figures.add_row(name, told_figure)
        console.print(figures)
        say(f"{sheet.claim.value}: {' '.join(sheet.sentences)}", console)
        for fault in sheet.faults:
            say(f"fault: {plain(fault, 200)}", console)


def figures_of(sheet: Sheet) -> list[tuple[str, str]]:
    """The figures of a sheet that are one difference or one share each, in words."""
    differences = [
        ("gain over no memory under amnesia", sheet.under_amnesia),
        ("the same with another family's experience", sheet.under_shuffled),
        *((f"the same with the agent {swap.name}", swap.gain) for swap in sheet.swaps),
        ("learning: last third minus first", sheet.learning),
        ("gained by another family lived through before", sheet.carried_over),
        ("forgotten once another family came in between", sheet.forgetting),
    ]
    shares = [
        ("robustness to the order of tasks", sheet.order_robustness),
        ("steps relative to no memory, where both solve", sheet.steps_ratio),
        ("gold in the recall", sheet.found),
        *((f"answered: {kind.name or 'questions'}", kind.answered) for kind in sheet.competences),
    ]
    told = [(name, str(value)) for name, value in differences if value is not None]
    return told + [(name, told_score(value)) for name, value in shares if value is not None]


def show_standings(standings: Standings, console: Console) -> None:
    """One table for each kind of tasks and agent, the best design first."""
    for table in standings.tables:
        title = (
            f"{table.stream}, agent {table.agent}: {table.streams} streams of {table.tasks} tasks; {table.told_spread}"
        )
        shown = Table(title=title, title_justify="left", title_style="bold")
        for heading in ("rank", "design", "score", "over no memory"):
            shown.add_column(heading, no_wrap=heading != "design")
        for placed in table.placed:
            rank = f"{placed.rank:g} [{placed.rank_low:g}, {placed.rank_high:g}]"
            shown.add_row(rank, plain(placed.name, 40), told_score(placed.score), str(placed.gain))
        console.print(shown)


def show_forecast(forecast: Forecast, cap: float | None, console: Console) -> None:
    """What a job will take, role by role."""
    table = Table(title=f"{forecast.evaluations} evaluations, {forecast.designs} designs by a model")
    for heading in ("role", "model", "calls", "tokens in", "tokens out", "dollars"):
        table.add_column(heading, justify="left" if heading in ("role", "model") else "right")
    for role in forecast.roles:
        counts = (f"{role.calls:,}", f"{role.input_tokens:,}", f"{role.output_tokens:,}")
        table.add_row(role.role, plain(role.model, 60), *counts, told_dollars(role.dollars))
    console.print(table)
    if not forecast.roles:
        say("no model is called: it costs nothing but time", console)
        return
    say(f"in all: {told_dollars(forecast.dollars)}; about {forecast.hours:.1f} hours of waiting for models", console)
    if forecast.dollars_range is not None:
        (few, many), (least, most) = forecast.evaluations_range, forecast.dollars_range
        span = f"{told_dollars(least)} to {told_dollars(most)}, {few} to {many} evaluations"
        say(f"as the search goes, {span} ({REHEARSALS_COUNT} rehearsals)", console)
    if cap is not None and forecast.dollars is not None and forecast.dollars > cap:
        say(f"that is more than budget.dollars, {cap:g}: the run would stop there, to be resumed with more", console)


def told_dollars(dollars: float | None) -> str:
    """A sum for people."""
    return "price not known" if dollars is None else f"${dollars:,.2f}" if dollars >= 1.0 else f"${dollars:.4f}"
