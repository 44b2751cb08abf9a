"""How alike lessons are: what they say, and where they hold, by hashed words.

There is no threshold below which nothing is alike. Empirical-MCTS (arXiv 2602.04248) asks for a similarity of .9 before
it lets an experience be seen, so that nothing is ever carried over to another question.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from design_space.text import HashedEmbedder, words

Vector = NDArray[np.float64]

WIDTH = 512
"""Of the hashed vectors; wide enough that unrelated texts share little by chance."""
TEXT_SHARE = 0.7
"""Of what a lesson says in how alike two of them are; the rest is where they hold."""
SAME = 0.95
"""Two lessons say the same if both what they say and where they hold are at least as alike as this."""
NEGATIONS = frozenset(
    "no not never without avoid avoids avoiding don't doesn't didn't cannot can't nor neither".split()  # noqa: SIM905
)
"""One word that turns a lesson around, and hardly shows in its vector."""

_embedder = HashedEmbedder(WIDTH)


class Likeness:
    """Compares any lesson with a list of them.

    Args:
        texts: what each says.
        situations: where each holds; empty is everywhere.
    """

    def __init__(self, texts: Sequence[str], situations: Sequence[str]) -> None:
        self._texts = _Column(texts)
        self._situations = _Column(situations)
        self._everywhere = np.array([not situation for situation in situations], dtype=bool)
        self._negations = [_negations(text) for text in texts]

    def to(self, text: str, situation: str) -> Vector:
        """Similarities in the order of the list, each in [0, 1]; shape (n,).

        One that holds everywhere, on either side, is compared by what it says alone.
        """
        said, held = self._texts.to(text), self._situations.to(situation)
        both = TEXT_SHARE * said + (1.0 - TEXT_SHARE) * held
        return np.where(self._everywhere | (not situation), said, both)

    def same(self, text: str, situation: str) -> int | None:
        """Place of the one that says the same, the most alike if there are several; None if there is none."""
        alike = np.minimum(self._texts.to(text), self._situations.to(situation))
        turned = _negations(text)
        places = [int(place) for place in np.flatnonzero(alike >= SAME) if self._negations[place] == turned]
        return max(places, key=lambda place: float(alike[place]), default=None)


class _Column:
    """Compares one text with each of a list."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = np.array(texts, dtype=np.object_)
        self._vectors = _embedder.embed(texts)

    def to(self, text: str) -> Vector:
        """Cosines, none below 0; texts that are equal to the letter are alike even if they have no words."""
        (vector,) = _embedder.embed([text])
        products = np.einsum("ij,j->i", self._vectors, vector)  # the same with any number of BLAS's threads
        cosines = np.clip(products.astype(np.float64), 0.0, 1.0)
        return np.where(self._texts == text, 1.0, cosines)


def _negations(text: str) -> frozenset[str]:
    return NEGATIONS.intersection(words(text))
