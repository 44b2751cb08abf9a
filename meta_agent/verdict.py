"""The outcome of a run: the winner beside its ancestors and the controls, on streams that nothing was chosen by."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from archive.statistics import Interval, Verdict, detectable_difference, mean_interval, paired_difference
from design_space import Design, DesignId, Evaluation
from meta_agent.policy import Request

Scores = Mapping[DesignId, Mapping[str, float]]
"""By design and stream."""


def scores_of(told: Iterable[tuple[Request, Sequence[Evaluation]]]) -> Scores:
    """What designs earned, by stream; what has no score (a fault of the machine) is left out."""
    return {r.design: {e.key.stream: e.score for e in found if e.score is not None} for r, found in told}


@dataclass(frozen=True, slots=True)
class Gain:
    """What the winner earns more than one rival, stream by stream.

    Attributes:
        rival: name for people; design: its id.
        role: ``ancestor``, ``seed`` or ``control``.
        score: the rival's own.
        detectable: difference that this number of streams would show with a chance of 80 %; None if n < 2.
    """

    rival: str
    design: DesignId
    role: str
    score: Interval
    gain: Interval
    detectable: float | None


@dataclass(frozen=True, slots=True)
class Final:
    """The winner and its gains.

    Attributes:
        over_ancestors: the gain over that one of its ancestors among the seeds, and the best seed, that did best here;
            None if the winner is the only seed.
    """

    winner: DesignId
    name: str
    score: Interval
    gains: tuple[Gain, ...]

    @property
    def over_ancestors(self) -> Gain | None:
        rivals = [gain for gain in self.gains if gain.role != "control"]
        return max(rivals, key=lambda gain: gain.score.mean) if rivals else None

    @property
    def over_nothing(self) -> Gain | None:
        """The gain over no memory; None if that broke on these streams, or is itself the winner."""
        return next((gain for gain in self.gains if gain.rival == "no_memory"), None)

    @property
    def improved(self) -> bool:
        """Whether the interval of the gain over the ancestors lies above 0."""
        gain = self.over_ancestors
        return gain is not None and gain.gain.verdict is Verdict.BETTER

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Final:
        data = json.loads(text)
        gains = tuple(
            Gain(**{**g, "score": Interval(**g["score"]), "gain": Interval(**g["gain"])}) for g in data["gains"]
        )
        return cls(data["winner"], data["name"], Interval(**data["score"]), gains)


def compare(
    winner: DesignId,
    designs: Mapping[DesignId, Design],
    ancestors: Sequence[DesignId],
    controls: Mapping[str, DesignId],
    scores: Scores,
) -> Final:
    """Compare the winner with each rival on the streams that both saw."""
    names = {**{d: designs[d].name for d in ancestors}, **{d: name for name, d in controls.items()}}
    gains = []
    for rival, name in names.items():
        shared = sorted(scores[winner].keys() & scores.get(rival, {}).keys())
        if rival == winner or not shared:  # such as a control that broke its contract
            continue
        differences = [scores[winner][s] - scores[rival][s] for s in shared]
        gain = paired_difference(scores[winner], scores[rival])
        gains.append(
            Gain(
                rival=name,
                design=rival,
                role="control" if rival in controls.values() else "ancestor",
                score=mean_interval([scores[rival][s] for s in shared]),
                gain=gain,
                detectable=detectable_difference(differences),
            )
        )
    ours = scores[winner]
    return Final(winner, designs[winner].name, mean_interval([ours[s] for s in sorted(ours)]), tuple(gains))
