"""ArcMemo: abstract lessons of the form situation -> suggestion, recalled where the situation recurs.

ArcMemo: Abstract Reasoning Composition with Lifelong LLM Memory, 2025, arXiv 2509.04439; the open-ended variant.
Departures: a language model writes its lessons and selects among them; here a lesson is the rule that a step which
earned something follows, its shared words made variables, and lessons are found by the words they are about. The
paper's published template shows the situation twice and never the suggestion; here the suggestion is the action.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from design_space import Float, Int, Space
from design_space.parts import (
    Bm25,
    ImmediateCredit,
    KeepAll,
    ModularMemory,
    NoValue,
    ObjectKey,
    Parts,
    RuleEncoder,
)


class ArcMemo(ModularMemory):
    """Lessons, abstracted and merged where they say the same."""

    SPACE = Space(recall_count=Int(1, 60, 40), discount=Float(0.0, 1.0, 0.6), weight=Float(0.0, 1.0, 0.3))
    RETRIEVE = "step"

    def compose(self, p: Mapping[str, Any]) -> Parts:
        return Parts(
            encoders=(RuleEncoder(discount=p["discount"], state=False, admit="gains"),),
            key=ObjectKey(),
            retriever=Bm25(self.kit),
            value=NoValue(weight=p["weight"]),
            credit=ImmediateCredit(),
            manager=KeepAll(),
            recall_count=p["recall_count"],
        )
