"""Git as this project runs it: a command at a time, deaf to the user's settings, failures told by what they mean."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import BinaryIO

from archive.card import clean_line
from archive.errors import ArchiveDamaged, ArchiveError, ArchiveFull, ArchiveUnwritable

__all__ = ["RESTORE", "Git"]

_TIMEOUT = 600.0
_INSTALL = "install git, 2.36 or later, and put it on the PATH; GIT_PYTHON_GIT_EXECUTABLE, if it is set, is to name it"
RESTORE = "restore the folder from a backup or a clone; the ledger still has the scores"

# Whoever runs it, git does the same: no configuration but this, no hooks, no helpers that a shared archive could name.
_CONFIG = {
    "advice.graftFileDeprecated": "false",  # or each of git's messages begins with it
    "core.fsync": "all",
    "core.hooksPath": "/dev/null",
    "core.attributesFile": "/dev/null",
    "core.fsmonitor": "false",
    "core.quotePath": "true",
    "core.logAllRefUpdates": "false",
    "fastimport.unpackLimit": "1",
    "gc.auto": "0",
    "log.showSignature": "false",
    "log.mailmap": "false",
    "protocol.allow": "never",
    "safe.directory": "*",
}


class Git:
    """Runs git in one bare repository.

    Args:
        folder: of the repository, absolute; it need not be there yet.

    Attributes:
        failed: a command that writes could not; what a disk says after that is worth nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.failed = False

    def run(
        self,
        *arguments: str,
        stdin: BinaryIO | None = None,
        writes: bool = False,
        accept: Collection[int] = (0,),
    ) -> bytes:
        """Run one command, deaf to Ctrl-C too, and return what it printed.

        Args:
            stdin: what it reads.
            writes: it changes the repository, so that a failure may mean that the disk is full or refuses.
            accept: exit codes that are no failure.

        Raises:
            ArchiveError: there is no git.
            ArchiveFull, ArchiveUnwritable, ArchiveDamaged: it failed, and this is what its messages say of the reason.
        """
        try:
            import git  # which refuses to be imported where there is none
        except ImportError as error:
            raise ArchiveError("cannot run git", hint=_INSTALL) from error
        environment = _environment(self._folder)
        try:
            status, output, errors = git.Git(str(self._folder)).execute(
                [*_without(environment), "git", *arguments],
                istream=stdin,
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
                kill_after_timeout=_TIMEOUT,
                env=environment,
                start_new_session=True,
            )
        except git.GitCommandNotFound as error:
            raise ArchiveError("cannot run git", hint=_INSTALL) from error
        if status not in accept:
            failure = _failure(self._folder, arguments[0], errors, writes)
            self.failed |= isinstance(failure, ArchiveUnwritable)
            raise failure
        return output


def _environment(folder: Path) -> dict[str, str]:
    """Return what overrides the user's own git settings; GitPython can override a variable, `_without` removes one."""
    here = str(folder)
    environment = {
        "GIT_DIR": here,
        "GIT_COMMON_DIR": here,
        "GIT_WORK_TREE": here,
        "GIT_OBJECT_DIRECTORY": f"{here}/objects",
        "GIT_INDEX_FILE": f"{here}/index",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": "",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_PARAMETERS": "",
        "GIT_CONFIG_COUNT": str(len(_CONFIG)),
        "GIT_NAMESPACE": "",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_GRAFT_FILE": "/dev/null",
        "GIT_DEFAULT_HASH": "sha1",
        "GIT_DEFAULT_REF_FORMAT": "files",
        "GIT_DIFF_OPTS": "",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_TRACE": "0",
        "GIT_PAGER": "cat",
        "TZ": "UTC",
    }
    for number, (name, value) in enumerate(_CONFIG.items()):
        environment[f"GIT_CONFIG_KEY_{number}"] = name
        environment[f"GIT_CONFIG_VALUE_{number}"] = value
    return environment


def _without(environment: Mapping[str, str]) -> list[str]:
    """The beginning of a command that is not to see variables of git's beside these.

    Some of them change what git does by merely being there: within a hook of a repository of the user's, say, the one
    that says so has git refuse to name a commit.
    """
    strangers = [name for name in os.environ if name.startswith("GIT_") and name not in environment]
    return ["env", *(f"--unset={name}" for name in strangers)] if strangers else []


def _failure(folder: Path, command: str, errors: str, writes: bool) -> ArchiveError:
    """Tell what a failed git command means, by what it printed to stderr."""
    problem = clean_line(errors, 300) or "it printed nothing"
    if "No space left" in errors or "Disk quota exceeded" in errors:
        return ArchiveFull(f"git {command}: {problem}", hint="free some disk space, then resume the run")
    if writes and not _DAMAGE.search(errors):
        return ArchiveUnwritable(f"git {command} in {folder}: {problem}", hint="is the disk writable and whole?")
    found = _OBJECT.search(errors)
    return ArchiveDamaged(f"{folder}" + (f" ({found.group()})" if found else ""), problem, hint=RESTORE)


_DAMAGE = re.compile(
    r"corrupt|missing|inflate|broken|malformed|not a git repository|unexpected line|bad (object|ref|sha)"
    r"|(un|not )able to (read|parse)|cannot (be )?(read|parse)|fail(ed)? to (read|parse)|not a valid"
    r"|invalid (object|sha)",
    re.IGNORECASE,
)
_OBJECT = re.compile(r"\b[0-9a-f]{40}\b|refs/[\w/.]+|packed-refs|pack-[0-9a-f]+\.(pack|idx)")
