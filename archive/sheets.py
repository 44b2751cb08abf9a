"""Works a certificate's sheet out of evaluations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from archive.certificate import Claim, Competence, Costs, Rival, Sheet, Subject
from archive.plain import number
from archive.statistics import (
    Interval,
    Verdict,
    by_stream,
    detectable_difference,
    mean_interval,
    paired_difference,
)
from design_space import Evaluation

Scores = Mapping[str, float]
"""One score per stream."""
Evaluations = Sequence[Evaluation]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evaluations that a sheet is made of; each on the same streams.

    Attributes:
        own: of the memory itself; orders: of the same streams in other orders.
        rivals: by name; the first one is no memory.
        amnesia, shuffled, carried, again, interfered: see `sandbox.evaluate.Experience`; empty if not measured.
        swaps: by the name of another agent, the memory and no memory with it.
        competences: of each task of each stream, by the stream's name; empty where tasks are played.
    """

    own: Evaluations
    rivals: Mapping[str, Evaluations]
    orders: Sequence[Evaluations] = ()
    amnesia: Evaluations = ()
    shuffled: Evaluations = ()
    carried: Evaluations = ()
    again: Evaluations = ()
    interfered: Evaluations = ()
    swaps: Mapping[str, tuple[Evaluations, Evaluations]] | None = None
    competences: Mapping[str, tuple[str, ...]] | None = None


def make_sheet(subject: Subject, evidence: Evidence) -> Sheet:
    """Work a sheet out of its evaluations.

    Raises:
        ValueError: there is no evaluation of the memory, or no rival shares a stream with it.
    """
    own = by_stream(evidence.own)
    scores = {name: by_stream(evaluations) for name, evaluations in evidence.rivals.items()}
    none = next(iter(scores.values()))
    amnesia, shuffled = by_stream(evidence.amnesia), by_stream(evidence.shuffled)
    plain_evaluations = next(iter(evidence.rivals.values()))
    curve = () if subject.protocol != "online" else _curve(evidence.own, plain_evaluations)
    rivals = tuple(_rival(name, own, theirs) for name, theirs in scores.items())
    kept = by_stream(evidence.again) or own
    sheet = Sheet(
        subject=subject,
        outcomes=_counts([evaluation.outcome.value for evaluation in evidence.own]),
        faults=tuple(dict.fromkeys(e.detail.partition("\n")[0][:300] for e in evidence.own if e.detail)),
        score=mean_interval(list(own.values())),
        rivals=rivals,
        under_amnesia=_difference(amnesia, none),
        due_to_memory=_difference(own, amnesia),
        under_shuffled=_difference(shuffled, none),
        due_to_family=_difference(own, shuffled),
        curve=tuple(mean_interval(list(third.values())) for third in curve),
        learning=_difference(curve[-1], curve[0]) if curve else None,
        steps_ratio=_steps_ratio(evidence.own, plain_evaluations),
        order_robustness=_robustness([own, *map(by_stream, evidence.orders)]) if evidence.orders else None,
        forgetting=_difference(kept, by_stream(evidence.interfered)),
        carried_over=_difference(by_stream(evidence.carried), own),
        swaps=tuple(_rival(a, by_stream(ours), by_stream(base)) for a, (ours, base) in (evidence.swaps or {}).items()),
        found=_found(evidence.own),
        competences=_competences(evidence.own, evidence.competences or {}),
        costs=_costs(evidence.own),
        claim=Claim.NOTHING,
        sentences=(),
    )
    claim, sentences = conclude(sheet)
    return replace(sheet, claim=claim, sentences=sentences)


def conclude(sheet: Sheet) -> tuple[Claim, tuple[str, ...]]:
    """What may be claimed, and in which words.

    A gain is memory only as far as it is gone when nothing was experienced (amnesia), and only as far as another
    family's experience does not bring it just as well.
    """
    gain = sheet.rivals[0].gain
    if gain.verdict is Verdict.WORSE:
        return Claim.HARM, (f"It earns less than no memory: {gain}.",)
    if gain.verdict is Verdict.UNDECIDED:
        smallest = sheet.rivals[0].detectable
        shows = "" if smallest is None else f"; {gain.n} streams show differences from {number(smallest)} on"
        return Claim.NOTHING, (f"No gain over no memory is shown: {gain}{shows}.",)
    said = [f"It earns more than no memory: {gain}."]
    claim = Claim.MEMORY
    if sheet.under_amnesia is not None and sheet.due_to_memory is not None:
        if Verdict.BETTER not in (sheet.due_to_memory.verdict, sheet.under_amnesia.verdict):
            said.append(f"Whether it survives amnesia is open ({sheet.under_amnesia}): more streams may decide it.")
            return Claim.OPEN, (*said, *_beyond(sheet))
        if sheet.due_to_memory.verdict is not Verdict.BETTER:
            said.append(
                f"The gain survives amnesia ({sheet.under_amnesia} with nothing remembered): it is no memory, but "
                "advice that was built in."
            )
            return Claim.ADVICE, (*said, *_beyond(sheet))
        if sheet.under_amnesia.verdict is Verdict.BETTER:
            claim = Claim.PARTLY
            said.append(
                f"A part of it survives amnesia ({sheet.under_amnesia}): that is built in. What it remembers adds "
                f"{sheet.due_to_memory}."
            )
        else:
            said.append(f"Under amnesia it is gone ({sheet.under_amnesia}).")
    if sheet.under_shuffled is not None and sheet.due_to_family is not None:
        if Verdict.BETTER not in (sheet.due_to_family.verdict, sheet.under_shuffled.verdict):
            told = f"Whether it survives another family's experience is open ({sheet.under_shuffled})"
            said.append(f"{told}: more streams may decide it.")
            return Claim.OPEN, (*said, *_beyond(sheet))
        if sheet.due_to_family.verdict is not Verdict.BETTER:
            said.append(
                f"It survives the experience of another family ({sheet.under_shuffled}): it is no memory of this "
                "family, but knowledge that carries over between them."
            )
            return Claim.TRANSFER, (*said, *_beyond(sheet))
        if sheet.under_shuffled.verdict is Verdict.BETTER:
            claim = Claim.PARTLY
            said.append(
                f"A part of it comes with another family's experience too ({sheet.under_shuffled}); this family's own "
                f"adds {sheet.due_to_family}."
            )
        else:
            said.append(f"With another family's experience it is gone ({sheet.under_shuffled}).")
    return claim, (*said, *_beyond(sheet))


def _beyond(sheet: Sheet) -> list[str]:
    """How it stands to the other controls."""
    told = {
        Verdict.BETTER: "It earns more than",
        Verdict.WORSE: "It earns less than",
        Verdict.UNDECIDED: "It is not told apart from",
    }
    return [f"{told[rival.gain.verdict]} {rival.name}: {rival.gain}." for rival in sheet.rivals[1:]]


def _rival(name: str, own: Scores, theirs: Scores) -> Rival:
    shared = [stream for stream in theirs if stream in own]
    gain = paired_difference(own, theirs)
    score = mean_interval([theirs[stream] for stream in shared])
    return Rival(name, score, gain, detectable_difference([own[s] - theirs[s] for s in shared]))


def _difference(a: Scores, b: Scores) -> Interval | None:
    """None where one of the two was not measured."""
    return paired_difference(a, b) if a and b else None


def _counts(values: Sequence[str]) -> dict[str, int]:
    return {value: values.count(value) for value in sorted(set(values))}


def _curve(own: Evaluations, none: Evaluations) -> tuple[Scores, ...]:
    """The gain over no memory in each third of a stream, by stream; empty if streams have fewer than three tasks."""
    base = {evaluation.key.stream: evaluation.rewards for evaluation in none}
    thirds: tuple[dict[str, float], ...] = ({}, {}, {})
    for evaluation in own:
        rewards, plain = evaluation.rewards, base.get(evaluation.key.stream, ())
        if len(rewards) < 3 or len(plain) != len(rewards):
            continue
        gains = [a - b for a, b in zip(rewards, plain, strict=True)]
        edges = [round(len(gains) * part / 3) for part in range(4)]
        for third, (start, end) in zip(thirds, pairwise(edges), strict=True):
            third[evaluation.key.stream] = math.fsum(gains[start:end]) / (end - start)
    return thirds if thirds[0] else ()


def _steps_ratio(own: Evaluations, none: Evaluations) -> Interval | None:
    base = {evaluation.key.stream: evaluation for evaluation in none}
    ratios = []
    for evaluation in own:
        plain = base.get(evaluation.key.stream)
        if plain is None or evaluation.found:
            continue
        rows = zip(evaluation.rewards, plain.rewards, evaluation.steps, plain.steps, strict=False)
        both = [(ours, theirs) for a, b, ours, theirs in rows if a >= 1.0 - 1e-9 and b >= 1.0 - 1e-9]
        if both and sum(theirs for _, theirs in both):
            ratios.append(sum(ours for ours, _ in both) / sum(theirs for _, theirs in both))
    return mean_interval(ratios) if ratios else None


def _robustness(orders: Sequence[Scores]) -> Interval | None:
    shared = [stream for stream in orders[0] if all(stream in order for order in orders)]
    values = []
    for stream in shared:
        scores = [order[stream] for order in orders]
        mean = math.fsum(scores) / len(scores)
        values.append(1.0 - (max(scores) - min(scores)) / mean if mean > 0.0 else 1.0)
    return mean_interval(values) if values else None


def _found(own: Evaluations) -> Interval | None:
    shares = [sum(e.found) / len(e.found) for e in own if e.found]
    return mean_interval(shares) if shares else None


def _competences(own: Evaluations, competences: Mapping[str, tuple[str, ...]]) -> tuple[Competence, ...]:
    rows: dict[str, dict[str, list[tuple[float, bool]]]] = {}
    for evaluation in own:
        asked = competences.get(evaluation.key.stream, ())
        for name, reward, found in zip(asked, evaluation.rewards, evaluation.found, strict=False):
            rows.setdefault(name, {}).setdefault(evaluation.key.stream, []).append((reward, found))
    return tuple(
        Competence(
            name,
            mean_interval([sum(reward for reward, _ in told) / len(told) for told in streams.values()]),
            mean_interval([sum(found for _, found in told) / len(told) for told in streams.values()]),
        )
        for name, streams in sorted(rows.items())
    )


def _costs(own: Evaluations) -> Costs:
    def per_task(name: str) -> Interval:
        values = [getattr(evaluation, name) / max(1, len(evaluation.rewards)) for evaluation in own]
        return mean_interval(values, floor=0.0)

    stored = [float(evaluation.bytes_stored) for evaluation in own if evaluation.bytes_stored is not None]
    return Costs(
        recall_chars=per_task("recall_chars"),
        model_calls=per_task("model_calls"),
        model_tokens=per_task("model_tokens"),
        bytes_stored=mean_interval(stored, floor=0.0) if stored else None,
    )
