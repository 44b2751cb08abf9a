"""The report of a run: one page with everything that it found."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from archive import figures
from archive.call_book import CallBook, RoleCost
from archive.episodes import EpisodeView, episodes
from archive.errors import ArchiveDamaged
from archive.ledger import Ledger
from archive.overview import overview
from archive.page import Figure, drawn, render_page, write_page
from archive.plain import plain, plain_lines
from archive.repository import Repository
from archive.search_view import SearchView
from archive.statistics import Interval, Verdict
from archive.task_grid import task_grid
from archive.views import NO_MEMORY, DesignView, Gain, RunView

DETAILED = 50
"""Designs, the highest first, whose source and diff are in the page."""

HEATED, DECIDED, REPLAYED = 30, 300, 12
LINKED, LISTED = 12, 200
"""Designs of one prompt that are linked, and insights that are listed."""
NOTHING = SearchView()


@dataclass(frozen=True, slots=True)
class DiffLine:
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Detail:
    """What is folded away under a design: where it comes from, its source, its diff to the first parent."""

    design: DesignView
    parents: tuple[str, ...]
    source: str
    diff: tuple[DiffLine, ...]
    parent_name: str


@dataclass(frozen=True, slots=True)
class Replay:
    """Episodes of the best design, with what its memory recalled and stored; or why they cannot be read."""

    stream: str
    episodes: tuple[EpisodeView, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Headline:
    """The answer to "what came out?".

    Attributes:
        words: the verdict, one sentence.
        tone: ``good``, ``bad`` or ``open``.
        command: what to type next.
    """

    words: str
    tone: str
    command: str


def write(
    ledger: Ledger,
    repository: Repository,
    path: Path | str,
    title: str,
    config_text: str,
    learned: SearchView = NOTHING,
) -> Path:
    """Write the report of a run, finished or not, over whatever is at `path`; return the absolute path.

    The page appears whole or not at all, so that a browser may reload it while the run goes on.

    Args:
        config_text: the run's configuration, to be shown.
        learned: its prompts and insights.

    Raises:
        ArchiveError: the ledger or the repository cannot be read.
        ArchiveUnwritable: the page cannot be written.
    """
    return write_page(render(ledger, repository, title, config_text, learned), path)


def render(ledger: Ledger, repository: Repository, title: str, config_text: str, learned: SearchView = NOTHING) -> str:
    """Return the page; raises as `write` does."""
    run = overview(ledger, repository)
    folder = _typed_folder(ledger.path.parent)
    return render_page(
        "report.html.j2",
        title=plain(title, 120) or "run",
        run=run,
        headline=_headline(run, folder),
        figures=_figures(ledger, run),
        learned=learned,
        prompt_tree=drawn("prompt-tree", "", "", figures.prompt_figure(learned.prompts)),
        details=_details(repository, run),
        detailed=DETAILED,
        replay=_replay(ledger, run),
        costs=_costs(ledger),
        linked=LINKED,
        listed=LISTED,
        decisions=run.decisions[-DECIDED:],
        config=plain_lines(config_text),
        folder=folder,
    )


def _costs(ledger: Ledger) -> tuple[RoleCost, ...]:
    """What each model has cost in each role; empty for a key-free run."""
    with CallBook(ledger.path, read_only=True) as book:
        return book.costs()


def _typed_folder(folder: Path) -> str:
    """The run's folder as one would type it here."""
    here = Path.cwd()
    shown = folder.relative_to(here) if folder.is_relative_to(here) else folder
    return shlex.quote(plain(os.fspath(shown), 400))


# -- the answer


def _headline(run: RunView, folder: str) -> Headline:
    best = run.best
    if best is None:
        words = "No design has been scored yet." if run.designs else "This run has no designs yet."
        return Headline(words, "open", f"mnemogen resume {folder}")
    better, worse, same = (
        [_told(gain) for gain in run.comparisons if gain.verdict is verdict]
        for verdict in (Verdict.BETTER, Verdict.WORSE, Verdict.UNDECIDED)
    )
    parts = []
    if better:
        parts.append(f"better than {_list(better)}")
    if worse:
        parts.append(f"worse than {_list(worse)}")
    if same:
        parts.append(f"not told apart from {_list(same)}")
    words = "; ".join(parts) or "nothing to compare it with was evaluated on the same streams"
    if best.validation is None and best.sealed is None:
        words += ". It has no score on fresh streams yet: what is below is what selected it, and flatters"
    tone = "bad" if worse else "good" if NO_MEMORY in better else "open"
    return Headline(words[0].upper() + words[1:] + ".", tone, f"mnemogen export {folder} {best.short}")


def _told(gain: Gain) -> str:
    return f"{gain.label} {gain.over_name}" if gain.label.startswith("its ") else gain.label


def _list(words: Sequence[str]) -> str:
    words = list(dict.fromkeys(words))
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + f" and {words[-1]}"


# -- the parts


def _figures(ledger: Ledger, run: RunView) -> tuple[Figure, ...]:
    shown = [*run.ranked[:HEATED], *(control for control in run.controls if control.score)]
    gap = f" The best design's gap, search minus validation: {_signed(run.gap)}." if run.gap else ""
    made = (
        drawn(
            "scores",
            "Scores over the run",
            "Points: mean over streams with a 95 % interval. Search streams select designs, so the highest points are "
            "lucky; the line follows the posterior mean, which shrinks them.",
            figures.score_figure(run),
        ),
        drawn(
            "lineage",
            "Lineage",
            "Every design and its parents. Click a node for its details.",
            figures.lineage_figure(run),
        ),
        drawn(
            "tasks",
            "Task by task",
            f"Rewards of the first {HEATED} designs by rank, and of the controls, on the search streams that most of "
            "them share.",
            figures.task_figure(task_grid(ledger, shown)),
        ),
        drawn(
            "gap",
            "Search against validation",
            f"Designs below the line did better on the streams that selected them than on fresh ones.{gap}",
            figures.gap_figure(run),
        ),
        drawn(
            "costs",
            "What it costs",
            "Score against seconds, bytes stored and characters recalled, each the mean over evaluations with a 95 % "
            "interval.",
            figures.cost_figure(run),
        ),
    )
    return tuple(figure for figure in made if figure is not None)


def _signed(gap: Interval) -> str:
    return str(gap).replace("n=", "smaller n=")


def _details(repository: Repository, run: RunView) -> tuple[Detail, ...]:
    """Sources and diffs of the best designs, the winner first; the repository is asked for these only."""
    names = {design.id: design.name for design in run.designs}
    first = [run.best] if run.best is not None else []
    chosen = [*first, *(design for design in run.ranked if run.best is None or design.id != run.best.id)]
    details = []
    for design in chosen[:DETAILED]:
        parents = tuple(parent for parent in design.parents if parent in names)
        details.append(
            Detail(
                design=design,
                parents=tuple(f"{names[parent]} {parent[:8]}" for parent in parents),
                source=plain_lines(repository.load(design.id).source),
                diff=_diff(repository.diff(parents[0], design.id)) if parents else (),
                parent_name=names[parents[0]] if parents else "",
            )
        )
    return tuple(details)


def _diff(text: str) -> tuple[DiffLine, ...]:
    """The part of a git diff that is about the source; none if only parameters differ."""
    start = text.find("diff --git a/design.py b/design.py")
    if start > 0:
        start = text.find("\ndiff --git a/design.py b/design.py") + 1  # at the beginning of a line, so not a quote
    if start < 0:
        return ()
    lines = plain_lines(text[start:]).split("\n")
    hunks = next((place for place, line in enumerate(lines) if line.startswith("@@")), len(lines))
    kinds = {"+": "add", "-": "del", "@": "hunk"}
    return tuple(DiffLine(kinds.get(line[:1], ""), line) for line in lines[hunks:] if line)


def _replay(ledger: Ledger, run: RunView) -> Replay | None:
    """The first kept episodes of the best design on a search stream."""
    if run.best is None:
        return None
    for recorded in ledger.evaluations(design=run.best.id, split="search"):
        key = recorded.evaluation.key
        try:
            found = episodes(ledger, key)
        except ArchiveDamaged as error:
            return Replay(plain(key.stream), (), plain(str(error)))
        if found:
            return Replay(plain(key.stream), found[:REPLAYED])
    return None
