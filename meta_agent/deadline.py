"""When the time of a search is up: counted over all sessions of a run, and decided once for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from archive.content import CLOCK
from archive.errors import ArchiveDamaged
from archive.ledger import Ledger
from archive.plain import plain


class Place(NamedTuple):
    """How far a search is: on a rung of a generation, numbered from 0, or past the last one."""

    generation: int = 0
    rung: int = 0


class _Kept(BaseModel):
    """What is kept between sessions.

    Attributes:
        seconds: that the search has taken, until it had come to `reached`.
        ended: where the time was up; limit: the seconds that were allowed then.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: float = 0.0
    reached: Place = Place()
    ended: Place | None = None
    limit: float | None = None


class Deadline:
    """`budget.wall_seconds` of one run.

    A session that goes on repeats what earlier ones did, and comes to the same only if it ends where they ended. So
    what was begun by an earlier session is never too late, and where the time was up once, it is up again, unless more
    is allowed by now.

    Args:
        limit: seconds; None is no limit.
        clock: monotonic seconds.

    Raises:
        ArchiveDamaged: what an earlier session kept cannot be read.

    Attributes:
        at: how far the search is; its driver keeps it current.
    """

    def __init__(self, limit: float | None, ledger: Ledger, clock: Callable[[], float]) -> None:
        self.at = Place()
        self._limit = limit
        self._ledger = ledger
        self._clock = clock
        self._began = clock()
        try:
            self._kept = _Kept.model_validate_json(ledger.meta(CLOCK) or "{}")
        except ValidationError as error:
            raise ArchiveDamaged(f"{CLOCK!r} of the run", plain(str(error))) from error
        begun = max((proposal.generation for proposal in ledger.proposals()), default=0)
        self._reached = max(self._kept.reached, Place(begun))
        allowed = self._kept.limit
        self._ended = self._kept.ended if limit is not None and allowed is not None and limit <= allowed else None

    @property
    def ended(self) -> bool:
        """Whether the search ends at the place that it is at, as the time was up here."""
        return self._ended is not None and self.at >= self._ended

    def passed(self) -> bool:
        """Whether nothing more is to be begun at the place that the search is at."""
        if self._limit is None:
            return False
        if self._ended is not None:
            return self.ended
        return self.at >= self._reached and self._seconds() > self._limit

    def ends(self) -> bool:
        """Look at the clock, and keep it if the search ends here."""
        if not self.passed():
            return False
        self.end()
        return True

    def end(self) -> None:
        """Keep that the search ends where it is."""
        if self._ended is None:
            self._ended = self.at
            self._keep(_Kept(seconds=self._seconds(), reached=self.at, ended=self.at, limit=self._limit))

    def keep(self) -> None:
        """Keep how long the search has taken."""
        if self._limit is not None and self._ended is None and self.at >= self._reached:
            self._keep(_Kept(seconds=self._seconds(), reached=self.at))

    def _seconds(self) -> float:
        return self._kept.seconds + self._clock() - self._began

    def _keep(self, kept: _Kept) -> None:
        self._ledger.set_meta(CLOCK, kept.model_dump_json())
