"""The prompt that evolves: the text that steers how the meta agent improves a design.

It holds a contract, which no change may touch, and steering, which is what changes.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path

from archive.plain import plain_lines

BEGIN = "=== contract: this block stays as it is, to the letter ==="
END = "=== end of contract ==="
LONGEST_CHARS = 6_000
"""Of a whole prompt. Every call that plans a design pays for it."""
LEAST_DIFFERENCE = 0.05
"""Of the steering's words from its parent's, in [0, 1]. What differs less is measured twice for nothing."""


@lru_cache(maxsize=1)
def root() -> str:
    """The prompt that every other one descends from."""
    return (Path(__file__).parent / "prompts" / "guide.md").read_text(encoding="utf-8")


def contract(text: str) -> str:
    """Return the contract of a prompt, its marker lines included.

    Raises:
        ValueError: there is not exactly one, on lines of its own.
    """
    problem = _markers(text)
    if problem:
        raise ValueError(problem)
    lines = text.splitlines()
    return "\n".join(lines[lines.index(BEGIN) : lines.index(END) + 1])


def steering(text: str) -> str:
    """Return what a prompt says outside of its contract.

    Raises:
        ValueError: as `contract`.
    """
    before, _, after = text.partition(contract(text))
    return f"{before.strip()}\n\n{after.strip()}".strip()


def problem_of(new: str, parent: str) -> str:
    """Say why a prompt cannot take its place below its parent, in words that its author can act on; empty if it can.

    Raises:
        ValueError: the parent has no contract.
    """
    kept = contract(parent)
    if len(new) > LONGEST_CHARS:
        return f"the new prompt has {len(new)} characters; shorten it to at most {LONGEST_CHARS}"
    if plain_lines(new, LONGEST_CHARS) != new:
        return "the new prompt holds control characters or hidden ones; write plain text with plain line breaks"
    problem = _markers(new)
    if problem:
        return problem
    if contract(new) != kept:
        return (
            f"the text between the lines {BEGIN!r} and {END!r} was changed; copy that block to the letter"
            " and change what stands outside of it"
        )
    words = _words(steering(new))
    if not words:
        return "the new prompt has nothing but the contract; say outside of it how designs are to be improved"
    found = _difference(words, _words(steering(parent)))
    if found < LEAST_DIFFERENCE:
        return (
            f"the new prompt differs from the old one in {found:.1%} of its words outside of the contract;"
            f" change what it advises, so that at least {LEAST_DIFFERENCE:.0%} differ"
        )
    return ""


def likeness(a: str, b: str) -> float:
    """How alike two prompts are: the cosine of how often their steering has each word, in [0, 1]."""
    ours, theirs = (Counter(_words(steering(text))) for text in (a, b))
    inner = sum(count * theirs[word] for word, count in ours.items())
    return inner / math.sqrt(sum(n * n for n in ours.values()) * sum(n * n for n in theirs.values()))


def _markers(text: str) -> str:
    """What is wrong with the two marker lines; empty if nothing is."""
    lines = text.splitlines()
    for marker in (BEGIN, END):
        count = text.count(marker)
        if count != 1 or marker not in lines:
            return f"the line {marker!r} occurs {count} times, wanted exactly once, on a line of its own"
    if lines.index(BEGIN) > lines.index(END):
        return f"the line {END!r} stands before the line {BEGIN!r}; copy the block between them to the letter"
    return ""


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())


def _difference(new: list[str], old: list[str]) -> float:
    """Of two lists of words, in [0, 1]."""
    return 1.0 - SequenceMatcher(None, old, new, autojunk=False).ratio()
