"""A run begins with what another one has learned."""

from __future__ import annotations

from archive.ledger import Ledger
from archive.search_book import SearchBook
from meta_agent.coach import carry_over
from meta_agent.errors import BadInput
from meta_agent.run import RunFolder


def begin_with(folder: RunFolder, source: RunFolder) -> int:
    """Record the insights of another run as what this one knows beforehand; returns how many these are.

    Args:
        folder: of a run that has not begun; it must be held.
        source: of the other run, which may be running.

    Raises:
        BadInput: the run has begun, or the other one has not.
        ArchiveError: a file cannot be read or written.
    """
    if not source.ledger.exists():
        raise BadInput(f"{source.path} has learned nothing yet: it has not begun", "name a run that has insights")
    if folder.ledger.exists():
        with Ledger(folder.ledger, read_only=True) as ledger, SearchBook(folder.ledger, read_only=True) as book:
            begun = bool(ledger.counts().evaluations or book.insights())
        if begun:
            raise BadInput(
                f"{folder.path} has learned something already; only a new run can begin with another one's insights",
                f"`mnemogen resume {folder.path}` goes on with it, with all that it began with;"
                " --name gives the new run another folder",
            )
    source.open_ledger().close()  # brought up to date, if it is of an older version
    return carry_over(source.ledger, folder.ledger, source.read_config().name)
