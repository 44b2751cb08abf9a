"""The files of `tests/foreign`, written for other systems, and what their memories are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from design_space import Design, Episode, Query, Step
from design_space.foreign import wrap
from sandbox.session import MemorySession

HERE = Path(__file__).parent / "foreign"
EXTRAS = ("foreign", "networkx")
TEA = "make tea"
STEPS = (
    Step("You are at shelf.\ncarrying nothing", "take cup from shelf", "You take the cup.", 0.5),
    Step("You are at stove.\ncarrying cup", "boil water", "The water boils.", 0.5),
)
MADE = Episode("1", TEA, STEPS, 1.0)
TALK = Episode("2", "a talk", (Step("", "", "My cat is called Tom."),))
FIRST = Query(TEA, STEPS[0].situation)


def text_of(name: str) -> str:
    return (HERE / f"{name}.py").read_bytes().decode()


def design_of(name: str) -> Design:
    """A fixture as a design; its file's name begins with its style."""
    style: wrap.Style = "alma" if name.startswith("alma") else "evolvelab"
    return Design(wrap.wrap(style, text_of(name)), {}, name)


Opener = Callable[..., MemorySession]
"""Opens a design, with a broker of its own if one is given."""
