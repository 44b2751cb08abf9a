"""One's own tasks without Python: a JSON object a line, of three kinds, each of which names the history it belongs to.

    {"history": "anna", "session": {"title": "Monday", "turns": ["user: My cat is called Tom.", "assistant: Noted."]}}
    {"history": "anna", "episode": {"goal": "reach the shop", "steps": [{"situation": "at the station", "action":
        "take bus 4", "observation": "You are at the shop.", "reward": 1.0}], "reward": 1.0}}
    {"history": "anna", "question": "How is my cat called?", "answers": ["Tom"], "rivals": ["Rex"],
        "competence": "recall", "rule": "contains"}

Sessions and episodes are told first, in the file's order, then the questions are asked in theirs. A history of
questions alone makes sense under the protocol `online`, where each question's answer is told after it was asked.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from design_space.memory import Episode, Step
from sandbox.streams.data.histories import DEFAULT_SHARES, Asked, History, HistorySource, Shares, dialogue, digest_of
from sandbox.streams.data.reading import explain, read
from sandbox.streams.grading import Question, Rule

LINE_MIB = 2
"""Of a line at most: what is told at once has to fit into one message to the sandbox."""

_HINT = "docs/streams.md shows what such a file looks like"

Text = Annotated[str, Field(min_length=1)]
Reward = Annotated[float, Field(ge=0.0, le=1.0)]


@dataclass(frozen=True, slots=True)
class JsonlSettings:
    """Where the tasks are.

    Attributes:
        path: of the file, UTF-8.
        shares: of every sum(shares) histories, how many are search, validation and sealed streams.
    """

    path: str
    shares: Shares = DEFAULT_SHARES


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Session(_Strict):
    title: Text
    turns: Annotated[list[Text], Field(min_length=1)]


class _Step(_Strict):
    situation: str = ""
    action: Text
    observation: str
    reward: Reward | None = None


class _Episode(_Strict):
    goal: Text
    steps: Annotated[list[_Step], Field(min_length=1)]
    reward: Reward | None = None


class _SessionRecord(_Strict):
    history: Text
    session: _Session

    def told(self) -> Episode:
        return dialogue(self.session.title, self.session.turns)


class _EpisodeRecord(_Strict):
    history: Text
    episode: _Episode

    def told(self) -> Episode:
        steps = tuple(Step(s.situation, s.action, s.observation, s.reward) for s in self.episode.steps)
        return Episode("", self.episode.goal, steps, self.episode.reward)


class _QuestionRecord(_Strict):
    history: Text
    question: Text
    answers: list[Text] = []
    rivals: list[Text] = []
    competence: str = ""
    rule: Rule = "contains"

    @model_validator(mode="after")
    def _can_be_answered(self) -> _QuestionRecord:
        if (self.rule == "abstain") == bool(self.answers):
            raise ValueError("under the rule 'abstain' there are no answers, and under any other at least one")
        for answer in self.answers:
            if self.asked().question.grade(answer) < 1.0:
                raise ValueError(f"the answer {answer!r} would not count as right: it holds a rival, or no word")
        return self

    def asked(self) -> Asked:
        question = Question(tuple(self.answers), tuple(self.rivals), self.competence, self.rule)
        return Asked(self.question, question)


_Record = _SessionRecord | _EpisodeRecord | _QuestionRecord
_KINDS: Mapping[str, type[_Record]] = {
    "session": _SessionRecord,
    "episode": _EpisodeRecord,
    "question": _QuestionRecord,
}


class JsonlSource(HistorySource):
    """Streams of a file of one's own.

    Raises:
        ValueError: the file cannot be used; the message says which line, what is wrong with it and what was expected.
    """

    def __init__(self, settings: JsonlSettings) -> None:
        content = read(settings.path, _HINT)
        digest = digest_of(content, settings.shares)
        super().__init__("jsonl", _read(content, settings.path), settings.shares, digest)


@dataclass(slots=True)
class _Growing:
    """A history while its lines are read.

    Attributes:
        line: the first that names it.
    """

    line: int
    told: list[Episode] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)


def _read(content: bytes, path: str) -> list[History]:
    growing: dict[str, _Growing] = {}
    seen: dict[tuple[str, str], int] = {}
    for number, raw in enumerate(content.removeprefix(codecs.BOM_UTF8).splitlines(), 1):
        if not raw.strip():
            continue
        try:
            record = _parse(raw)
            same = (
                record.history,
                record.question if isinstance(record, _QuestionRecord) else record.model_dump_json(),
            )
            if seen.setdefault(same, number) != number:
                raise ValueError(f"it repeats line {seen[same]}; expected each record once")
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        history = growing.setdefault(record.history, _Growing(number))
        if isinstance(record, _QuestionRecord):
            history.asked.append(record.asked())
        else:
            history.told.append(record.told())
    for name, history in growing.items():
        if not history.asked:
            raise ValueError(
                f"{path}, line {history.line}: the history {name!r} has no question; expected at least one line "
                'with its name and a "question"'
            )
    return [History(name, tuple(one.told), tuple(one.asked)) for name, one in growing.items()]


def _parse(raw: bytes) -> _Record:
    """One line. Raises ValueError, the message without the place."""
    if len(raw) > LINE_MIB * 2**20:
        raise ValueError(f"it has {len(raw):,} bytes; expected at most {LINE_MIB} MiB: split the session in two")
    try:
        data = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is not UTF-8; expected a text file in UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} at column {error.colno}; expected one JSON object a line") from error
    except RecursionError as error:
        raise ValueError("too deeply nested; expected one JSON object a line") from error
    if not isinstance(data, dict):
        raise ValueError(f"it holds a {type(data).__name__}; expected one JSON object a line")
    kinds = [kind for kind in _KINDS if kind in data]
    if len(kinds) != 1:
        has = " and ".join(map(repr, kinds)) or "none"
        raise ValueError(f"it has {has} of 'session', 'episode' and 'question'; expected exactly one of them")
    model = _KINDS[kinds[0]]
    try:
        return model.model_validate(data)
    except ValidationError as error:
        keys = ", ".join(model.model_fields)
        raise ValueError(f"{explain(error)}; expected a {kinds[0]} record, with the keys {keys}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is there twice; expected each key once")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON; expected a number")
