"""Writes a design out as a Python package that needs numpy and nothing of ours."""

from __future__ import annotations

import ast
import json
import math
import os
import re
import shutil
import string
import sys
import tempfile
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from archive.card import Card, clean_line
from archive.inline import flatten, inline
from archive.statistics import Interval
from design_space import Design, Snapshot
from design_space.snapshots import snapshot_text

_TEMPLATES = resources.files("archive") / "templates" / "export"
_RUNTIME = ".runtime"
_NAME_CHARS = 40
_LINE_CHARS = 500
_PACKAGES = sys.stdlib_module_names | {"numpy"}


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an exported design comes from, beyond its card.

    Attributes:
        run: names the run.
        measured: on what its score was taken: split, tasks, protocol, agent.
        lineage: cards of its ancestors, oldest first.
        versions: of what made it, by name.
        embedder: what its texts were embedded with: `hashed`, or what its user has to bring.
    """

    run: str
    measured: str = ""
    lineage: tuple[Card, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    embedder: str = "hashed"


def export(
    design: Design,
    card: Card,
    folder: Path | str,
    *,
    score: Interval | None,
    gain: Interval | None,
    baseline: str,
    snapshot: Snapshot | None,
    provenance: Provenance,
) -> Path:
    """Write `design` to `folder` as an installable package, whole or not at all; nothing of it is executed.

    Args:
        folder: absent or empty; becomes the folder of the package's pyproject.toml.
        score: what an agent earned with it per stream; None if unknown.
        gain: how much more that is than with `baseline`.
        baseline: what it is compared with, in words.
        snapshot: what a memory of this design has learned, to be loaded with it.

    Returns:
        The folder, absolute.

    Raises:
        FileExistsError: the folder has something in it, or is a file.
        ValueError: card and design do not belong together, the design imports what a package cannot hold (see
            `archive.inline.inline`), or the snapshot is not JSON.
    """
    if card.id != design.id:
        raise ValueError(f"card is of design {card.id}, not of {design.id}")
    target = Path(folder).resolve()
    _check_free(target)
    package = package_name(card.name)
    values = {
        "card": card,
        "design": design,
        "params": dict(design.params),
        "package": package,
        "distribution": package.replace("_", "-"),
        "description": f"A memory for agents, found by search: {card.name}",
        "score": score,
        "gain": gain,
        "baseline": baseline,
        "learned": snapshot is not None,
        "hashed": provenance.embedder == "hashed",
        "provenance": provenance,
    }
    source = f"src/{package}/"
    files = {name: _fill(name, values) for name in ("pyproject.toml", "README.md")}
    files |= {source + name: _fill(name, values) for name in ("__init__.py", "example.py")}
    files["LICENSE"] = _template("LICENSE")
    files[source + "runtime.py"] = _runtime()
    files[source + "memory.py"] = _memory(design)
    files[source + "py.typed"] = ""
    if snapshot is not None:
        files[source + "snapshot.json"] = snapshot_text(snapshot)
    _write(target, files)
    return target


def package_name(name: str) -> str:
    """The name of the package for a design's name: ``mnemogen_`` and its letters, digits and underscores.

    The prefix keeps it from being any other package's, a module's of Python, a keyword or a command.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "_", plain)[:_NAME_CHARS].strip("_")
    return f"mnemogen_{slug or 'memory'}"


@cache
def _runtime() -> str:
    return flatten(_template("runtime.py"), "the toolkit")


def _memory(design: Design) -> str:
    """The design's module, which imports from the runtime, the standard library and numpy only.

    Raises:
        ValueError: it imports something else.
    """
    text = inline(design.source, core=_RUNTIME)
    offered = next(node.value for node in ast.parse(_runtime()).body if _assigns_all(node))  # type: ignore[attr-defined]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.level:
            for name in sorted({alias.name for alias in node.names} - set(ast.literal_eval(offered))):
                raise ValueError(f"the design imports {name!r} of design_space, which a memory outside does not have")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for module in modules:
                if module.partition(".")[0] not in _PACKAGES:
                    raise ValueError(f"the design imports {module!r}, wanted Python's own library and numpy only")
    return text


def _assigns_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"


def _check_free(target: Path) -> None:
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists():
        what = "has something in it" if target.is_dir() else "is a file"
        raise FileExistsError(f"cannot export to {target}: it {what}")


def _write(target: Path, files: Mapping[str, str]) -> None:
    """Write all files into a draft beside `target`, which then takes its place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".export-", dir=target.parent))
    try:
        for name, text in files.items():
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        draft.chmod(0o755)
        try:
            os.replace(draft, target)  # noqa: PTH105 - fails on a folder that has been filled meanwhile
        except OSError:
            _check_free(target)
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


# -- what others wrote, made harmless for the language it is put into


def _template(name: str) -> str:
    return (_TEMPLATES / name).read_text("utf-8")


def _fill(name: str, values: Mapping[str, Any]) -> str:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"toml": _toml, "md": _markdown, "py": ascii, "row": _row}
    return environment.from_string(_template(f"{name}.jinja")).render(values)


def _toml(text: str) -> str:
    return json.dumps(clean_line(text, _LINE_CHARS), ensure_ascii=False)


def _markdown(value: object) -> str:
    """One line in which Markdown and HTML find nothing to interpret, also inside a table."""
    line = clean_line(value if isinstance(value, str) else ascii(value), _LINE_CHARS)
    escaped = "".join(f"\\{c}" if c in string.punctuation and c not in ",.;'()" else c for c in line)
    return escaped.replace("www.", "www\\.")  # GitHub makes links of bare names


def _row(interval: Interval | None) -> str:
    if interval is None:
        return "not measured | | 0"
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return f"{interval.mean:.3f} | unknown | {interval.n}"
    return f"{interval.mean:.3f} | {interval.low:.3f} to {interval.high:.3f} | {interval.n}"
