"""Every known memory system as a design, one file each; the baselines that an evolved design has to beat.

The files are read as text and run in a sandbox; nothing here imports them.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from design_space.design import Design

CONTROLS = ("no_memory", "random_recall", "last_k")
"""What any memory must beat before its mechanism can be credited with anything."""

_FOLDER = Path(__file__).parent


def names() -> tuple[str, ...]:
    """The names of all designs, in alphabetical order."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.py") if not file.stem.startswith("_")))


def load(name: str) -> Design:
    """Return a design with its default parameters.

    Raises:
        ValueError: there is none of that name.
    """
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1, 0.0)
        raise ValueError(f"no design {name!r} in the catalogue; the nearest is {near[0]!r}, all: {', '.join(known)}")
    return Design((_FOLDER / f"{name}.py").read_text(encoding="utf-8"), {}, name)
