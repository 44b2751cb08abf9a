"""The command that looks for damage in a run, and mends what can be mended."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from filelock import FileLock, Timeout

from meta_agent.errors import BadInput, MnemogenError, RunBusy
from meta_agent.terminal import RUNS, AsJson, RunName, Runs, out, print_json, say

if TYPE_CHECKING:  # what reads an archive takes a second to import: only in the command that needs it
    from archive.fsck import Finding
    from meta_agent.run import RunFolder


class Damaged(MnemogenError):
    """Something of the run is not what was written."""

    code = 4


def fsck(
    name: RunName,
    repair: Annotated[bool, typer.Option("--repair", help="mend what can be mended, after copying it")] = False,
    runs: Runs = RUNS,
    as_json: AsJson = False,
) -> None:
    """Is everything that a run keeps what was written? Looks at every byte; changes nothing without --repair."""
    from archive.fsck import Examination
    from archive.repair import repair as mend

    folder = _find(name, runs)
    done: list[str] = []
    with folder.held() if repair else _unheld(folder):
        if repair:
            done, found = mend(folder.path)
            findings = [*_config_findings(folder), *found]
        else:
            findings = [*_config_findings(folder), *Examination(folder.path).findings]
    damage = [finding for finding in findings if not finding.harmless]
    if as_json:
        told = [dataclasses.asdict(finding) | {"told": str(finding)} for finding in findings]
        print_json({"run": str(folder.path), "sound": not damage, "findings": told, "done": done})
    else:
        for line in [*done, *map(str, findings)]:
            say(line, out)
    if damage:
        hint = f"`mnemogen fsck {name} --repair` mends what can be mended"
        if repair:
            hint = "what was copied aside may still be of use"
        elif all(finding.part in ("config", "lost") for finding in damage):
            hint = "no repair makes up for it; what to do is said above"
        raise Damaged(f"{folder.path} is damaged{' still' if repair else ''}, see above ({len(damage)} found)", hint)
    if not as_json:
        say(f"{folder.path}: sound", out)


def _find(name: str, runs: Path) -> RunFolder:
    """The run of this name or path, even if its config is lost."""
    from meta_agent.run import RunFolder, find

    for path in (Path(name), runs / name):
        folder = RunFolder(path)
        if any(part.exists() for part in (folder.config, folder.ledger, folder.repository)):
            return folder
    return find(name, runs)


@contextmanager
def _unheld(folder: RunFolder) -> Iterator[None]:
    """Keep others from holding the folder meanwhile, without leaving a trace in it.

    Raises:
        RunBusy: another process holds it.
    """
    path = folder.path / "lock"
    if not path.is_file():  # nobody ever held it
        yield
        return
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        who = f"process {pid}" if (pid := folder.holder_pid()) else "another process"
        raise RunBusy(f"{folder.path} is held by {who}", "wait for it, or `mnemogen stop` it") from error
    except OSError:  # a folder that may not be written; whoever holds it is not kept out, and has said so
        if (pid := folder.holder_pid()) is not None:
            raise RunBusy(f"{folder.path} is held by process {pid}", "wait for it, or copy the folder") from None
    try:
        yield
    finally:
        lock.release()


def _config_findings(folder: RunFolder) -> list[Finding]:
    from archive.fsck import Finding

    try:
        folder.read_config()
    except (BadInput, ValueError, OSError) as error:
        return [Finding("config", folder.config.name, " ".join(str(error).split()))]
    return []
