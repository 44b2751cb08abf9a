"""What can go wrong with an archive, apart from a mistake of the caller (ValueError).

ArchiveError
├── ArchiveMissing      there is none at this place
├── ArchiveDamaged      bytes on disk are not what was written; `.damaged` names the object
├── ArchiveVersion      written by another version of the program
│   └── ArchiveOutdated an older one: opening it for writing brings it up to date
├── ArchiveFull         the disk is full; nothing of the last call was kept
├── ArchiveUnwritable   the disk refused a write; nothing after it is acknowledged
├── AlreadyRecorded     the key exists with a different content
└── UnknownDesign       no design of this id is in the archive
"""

from __future__ import annotations


class ArchiveError(RuntimeError):
    """The archive could not do what was asked.

    Attributes:
        hint: what a person can do next; empty if nothing comes to mind.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = str(self.args[0])
        return f"{message} (hint: {self.hint})" if self.hint else message


class ArchiveMissing(ArchiveError):
    """There is no archive at this place."""


class ArchiveDamaged(ArchiveError):
    """Bytes on disk are not what was written.

    Attributes:
        damaged: which object: a file, a row, a ref or a git object.
    """

    def __init__(self, damaged: str, problem: str, *, hint: str = "") -> None:
        super().__init__(f"{damaged} is damaged: {problem}", hint=hint)
        self.damaged = damaged


class ArchiveVersion(ArchiveError):
    """The archive was written by another version of the program."""


class ArchiveOutdated(ArchiveVersion):
    """The archive was written by an older version of the program, and is open for reading only."""


class ArchiveFull(ArchiveError):
    """The disk is full; nothing of the last call was kept."""


class ArchiveUnwritable(ArchiveError):
    """The disk refused a write; stop at once."""


class AlreadyRecorded(ArchiveError):
    """The key exists with a different content; the first one stays."""


class UnknownDesign(ArchiveError):
    """No design of this id is in the archive."""
