"""What every long command does around its work: signals ask for a clean stop, containers of dead processes go."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal, cast

from meta_agent.errors import BadInput
from meta_agent.terminal import say
from sandbox.backend import SandboxUnavailable
from sandbox.choose import Kind

Style = Literal["mnemogen", "alma", "evolvelab"]
"""Which system a design was written for."""


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """Signals ask for a clean stop; a second one ends the process at once."""
    asked: list[int] = []

    def ask(number: int, _: FrameType | None) -> None:
        if asked:
            os._exit(128 + number)
        asked.append(number)
        say("stopping: what is finished is kept (again to quit at once)")

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


def system(name: str) -> Style:
    """Raises BadInput if no design is written for a system of this name."""
    if name not in ("mnemogen", "alma", "evolvelab"):
        raise BadInput(f"unknown system {name!r}", "--from mnemogen, alma or evolvelab; see docs/foreign.md")
    return cast(Style, name)


def backend_kind(name: str) -> Kind:
    """Raises BadInput if there is no backend of this name."""
    if name not in ("auto", "docker", "embedded"):
        raise BadInput(f"unknown backend {name!r}", "auto, docker or embedded")
    return cast(Kind, name)
