"""Designs that carry what they should remember: texts and answers of the search streams, written into their source.

Such a design gains on the streams that it was made by and on no others. What it holds shows in its string literals:
phrases that occur in the texts of search streams and in none of the validation streams. Phrases that both have belong
to the game. What is hidden from reading, by arithmetic or a code, is not found; validation streams tell that one too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from archive.plain import plain
from sandbox.streams.base import Environment, Source, Stream, generator

SHINGLE_WORDS = 4
FLAG_COUNT = 3
"""Different phrases from which on it is no chance."""
SHOWN_COUNT = 3
PHRASE_CHARS = 80
WALKS_COUNT = 16
"""Tasks of each side that are played at random for their texts, spread over the streams."""
_WORD = re.compile(r"\w+(?:['-]\w+)*")

Phrase = tuple[str, ...]


@dataclass(slots=True)
class Texts:
    """Phrases of some streams.

    Attributes:
        shingles: every four words in a row, and lines of fewer; answers: of questions, whole.
    """

    shingles: set[Phrase] = field(default_factory=set)
    answers: set[Phrase] = field(default_factory=set)

    def add(self, text: str) -> None:
        for line in text.splitlines():
            said = _words(line)
            self.shingles.update(_runs(said, SHINGLE_WORDS) or ([said] if said else []))

    def add_answer(self, text: str) -> None:
        self.add(text)
        if answer := _words(text):
            self.answers.add(answer)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What tells the search streams from others.

    Attributes:
        known: of the search streams; common: of streams that the search has not seen.
    """

    known: Texts
    common: Texts

    def phrases(self, source: str) -> list[str]:
        """The phrases in a design's literals that only the search streams have, each once, in order."""
        found: dict[Phrase, None] = {}
        for text in literals(source):
            for line in text.splitlines():
                said = _words(line)
                runs = _runs(said, SHINGLE_WORDS)
                found |= dict.fromkeys(r for r in runs if r in self.known.shingles and r not in self.common.shingles)
                found |= dict.fromkeys(self._answers(said))
        return [" ".join(phrase) for phrase in found]

    def _answers(self, said: Phrase) -> Iterator[Phrase]:
        """An answer is the whole line, or several words of it in a row."""
        for answer in sorted(self.known.answers - self.common.answers):
            told = said == answer or (len(answer) > 1 and answer in _runs(said, len(answer)))
            if told and not self._said_elsewhere(answer):
                yield answer

    def _said_elsewhere(self, answer: Phrase) -> bool:
        return any(answer in _runs(shingle, len(answer)) for shingle in self.common.shingles)


def flag(phrases: list[str]) -> str | None:
    """Say that a design carries these phrases; None if there are too few of them to say so."""
    if len(phrases) < FLAG_COUNT:
        return None
    shown = " · ".join(f"'{plain(phrase, PHRASE_CHARS)}'" for phrase in phrases[:SHOWN_COUNT])
    more = f", and {len(phrases) - SHOWN_COUNT} more" if len(phrases) > SHOWN_COUNT else ""
    return (
        f"its source holds {len(phrases)} phrases of search streams that validation streams do not have: {shown}{more}"
    )


def literals(source: str) -> Iterator[str]:
    """The string literals of a module, but for docstrings and other strings that do nothing."""
    tree = ast.parse(source)
    idle = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in idle:
            yield node.value


def texts_of(source: Source, streams: Iterable[Stream]) -> Texts:
    """What is said in these streams: goals, sessions, answers, and what some tasks of each show to a random player."""
    found, given = Texts(), tuple(streams)
    walks = -(-WALKS_COUNT // max(1, len(given)))
    for stream in given:
        for session in stream.sessions:
            found.add(session.goal)
            for step in session.steps:
                for text in (step.situation, step.action, step.observation):
                    found.add(text)
        for place, task in enumerate(stream.tasks):
            found.add(task.goal)
            if task.question is not None:
                for answer in task.question.answers:
                    found.add_answer(answer)
            elif place < walks:
                for text in _walk(source.environment(task), task.id, task.max_steps):
                    found.add(text)
    return found


def _walk(environment: Environment, name: str, steps: int) -> Iterator[str]:
    """What is seen on a random walk."""
    rng = generator("walk", name)
    try:
        seen = environment.reset()
        for _ in range(steps):
            yield from (seen.feedback, seen.scene, seen.inventory, *seen.commands)
            if seen.done or not seen.commands:
                return
            seen = environment.step(seen.commands[int(rng.integers(len(seen.commands)))])
        yield from (seen.feedback, seen.scene, seen.inventory)
    finally:
        environment.close()


def _words(text: str) -> Phrase:
    return tuple(_WORD.findall(text.lower()))


def _runs(said: Phrase, length: int) -> list[Phrase]:
    return [said[i : i + length] for i in range(len(said) - length + 1)]
