"""No memory: the control that says what the agent earns by itself.

The `no_mem` baseline of ALMA (Learning to Continually Learn via Meta-learning Agentic Memory Designs, 2026,
arXiv 2602.07755). No departure.
"""

from __future__ import annotations

from design_space import Episode, Memory, Query, Recall


class NoMemory(Memory):
    """Recalls nothing, learns nothing."""

    def retrieve(self, query: Query) -> Recall:
        return Recall()

    def update(self, episode: Episode) -> None:
        return None
