"""The toolkits that memories are given: one for the sandbox, one for a program that uses an exported memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from design_space.memory import Budget, ModelUnavailable
from design_space.text import HashedEmbedder

Upcall = Callable[[str, Any], Any]
"""Sends (operation, argument) to the worker and returns its answer; raises `ModelUnavailable` where it refuses."""


class Vectors(Protocol):
    """What turns texts into vectors; see `Kit.embed`."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


class GuestKit:
    """The `Kit` of a memory in a sandbox: models through the worker, hashed embeddings at hand.

    Args:
        upcall: None means that no model is to be had.
        calls: model calls allowed, None is unlimited.
        tokens: tokens allowed, None is unlimited.
        vectors: None embeds by hashing words.
    """

    def __init__(
        self,
        seed: int,
        folder: str | Path,
        upcall: Upcall | None,
        calls: int | None = 0,
        tokens: int | None = 0,
        vectors: Vectors | None = None,
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._folder = Path(folder)
        self._upcall = upcall
        self._budget = Budget(calls, tokens)
        self._vectors = HashedEmbedder() if vectors is None else vectors

    @property
    def rng(self) -> np.random.Generator:
        return self._rng

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def budget(self) -> Budget:
        return self._budget

    def renew(self, budget: Budget) -> None:
        """Take note of what the worker says is left."""
        self._budget = budget

    def ask(self, prompt: str, *, max_tokens: int = 512) -> str:
        if not isinstance(prompt, str) or type(max_tokens) is not int or max_tokens < 1:
            raise TypeError(
                f"ask wants a text and a positive whole max_tokens, got a {type(prompt).__name__} and {max_tokens!r}"
            )
        if self._upcall is None:
            raise ModelUnavailable("this run offers no language model")
        answer = self._upcall("ask", {"prompt": prompt, "max_tokens": max_tokens})
        self.renew(Budget(answer["calls"], answer["tokens"]))
        return str(answer["text"])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._vectors.embed(texts)
