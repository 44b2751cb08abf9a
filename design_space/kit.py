"""The toolkits that memories are given: one for the sandbox, one for a program that uses an exported memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from design_space.memory import Budget, ModelUnavailable
from design_space.text import HashedEmbedder

Upcall = Callable[[str, Any], Any]
"""Sends (operation, argument) to the worker and returns its answer; raises `ModelUnavailable` where it refuses."""


class GuestKit:
    """The `Kit` of a memory in a sandbox: hashed embeddings at hand, models through the worker.

    Args:
        upcall: None means that no model is to be had.
        calls: model calls allowed, None is unlimited.
        tokens: tokens allowed, None is unlimited.
    """

    def __init__(
        self, seed: int, folder: str | Path, upcall: Upcall | None, calls: int | None = 0, tokens: int | None = 0
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._folder = Path(folder)
        self._upcall = upcall
        self._budget = Budget(calls, tokens)
        self._embedder = HashedEmbedder()

    @property
    def rng(self) -> np.random.Generator:
        return self._rng

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def budget(self) -> Budget:
        return self._budget

    def ask(self, prompt: str, *, max_tokens: int = 512) -> str:
        if self._upcall is None:
            raise ModelUnavailable("this run offers no language model")
        answer = self._upcall("ask", {"prompt": prompt, "max_tokens": max_tokens})
        self._budget = Budget(answer["calls"], answer["tokens"])
        return str(answer["text"])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._embedder.embed(texts)
