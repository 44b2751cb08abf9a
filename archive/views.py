"""What a run has come to, as people are shown it; every text in here is safe to show (`plain`). `overview` makes it.

Scores are means over streams with Student t intervals at 95 %. A verdict on data that selected the design allows for
the number of designs that were compared, so that a run in which all designs are equal rarely claims a better one.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from archive.errors import UnknownDesign
from archive.plain import plain
from archive.records import DesignStatus, Spent
from archive.statistics import (
    Interval,
    Posterior,
    Verdict,
)
from design_space import DesignId, Outcome

NO_MEMORY, RANDOM_RECALL = "no memory", "random recall"
_CONTROL_NAMES = {
    NO_MEMORY: {"nomemory", "nullmemory", "null", "none", "empty"},
    RANDOM_RECALL: {"randomrecall", "randommemory", "randomtext", "random"},
}


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    outcome: Outcome
    count: int


@dataclass(frozen=True, slots=True)
class Gain:
    """How much more a design earned than another on the same streams, orders and seeds.

    Attributes:
        over: the other design.
        label: what the other one is to the design: ``parent``, ``ancestor``, ``no memory``, ...
        interval: 95 %, of this pair alone; of a label, a confidence sequence.
        verdict: what may be claimed. Over a parent: the run's own label, and `undecided` where it has recorded none.
            Over others: by an interval that is widened for the number of designs compared on this split (none for the
            sealed split).
        split: where both were evaluated; the most trustworthy one that they share.
        detectable: smallest true difference that this many streams find with 80 % power at 95 %.
    """

    over: DesignId
    over_name: str
    label: str
    interval: Interval
    verdict: Verdict
    split: str
    detectable: float

    @property
    def words(self) -> str:
        """One sentence, such as ``better than no memory: +.120 [+.050, +.190] (n=12 validation streams)``."""
        other = f"{self.label} ({self.over_name})" if self.over_name != self.label else self.label
        lead = {Verdict.BETTER: "better than", Verdict.WORSE: "worse than", Verdict.UNDECIDED: "not told apart from"}
        figures = str(self.interval).removesuffix(")")
        return f"{lead[self.verdict]} {other}: {figures} {self.split} streams)"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a design's evaluations took.

    Attributes:
        seconds, model_calls, model_tokens: of all its evaluations together.
        stream_seconds, bytes_stored, recall_chars: of one evaluation; None if nothing was measured.
    """

    seconds: float
    model_calls: int
    model_tokens: int
    stream_seconds: Interval | None = None
    bytes_stored: Interval | None = None
    recall_chars: Interval | None = None


@dataclass(frozen=True, slots=True)
class DesignView:
    """One design and what is known of it.

    Attributes:
        parents: the main one first.
        control: it is a yardstick, evaluated beside the search.
        reason: why it is invalid.
        rank: 1 for the highest posterior mean; None for what cannot be ranked (invalid, never scored, a control).
        believed: posterior of its true mean reward, from search streams; None if it was not evaluated on any.
        score, validation, sealed: mean over the streams of a split; None if it was evaluated on none. The score on
            search streams flatters whatever was selected by it.
        gain: over its parent on search streams (of several parents: that with the highest posterior mean).
        evaluations: of all splits.
        failures: evaluations that were not scored, by outcome.
        note: the proposer's.
        params: ``name = value`` each.
        why: what the run recorded about it: why its parent was chosen, why it was promoted, what is believed.
    """

    id: DesignId
    name: str
    sequence: int
    generation: int
    parents: tuple[DesignId, ...]
    proposer: str
    operator: str
    control: bool
    status: DesignStatus
    reason: str
    rank: int | None
    believed: Posterior | None
    score: Interval | None
    validation: Interval | None
    sealed: Interval | None
    gain: Gain | None
    evaluations: int
    failures: tuple[OutcomeCount, ...]
    cost: Cost
    note: str
    params: tuple[str, ...]
    why: tuple[str, ...]

    @property
    def short(self) -> str:
        """Enough of its id to type."""
        return self.id[:8]

    @property
    def trusted(self) -> tuple[str, Interval] | None:
        """The split that flatters least among those it was evaluated on, and its score there."""
        scores = (("sealed", self.sealed), ("validation", self.validation), ("search", self.score))
        return next(((split, score) for split, score in scores if score is not None), None)

    @property
    def fate(self) -> str:
        """How its evaluations ended, in words."""
        if self.status is DesignStatus.INVALID:
            return "invalid"
        if not self.evaluations:
            return "not evaluated"
        failed = ", ".join(f"{f.count} {f.outcome.value.replace('_', ' ')}" for f in self.failures)
        return f"{failed} of {self.evaluations}" if failed else f"all {self.evaluations} scored"


@dataclass(frozen=True, slots=True)
class DecisionView:
    generation: int
    kind: str
    reason: str
    subject: DesignId | None
    subject_name: str


@dataclass(frozen=True, slots=True)
class RunView:
    """A whole run.

    Attributes:
        designs: ranked ones first, by rank; then the others by sequence. Controls are among them.
        controls: the yardsticks, by sequence.
        best: the winner that the run recorded (a decision of kind ``winner``), otherwise the first by rank.
        comparisons: of the best with its parents, first ancestors and the controls.
        line: designs by which the winner came about, the first one first, as far as they are labelled on fresh streams.
        gap: how much higher the best scores on search than on validation streams.
        tried: proposals, and designs that no proposal led to.
        invalid: proposals and designs that never ran: no source, or refused by the checks.
        failed: designs with at least one evaluation that was not scored.
        failures: evaluations that were not scored, by outcome.
        openings: of the sealed split.
    """

    designs: tuple[DesignView, ...]
    controls: tuple[DesignView, ...]
    best: DesignView | None
    comparisons: tuple[Gain, ...]
    line: tuple[DesignView, ...]
    gap: Interval | None
    tried: int
    invalid: int
    duplicates: int
    failed: int
    failures: tuple[OutcomeCount, ...]
    evaluations: int
    spent: Spent
    openings: int
    generations: int
    decisions: tuple[DecisionView, ...]

    @property
    def ranked(self) -> tuple[DesignView, ...]:
        return tuple(design for design in self.designs if design.rank is not None)

    def find(self, who: str) -> DesignView:
        """Return the design of this id, unique name or unique beginning of an id.

        Raises:
            UnknownDesign: there is none, or several; the message names the nearest.
        """
        by_id = {design.id: design for design in self.designs}
        if who in by_id:
            return by_id[DesignId(who)]
        wanted = who.strip().lower()
        named = [design for design in self.designs if wanted and design.name.lower() == wanted]
        found = named or [design for design in self.designs if wanted and design.id.startswith(wanted)]
        if len(found) == 1:
            return found[0]
        what = plain(who, 80)
        if found:
            listed = ", ".join(f"{design.id} {design.name}" for design in found[:5])
            raise UnknownDesign(f"{what!r} fits {len(found)} designs: {listed}", hint="give more of the id")
        if not self.designs:
            raise UnknownDesign(f"no design {what!r}", hint="this run has no designs yet")
        words = {design.name.lower(): design for design in self.designs} | {d.id: d for d in self.designs}
        near = [words[word] for word in difflib.get_close_matches(wanted[:80], words, 3, 0.4)]
        told = ", ".join(f"{design.id} {design.name}" for design in dict.fromkeys(near or self.designs[:1]))
        raise UnknownDesign(f"no design {what!r}", hint=f"did you mean {told}?")


@dataclass(frozen=True, slots=True)
class LineageView:
    """Where a design comes from and what was made of it.

    Attributes:
        ancestors: every one once, nearest first.
        children: by sequence.
    """

    design: DesignView
    ancestors: tuple[DesignView, ...]
    children: tuple[DesignView, ...]


def lineage_of(run: RunView, design: DesignView) -> LineageView:
    known = {other.id: other for other in run.designs}
    found: dict[DesignId, DesignView] = {}
    queue = list(design.parents)
    for id_ in queue:  # grows while it is walked
        if id_ in known and id_ not in found and id_ != design.id:
            found[id_] = known[id_]
            queue.extend(known[id_].parents)
    children = sorted((d for d in run.designs if design.id in d.parents), key=lambda d: d.sequence)
    return LineageView(design, tuple(found.values()), tuple(children))


def control_name(name: str) -> str:
    """Return what a control is called on the page: the two that everybody asks for by one spelling."""
    letters = re.sub(r"[^a-z]", "", name.lower())
    return next((told for told, names in _CONTROL_NAMES.items() if letters in names), name)
