"""How an answer in words is judged, by the published rules of the question benchmarks; no model is asked."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import snowballstemmer

Rule = Literal["contains", "exact", "f1", "f1 of each", "abstain"]

NOT_TOLD = "no information available"
"""What a reader answers if the recall does not tell; the words that LoCoMo's adversarial questions look for."""

_ABSTENTIONS = (NOT_TOLD, "not mentioned", "not enough information", "i do not know", "i don't know")
_ARTICLES = frozenset({"a", "an", "the", "and"})


@dataclass(frozen=True, slots=True)
class Question:
    """What the worker knows of a question and nobody else does.

    Attributes:
        answers: each of them is right.
        rivals: wrong answers of the same kind. Whoever names one of them beside the right one has not answered.
        competence: what the question tests; empty where the source does not say.
        rule: `contains`: an answer stands in what was said, as whole words (the substring match of MemoryAgentBench);
            `exact`: nothing else was said; `f1`: overlap of stemmed words (LoCoMo); `f1 of each`: the same, where the
            answer lists several things, separated by commas; `abstain`: the right answer is that nothing is known.
    """

    answers: tuple[str, ...]
    rivals: tuple[str, ...] = ()
    competence: str = ""
    rule: Rule = "contains"

    def grade(self, said: str) -> float:
        """What an answer earns, in [0, 1]."""
        if self.rule == "abstain":
            return float(_holds(said, _ABSTENTIONS))
        if _holds(said, self.rivals):
            return 0.0
        if self.rule == "contains":
            return float(_holds(said, self.answers))
        if self.rule == "exact":
            return float(any(plain_words(said) == plain_words(answer) for answer in self.answers))
        score = _f1_of_each if self.rule == "f1 of each" else _f1
        return max((score(said, answer) for answer in self.answers), default=0.0)

    def found_in(self, text: str) -> bool:
        """Whether a right answer stands in what was recalled; False for a question that has none."""
        if self.rule == "f1 of each":
            return any(all(_holds(text, (part,)) for part in answer.split(",")) for answer in self.answers)
        return self.rule != "abstain" and _holds(text, self.answers)


@lru_cache(maxsize=65_536)
def plain_words(text: str) -> tuple[str, ...]:
    """Words in lower case without punctuation and articles."""
    spaced = re.sub(f"[{re.escape(string.punctuation)}]", " ", text.lower().replace("'", ""))
    return tuple(word for word in spaced.split() if word not in _ARTICLES)


def _holds(text: str, phrases: Iterable[str]) -> bool:
    """Whether one of the phrases stands in the text as whole words; a phrase without words stands nowhere."""
    words = f" {' '.join(plain_words(text))} "
    wanted = (" ".join(plain_words(phrase)) for phrase in phrases)
    return any(f" {phrase} " in words for phrase in wanted if phrase)


def _stems(text: str) -> Counter[str]:
    return Counter(snowballstemmer.stemmer("porter").stemWords(plain_words(text)))


def _f1(said: str, answer: str) -> float:
    mine, wanted = _stems(said), _stems(answer)
    common = (mine & wanted).total()
    return 2.0 * common / (mine.total() + wanted.total()) if common else 0.0


def _f1_of_each(said: str, answer: str) -> float:
    """Mean over the things that the answer lists of the best match among the things that were said."""
    parts = [part for part in answer.split(",") if part.strip()]
    return sum(max(_f1(mine, part) for mine in said.split(",")) for part in parts) / max(1, len(parts))
