"""What a search has learned of itself, for people: its prompts and its insights, in texts that are safe to show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ConfigDict, NonNegativeInt, TypeAdapter, ValidationError

from archive.errors import ArchiveDamaged
from archive.ledger import Ledger
from archive.plain import plain, plain_lines
from archive.search_book import PromptRow
from archive.statistics import Interval
from design_space import DesignId

STANDING = "prompts"
"""Under which name of its own a run keeps what is known of each prompt."""
TOLD_CHARS = 300


@dataclass(frozen=True, slots=True)
class MadeDesign:
    """A design that a prompt made."""

    id: DesignId
    name: str


@dataclass(frozen=True, slots=True)
class PromptView:
    """One prompt and what is known of it.

    Attributes:
        proposer: whom it steers.
        depth: 0 for the first one.
        generation: after which it was made.
        says: in a line; content: whole.
        visits: designs that it was asked for and that were measured; failures: of these, those that never worked or
            repeat another; beneath: visits of all that was made of it, its own included. None until the run tells, as
            for `value`.
        value: what its designs are believed to gain over their parents, in reward units: posterior mean and 95 %
            interval; n is its visits.
        designs: those that came of it, invalid ones and duplicates left out.
    """

    id: str
    proposer: str
    parent: str | None
    children: tuple[str, ...]
    depth: int
    generation: int
    origin: str
    says: str
    content: str
    visits: int | None
    failures: int | None
    beneath: int | None
    value: Interval | None
    designs: tuple[MadeDesign, ...]

    @property
    def short(self) -> str:
        """Enough of its id to type."""
        return self.id[:8]


@dataclass(frozen=True, slots=True)
class InsightView:
    """One insight as it stands.

    Attributes:
        text: what is done; situation: where; empty is everywhere.
        helps: what is claimed: that it earns more, or that it does harm; right: how probably so, in [0, 1].
        effect: what doing so is believed to be worth, in reward units, with a 95 % interval; n is the designs that
            speak for it or against it, which saw `streams` streams together.
        born, confirmed: generations; 0 or less is before this run.
        origin: the run that it comes from; empty for this one.
    """

    id: str
    text: str
    situation: str
    helps: bool
    right: float
    effect: Interval
    streams: int
    born: int
    confirmed: int
    origin: str


@dataclass(frozen=True, slots=True)
class SearchView:
    """What a search has learned of itself; nothing, unless it says so.

    Attributes:
        prompts: of each proposer the first one, then depth first what was made of it.
        insights: the surest first.
    """

    prompts: tuple[PromptView, ...] = ()
    insights: tuple[InsightView, ...] = ()


@dataclass(frozen=True, slots=True)
class _Standing:
    """What a run tells of one prompt; a later program may tell more."""

    __pydantic_config__ = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)
    visits: NonNegativeInt
    failures: NonNegativeInt
    beneath: NonNegativeInt
    mean: float
    sd: float

    @property
    def value(self) -> Interval:
        half = 1.96 * self.sd
        return Interval(self.mean, self.mean - half, self.mean + half, self.visits)


_STANDINGS: TypeAdapter[dict[str, _Standing]] = TypeAdapter(dict[str, _Standing])


def prompts_of(ledger: Ledger, rows: Sequence[PromptRow], says: Mapping[str, str]) -> tuple[PromptView, ...]:
    """Return the prompts of a run, finished or not.

    Args:
        rows: as they were recorded, so parents before their children.
        says: by the id of a prompt, what it says, in a line.

    Raises:
        ArchiveDamaged: what the run tells of its prompts cannot be read.
        ArchiveError: the ledger cannot.
    """
    told, made = _standings(ledger), _made(ledger)
    below: dict[str | None, list[PromptRow]] = {}
    for row in rows:
        below.setdefault(row.parent, []).append(row)

    def view(row: PromptRow, depth: int) -> PromptView:
        known = told.get(row.id)
        return PromptView(
            id=row.id,
            proposer=_proposer(row),
            parent=row.parent,
            children=tuple(child.id for child in below.get(row.id, ())),
            depth=depth,
            generation=row.generation,
            origin=plain(row.origin, TOLD_CHARS),
            says=plain(says.get(row.id, row.content), TOLD_CHARS),
            content=plain_lines(row.content),
            visits=None if known is None else known.visits,
            failures=None if known is None else known.failures,
            beneath=None if known is None else known.beneath,
            value=None if known is None else known.value,
            designs=tuple(made.get(row.id, ())),
        )

    open_ = [(row, 0) for row in reversed(below.get(None, ()))]
    found = []
    while open_:
        row, depth = open_.pop()
        found.append(view(row, depth))
        open_ += [(child, depth + 1) for child in reversed(below.get(row.id, ()))]
    order = list(dict.fromkeys(prompt.proposer for prompt in found))
    return tuple(sorted(found, key=lambda prompt: order.index(prompt.proposer)))


def _standings(ledger: Ledger) -> dict[str, _Standing]:
    text = ledger.meta(STANDING)
    try:
        return {} if text is None else _STANDINGS.validate_json(text)
    except ValidationError as error:
        raise ArchiveDamaged(f"{STANDING!r} of the run", plain(str(error))) from error


def _made(ledger: Ledger) -> dict[str, list[MadeDesign]]:
    """The designs of each prompt, in the order of asking."""
    names = {row.id: plain(row.name, 80) or "unnamed" for row in ledger.designs()}
    made: dict[str, list[MadeDesign]] = {}
    for prompt, design in _prompted(ledger):
        made.setdefault(prompt, []).append(MadeDesign(design, names.get(design, "unnamed")))
    return made


def _prompted(ledger: Ledger) -> Iterator[tuple[str, DesignId]]:
    for decision in ledger.decisions():
        data = decision.data
        if decision.kind == "prompt" and decision.subject is not None and isinstance(data, Mapping):
            yield str(data.get("prompt")), decision.subject


def _proposer(row: PromptRow) -> str:
    return plain(str(row.data.get("proposer", "")), 40) if isinstance(row.data, Mapping) else ""
