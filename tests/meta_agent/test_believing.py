"""Claims about labels: a step of the winner's line is said to be better only on evidence of its own."""

from __future__ import annotations

import numpy as np

from archive.claims import LEVEL
from design_space import Design, DesignId
from meta_agent.believing import Step, labels
from meta_agent.verdict import compare

LINE: list[Step] = [(DesignId(f"d{i}"), DesignId(f"d{i - 1}")) for i in (3, 2, 1)]


def scores(steps: tuple[float, ...], rng: np.random.Generator, count: int = 12) -> dict[DesignId, dict[str, float]]:
    """Of a line in which each design earns so much more than its parent."""
    ease = rng.normal(0.4, 0.1, count)
    worth = np.cumsum((0.0, *steps))
    return {
        DesignId(f"d{i}"): {f"s{k}": float(ease[k] + more + rng.normal(0.0, 0.05)) for k in range(count)}
        for i, more in enumerate(worth)
    }


def verdicts(found: dict[DesignId, dict[str, float]]) -> dict[str, str]:
    return {str(d.subject): d.data["verdict"] for d in labels(LINE, found, 7)}  # type: ignore[index,call-overload,misc]


def test_the_step_that_brought_it_is_named() -> None:
    told = verdicts(scores((0.0, 0.2, -0.2), np.random.default_rng(0)))
    assert told == {"d3": "worse", "d2": "better", "d1": "undecided"}
    (first, *_) = labels(LINE, scores((0.0, 0.2, 0.0), np.random.default_rng(0)), 7)
    assert (first.kind, first.generation, first.subject) == ("label", 7, "d3")
    assert "12 fresh streams" in first.reason


def test_where_all_are_equal_a_run_rarely_labels_anything() -> None:
    rng = np.random.default_rng(1)
    wrong = [set(verdicts(scores((0.0, 0.0, 0.0), rng)).values()) != {"undecided"} for _ in range(400)]
    assert float(np.mean(wrong)) <= LEVEL


def test_what_was_not_measured_has_no_label() -> None:
    found = scores((0.0, 0.2, 0.2), np.random.default_rng(2))
    del found[DesignId("d0")]
    assert set(verdicts(found)) == {"d3", "d2"}
    assert labels([], found, 0) == []


def test_a_control_that_was_measured_on_nothing_is_left_out() -> None:
    made = [Design(f"# {name}", {}, name) for name in ("winner", "no_memory", "broken")]
    winner, nothing, broken = (design.id for design in made)
    scores = {winner: {"a": 0.5, "b": 0.6}, nothing: {"a": 0.1, "b": 0.3}, broken: {}}
    controls = {"no_memory": nothing, "broken": broken}
    final = compare(winner, {design.id: design for design in made}, (), controls, scores)
    assert [gain.rival for gain in final.gains] == ["no_memory"]
