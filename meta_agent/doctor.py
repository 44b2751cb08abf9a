"""Looks at the machine: what a run needs, what it could use, and what to do about what is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass

from sandbox.backend import Limits, SandboxUnavailable
from sandbox.choose import Kind, choose

LEAST_FREE_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        needed: no run goes without it.
    """

    what: str
    good: bool
    needed: bool
    told: str
    hint: str = ""


def examine() -> list[Finding]:
    """Look at everything; the sandboxes are really started."""
    docker, embedded = _sandbox("docker"), _sandbox("embedded")
    either = Finding("a sandbox", docker.good or embedded.good, True, "docker" if docker.good else "embedded")
    return [_python(), _git(), docker, embedded, either, _space(), _cores(), _textworld()]


def _python() -> Finding:
    return Finding("Python", sys.version_info >= (3, 11), True, sys.version.split()[0], "3.11 or later is needed")


def _git() -> Finding:
    path = shutil.which("git")
    return Finding("git", path is not None, True, path or "not found", "" if path else "install git")


def _sandbox(kind: Kind) -> Finding:
    try:
        backend = choose(kind, Limits(), "doctor", 0)
    except SandboxUnavailable as error:
        return Finding(f"{kind} sandbox", False, False, str(error), error.hint)
    told = f"{backend.name}. {backend.caveat}"
    backend.close()
    return Finding(f"{kind} sandbox", True, False, told)


def _space() -> Finding:
    free = shutil.disk_usage(os.curdir).free
    good = free >= LEAST_FREE_BYTES
    return Finding("disk", good, True, f"{free / 1024**3:.1f} GiB free here", "" if good else "a run wants 2 GiB")


def _cores() -> Finding:
    return Finding("cores", True, False, str(len(os.sched_getaffinity(0))))


def _textworld() -> Finding:
    found = importlib.util.find_spec("textworld") is not None
    hint = "" if found else "pip install 'mnemogen[textworld]'"
    return Finding("textworld", found, False, "installed" if found else "not installed", hint)
