"""Words, similarity and embeddings of text, in numpy, without a model."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

WORD = re.compile(r"[a-z0-9]+(?:['-][a-z0-9]+)*")
STOP_WORDS = frozenset(
    "a an and are as at be by for from has have in into is it its of on or some that the their there this to was"  # noqa: SIM905
    " were will with you your".split()
)


@lru_cache(maxsize=65_536)
def words(text: str) -> tuple[str, ...]:
    """The words of `text` in order, lower case, without the commonest."""
    return tuple(word for word in WORD.findall(text.lower()) if word not in STOP_WORDS)


def overlap(a: str, b: str) -> float:
    """Jaccard similarity of the two texts' words, in [0, 1]; 0 if either has none."""
    left, right = set(words(a)), set(words(b))
    return len(left & right) / len(left | right) if left and right else 0.0


VARIABLE = re.compile(r"\{([a-z])\}")
VARIABLES_COUNT = 6
"""Of a pattern, at most: each one more makes it three times as long to see that a line does not fit."""


@lru_cache(maxsize=65_536)
def normal(text: str) -> str:
    """The words of a line in order, variables such as ``{x}`` kept; lines that differ in nothing else are one."""
    pieces = VARIABLE.split(text)
    return " ".join(
        part for i, piece in enumerate(pieces) for part in (words(piece) if i % 2 == 0 else (f"{{{piece}}}",))
    )


@lru_cache(maxsize=65_536)
def _pattern(text: str) -> re.Pattern[str]:
    seen: set[str] = set()
    parts = []
    for word in text.split():
        variable = VARIABLE.fullmatch(word)
        if variable is None:
            parts.append(re.escape(word))
        elif variable[1] in seen:
            parts.append(f"(?P={variable[1]})")
        else:
            seen.add(variable[1])
            parts.append(rf"(?P<{variable[1]}>\S+(?: \S+){{0,2}}?)")
    return re.compile(" ".join(parts))


@lru_cache(maxsize=262_144)
def match(pattern: str, line: str) -> Mapping[str, str] | None:
    """How the variables of `pattern`, each one to three words, must be bound to make it the whole line.

    Both texts are as `normal` returns them; None if there is no way, or if it has more than `VARIABLES_COUNT`.
    """
    if len(VARIABLE.findall(pattern)) > VARIABLES_COUNT:
        return None
    found = _pattern(pattern).fullmatch(line)
    return None if found is None else found.groupdict()


def bind(text: str, bindings: Mapping[str, str]) -> str:
    """Put what is bound in the place of its variables; others stay."""
    return VARIABLE.sub(lambda found: bindings.get(found[1], found[0]), text)


class HashedEmbedder:
    """Signed feature hashing of words and word pairs; related only where texts share words.

    Args:
        width: dimensions of the vectors.
    """

    def __init__(self, width: int = 256) -> None:
        self.width = width
        self._known: dict[str, NDArray[np.float32]] = {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed `texts`: float32, shape (n, width), rows of unit norm; a text without words is all zeros."""
        if not texts:
            return np.zeros((0, self.width), dtype=np.float32)
        return np.stack([self._one(text) for text in texts])

    def _one(self, text: str) -> NDArray[np.float32]:
        known = self._known.get(text)
        if known is not None:
            return known
        vector = np.zeros(self.width, dtype=np.float32)
        found = words(text)
        for feature in (*found, *(f"{a} {b}" for a, b in pairwise(found))):
            code = zlib.crc32(feature.encode())
            vector[code % self.width] += 1.0 if code & 0x8000_0000 else -1.0
        norm = float(np.linalg.norm(vector))
        if norm > 0.0:
            vector /= norm
        if len(self._known) >= 65_536:
            self._known.clear()
        self._known[text] = vector
        return vector
