"""Answers a question by quoting: the sentence of a text that holds most of the question's telling words."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import snowballstemmer

from design_space.text import words
from sandbox.streams.grading import NOT_TOLD

ANSWER_WORDS = 40
"""Words of an answer at most, so that nobody answers by saying everything."""

_ASKING = frozenset("what which who whom whose where when how why do does did i me my we".split())  # noqa: SIM905
_END = re.compile(r"(?<=[.!?])\s+|\n")
_LATER = 0.01
"""What a sentence loses for each item before its own: the best item comes first."""


def read(question: str, texts: Sequence[str], coverage: float) -> str:
    """Return the best sentence, at most 40 words of it; `NOT_TOLD` if none holds enough of the question.

    Args:
        question: what counts of it are its sentences with a question mark, if it has one: the others say in which form
            an answer is wanted, or when it is asked.
        texts: what was recalled, best first.
        coverage: the least share of the question's words, each weighed by its rarity among the sentences, in [0, 1].
    """
    wanted = _stems(_asked(question)) - _ASKING
    pieces = [(rank, piece) for rank, text in enumerate(texts) for piece in _pieces(text)]
    counts = Counter(word for _, piece in pieces for word in _stems(piece) & wanted)
    weight = {word: math.log(1.0 + len(pieces) / (0.5 + counts[word])) for word in wanted}
    total = sum(weight.values())
    best, score = NOT_TOLD, coverage
    for rank, piece in pieces:
        held = sum(weight[word] for word in wanted & _stems(piece)) / total if total else 0.0
        if held - _LATER * min(rank, 20) > score and held >= coverage:
            best, score = piece, held - _LATER * min(rank, 20)
    return best


def _asked(question: str) -> str:
    return " ".join(part for part in _END.split(question) if part.endswith("?")) or question


def _pieces(text: str) -> list[str]:
    found = []
    for sentence in _END.split(text):
        parts = sentence.split()
        found += [" ".join(parts[i : i + ANSWER_WORDS]) for i in range(0, len(parts), ANSWER_WORDS)]
    return found


@lru_cache(maxsize=65_536)
def _stems(text: str) -> frozenset[str]:
    return frozenset(snowballstemmer.stemmer("porter").stemWords(words(text)))
