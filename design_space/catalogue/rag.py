"""Simple retrieval-augmented generation: pieces of what was said, the best by BM25 or by cosine.

The simple RAG agents of MemoryAgentBench (Evaluating Memory in LLM Agents via Incremental Multi-Turn Interactions,
2025, arXiv 2507.05257). Departures: pieces are sentences, turns or sessions, not chunks of 4,096 tokens, since what is
recalled is capped; how many are recalled is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from design_space import Choice, Int, Space
from design_space.parts import (
    Bm25,
    BothKey,
    Cosine,
    ImmediateCredit,
    KeepAll,
    ModularMemory,
    NoteEncoder,
    NoValue,
    Parts,
)


class Rag(ModularMemory):
    """Keeps what was said, and what was done and answered; recalls what is nearest to the question or the task."""

    SPACE = Space(
        recall_count=Int(1, 50, 12),
        unit=Choice(("sentence", "turn", "session"), "sentence"),
        similarity=Choice(("bm25", "cosine"), "bm25"),
    )
    RETRIEVE = "task"

    def compose(self, p: Mapping[str, Any]) -> Parts:
        return Parts(
            encoders=(NoteEncoder(unit=p["unit"]),),
            key=BothKey(recent_count=0),
            retriever=Bm25(self.kit) if p["similarity"] == "bm25" else Cosine(self.kit),
            value=NoValue(),
            credit=ImmediateCredit(),
            manager=KeepAll(),
            recall_count=p["recall_count"],
        )
