"""The values of `design_space.memory` as JSON and back; both ends of the pipe use it.

Reading is strict: a field of another type, a missing or an extra one raises `FrameError`. A step names its recall by
position, ``[k, n]``: the first n items of what the k-th `retrieve` of this episode returned. So no recall travels back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

from design_space import snapshots
from design_space.memory import Episode, Item, Query, Recall, Snapshot, Step

from .frames import FrameError

Json = dict[str, Any]
RecallRef = tuple[int, int]


def _fields(value: object, what: str, *names: str) -> list[Any]:
    if not isinstance(value, dict) or set(value) != set(names):
        raise FrameError(f"{what} wants exactly the fields {', '.join(names)}")
    return [value[name] for name in names]


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise FrameError(f"{what} is a {type(value).__name__}, wanted text")
    # Surrogates survive JSON but not UTF-8; a design must not be able to break the reader with them.
    return value.encode("utf-8", "replace").decode("utf-8")


def _unit(value: object, what: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise FrameError(f"{what} is {value!r:.40}, wanted a number in [0, 1] or null")
    return float(value)


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise FrameError(f"{what} is a {type(value).__name__}, wanted a list")
    return value


def recall_to_json(recall: object) -> Json:
    """Raises TypeError, in words for the design's author, where `recall` is not what `Memory.retrieve` owes."""
    if not isinstance(recall, Recall):
        raise TypeError(f"retrieve() returned a {type(recall).__name__}, wanted design_space.Recall")
    items = []
    for item in recall.items:
        if not isinstance(item, Item):
            raise TypeError(f"retrieve() returned a recall with a {type(item).__name__}, wanted design_space.Item")
        items.append(
            [item.id, item.text, item.situation, item.action, None if item.value is None else float(item.value)]
        )
    return {"items": items, "mode": recall.mode}


def recall_from_json(value: object) -> Recall:
    items, mode = _fields(value, "a recall", "items", "mode")
    if mode not in ("append", "replace"):
        raise FrameError(f"recall mode {mode!r:.40}, wanted append or replace")
    parsed = []
    for row in _list(items, "items"):
        if not isinstance(row, list) or len(row) != 5:
            raise FrameError("an item wants five fields")
        name, text, situation, action = (_text(cell, "an item's field") for cell in row[:4])
        parsed.append(Item(name, text, situation, action, _unit(row[4], "an item's value")))
    return Recall(tuple(parsed), cast(Literal["append", "replace"], mode))


def query_to_json(query: Query) -> Json:
    return {
        "goal": query.goal,
        "situation": query.situation,
        "step": query.step,
        "history": [list(pair) for pair in query.history],
        "role": query.role,
    }


def query_from_json(value: object) -> Query:
    goal, situation, step, history, role = _fields(value, "a query", "goal", "situation", "step", "history", "role")
    return Query(goal, situation, step, tuple((a, o) for a, o in history), role)


def step_to_json(step: Step, recall: RecallRef) -> Json:
    return {
        "situation": step.situation,
        "action": step.action,
        "observation": step.observation,
        "reward": step.reward,
        "recall": list(recall),
    }


def step_from_json(value: object, recalls: Sequence[Recall]) -> Step:
    names = ("situation", "action", "observation", "reward", "recall")
    situation, action, observation, reward, ref = _fields(value, "a step", *names)
    return Step(situation, action, observation, reward, _resolve(ref, recalls))


def _resolve(ref: Sequence[int], recalls: Sequence[Recall]) -> Recall:
    position, count = ref
    if count == 0:
        return Recall()
    recall = recalls[position]
    return recall if count == len(recall.items) else Recall(recall.items[:count], recall.mode)


def episode_to_json(episode: Episode, recalls: Sequence[RecallRef], before: RecallRef) -> Json:
    return {
        "id": episode.id,
        "goal": episode.goal,
        "steps": [step_to_json(step, ref) for step, ref in zip(episode.steps, recalls, strict=True)],
        "reward": episode.reward,
        "recall": list(before),
    }


def episode_from_json(value: object, recalls: Sequence[Recall]) -> Episode:
    name, goal, steps, reward, ref = _fields(value, "an episode", "id", "goal", "steps", "reward", "recall")
    return Episode(name, goal, tuple(step_from_json(s, recalls) for s in steps), reward, _resolve(ref, recalls))


def snapshot_to_json(snapshot: object) -> Json:
    """Raises TypeError where `snapshot` is not what `Memory.snapshot` owes."""
    if not isinstance(snapshot, Snapshot):
        raise TypeError(f"snapshot() returned a {type(snapshot).__name__}, wanted design_space.Snapshot")
    try:
        return snapshots.snapshot_to_json(snapshot)
    except ValueError as error:
        raise TypeError(str(error)) from error


def snapshot_from_json(value: object) -> Snapshot:
    try:
        return snapshots.snapshot_from_json(value)
    except ValueError as error:
        raise FrameError(str(error)) from error
