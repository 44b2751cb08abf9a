"""What the meta agent is told of a design that it is to improve: what it earned, what happened, what was tried."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from archive.episodes import EpisodeView, episodes
from archive.ledger import Ledger
from archive.plain import number, told_score
from archive.records import DesignStatus
from archive.statistics import mean_interval, paired_difference
from design_space import Design, DesignId
from meta_agent.search import Search
from meta_agent.untrusted import line, quoted

SOURCE_CHARS = 40_000
DIFF_CHARS = 4_000
EPISODE_CHARS = 3_000
STEPS_COUNT = 24
RECALLED_COUNT = 3
WORST_COUNT, BEST_COUNT = 2, 1
"""Episodes that are shown: where the most is to be learned, and what went well."""
SIBLINGS_COUNT = 6
TRIED_CHARS = 4_000
COMPARED_DIFF_CHARS = 12_000
"""More than in a story: of a design that is compared with another, the change is all that is shown of its source."""


@dataclass(frozen=True, slots=True)
class Storyteller:
    """Reads stories out of a search and its ledger. Only what belongs to the search split is told."""

    search: Search
    ledger: Ledger

    def of(self, design: DesignId) -> str:
        """The story of one design, as text for a prompt."""
        parts = [
            "# The parent",
            self._earned(design),
            quoted("source", self.search.population.designs[design].source, SOURCE_CHARS),
            *self._change(design),
            *self._tried(design),
            *self._episodes(design),
        ]
        return "\n\n".join(parts)

    def beside(self, design: DesignId) -> str:
        """A second design, from which something may be taken."""
        told = f"# Another design\n\nThe new one may take something from it. {self._earned(design)}\n\n"
        return told + quoted("source", self.search.population.designs[design].source, SOURCE_CHARS)

    def in_short(self, design: DesignId) -> str:
        """What a design earned, and its source."""
        source = self.search.population.designs[design].source
        return "\n\n".join([self._earned(design), quoted("source", source, SOURCE_CHARS)])

    def measured(self, design: DesignId, parent: DesignId) -> str:
        """One of two designs that are compared: what is different from the parent, what it earned, what happened."""
        return "\n\n".join(
            [
                f"{self._earned(design)} {self.gained(design, parent, 'its parent')}".strip(),
                *self._differs(design, parent),
                *self._episodes(design, worst=1, best=1),
            ]
        )

    def gained(self, design: DesignId, other: DesignId, name: str) -> str:
        """What a design earned more than another on the streams that both saw; empty if they share fewer than two.

        Args:
            name: of the other one, for the reader.
        """
        ours, theirs = self.search.population.members[design].scores, self.search.population.members[other].scores
        if design == other or len(ours.keys() & theirs.keys()) < 2:
            return ""
        return f"On the streams that both saw, it earned {paired_difference(ours, theirs)} beside {name}."

    def _differs(self, design: DesignId, parent: DesignId) -> list[str]:
        if design == parent:
            return ["It is the parent itself, unchanged."]
        members = self.search.population.members
        note = line(members[design].slot.draft.note)
        told = [quoted("intention", note, len(note))] if note else []
        before, after = members[parent].design, members[design].design
        if before.source == after.source:
            values = quoted("parameters", json.dumps(dict(after.params), sort_keys=True), TRIED_CHARS)
            return [*told, "Its source is the parent's; its parameters are not:", values]
        return [*told, "What is different from the parent:", _diff(before, after, COMPARED_DIFF_CHARS)]

    def _earned(self, design: DesignId) -> str:
        search = self.search
        member, belief = search.population.members[design], search.population.believed(design)
        score = mean_interval(list(member.scores.values())) if member.scores else None
        told = [f"It earned {told_score(score)} (n streams)."]
        if member.failed:
            told.append("On some stream it failed.")
        told.append(f"Believed: {number(belief.mean)} ± {number(1.96 * belief.sd)}.")
        null = search.population.baseline
        if null is not None:
            told.append(f"Without any memory the agent earns {number(null)} on these streams.")
        best = search.population.best()
        if best is not None and best != design:
            told.append(f"The best design so far is believed to earn {number(search.population.believed(best).mean)}.")
        return " ".join(told)

    def _change(self, design: DesignId) -> list[str]:
        """What made it out of its own parent, and what that changed."""
        compared = self.search.population.compared(design)
        if compared is None:
            return []
        parent, gain = compared
        before, after = self.search.population.members[parent].design, self.search.population.members[design].design
        return [f"It was made from another design by this change, which earned {gain}:", _diff(before, after)]

    def _tried(self, design: DesignId) -> list[str]:
        """What was made of it already: what that earned, and what did not work."""
        members = self.search.population.members
        made = [row for row in self.ledger.children(design) if row.id in members]
        worked = [row.id for row in made if row.status is DesignStatus.VALID and not members[row.id].failed]
        broken = [row for row in made if row.status is DesignStatus.INVALID]
        gains = [f"* {line(members[name].slot.draft.note)}: {self._gained(name)}" for name in worked]
        faults = [(draft.note, problem) for draft, problem in self.search.refused(design)]
        faults += [(members[row.id].slot.draft.note, row.reason) for row in broken]
        told = [f"* {line(note)}: {line(problem)}" for note, problem in faults]
        parts = []
        if gains:
            parts.append("What was made of it already, and what that earned beside it:")
            parts.append(quoted("siblings", "\n".join(gains[-SIBLINGS_COUNT:]), TRIED_CHARS))
        if told:
            parts.append("What was made of it and did not work:")
            parts.append(quoted("failures", "\n".join(told[-SIBLINGS_COUNT:]), TRIED_CHARS))
        return parts

    def _gained(self, design: DesignId) -> str:
        compared = self.search.population.compared(design)
        return "not compared yet" if compared is None else str(compared[1])

    def _episodes(self, design: DesignId, worst: int = WORST_COUNT, best: int = BEST_COUNT) -> list[str]:
        played: Sequence[EpisodeView] = ()
        keys = [record.evaluation.key for record in self.ledger.evaluations(design=design, split="search")]
        for key in sorted(keys, key=lambda key: key.stream):
            played = played or episodes(self.ledger, key)
        if not played:
            return []
        ranked = sorted(range(len(played)), key=lambda place: (played[place].reward or 0.0, place))
        chosen = sorted({*ranked[:worst], *ranked[-best:]})
        told = [
            f"Episode {place + 1} of {len(played)} of one stream, reward {number(played[place].reward or 0.0)}:\n"
            + quoted("episode", _told(played[place]), EPISODE_CHARS)
            for place in chosen
        ]
        return ["# What happened", *told]


def _told(episode: EpisodeView) -> str:
    lines = [f"goal: {episode.goal}", *_recalled("recalled before the task", episode, episode.before)]
    shown = tuple(episode.before)
    for number_, step in enumerate(episode.steps[:STEPS_COUNT], 1):
        if step.recall and step.recall != shown:
            lines += _recalled("recalled", episode, step.recall)
            shown = step.recall
        earned = f" (earned {number(step.reward)})" if step.reward else ""
        lines.append(f"{number_}. before: {line(step.situation, 200)}")
        lines.append(f"   > {step.action}\n   {line(step.observation, 200)}{earned}")
    if len(episode.steps) > STEPS_COUNT:
        lines.append(f"({len(episode.steps) - STEPS_COUNT} more steps)")
    return "\n".join(lines)


def _recalled(what: str, episode: EpisodeView, places: Sequence[int]) -> list[str]:
    if not places:
        return [f"   {what}: nothing"]
    items = episode.recalled(tuple(places))
    more = f" and {len(items) - RECALLED_COUNT} more" if len(items) > RECALLED_COUNT else ""
    told = [
        f"     - {line(item.text, 160)}"
        + (f" | when {line(item.situation, 120)}: {item.action}" if item.action else "")
        for item in items[:RECALLED_COUNT]
    ]
    return [f"   {what}, best first{more}:", *told]


def _diff(before: Design, after: Design, limit: int = DIFF_CHARS) -> str:
    lines = difflib.unified_diff(
        before.source.splitlines(), after.source.splitlines(), "before", "after", lineterm="", n=2
    )
    return quoted("change", "\n".join(lines), limit)
