"""BFCL-v4's memory benchmark: 155 short questions about what five users told in 210,000 characters of chat.

Berkeley Function Calling Leaderboard, Patil et al. 2025 (ICML), gorilla.cs.berkeley.edu; licence Apache-2.0. The data
is in the wheel of the package `bfcl-eval`, which is fetched from the package index once; nothing in it is run. The
users talk, and nobody replies. Judged as there: one of the answers stands in what was said, as whole words.

There, a model writes the answer; many questions say in which form they want a number or a time. So a reader that quotes
cannot earn all: for 17 of the 155 no answer stands in the chats in the form that counts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter

from sandbox.streams.data.histories import Asked, History, HistorySource, dialogue, digest_of
from sandbox.streams.data.reading import parse_json
from sandbox.streams.data.wheel import Wheel
from sandbox.streams.grading import Question

T = TypeVar("T", bound=BaseModel)

WHEEL = Wheel(
    distribution="bfcl-eval",
    version="2026.3.23",
    file="bfcl_eval-2026.3.23-py3-none-any.whl",
    sha256="3bb6dfa5f0c68ad403c9ec50b00db2bb3b4cc9b38ab1ff33f48fe30d853d3a0a",
)
USERS = ("customer", "healthcare", "finance", "student", "notetaker")
_QUESTIONS = "bfcl_eval/data/BFCL_v4_memory.json"
_ANSWERS = "bfcl_eval/data/possible_answer/BFCL_v4_memory.json"
_CHATS = tuple(f"bfcl_eval/data/memory_prereq_conversation/memory_{user}.json" for user in USERS)


@dataclass(frozen=True, slots=True)
class BfclMemorySettings:
    """How the data is got.

    Attributes:
        fetch_seconds: what fetching the wheel (2 MB) may take, the first time.
    """

    fetch_seconds: float = 120.0


class _Turn(BaseModel):
    role: str
    content: str


class _Asked(BaseModel):
    id: str
    scenario: str
    question: list[list[_Turn]]


class _Chat(BaseModel):
    topic: str
    question: list[list[_Turn]]


class _Answer(BaseModel):
    id: str
    ground_truth: list[str]


_ASKED, _CHAT, _ANSWER = TypeAdapter(list[_Asked]), TypeAdapter(list[_Chat]), TypeAdapter(list[_Answer])


class BfclMemorySource(HistorySource):
    """A stream a user, all of them sealed: too few to search on, and well known to language models' trainers.

    Args:
        folder: where the wheel is kept; default $XDG_CACHE_HOME/mnemogen/bfcl.

    Raises:
        ValueError: the wheel is not there, and cannot be fetched.
    """

    def __init__(self, settings: BfclMemorySettings | None = None, folder: Path | None = None) -> None:
        seconds = (settings or BfclMemorySettings()).fetch_seconds
        members = (_QUESTIONS, _ANSWERS, *_CHATS)
        questions, answers, *chats = WHEEL.members(folder or _default_folder(), members, seconds)
        right = {answer.id: answer.ground_truth for answer in _lines(_ANSWER, answers)}
        asked = _lines(_ASKED, questions)
        histories = []
        for user, chat in zip(USERS, chats, strict=True):
            told = tuple(
                dialogue(one.topic, (f"{turn.role}: {turn.content}" for turns in one.question for turn in turns))
                for one in _lines(_CHAT, chat)
            )
            mine = (one for one in asked if one.scenario == user)
            histories.append(History(user, told, tuple(_question(one, right[one.id]) for one in mine)))
        never = "it is a sealed benchmark, never searched on"
        super().__init__("bfcl-memory", histories, (0, 0, 1), digest_of(WHEEL.sha256.encode()), never)


def _lines(kind: TypeAdapter[list[T]], content: bytes) -> list[T]:
    """A member's JSON objects, one a line."""
    return parse_json(kind, b"[" + b",".join(content.splitlines()) + b"]", WHEEL.file, "the data of BFCL-v4")


def _question(asked: _Asked, answers: list[str]) -> Asked:
    text = "\n".join(turn.content for turns in asked.question for turn in turns)
    return Asked(text, Question(tuple(answers), (), "short answer"))


def _default_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "mnemogen" / "bfcl"
