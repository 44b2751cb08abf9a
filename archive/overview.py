"""Computes the views of a run from its ledger and its repository; only reads."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from archive.beliefs import Beliefs
from archive.card import Card
from archive.ledger import Ledger
from archive.plain import plain
from archive.records import Decision, DesignRow, DesignStatus, ProposalVerdict, Purpose, Recorded
from archive.repository import Repository
from archive.statistics import (
    SD_FLOOR,
    Interval,
    Posterior,
    Verdict,
    by_stream,
    mean_interval,
    minimum_detectable_difference,
    paired_difference,
)
from archive.views import Cost, DecisionView, DesignView, Gain, OutcomeCount, RunView, control_name
from design_space import DesignId, Evaluation, EvaluationKey, Outcome
from design_space.compose import traits

LEARNING_ROUNDS = 30
"""In which the scales of belief are learned from all that a run has recorded."""


def overview(ledger: Ledger, repository: Repository) -> RunView:
    """Return the summary of a run; it may still be running.

    Raises:
        ArchiveError: the ledger or the repository cannot be read.
    """
    return _Reader(ledger, repository).run()


@dataclass(frozen=True, slots=True)
class _Scores:
    """The evaluations of one design on one split."""

    evaluations: tuple[Evaluation, ...] = ()

    @property
    def interval(self) -> Interval | None:
        streams = by_stream(self.evaluations)
        return mean_interval(list(streams.values())).within(0.0, 1.0) if streams else None

    def against(self, other: _Scores) -> tuple[dict[str, float], dict[str, float]]:
        """Scores by stream of both, from evaluations that differ in nothing but the design."""
        shared = {_place(e) for e in self.evaluations} & {_place(e) for e in other.evaluations}
        mine, theirs = (by_stream(e for e in s.evaluations if _place(e) in shared) for s in (self, other))
        return {s: v for s, v in mine.items() if s in theirs}, {s: v for s, v in theirs.items() if s in mine}


def _place(evaluation: Evaluation) -> EvaluationKey:
    return replace(evaluation.key, design=DesignId(""))


class _Reader:
    """Reads a run once and computes its views."""

    def __init__(self, ledger: Ledger, repository: Repository) -> None:
        self.recorded = ledger.evaluations()
        self.proposals = ledger.proposals()
        self.decisions = tuple(d for d in ledger.decisions() if d.reason)  # a check that found nothing says nothing
        self.openings = len(ledger.openings())
        self.spent = ledger.spent()
        self.rows = {row.id: row for row in ledger.designs()}
        self.cards, self.traits = dict[DesignId, Card](), dict[DesignId, tuple[str, ...]]()
        for card, design in repository.entries():
            self.cards[card.id], self.traits[card.id] = card, traits(design.source)
        self.names = {id_: plain(row.name, 80) or "unnamed" for id_, row in self.rows.items()}
        self.by_design: dict[DesignId, list[Recorded]] = defaultdict(list)
        for recorded in self.recorded:
            self.by_design[recorded.evaluation.key.design].append(recorded)
        self.control = {id_ for id_ in self.rows if _is_control(self.by_design[id_])}
        self.scores = {
            (id_, split): _Scores(tuple(e for e in self._worth(id_) if e.key.split == split))
            for id_ in self.rows
            for split in ("search", "validation", "sealed")
        }
        self.pooled = {decision.subject for decision in self.decisions if decision.kind == "same"}
        # That a design does not work says nothing of what it was made of, nor does the same one over again.
        works = [id_ for id_ in self.rows if not self._aside(id_)]
        found = {id_: by_stream(self.scores[id_, "search"].evaluations) for id_ in works}
        self.beliefs = _believe(self.rows.values(), self.traits, found)
        self.compared = {
            split: sum(1 for id_ in self.rows if id_ not in self.control and self.scores[id_, split].evaluations)
            for split in ("search", "validation", "sealed")
        }
        self.about: dict[DesignId, list[Decision]] = defaultdict(list)
        for decision in self.decisions:
            if decision.subject is not None:
                self.about[decision.subject].append(decision)

    def run(self) -> RunView:
        order = sorted(
            (id_ for id_ in self.rows if self._rankable(id_)),
            key=lambda id_: (self._aside(id_), -self.beliefs[id_].mean, self.rows[id_].sequence),
        )
        ranks = {id_: place for place, id_ in enumerate(order, 1)}
        views = [self._design(row, ranks.get(row.id)) for row in self.rows.values()]
        views.sort(key=lambda view: (view.rank is None, view.rank or 0, view.sequence))
        controls = tuple(sorted((view for view in views if view.control), key=lambda view: view.sequence))
        best = self._best(views)
        failures = Counter(r.evaluation.outcome for r in self.recorded)
        told = [p for p in self.proposals if p.verdict is ProposalVerdict.INVALID]
        led_to = {p.design for p in self.proposals}
        refused = {p.design for p in told}
        unasked = [row for row in self.rows.values() if row.id not in led_to]
        late = [r for r in self.rows.values() if r.status is DesignStatus.INVALID and r.id not in refused]
        return RunView(
            designs=tuple(views),
            controls=controls,
            best=best,
            comparisons=() if best is None else tuple(self._comparisons(best, controls)),
            line=tuple(sorted((v for v in views if self._label(v.id) and v.gain), key=lambda view: view.sequence)),
            gap=None if best is None else _gap(best),
            tried=len(self.proposals) + len(unasked),
            invalid=len(told) + len(late),
            duplicates=sum(p.verdict is ProposalVerdict.DUPLICATE for p in self.proposals),
            failed=sum(1 for view in views if view.failures),
            failures=_failures(failures),
            evaluations=len(self.recorded),
            spent=self.spent,
            openings=self.openings,
            generations=len({row.generation for row in self.rows.values()}),
            decisions=tuple(map(self._decision, self.decisions)),
        )

    def _worth(self, id_: DesignId) -> list[Evaluation]:
        """What speaks of a design's worth: a control of another design, such as the leak alarm's, does not."""
        yardstick = id_ in self.control
        return [r.evaluation for r in self.by_design[id_] if yardstick or r.purpose is not Purpose.CONTROL]

    def _aside(self, id_: DesignId) -> bool:
        """It does not work, or is no other than an earlier one: nothing is believed of it."""
        found = (recorded.evaluation for recorded in self.by_design[id_])
        return id_ in self.pooled or any(e.outcome is not Outcome.SCORED for e in found if e.key.split == "search")

    def _rankable(self, id_: DesignId) -> bool:
        scored = bool(self.scores[id_, "search"].evaluations)
        return scored and id_ not in self.control and self.rows[id_].status is DesignStatus.VALID

    def _best(self, views: Sequence[DesignView]) -> DesignView | None:
        known = {view.id: view for view in views}
        for decision in reversed(self.decisions):
            if decision.kind == "winner" and decision.subject in known:
                return known[decision.subject]
        return next((view for view in views if view.rank == 1), None)

    def _design(self, row: DesignRow, rank: int | None) -> DesignView:
        card = self.cards.get(row.id)
        evaluations = [r.evaluation for r in self.by_design[row.id]]
        scores = {split: self.scores[row.id, split].interval for split in ("search", "validation", "sealed")}
        return DesignView(
            id=row.id,
            name=self.names[row.id],
            sequence=row.sequence,
            generation=row.generation,
            parents=row.parents,
            proposer=plain(row.proposer, 40),
            operator=plain(row.operator, 40),
            control=row.id in self.control,
            status=row.status,
            reason=plain(row.reason),
            rank=rank,
            believed=self.beliefs[row.id] if scores["search"] and not self._aside(row.id) else None,
            score=scores["search"],
            validation=scores["validation"],
            sealed=scores["sealed"],
            gain=self._gain_over_parent(row),
            evaluations=len(evaluations),
            failures=_failures(Counter(e.outcome for e in evaluations)),
            cost=_cost(evaluations),
            note=plain(card.note) if card else "",
            params=_params(card),
            why=tuple(self._why(row)),
        )

    def _gain_over_parent(self, row: DesignRow) -> Gain | None:
        """On fresh streams, with the run's verdict; else on those of the search, which chose the parent: no verdict."""
        label = self._label(row.id)
        if label is not None:
            gain = self._gain(row.id, DesignId(str(label["parent"])), "parent", ("validation",))
            if gain is None:
                return None
            low, high = (float(str(label.get(end, at))) for end, at in (("low", -1.0), ("high", 1.0)))
            interval = Interval(gain.interval.mean, low, high, gain.interval.n)
            return replace(gain, interval=interval, verdict=Verdict(str(label["verdict"])))
        known = [parent for parent in row.parents if parent in self.rows]
        parents = sorted(known, key=lambda parent: -self.beliefs[parent].mean)
        gains = (self._gain(row.id, parent, "parent", ("search",)) for parent in parents)
        gain = next((gain for gain in gains if gain is not None), None)
        return None if gain is None else replace(gain, verdict=Verdict.UNDECIDED)

    def _label(self, id_: DesignId) -> Mapping[str, object] | None:
        """What the run may claim of a design beside its parent, as `believing.labels` filed it."""
        data = next((d.data for d in reversed(self.about[id_]) if d.kind == "label"), None)
        return data if isinstance(data, Mapping) and data.get("parent") in self.rows else None

    def _gain(
        self,
        design: DesignId,
        other: DesignId,
        label: str,
        splits: Sequence[str] = ("sealed", "validation", "search"),
    ) -> Gain | None:
        """Compare on the first split on which both have two streams in common, or else on the first with one."""
        pairs = [(split, *self.scores[design, split].against(self.scores[other, split])) for split in splits]
        pairs = [pair for pair in pairs if pair[1]]
        if not pairs:
            return None
        split, mine, theirs = next((pair for pair in pairs if len(pair[1]) > 1), pairs[0])
        compared = 1 if split == "sealed" else max(self.compared[split], 1)
        differences = [mine[stream] - theirs[stream] for stream in mine]
        spread = float(np.std(differences, ddof=1)) if len(differences) > 1 else 0.0
        return Gain(
            over=other,
            over_name=self.names[other],
            label=label,
            interval=paired_difference(mine, theirs).within(-1.0, 1.0),
            verdict=paired_difference(mine, theirs, 1 - 0.05 / compared).verdict,
            split=split,
            detectable=_detectable(len(differences)) * max(spread, SD_FLOOR),
        )

    def _comparisons(self, best: DesignView, controls: Sequence[DesignView]) -> Iterable[Gain]:
        """Yield the best one's gains over its parents, over its first ancestors and over the controls."""
        roots, seen, queue = [], {best.id}, [p for p in best.parents if p in self.rows]
        for id_ in queue:
            if id_ in seen:
                continue
            seen.add(id_)
            parents = [p for p in self.rows[id_].parents if p in self.rows]
            if not parents:
                roots.append(id_)
            queue.extend(parents)
        wanted = [(parent, "its parent") for parent in best.parents if parent in self.rows]
        wanted += [(root, "its first ancestor") for root in roots if root not in best.parents]
        wanted += [(c.id, control_name(c.name)) for c in controls if c.id != best.id and c.id not in dict(wanted)]
        for other, label in wanted:
            gain = self._gain(best.id, other, label)
            if gain is not None:
                yield gain

    def _why(self, row: DesignRow) -> Iterable[str]:
        for decision in self.about[row.id]:
            parents = ", ".join(self.names.get(parent, parent) for parent in row.parents)
            kind = f"parent {parents}" if decision.kind == "parent" else plain(decision.kind, 40)
            yield f"{kind} in generation {decision.generation}: {plain(decision.reason)}"

    def _decision(self, decision: Decision) -> DecisionView:
        name = "" if decision.subject is None else self.names.get(decision.subject, "")
        return DecisionView(
            decision.generation, plain(decision.kind, 40), plain(decision.reason), decision.subject, name
        )


def _is_control(recorded: Sequence[Recorded]) -> bool:
    purposes = {r.purpose for r in recorded}
    return Purpose.CONTROL in purposes and Purpose.SEARCH not in purposes


@lru_cache(maxsize=1024)
def _detectable(n: int) -> float:
    """The smallest detectable difference in standard deviations of the paired differences."""
    return minimum_detectable_difference(1.0, n)


def _failures(outcomes: Counter[Outcome]) -> tuple[OutcomeCount, ...]:
    failed = [OutcomeCount(outcome, count) for outcome, count in outcomes.items() if outcome is not Outcome.SCORED]
    return tuple(sorted(failed, key=lambda f: (-f.count, f.outcome.value)))


def _params(card: Card | None) -> tuple[str, ...]:
    return tuple(plain(f"{name} = {value!r}", 200) for name, value in card.params.items()) if card else ()


def _cost(evaluations: Sequence[Evaluation]) -> Cost:
    stored = [float(e.bytes_stored) for e in evaluations if e.bytes_stored is not None]
    finished = [e for e in evaluations if e.outcome is Outcome.SCORED]
    return Cost(
        seconds=math.fsum(e.seconds for e in evaluations),
        model_calls=sum(e.model_calls for e in evaluations),
        model_tokens=sum(e.model_tokens for e in evaluations),
        stream_seconds=_amount([e.seconds for e in finished]),
        bytes_stored=_amount(stored),
        recall_chars=_amount([float(e.recall_chars) for e in finished]),
    )


def _amount(values: Sequence[float]) -> Interval | None:
    return mean_interval(values).within(0.0, math.inf) if values else None


def _gap(best: DesignView) -> Interval | None:
    """Search minus validation: other streams, so the intervals' half widths add up as squares; one shows nothing."""
    search, fresh = best.score, best.validation
    if search is None or fresh is None:
        return None
    difference, half = search.mean - fresh.mean, math.hypot(search.half_width, fresh.half_width)
    n = min(search.n, fresh.n)
    half = half if n > 1 else math.inf
    return Interval(difference, difference - half, difference + half, n).within(-1.0, 1.0)


def _believe(
    rows: Iterable[DesignRow],
    traits: Mapping[DesignId, Sequence[str]],
    scores: Mapping[DesignId, Mapping[str, float]],
) -> dict[DesignId, Posterior]:
    """Return the posterior of every design; those without scores are believed in by their relatives alone."""
    beliefs, numbers, places = Beliefs(), dict[DesignId, int](), dict[str, int]()
    for row in sorted(rows, key=lambda row: row.sequence):
        parents = [numbers[parent] for parent in row.parents if parent in numbers]
        numbers[row.id] = beliefs.add(parents[0] if parents else None, traits.get(row.id, ()))
        told = scores.get(row.id, {})
        beliefs.tell(numbers[row.id], {places.setdefault(stream, len(places)): told[stream] for stream in told})
    beliefs.learn(LEARNING_ROUNDS)
    return {id_: beliefs.of(number) for id_, number in numbers.items()}
