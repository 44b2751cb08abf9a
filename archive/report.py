"""Writes a run as one HTML page that needs nothing else: no network, no server, no other file.

What designs and models wrote is escaped where it stands (Jinja2's autoescape, `figures.label`, `script_safe`), and a
content security policy that knows the page's own scripts by their hashes lets no other script run and nothing load.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from archive import figures
from archive.episodes import EpisodeView, episodes
from archive.errors import ArchiveDamaged, ArchiveUnwritable
from archive.ledger import Ledger
from archive.plain import number, plain, plain_lines
from archive.repository import Repository
from archive.statistics import Interval, Verdict
from archive.task_grid import task_grid
from archive.views import NO_MEMORY, DesignView, Gain, RunView, overview

DETAILED = 50
"""Designs, the highest first, whose source and diff are in the page."""

HEATED, DECIDED, REPLAYED = 30, 300, 12
_TEMPLATES = Path(__file__).with_name("templates")


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
class Figure:
    """A figure under its heading, as JSON that may stand in a script element."""

    slug: str
    title: str
    caption: str
    json: Markup


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


def write(ledger: Ledger, repository: Repository, path: Path | str, title: str, config_text: str) -> Path:
    """Write the report of a run, finished or not, over whatever is at `path`; return the absolute path.

    The page appears whole or not at all, so that a browser may reload it while the run goes on.

    Args:
        config_text: the run's configuration, to be shown.

    Raises:
        ArchiveError: the ledger or the repository cannot be read.
        ArchiveUnwritable: the page cannot be written.
    """
    target = Path(path).absolute()
    page = render(ledger, repository, title, config_text).encode("utf-8", "replace")
    draft = ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".report-", delete=False) as file:
            draft = file.name
            file.write(page)
        Path(draft).chmod(0o644)
        Path(draft).replace(target)
    except OSError as error:
        if draft:
            Path(draft).unlink(missing_ok=True)
        raise ArchiveUnwritable(
            f"cannot write the report to {target}: {error.strerror}", hint="is the folder writable, the disk full?"
        ) from error
    return target


def render(ledger: Ledger, repository: Repository, title: str, config_text: str) -> str:
    """Return the page; raises as `write` does."""
    run = overview(ledger, repository)
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, plain=plain, verdict=_verdict)
    plotly_js, page_js = _script(get_plotlyjs()), _script((_TEMPLATES / "report.js").read_text("utf-8"))
    folder = _typed_folder(ledger.path.parent)
    return environment.get_template("report.html.j2").render(
        title=plain(title, 120) or "run",
        run=run,
        headline=_headline(run, folder),
        figures=_figures(ledger, run),
        details=_details(repository, run),
        detailed=DETAILED,
        replay=_replay(ledger, run),
        decisions=run.decisions[-DECIDED:],
        config=plain_lines(config_text),
        folder=folder,
        plotly_js=plotly_js,
        page_js=page_js,
        policy=Markup(
            f"default-src 'none'; script-src '{_digest(plotly_js)}' '{_digest(page_js)}'; "
            "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
        ),
    )


def script_safe(json_text: str) -> Markup:
    """Return JSON that cannot end, or comment out, the script element it stands in."""
    for character in "<>&\u2028\u2029":
        json_text = json_text.replace(character, f"\\u{ord(character):04x}")
    return Markup(json_text)


def _script(source: str) -> Markup:
    """Return our own script as a browser will see it, so that its hash holds."""
    source = source.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    if "</script" in source.lower():
        raise ValueError("a script of the page holds </script, wanted one that can be inlined")
    return Markup(source)


def _digest(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


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


def _verdict(gain: Gain | None) -> str:
    return "" if gain is None else gain.verdict.value


# -- the parts


def _figures(ledger: Ledger, run: RunView) -> tuple[Figure, ...]:
    shown = [*run.ranked[:HEATED], *(control for control in run.controls if control.score)]
    gap = f" The best design's gap, search minus validation: {_signed(run.gap)}." if run.gap else ""
    made = (
        _figure(
            "scores",
            "Scores over the run",
            "Points: mean over streams with a 95 % interval. Search streams select designs, so the highest points are "
            "lucky; the line follows the posterior mean, which shrinks them.",
            figures.score_figure(run),
        ),
        _figure(
            "lineage",
            "Lineage",
            "Every design and its parents. Click a node for its details.",
            figures.lineage_figure(run),
        ),
        _figure(
            "tasks",
            "Task by task",
            f"Rewards of the first {HEATED} designs by rank, and of the controls, on the search streams that most of "
            "them share.",
            figures.task_figure(task_grid(ledger, shown)),
        ),
        _figure(
            "gap",
            "Search against validation",
            f"Designs below the line did better on the streams that selected them than on fresh ones.{gap}",
            figures.gap_figure(run),
        ),
        _figure(
            "costs",
            "What it costs",
            "Score against seconds, bytes stored and characters recalled, each the mean over evaluations with a 95 % "
            "interval.",
            figures.cost_figure(run),
        ),
    )
    return tuple(figure for figure in made if figure is not None)


def _figure(slug: str, title: str, caption: str, figure: go.Figure | None) -> Figure | None:
    return None if figure is None else Figure(slug, title, caption, script_safe(figure.to_json()))


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
