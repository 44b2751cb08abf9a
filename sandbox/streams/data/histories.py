"""Streams of data that is there: a history is told first, then its questions are asked."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from design_space.memory import Episode, Step
from sandbox.streams.base import SPLITS, Split, Stream, Task
from sandbox.streams.grading import Question

Shares = tuple[int, int, int]
"""How many of every sum(shares) histories, in the file's order, are search, then validation, then sealed streams."""

DEFAULT_SHARES: Shares = (2, 1, 1)


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of a history.

    Attributes:
        goal: what the agent is told: the question, and when it is asked where the data says so.
    """

    goal: str
    question: Question


@dataclass(frozen=True, slots=True)
class History:
    """What one user, or one conversation, has been through, and what is asked about it.

    Attributes:
        family: names it; no two histories of a file have the same.
        told: sessions, oldest first; their ids are given by the source.
        asked: in the order in which they are asked.
        kin: histories of equal kin go to one split, as they tell partly the same; empty: it has none but itself.
    """

    family: str
    told: tuple[Episode, ...]
    asked: tuple[Asked, ...]
    kin: str = ""


def dialogue(title: str, turns: Iterable[str], date: str = "") -> Episode:
    """A session as a memory is told it: one step a turn, observations only.

    Args:
        turns: "speaker: text" each.
        date: of the session, as the data writes it. It stands in the goal, and again before each turn, since a turn
            that is recalled alone would not say when it was said.
    """
    told = (f"({date}) {turn}" if date else turn for turn in turns)
    goal = f"{title}, {date}" if date else title
    return Episode("", goal, tuple(Step("", "", turn) for turn in told))


def asked_on(question: str, date: str) -> str:
    """What the agent is told where the data says when it is asked: the question in the first line, then the date."""
    return f"{question}\nAsked on {date}." if date else question


def check_shares(shares: Shares) -> None:
    """Raises ValueError unless all are at least 0, and one is above."""
    if min(shares) < 0 or not any(shares):
        raise ValueError(f"shares are {list(shares)}, wanted three whole numbers from 0 on, not all of them 0")


def digest_of(content: bytes, *settings: object) -> str:
    """Twelve hex digits that stand for a file's content and the settings it is read with."""
    return hashlib.sha256(json.dumps(settings).encode() + b"\0" + content).hexdigest()[:12]


class HistorySource:
    """A source whose streams are the histories of a file.

    Every run sees the same streams, whatever its seed; so their names do not hold it.

    Args:
        name: as in a config.
        digest: of all that the histories come from.
        why: what is said where a stream is asked for that is not there: why the splits have the streams they have.

    Raises:
        ValueError: two histories have one name.
    """

    def __init__(
        self,
        name: str,
        histories: Sequence[History],
        shares: Shares,
        digest: str,
        why: str = "`shares` says which part of the histories each split has",
    ) -> None:
        self.name = name
        self._why = why
        self._digest = digest
        for family, count in Counter(history.family for history in histories).items():
            if count > 1:
                raise ValueError(f"{count} histories of {name} are called {family!r}; expected a name for each")
        self._histories = _shared_out(histories, shares)

    def stream_count(self, split: Split) -> int:
        """How many histories the split has."""
        return len(self._histories[split])

    def stream_name(self, split: Split, seed: int, index: int) -> str:
        """The name of the `index`-th stream.

        Raises:
            ValueError: the split has no such stream.
        """
        self._history(split, index)
        return f"{self.name}:{self._digest}/{split}/{index}"

    def stream(self, split: Split, seed: int, index: int) -> Stream:
        """Return the `index`-th history of a split; `seed` changes nothing.

        Raises:
            ValueError: the split has no such stream.
        """
        history, name = self._history(split, index), self.stream_name(split, seed, index)
        told = tuple(replace(episode, id=f"{name}/told/{i}") for i, episode in enumerate(history.told))
        tasks = tuple(
            Task(f"{name}/{i}", asked.goal, 0, question=asked.question) for i, asked in enumerate(history.asked)
        )
        return Stream(name, self.name, split, f"{self.name}/{history.family}", tasks, told)

    def environment(self, task: Task) -> NoReturn:
        """Raises ValueError: questions are answered, not played."""
        raise ValueError(f"{self.name!r} asks questions: the task {task.id!r} has no environment")

    def _history(self, split: Split, index: int) -> History:
        histories = self._histories[split]
        if not 0 <= index < len(histories):
            counts = ", ".join(f"{len(self._histories[split])} {split}" for split in SPLITS)
            raise ValueError(f"{self.name} has no {split} stream {index} (there are {counts}): {self._why}")
        return histories[index]


def _shared_out(histories: Iterable[History], shares: Shares) -> dict[Split, list[History]]:
    """The histories of each split. Kin counts once, at the place of the first of them."""
    check_shares(shares)
    pattern = [split for split, share in zip(SPLITS, shares, strict=True) for _ in range(share)]
    places: dict[str, int] = {}
    found: dict[Split, list[History]] = {split: [] for split in SPLITS}
    for history in histories:
        place = places.setdefault(history.kin or f"\0{history.family}", len(places))
        found[pattern[place % len(pattern)]].append(history)
    return found
