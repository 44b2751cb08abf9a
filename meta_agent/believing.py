"""What a run may claim of the winner's line: each step of it, on streams that chose none of its designs."""

from __future__ import annotations

from collections.abc import Sequence

from archive.claims import LEVEL, claimed, evidence, sequence
from archive.records import Decision, Json
from archive.statistics import Verdict
from design_space import DesignId
from meta_agent.verdict import Scores

Step = tuple[DesignId, DesignId]
"""A design and its parent."""


def labels(steps: Sequence[Step], scores: Scores, generation: int) -> list[Decision]:
    """Say of each step whether the design is better than its parent, worse, or undecided.

    All that a run labels is one family: of its claims, a share of `LEVEL` is false on average at most.

    Args:
        scores: by design and stream, of streams that neither promoted a design nor chose a parent.
        generation: under which the labels are filed.
    """
    shared = {step: scores[step[0]].keys() & scores[step[1]].keys() for step in steps if set(step) <= scores.keys()}
    gains = {
        (design, parent): [scores[design][stream] - scores[parent][stream] for stream in sorted(streams)]
        for (design, parent), streams in shared.items()
        if streams
    }
    found = {step: evidence(differences) for step, differences in gains.items()}
    sure = claimed(found)
    decisions = []
    for step, differences in gains.items():
        design, parent = step
        gain = sequence(differences)
        verdict = Verdict.UNDECIDED
        if step in sure:
            verdict = Verdict.BETTER if gain.mean > 0 else Verdict.WORSE
        data: Json = {
            "verdict": verdict.value,
            "parent": parent,
            "mean": gain.mean,
            "low": max(gain.low, -1.0),
            "high": min(gain.high, 1.0),
            "n": gain.n,
            "evidence": found[step],
            "labelled": len(found),
        }
        told = f"{verdict.value}: {gain.mean:+.3f} against its parent {parent} on {gain.n} fresh streams"
        promise = f"of {len(found)} labels at most {LEVEL:.0%} of the claims are false, if gains are about normal"
        needed = f"evidence {found[step]:.1f}; {promise}"
        decisions.append(Decision(generation, "label", f"{told} ({needed})", design, data))
    return decisions
