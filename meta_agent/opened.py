"""A run, opened for reading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from archive.ledger import Ledger
from archive.overview import overview
from archive.repository import Repository
from archive.views import DesignView, RunView
from meta_agent.config import Config
from meta_agent.errors import BadInput
from meta_agent.run import RunFolder, find
from meta_agent.verdict import Final


@dataclass(frozen=True, slots=True)
class Opened:
    """A run for reading, also while it goes on.

    Attributes:
        view: all that it has come to.
    """

    folder: RunFolder
    config: Config
    view: RunView
    repository: Repository
    ledger: Ledger

    @property
    def final(self) -> Final | None:
        """The measured winner, once there is one."""
        text = self.ledger.meta("final")
        return None if text is None else Final.from_json(text)

    def find(self, who: str) -> DesignView:
        """The design of this id, beginning of an id, or name; ``winner`` is the measured one, before that the leader.

        Raises:
            BadInput: there is no winner yet.
            UnknownDesign: there is none, or more than one.
        """
        if who != "winner":
            return self.view.find(who)
        if (final := self.final) is not None:
            return self.view.find(final.winner)
        if self.view.best is None:
            raise BadInput("there is no winner yet", "`mnemogen status` tells how far the run is")
        return self.view.best


@contextmanager
def opened(name: str, runs: Path) -> Iterator[Opened]:
    """Open the run of this name or path.

    Raises:
        BadInput: there is none.
    """
    folder = find(name, runs)
    config = folder.read_config()
    with folder.open_ledger() as ledger:
        repository = folder.open_repository()
        yield Opened(folder, config, overview(ledger, repository), repository, ledger)
