"""The values of `design_space.memory` as JSON and back; both ends of the pipe use it.

Reading is strict: a field of another type, a missing or an extra one raises `FrameError`. A step names its recall by
position, ``[k, n]``: the first n items of what the k-th `retrieve` of this episode returned. So no recall travels back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from design_space import snapshots
from design_space.memory import Episode, Item, Query, Recall, Snapshot, Step, Tool

from .frames import FrameError

Json = dict[str, Any]
MODES = ("append", "replace")
RecallRef = tuple[int, int]

EMBED_TEXTS = 256
"""Most texts of one up-call."""
EMBED_CHARS = 8_000
"""Characters of one text that go over the pipe; the guest cuts off the rest."""
ID_CHARS = 200
"""Of an item's name that the worker keeps: the design knows its items by position, so they are for people only."""
REMEMBERED_ITEMS = 20_000
"""Both ends forget the numbers of items once there are more, so that what a stream recalls takes bounded memory."""
TOOL_CHARS, MEANING_CHARS, PARAMETERS_COUNT = 80, 500, 8
"""Of a tool that an agent is told of: characters of a name and of a description, and arguments."""


def _fields(value: object, what: str, *names: str) -> list[Any]:
    if not isinstance(value, dict) or set(value) != set(names):
        raise FrameError(f"{what} wants exactly the fields {', '.join(names)}")
    return [value[name] for name in names]


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise FrameError(f"{what} is a {type(value).__name__}, wanted text")
    # Surrogates survive JSON but not UTF-8; a design must not be able to break the reader with them.
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


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


def shown(items: Sequence[Item], chars: int) -> int:
    """How many of the first items an agent is shown that reads so many characters; the rest is dropped, whole."""
    room = chars
    for count, item in enumerate(items):
        # Of the text itself: a design's own kind of text may say that it is shorter.
        room -= max(1, sum(map(str.__len__, (item.text, item.situation, item.action))))
        if room < 0:
            return count
    return len(items)


class RecallWriter:
    """Recalls as JSON for one session; an item that went over the pipe before goes as its number.

    A memory that is asked at each step says much the same each time: this makes its answers ten times shorter.

    Args:
        chars: characters of recall that the agent is shown; items beyond stay here.
    """

    def __init__(self, chars: int) -> None:
        self._chars = chars
        self._sent: dict[Item, int] = {}

    def write(self, recall: object) -> Json:
        """Raises TypeError, in words for the design's author, where `recall` is not what `Memory.retrieve` owes."""
        if not isinstance(recall, Recall):
            raise TypeError(f"retrieve() returned a {type(recall).__name__}, wanted design_space.Recall")
        items, mode = recall.items, recall.mode
        if not isinstance(items, tuple | list):
            raise TypeError(f"retrieve() returned a recall whose items are a {type(items).__name__}, wanted a tuple")
        if mode not in MODES:
            raise TypeError(f"retrieve() returned a recall of mode {mode!r:.40}, wanted {' or '.join(MODES)}")
        for item in items:
            _check_item(item)
        if len(self._sent) > REMEMBERED_ITEMS:
            self._sent.clear()
        return {"items": [self._item(item) for item in items[: shown(items, self._chars)]], "mode": mode}

    def _item(self, item: Item) -> int | list[Any]:
        number = self._sent.get(item)
        if number is not None:
            return number
        self._sent[item] = len(self._sent)
        return [item.id, item.text, item.situation, item.action, None if item.value is None else float(item.value)]


def _check_item(item: object) -> None:
    if type(item) is not Item:
        raise TypeError(f"retrieve() returned a recall with a {type(item).__name__}, wanted design_space.Item")
    for name in ("id", "text", "situation", "action"):
        if not isinstance(value := getattr(item, name), str):
            raise TypeError(f"retrieve() returned an item whose {name} is a {type(value).__name__}, wanted text")


class RecallReader:
    """The other end of `RecallWriter`; strict.

    Args:
        chars: as of the writer, who sends no more.
    """

    def __init__(self, chars: int) -> None:
        self._chars = chars
        self._items: list[Item] = []

    def read(self, value: object) -> Recall:
        items, mode = _fields(value, "a recall", "items", "mode")
        if mode not in MODES:
            raise FrameError(f"recall mode {mode!r:.40}, wanted {' or '.join(MODES)}")
        if len(self._items) > REMEMBERED_ITEMS:
            self._items.clear()
        # Each item takes a character at least: more of them are not even looked at.
        parsed = tuple(self._item(row) for row in _list(items, "items")[: self._chars + 1])
        if shown(parsed, self._chars) < len(parsed):
            raise FrameError(f"a recall of more than {self._chars} characters")
        return Recall(parsed, cast(Literal["append", "replace"], mode))

    def _item(self, row: object) -> Item:
        if type(row) is int and 0 <= row < len(self._items):
            return self._items[row]
        if not isinstance(row, list) or len(row) != 5:
            raise FrameError("an item wants five fields, or the number of an earlier one")
        name, text, situation, action = (_text(cell, "an item's field") for cell in row[:4])
        item = Item(name[:ID_CHARS], text, situation, action, _unit(row[4], "an item's value"))
        self._items.append(item)
        return item


def tool_to_json(tool: object) -> list[Any]:
    """Raises TypeError for what is no tool."""
    if not isinstance(tool, Tool) or not isinstance(tool.parameters, Mapping):
        raise TypeError(f"tools() returned a {type(tool).__name__}, wanted design_space.Tool, its parameters a mapping")
    meanings = {str(name): str(meaning) for name, meaning in tool.parameters.items()}
    return [str(tool.name), str(tool.description), meanings]


def tool_from_json(value: object) -> tuple[str, str, dict[str, str]]:
    """Name, description and parameters; of the texts, as much as is of use to an agent."""
    row = _list(value, "a tool")
    if len(row) != 3 or not isinstance(row[2], dict):
        raise FrameError("a tool wants a name, a description and parameters")
    name, description = _text(row[0], "a tool's name"), _text(row[1], "a tool's description")
    some = list(row[2].items())[:PARAMETERS_COUNT]
    meanings = {_text(key, "a name")[:TOOL_CHARS]: _text(told, "a meaning")[:MEANING_CHARS] for key, told in some}
    return name[:TOOL_CHARS], description[:MEANING_CHARS], meanings


def said_from_json(value: object) -> str:
    return _text(value, "what a tool says")


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


def ask_from_json(value: object) -> tuple[str, int]:
    """The prompt of an up-call for an answer, and the most tokens that the design wants."""
    prompt, limit = _fields(value, "ask", "prompt", "max_tokens")
    if type(limit) is not int or limit < 1:
        raise FrameError(f"ask wants a positive whole max_tokens, not {limit!r:.40}")
    return _text(prompt, "a prompt"), limit


def texts_to_json(texts: Sequence[str]) -> Json:
    return {"texts": list(texts)}


def texts_from_json(value: object) -> list[str]:
    """The texts of an up-call for vectors."""
    (texts,) = _fields(value, "embed", "texts")
    if not 1 <= len(_list(texts, "texts")) <= EMBED_TEXTS:
        raise FrameError(f"embed wants 1 to {EMBED_TEXTS} texts at once, got {len(texts)}")
    parsed = [_text(text, "a text to embed") for text in texts]
    if (longest := max(map(len, parsed))) > EMBED_CHARS:
        raise FrameError(f"embed takes texts of {EMBED_CHARS} characters, got one of {longest}")
    return parsed


def vectors_to_json(vectors: NDArray[np.float32]) -> Json:
    return snapshots.array_to_json(vectors.astype("<f4", copy=False))


def vectors_from_json(value: Json) -> NDArray[np.float32]:
    """Rows of float32."""
    return snapshots.array_from_json(value).astype(np.float32, copy=False)
