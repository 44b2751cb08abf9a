"""MIA's manager: successes and failures in balance, ranked by similarity and by how often they led to success.

The manager of Memory Intelligence Agent, 2026, arXiv 2604.04503; its planner is trained, and left out.
Score 0.7 minmax(cosine) + 0.3 win rate; the 2 best solved and the 2 best unsolved tasks are shown; win rates begin at
1; of two attempts at the same question the solved one stays, of two alike the shorter.

Departures for want of a language model: no bucket per category of question; the workflow is the sequence of actions
with the beginning of each answer, not a compression in prose; cosine alone tells whether a question is the same.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from design_space import Episode, Float, Int, Item, Kit, Memory, Query, Recall, Snapshot, Space
from design_space.parts import Cosine


@dataclass(slots=True)
class _Case:
    id: str
    goal: str
    workflow: str
    solved: bool
    value: float | None
    uses: int = 1
    wins: int = 1

    @property
    def win_rate(self) -> float:
        return self.wins / self.uses


class MIA(Memory):
    """Balanced recall with win rates.

    Args:
        each_count: solved ones recalled, and as many unsolved ones.
        weight: of the win rate in the score.
        same: cosine from which on two tasks are one question.
        success: reward from which on a task counts as solved.
    """

    SPACE = Space(
        each_count=Int(1, 8, 2),
        weight=Float(0.0, 1.0, 0.3),
        same=Float(0.8, 1.0, 0.9999),
        success=Float(0.1, 1.0, 1.0),
    )

    def __init__(self, kit: Kit, **params: Any) -> None:
        super().__init__(kit, **params)
        self._index = Cosine(kit, floor=0.0)
        self._cases: list[_Case] = []
        self._named = 0

    def retrieve(self, query: Query) -> Recall:
        if not self._cases:
            return Recall()
        similar = self._index.scores(query.goal)
        spread = float(similar.max() - similar.min())
        scaled = (similar - similar.min()) / spread if spread > 0.0 else np.ones(len(similar))
        weight = self.params["weight"]
        scores = (1.0 - weight) * scaled + weight * np.array([case.win_rate for case in self._cases])
        order = [self._cases[i] for i in np.argsort(-scores, kind="stable")]
        count = self.params["each_count"]
        chosen = [c for c in order if c.solved][:count] + [c for c in order if not c.solved][:count]
        return Recall(tuple(Item(c.id, _shown(c), value=c.value) for c in chosen))

    def update(self, episode: Episode) -> None:
        solved = episode.reward is None or episode.reward >= self.params["success"]
        if episode.reward is not None:
            recalls = (episode.recall, *(step.recall for step in episode.steps))
            used = {item.id for recall in recalls for item in recall.items}
            for case in self._cases:
                if case.id in used:
                    case.uses += 1
                    case.wins += solved
        self._named += 1
        told = [f"{step.action}\n  -> {step.observation[:80]}" for step in episode.steps]
        self._file(_Case(f"m{self._named}", episode.goal, "\n".join(told), solved, episode.reward))

    def snapshot(self) -> Snapshot:
        return Snapshot({"cases": [asdict(case) for case in self._cases], "named": self._named})

    def restore(self, snapshot: Snapshot) -> None:
        self._cases = [_Case(**row) for row in snapshot.data["cases"]]
        self._named = snapshot.data["named"]
        self._index.reset([case.goal for case in self._cases])

    def _file(self, case: _Case) -> None:
        """Store a case, or let it take the place of one that asks the same and is no better."""
        similar = self._index.scores(case.goal)
        twin = int(similar.argmax()) if len(similar) else -1
        if twin < 0 or similar[twin] < self.params["same"]:
            self._cases.append(case)
            self._index.add(case.goal)
            return
        old = self._cases[twin]
        shorter = case.solved == old.solved and len(case.workflow) < len(old.workflow)
        if (case.solved and not old.solved) or shorter:
            self._cases[twin] = case
            self._index.reset([kept.goal for kept in self._cases])


def _shown(case: _Case) -> str:
    return f"{'Solved' if case.solved else 'Not solved'}: {case.goal}\n{case.workflow}"
