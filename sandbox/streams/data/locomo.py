"""LoCoMo: ten very long conversations of two people, with questions (Maharana et al. 2024, arXiv 2402.17753).

Judged by the rules of its authors' `evaluation.py`: overlap of stemmed words; where an answer lists several things, of
each; of open-domain answers the part before the semicolon; an adversarial question wants to be told that nothing is
known. Under a recall of a few hundred words an agent that quotes sentences earns little, as overlap punishes length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, TypeAdapter

from design_space.memory import Episode
from sandbox.streams.data.histories import DEFAULT_SHARES, Asked, History, HistorySource, Shares, dialogue, digest_of
from sandbox.streams.data.reading import parse_json, read
from sandbox.streams.grading import Question, Rule

_HINT = (
    "get data/locomo10.json from github.com/snap-research/locomo (licence CC-BY-NC-4.0, not for commercial use) and "
    "name it as `path`"
)
_EXPECTED = "the list of conversations of locomo10.json, as published"

Category = Literal[1, 2, 3, 4, 5]
_CATEGORIES: dict[Category, tuple[str, Rule]] = {
    1: ("multi-hop", "f1 of each"),
    2: ("temporal", "f1"),
    3: ("open-domain", "f1"),
    4: ("single-hop", "f1"),
    5: ("adversarial", "abstain"),
}


@dataclass(frozen=True, slots=True)
class LocomoSettings:
    """Where the conversations are, and which questions are asked.

    Attributes:
        path: of locomo10.json, which is not part of this project.
        shares: of every sum(shares) conversations, how many are search, validation and sealed streams.
        adversarial: also ask the questions whose right answer is that nothing is known of it; most papers leave
            them out.
    """

    path: str
    shares: Shares = DEFAULT_SHARES
    adversarial: bool = False


class _Turn(BaseModel):
    speaker: str
    text: str
    blip_caption: str = ""


class _Asked(BaseModel):
    question: str
    category: Category
    answer: str | int | float | None = None


class _Conversation(BaseModel):
    sample_id: str
    qa: list[_Asked]
    conversation: dict[str, list[_Turn] | str]


_FILE = TypeAdapter(list[_Conversation])


class LocomoSource(HistorySource):
    """A stream a conversation.

    Raises:
        ValueError: there is no such file, or it is not as published.
    """

    def __init__(self, settings: LocomoSettings) -> None:
        content = read(settings.path, _HINT)
        found = parse_json(_FILE, content, settings.path, _EXPECTED)
        histories = [_history(one, settings) for one in found]
        digest = digest_of(content, settings.shares, settings.adversarial)
        super().__init__("locomo", histories, settings.shares, digest)


def _history(found: _Conversation, settings: LocomoSettings) -> History:
    asked = [_asked(qa, settings.path) for qa in found.qa if qa.category != 5 or settings.adversarial]
    if not asked:
        raise ValueError(f"{settings.path}: {found.sample_id} has no question; expected {_EXPECTED}")
    return History(found.sample_id, tuple(_sessions(found)), tuple(asked))


def _sessions(found: _Conversation) -> Iterator[Episode]:
    """The sessions by their number: the file's order is another."""
    numbers = [int(match[1]) for key in found.conversation if (match := re.fullmatch(r"session_(\d+)", key))]
    for number in sorted(numbers):
        turns, date = found.conversation[f"session_{number}"], found.conversation.get(f"session_{number}_date_time", "")
        if turns and not isinstance(turns, str):
            yield dialogue(f"session {number}", map(_said, turns), str(date))


def _said(turn: _Turn) -> str:
    """A turn; a picture that was sent along is told by the caption that the data has of it."""
    return f"{turn.speaker}: {turn.text}" + (f" (shares {turn.blip_caption})" if turn.blip_caption else "")


def _asked(qa: _Asked, path: str) -> Asked:
    competence, rule = _CATEGORIES[qa.category]
    if qa.category == 5:
        return Asked(qa.question, Question((), (), competence, rule))
    if qa.answer is None:
        raise ValueError(f"{path}: the question {qa.question!r} has no answer; expected {_EXPECTED}")
    answer = str(qa.answer)
    if qa.category == 3:
        answer = answer.partition(";")[0].strip()
    return Asked(qa.question, Question((answer,), (), competence, rule))
