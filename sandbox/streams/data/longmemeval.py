"""LongMemEval: 500 questions, each about a chat history of its own (Wu et al. 2024, arXiv 2410.10813).

The authors have a language model judge whether an answer is right. Without one, an answer is right here if the
published one stands in it, word for word. That is stricter, for answers in whole sentences and for the questions about
preferences (whose answers describe what a good reply would be) far too strict. So figures from here compare designs
with each other, never with published ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel, TypeAdapter, model_validator

from design_space.memory import Episode
from sandbox.streams.data.histories import (
    DEFAULT_SHARES,
    Asked,
    History,
    HistorySource,
    Shares,
    asked_on,
    dialogue,
    digest_of,
)
from sandbox.streams.data.reading import parse_json, read
from sandbox.streams.grading import Question

_HINT = (
    "get longmemeval_s.json or longmemeval_oracle.json by way of github.com/xiaowu0162/LongMemEval (licence MIT) and "
    "name it as `path`"
)
_EXPECTED = "the list of questions of longmemeval_s.json, as published"
_ABSTENTION = "_abs"


@dataclass(frozen=True, slots=True)
class LongMemEvalSettings:
    """Where the questions are.

    Attributes:
        path: of one of the published files, which are not part of this project.
        shares: of every sum(shares) histories, how many are search, validation and sealed streams.
    """

    path: str
    shares: Shares = DEFAULT_SHARES


class _Turn(BaseModel):
    role: str
    content: str


class _Row(BaseModel):
    question_id: str
    question_type: str
    question: str
    answer: str | int | float
    question_date: str
    haystack_dates: list[str]
    haystack_sessions: list[list[_Turn]]

    @model_validator(mode="after")
    def _dated(self) -> _Row:
        if len(self.haystack_dates) != len(self.haystack_sessions):
            raise ValueError(f"{len(self.haystack_dates)} dates for {len(self.haystack_sessions)} sessions")
        return self


_FILE = TypeAdapter(list[_Row])


class LongMemEvalSource(HistorySource):
    """A stream a history: one question as a rule, more where the file gives several the same history.

    Raises:
        ValueError: there is no such file, or it is not as published.
    """

    def __init__(self, settings: LongMemEvalSettings) -> None:
        content = read(settings.path, _HINT)
        rows = parse_json(_FILE, content, settings.path, _EXPECTED)
        super().__init__("longmemeval", _histories(rows), settings.shares, digest_of(content, settings.shares))


def _histories(rows: Iterable[_Row]) -> list[History]:
    asked: dict[tuple[Episode, ...], list[_Row]] = {}
    for row in rows:
        asked.setdefault(_sessions(row), []).append(row)
    return [
        # A question that cannot be answered is made from one that can, and their histories share sessions.
        History(same[0].question_id, told, tuple(map(_asked, same)), same[0].question_id.removesuffix(_ABSTENTION))
        for told, same in asked.items()
    ]


def _sessions(row: _Row) -> tuple[Episode, ...]:
    """The sessions in order of time, in which not every published file has them."""
    dated = sorted(zip(row.haystack_dates, row.haystack_sessions, strict=True), key=lambda pair: pair[0])
    return tuple(dialogue("chat", (f"{turn.role}: {turn.content}" for turn in turns), date) for date, turns in dated)


def _asked(row: _Row) -> Asked:
    goal = asked_on(row.question, row.question_date)
    if row.question_id.endswith(_ABSTENTION):
        return Asked(goal, Question((), (), "abstention", "abstain"))
    return Asked(goal, Question((str(row.answer),), (), row.question_type))
