"""What designs earned task by task, for the heat map."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from archive.ledger import Ledger
from archive.plain import plain
from archive.views import DesignView
from design_space import DesignId


@dataclass(frozen=True, slots=True)
class TaskGrid:
    """Rewards per task: one row a design, one column a task of a search stream, in generated order.

    Attributes:
        rewards: mean over the seeds that were run; None where the design was not evaluated.
        counts: how many evaluations each mean is of.
    """

    designs: tuple[DesignView, ...]
    streams: tuple[str, ...]
    positions: tuple[int, ...]
    rewards: tuple[tuple[float | None, ...], ...]
    counts: tuple[tuple[int, ...], ...]


def task_grid(ledger: Ledger, designs: Sequence[DesignView], columns: int = 160) -> TaskGrid:
    """Return what these designs earned task by task, on the streams that most of them share, whole streams only."""
    earned: dict[tuple[DesignId, str], list[tuple[float, ...]]] = defaultdict(list)
    for design in designs:
        for recorded in ledger.evaluations(design=design.id, split="search"):
            evaluation = recorded.evaluation
            if evaluation.key.order == 0 and evaluation.rewards:
                earned[design.id, evaluation.key.stream].append(evaluation.rewards)
    sharing = Counter(stream for _, stream in earned)
    lengths = {stream: max(map(len, runs)) for (_, stream), runs in sorted(earned.items())}
    chosen: list[tuple[str, int]] = []
    for stream, _ in sorted(sharing.items(), key=lambda item: (-item[1], item[0])):
        if chosen and len(chosen) + lengths[stream] > columns:
            break
        chosen += [(stream, position) for position in range(min(lengths[stream], columns))]
    rewards, counts = [], []
    for design in designs:
        cells = [
            [run[position] for run in earned.get((design.id, stream), ()) if position < len(run)]
            for stream, position in chosen
        ]
        rewards.append(tuple(math.fsum(cell) / len(cell) if cell else None for cell in cells))
        counts.append(tuple(map(len, cells)))
    names, places = tuple(plain(stream, 120) for stream, _ in chosen), tuple(place for _, place in chosen)
    return TaskGrid(tuple(designs), names, places, tuple(rewards), tuple(counts))
