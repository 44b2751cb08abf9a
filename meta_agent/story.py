"""What the meta agent is told of a design that it is to improve: what it earned, what happened, what was tried."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from archive.episodes import EpisodeView, episodes
from archive.ledger import Ledger
from archive.plain import number, told_score
from archive.records import DesignStatus
from archive.statistics import mean_interval
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
            quoted("source", self.search.members[design].design.source, SOURCE_CHARS),
            *self._change(design),
            *self._tried(design),
            *self._episodes(design),
        ]
        return "\n\n".join(parts)

    def beside(self, design: DesignId) -> str:
        """A second design, from which something may be taken."""
        told = f"# Another design\n\nThe new one may take something from it. {self._earned(design)}\n\n"
        return told + quoted("source", self.search.members[design].design.source, SOURCE_CHARS)

    def _earned(self, design: DesignId) -> str:
        search = self.search
        member, belief = search.members[design], search.believed(design)
        told = [f"It earned {told_score(mean_interval(list(member.scores.values())))} (n streams)."]
        told.append(f"Believed: {number(belief.mean)} ± {number(1.96 * belief.sd)}.")
        null = search.baseline
        if null is not None:
            told.append(f"Without any memory the agent earns {number(null)} on these streams.")
        ranked = search.ranked()
        if ranked and ranked[0] != design:
            best = search.believed(ranked[0]).mean
            told.append(f"The best design so far is believed to earn {number(best)}.")
        return " ".join(told)

    def _change(self, design: DesignId) -> list[str]:
        """What made it out of its own parent, and what that changed."""
        compared = self.search.compared(design)
        if compared is None:
            return []
        parent, gain = compared
        before, after = self.search.members[parent].design, self.search.members[design].design
        return [f"It was made from another design by this change, which earned {gain}:", _diff(before, after)]

    def _tried(self, design: DesignId) -> list[str]:
        """What was made of it already: what that earned, and what did not work."""
        members = self.search.members
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
        compared = self.search.compared(design)
        return "not compared yet" if compared is None else str(compared[1])

    def _episodes(self, design: DesignId) -> list[str]:
        played: Sequence[EpisodeView] = ()
        keys = [record.evaluation.key for record in self.ledger.evaluations(design=design, split="search")]
        for key in sorted(keys, key=lambda key: key.stream):
            played = played or episodes(self.ledger, key)
        if not played:
            return []
        ranked = sorted(range(len(played)), key=lambda place: (played[place].reward or 0.0, place))
        chosen = sorted({*ranked[:WORST_COUNT], *ranked[-BEST_COUNT:]})
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


def _diff(before: Design, after: Design) -> str:
    lines = difflib.unified_diff(
        before.source.splitlines(), after.source.splitlines(), "before", "after", lineterm="", n=2
    )
    return quoted("change", "\n".join(lines), DIFF_CHARS)
