"""Retrievers: how well each stored key answers a probe."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from design_space.memory import Kit
from design_space.space import Float, Int, Space
from design_space.text import words

Scores = NDArray[np.float64]


class Retriever(Protocol):
    """Holds the keys of a store in its order.

    Owes: `scores` of shape (n,), higher is better, 0 where a key has nothing of the probe, at most 1.
    """

    SPACE: ClassVar[Space]

    def reset(self, keys: Sequence[str]) -> None: ...

    def add(self, key: str) -> None: ...

    def scores(self, probe: str) -> Scores: ...


class Recency:
    """The latest first, whatever the probe.

    Args:
        half_life: entries after which an entry counts half.
    """

    SPACE: ClassVar[Space] = Space(half_life=Float(2.0, 500.0, 40.0, log=True))

    def __init__(self, kit: Kit, half_life: float = 40.0) -> None:
        self._half_life = half_life
        self._count = 0

    def reset(self, keys: Sequence[str]) -> None:
        self._count = len(keys)

    def add(self, key: str) -> None:
        self._count += 1

    def scores(self, probe: str) -> Scores:
        age = np.arange(self._count - 1, -1, -1, dtype=np.float64)
        return np.exp2(-age / self._half_life)


class Bm25:
    """Okapi BM25 over words, scaled so that the best key has 1 (Robertson & Zaragoza 2009).

    Args:
        k1: how slowly repeated words saturate.
        b: how strongly long keys are marked down.
    """

    SPACE: ClassVar[Space] = Space(k1=Float(0.2, 3.0, 1.2), b=Float(0.0, 1.0, 0.5))

    def __init__(self, kit: Kit, k1: float = 1.2, b: float = 0.5) -> None:
        self._k1 = k1
        self._b = b
        self.reset(())

    def reset(self, keys: Sequence[str]) -> None:
        self._postings: dict[str, tuple[list[int], list[int]]] = {}
        self._lengths: list[int] = []
        for key in keys:
            self.add(key)

    def add(self, key: str) -> None:
        counts = Counter(words(key))
        for word, count in counts.items():
            where, how_often = self._postings.setdefault(word, ([], []))
            where.append(len(self._lengths))
            how_often.append(count)
        self._lengths.append(sum(counts.values()))

    def scores(self, probe: str) -> Scores:
        total = np.zeros(len(self._lengths))
        if not self._lengths:
            return total
        lengths = np.array(self._lengths, dtype=np.float64)
        norm = self._k1 * (1.0 - self._b + self._b * lengths / max(lengths.mean(), 1e-9))
        for word in dict.fromkeys(words(probe)):
            if word not in self._postings:
                continue
            where, how_often = self._postings[word]
            idf = math.log(1.0 + (len(lengths) - len(where) + 0.5) / (len(where) + 0.5))
            tf = np.array(how_often, dtype=np.float64)
            total[where] += idf * tf * (self._k1 + 1.0) / (tf + norm[where])
        best = total.max()
        return total / best if best > 0.0 else total


class Cosine:
    """Cosine similarity of embeddings, negative ones as 0.

    Args:
        floor: similarities below it count as none.
    """

    SPACE: ClassVar[Space] = Space(floor=Float(0.0, 0.9, 0.1))

    def __init__(self, kit: Kit, floor: float = 0.1) -> None:
        self._kit = kit
        self._floor = floor
        self.reset(())

    def reset(self, keys: Sequence[str]) -> None:
        self._count = len(keys)
        self._matrix = np.asarray(self._kit.embed(list(keys)), dtype=np.float32)

    def add(self, key: str) -> None:
        vector = self._kit.embed([key])
        if self._count == 0:
            self._matrix = np.zeros((8, vector.shape[1]), dtype=np.float32)
        elif self._count == len(self._matrix):
            self._matrix = np.concatenate([self._matrix, np.zeros_like(self._matrix)])
        self._matrix[self._count] = vector[0]
        self._count += 1

    def scores(self, probe: str) -> Scores:
        if self._count == 0:
            return np.zeros(0)
        # einsum, not BLAS: a threaded or differently blocked product would change last digits between machines.
        found = np.einsum("nd,d->n", self._matrix[: self._count], self._kit.embed([probe])[0]).astype(np.float64)
        return np.where(found >= self._floor, np.clip(found, 0.0, 1.0), 0.0)


class RankFusion:
    """Reciprocal rank fusion of BM25, cosine and recency (Cormack et al. 2009; SuperLocalMemory's weights).

    Args:
        constant: added to ranks; larger flattens.
        bm25_weight, cosine_weight, recency_weight: of the three rankings.
    """

    SPACE: ClassVar[Space] = Space(
        constant=Int(1, 100, 15),
        bm25_weight=Float(0.0, 2.0, 1.0),
        cosine_weight=Float(0.0, 2.0, 1.5),
        recency_weight=Float(0.0, 2.0, 0.3),
    )

    def __init__(
        self,
        kit: Kit,
        constant: int = 15,
        bm25_weight: float = 1.0,
        cosine_weight: float = 1.5,
        recency_weight: float = 0.3,
    ) -> None:
        self._constant = constant
        self._weights = (bm25_weight, cosine_weight, recency_weight)
        self._parts: tuple[Retriever, ...] = (Bm25(kit), Cosine(kit), Recency(kit))

    def reset(self, keys: Sequence[str]) -> None:
        for part in self._parts:
            part.reset(keys)

    def add(self, key: str) -> None:
        for part in self._parts:
            part.add(key)

    def scores(self, probe: str) -> Scores:
        total: Scores | None = None
        for part, weight in zip(self._parts, self._weights, strict=True):
            scores = part.scores(probe)
            order = np.argsort(-scores, kind="stable")
            ranks = np.empty(len(scores))
            ranks[order] = np.arange(1, len(scores) + 1)
            share = np.where(scores > 0.0, weight * (self._constant + 1) / (self._constant + ranks), 0.0)
            total = share if total is None else total + share
        assert total is not None
        best = total.max(initial=0.0)
        return total / best if best > 0.0 else total
