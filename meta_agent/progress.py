"""How far a run is, and who hears of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Watcher(Protocol):
    """Hears how a run goes. Owes: to return at once."""

    def begun(self, backend: str, caveat: str) -> None: ...

    def moved(self, progress: Progress) -> None: ...


@dataclass(slots=True)
class Progress:
    """How far a run is.

    Attributes:
        phase: what it is at, in words.
        evaluations, allowed: done (earlier sessions included), and the budget.
        fresh: done in this session.
        tried, invalid, duplicates, failed: designs.
        dollars: spent on models; None in a key-free run, and where no price is known.
        best: name, posterior mean and 95 % half-width, and streams of the design that leads; None before any.
    """

    phase: str = "starting"
    evaluations: int = 0
    allowed: int = 0
    fresh: int = 0
    tried: int = 0
    invalid: int = 0
    duplicates: int = 0
    failed: int = 0
    dollars: float | None = None
    best: tuple[str, float, float, int] | None = None


class Nobody:
    """A `Watcher` that looks away."""

    def begun(self, backend: str, caveat: str) -> None:
        return

    def moved(self, progress: Progress) -> None:
        return
