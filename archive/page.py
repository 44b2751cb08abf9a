"""One HTML page that needs nothing else: no network, no server, no other file.

What designs and models wrote is escaped where it stands (Jinja2's autoescape, `figures.label`, `script_safe`), and a
content security policy that knows the page's own scripts by their hashes lets no other script run and nothing load.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from archive.errors import ArchiveFull, ArchiveUnwritable
from archive.plain import number, plain

_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure under its heading, as JSON that may stand in a script element."""

    slug: str
    title: str
    caption: str
    json: Markup


def drawn(slug: str, title: str, caption: str, figure: go.Figure | None) -> Figure | None:
    """A figure for a page; None if there is nothing to draw."""
    return None if figure is None else Figure(slug, title, caption, script_safe(figure.to_json()))


def render_page(template: str, **context: Any) -> str:
    """Fill a template of this project's; what it is given may be anything, for it is escaped where it stands."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, plain=plain)
    plotly_js, page_js = _script(get_plotlyjs()), _script((_TEMPLATES / "report.js").read_text("utf-8"))
    return environment.get_template(template).render(
        plotly_js=plotly_js,
        page_js=page_js,
        policy=Markup(
            f"default-src 'none'; script-src '{_digest(plotly_js)}' '{_digest(page_js)}'; "
            "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
        ),
        **context,
    )


def write_page(page: str, path: Path | str) -> Path:
    """Write a page over whatever is at `path`; return the absolute path.

    It appears whole or not at all, so that a browser may reload it while a run goes on.

    Raises:
        ArchiveFull: the disk is.
        ArchiveUnwritable: the page cannot be written, or something other than a file is there.
    """
    target, draft = Path(path), ""
    try:
        target = target.resolve()  # a link goes on leading to the page
        if target.exists() and not target.is_file():
            raise ArchiveUnwritable(
                f"cannot write the page to {target}: that is no file", hint="name a file, such as report.html"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".page-", delete=False) as file:
            draft = file.name
            file.write(page.encode("utf-8", "replace"))
        Path(draft).chmod(0o644)
        Path(draft).replace(target)
    except (OSError, RuntimeError) as error:  # of links that lead round in a circle, it is the second
        if draft:
            Path(draft).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise ArchiveFull(f"cannot write the page to {target}: the disk is full", hint="free some space") from error
        why = error.strerror if isinstance(error, OSError) else error
        raise ArchiveUnwritable(f"cannot write the page to {target}: {why}", hint="is the folder writable?") from error
    return target


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
