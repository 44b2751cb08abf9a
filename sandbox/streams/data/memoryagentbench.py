"""MemoryAgentBench: a long text is told piece by piece, then asked about many times (Hu et al. 2025, arXiv 2507.05257).

Judged by its published metrics: the answer stands in what was said (accurate retrieval, conflict resolution), or is all
that was said (test-time learning by labelled examples, DetectiveQA). A language model judges its LongMemEval part; the
first of these rules stands in for it here, and figures of that part do not compare with published ones. Left out are
summaries (judged by a language model) and film recommendations (their metric needs a list that the data lacks).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
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
from sandbox.streams.data.reading import parse_data, parse_json, read
from sandbox.streams.grading import Question, Rule

CHUNK_TOKENS = 4_096
"""Of a session at most, as published. A word counts as 4/3 of a token: the tokenizer is not at hand."""

_HINT = (
    "get a file of huggingface.co/datasets/ai-hyz/MemoryAgentBench (code: github.com/HUST-AI-HYZ/MemoryAgentBench; "
    "licence MIT) and name it as `path`"
)
_EXPECTED = "rows with context, questions, answers and metadata, as published"
_PARTS: dict[str, tuple[str, Rule | None]] = {
    "ruler": ("accurate retrieval", "contains"),
    "eventqa": ("accurate retrieval", "contains"),
    "longmemeval": ("accurate retrieval", "contains"),
    "icl": ("test-time learning", "exact"),
    "recsys": ("test-time learning", None),
    "detective": ("long-range understanding", "exact"),
    "infbench": ("long-range understanding", None),
    "factconsolidation": ("conflict resolution", "contains"),
}
"""By the beginning of a row's `source`: what it tests, and how it is judged here; None: not at all."""

_PARAGRAPHS, _LINES, _SENTENCES = (re.compile(cut) for cut in (r"\n\s*\n", r"\n", r"(?<=[.!?])\s+"))
_OPENING_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class MemoryAgentBenchSettings:
    """Where the rows are.

    Attributes:
        path: of one of the published parquet files (reading it takes the package pyarrow), or of the same rows as a
            JSON list or as JSON lines. The files are not part of this project.
        shares: of every sum(shares) texts, how many are search, validation and sealed streams.
    """

    path: str
    shares: Shares = DEFAULT_SHARES


class _Metadata(BaseModel):
    source: str
    question_ids: list[str] | None = None
    question_dates: list[str] | None = None


class _Row(BaseModel):
    context: str
    questions: list[str]
    answers: list[list[str]]
    metadata: _Metadata

    @model_validator(mode="after")
    def _paired(self) -> _Row:
        for name, other in (
            ("answers", self.answers),
            ("question_ids", self.metadata.question_ids),
            ("question_dates", self.metadata.question_dates),
        ):
            if len(other or self.questions) != len(self.questions):
                raise ValueError(f"{len(self.questions)} questions, but {len(other or ())} {name}")
        return self


_FILE = TypeAdapter(list[_Row])


class MemoryAgentBenchSource(HistorySource):
    """A stream a text; rows about the same text are one stream.

    Raises:
        ValueError: there is no such file, it is not as published, or none of its rows can be judged.
    """

    def __init__(self, settings: MemoryAgentBenchSettings) -> None:
        content = read(settings.path, _HINT)
        histories = _histories(_rows(content, settings.path), settings.path)
        super().__init__("memoryagentbench", histories, settings.shares, digest_of(content, settings.shares))


def _rows(content: bytes, path: str) -> list[_Row]:
    if content.startswith(b"PAR1"):
        return parse_data(_FILE, _parquet(path), path, _EXPECTED)
    if not content.lstrip().startswith(b"["):
        content = b"[" + b",".join(line for line in content.splitlines() if line.strip()) + b"]"
    return parse_json(_FILE, content, path, _EXPECTED)


def _parquet(path: str) -> object:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ValueError(
            f"{path} is a parquet file, and the package that reads those is missing; `pip install pyarrow`, or save "
            "the rows as JSON lines"
        ) from error
    try:
        return parquet.read_table(path).to_pylist()
    except (OSError, ArrowException) as error:
        raise ValueError(f"{path} is a damaged parquet file: {' '.join(str(error).split())}") from error


def _histories(rows: Iterable[_Row], path: str) -> list[History]:
    texts: dict[str, list[_Row]] = {}
    for row in rows:
        if _part(row)[1] is not None:
            texts.setdefault(row.context, []).append(row)
    if not any(row.questions for same in texts.values() for row in same):
        raise ValueError(
            f"{path}: no row has a question that can be judged without a language model; expected another of the "
            "published files"
        )
    return [
        # Some texts are the beginning of others.
        History(
            family=f"{same[0].metadata.source}/{number}",
            told=tuple(sessions(context)),
            asked=tuple(asked for row in same for asked in _asked(row)),
            kin=context[:_OPENING_CHARS],
        )
        for number, (context, same) in enumerate(texts.items())
    ]


def _part(row: _Row) -> tuple[str, Rule | None]:
    source = row.metadata.source.lower()
    return next((part for prefix, part in _PARTS.items() if source.startswith(prefix)), ("", "contains"))


def _asked(row: _Row) -> Iterator[Asked]:
    competence, rule = _part(row)
    count = len(row.questions)
    ids, dates = row.metadata.question_ids or [""] * count, row.metadata.question_dates or [""] * count
    for question, answers, name, date in zip(row.questions, row.answers, ids, dates, strict=True):
        goal = asked_on(question, date)
        if name.endswith("_abs"):
            yield Asked(goal, Question((), (), competence, "abstain"))
        else:
            yield Asked(goal, Question(tuple(answers), (), competence, rule or "contains"))


def sessions(context: str) -> Iterator[Episode]:
    """The text in sessions of at most `CHUNK_TOKENS`: one step a paragraph, or a line where it has no paragraphs.

    What is longer than a session is cut at lines, then between sentences; a sentence is never cut.
    """
    cuts = (_PARAGRAPHS, _LINES, _SENTENCES)
    steps: list[str] = []
    size, number = 0.0, 1
    for step in _cut(context, cuts if _PARAGRAPHS.search(context.strip()) else cuts[1:]):
        if steps and size + _tokens(step) > CHUNK_TOKENS:
            yield dialogue(f"part {number}", steps)
            steps, size, number = [], 0.0, number + 1
        steps.append(step)
        size += _tokens(step)
    if steps:
        yield dialogue(f"part {number}", steps)


def _cut(text: str, cuts: Sequence[re.Pattern[str]]) -> Iterator[str]:
    for part in cuts[0].split(text):
        if _tokens(part) > CHUNK_TOKENS and len(cuts) > 1:
            yield from _cut(part, cuts[1:])
        elif part.strip():
            yield part.strip()


def _tokens(text: str) -> float:
    return len(text.split()) * 4 / 3
