"""Look-alikes of the two things of scikit-learn that nearly every EvolveLab provider imports, in numpy.

scikit-learn itself would put 100 MB into the sandbox for them. Same formulas and defaults: words of two or more
letters, smooth idf ``ln((1 + n) / (1 + df)) + 1``, rows of unit norm. What differs: matrices are dense, and the stop
words of ``stop_words="english"`` are `design_space.text`'s.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from design_space.text import STOP_WORDS


class Dense(np.ndarray[Any, np.dtype[np.float64]]):
    """An array that answers to what is called on a sparse matrix."""

    def toarray(self) -> NDArray[np.float64]:
        return np.asarray(self)

    def todense(self) -> NDArray[np.float64]:
        return np.asarray(self)


def cosine_similarity(x: Any, y: Any = None, dense_output: bool = True) -> NDArray[np.float64]:
    """Cosine of each row of `x` with each of `y` (of `x` if None): shape (n, m); 0 where a row is zero.

    Raises:
        ValueError: an argument is not two-dimensional, or their widths differ.
    """
    left = np.asarray(x, dtype=np.float64)
    right = left if y is None else np.asarray(y, dtype=np.float64)
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1]:
        raise ValueError(f"expected two arrays of rows of one width, got shapes {left.shape} and {right.shape}")
    product: NDArray[np.float64] = _unit(left) @ _unit(right).T
    return product


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float64] = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0.0)
    return unit


class TfidfVectorizer:
    """Word counts weighed by their rarity.

    Args:
        stop_words: "english", a collection of words, or None.
        ngram_range: shortest and longest run of words that is a feature.
        max_features: the commonest only; None is all.
        min_df, max_df: numbers (int) or shares (float) of the texts that a feature must, or may, be in.
        tokenizer: takes a text, returns its words; None takes `token_pattern`.

    Other arguments of the original are taken and mean nothing here.
    """

    def __init__(
        self,
        *,
        stop_words: str | Collection[str] | None = None,
        ngram_range: tuple[int, int] = (1, 1),
        max_features: int | None = None,
        min_df: float = 1,
        max_df: float = 1.0,
        lowercase: bool = True,
        sublinear_tf: bool = False,
        tokenizer: Callable[[str], Iterable[str]] | None = None,
        token_pattern: str | None = r"(?u)\b\w\w+\b",
        **_: object,
    ) -> None:
        self._stop_words = STOP_WORDS if stop_words == "english" else frozenset(stop_words or ())
        self._ngrams = ngram_range
        self._max_features = max_features
        self._bounds = (min_df, max_df)
        self._lowercase = lowercase
        self._sublinear = sublinear_tf
        self._split = tokenizer or re.compile(token_pattern or r"\S+").findall
        self.vocabulary_: dict[str, int] = {}
        self.idf_: NDArray[np.float64] = np.zeros(0)

    def fit(self, raw_documents: Iterable[str], _: object = None) -> TfidfVectorizer:
        """Learn features and their rarity.

        Raises:
            ValueError: no feature is left, as with empty texts.
        """
        found = [Counter(self._features(text)) for text in raw_documents]
        count = len(found)
        total: Counter[str] = Counter()
        documents: Counter[str] = Counter()
        for features in found:
            total.update(features)
            documents.update(features.keys())
        low, high = (bound * count if isinstance(bound, float) else bound for bound in self._bounds)
        kept = [name for name in sorted(total) if low <= documents[name] <= high]
        if self._max_features is not None:
            kept = sorted(sorted(kept, key=lambda name: -total[name])[: self._max_features])
        if not kept:
            raise ValueError("empty vocabulary; perhaps the documents only contain stop words")
        self.vocabulary_ = {name: i for i, name in enumerate(kept)}
        self.idf_ = np.log((1 + count) / (1 + np.array([documents[name] for name in kept]))) + 1.0
        return self

    def transform(self, raw_documents: Iterable[str]) -> Dense:
        """Return a row of unit norm for each text, shape (n, features).

        Raises:
            ValueError: `fit` was not called.
        """
        if not self.vocabulary_:
            raise ValueError("the TF-IDF vectorizer is not fitted")
        found = [Counter(self._features(text)) for text in raw_documents]
        counts = np.zeros((len(found), len(self.vocabulary_)))
        for row, features in zip(counts, found, strict=True):
            for name, number in features.items():
                if name in self.vocabulary_:
                    row[self.vocabulary_[name]] = 1.0 + np.log(number) if self._sublinear else number
        return _unit(counts * self.idf_).view(Dense)

    def fit_transform(self, raw_documents: Iterable[str], _: object = None) -> Dense:
        texts = list(raw_documents)
        return self.fit(texts).transform(texts)

    def get_feature_names_out(self) -> NDArray[Any]:
        return np.array(list(self.vocabulary_), dtype=object)

    def _features(self, text: str) -> list[str]:
        words = self._split(text.lower() if self._lowercase else text)
        kept = [word for word in words if word not in self._stop_words]
        low, high = self._ngrams
        return [" ".join(kept[i : i + n]) for n in range(low, high + 1) for i in range(len(kept) - n + 1)]


SKLEARN: dict[str, dict[str, object]] = {
    "sklearn.metrics.pairwise": {"cosine_similarity": cosine_similarity},
    "sklearn.feature_extraction.text": {"TfidfVectorizer": TfidfVectorizer},
}
"""Modules of scikit-learn and what is offered of them."""
