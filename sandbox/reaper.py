"""Removes the containers that nobody will ever use again.

A container's labels say whose it is: the process that made it, by id and start time, on which node, and until when it
may live at most. It is a stray when that process is gone, or its time is up.
"""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.backend import Labels

if TYPE_CHECKING:
    from sandbox.docker_backend import Client

RUN, DESIGN, OWNER, NODE, DEADLINE = (f"mnemogen.{name}" for name in ("run", "design", "owner", "node", "deadline"))
LIFETIME_SECONDS = 24 * 3_600.0


def node() -> str:
    """Names this machine and boot: an owner's id means nothing on another one."""
    boot = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{socket.gethostname()}/{boot}"


def owner(pid: int) -> str:
    """Names a process of this machine for good: ids are used again, pairs of id and start time are not."""
    return f"{pid}:{_start_time(pid)}"


def _start_time(pid: int) -> str:
    try:
        content = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    # The name of the program stands in brackets and may hold anything: brackets, and bytes that are no text.
    fields = content.rpartition(b")")[2].decode("ascii").split()
    return "" if fields[0] in "ZX" else fields[19]


def labels(whose: Labels, pid: int) -> dict[str, str]:
    """The labels of a container that the process `pid` makes."""
    return {
        RUN: whose.run,
        DESIGN: whose.design,
        OWNER: owner(pid),
        NODE: node(),
        DEADLINE: str(int(time.time() + LIFETIME_SECONDS)),
    }


def is_stray(marks: dict[str, str], now: float) -> bool:
    """May a container with these labels be removed?"""
    deadline = marks.get(DEADLINE, "")
    if deadline.isdecimal() and now > int(deadline):
        return True
    if marks.get(NODE) != node():
        return False
    pid, _, started = marks.get(OWNER, "").partition(":")
    return not pid.isdecimal() or not started or _start_time(int(pid)) != started


def reap(client: Client, run: str | None = None) -> list[str]:
    """Remove the strays of `run`, or of every run.

    Returns:
        The ids of the removed containers.
    """
    wanted = RUN if run is None else f"{RUN}={run}"
    removed = []
    for found in client.api.containers(all=True, filters={"label": wanted}):
        if is_stray(found["Labels"] or {}, time.time()):
            # It may be going by itself at this moment: docker-py's errors are OSErrors.
            with contextlib.suppress(OSError):
                client.api.remove_container(found["Id"], force=True, v=True)
                removed.append(str(found["Id"]))
    return removed
