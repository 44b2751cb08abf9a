"""What the memory needs of Mnemogen (Apache-2.0), in one file: values, the interface, embeddings, the toolkit."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from design_space.episodes import EpisodeBuilder
from design_space.memory import (
    Budget,
    Episode,
    Item,
    Kit,
    Memory,
    ModelUnavailable,
    Query,
    Recall,
    Snapshot,
    Step,
    Tool,
)
from design_space.snapshots import load_snapshot, parse_snapshot, save_snapshot
from design_space.space import Choice, Float, Int, Parameter, Space, Value
from design_space.text import HashedEmbedder

__all__ = [
    "Ask",
    "Budget",
    "Choice",
    "Embed",
    "Episode",
    "EpisodeBuilder",
    "Float",
    "HashedEmbedder",
    "Int",
    "Item",
    "Kit",
    "LocalKit",
    "Memory",
    "ModelUnavailable",
    "Parameter",
    "Query",
    "Recall",
    "Snapshot",
    "Space",
    "Step",
    "Tool",
    "Value",
    "load_snapshot",
    "only_memory",
    "parse_snapshot",
    "save_snapshot",
]

Ask = Callable[[str, int], str]
"""Takes a prompt and the most tokens that the answer may have, returns the answer."""

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Takes n texts, returns an array of shape (n, d)."""


class LocalKit:
    """The `Kit` of a memory in your own program.

    Args:
        seed: of the memory's random generator.
        folder: scratch for the memory's files; None is a temporary one, removed at exit.
        ask: your language model; without one the memory gets `ModelUnavailable`.
        embed: your embedding model; without one, texts are embedded by hashing their words.
        embedder: what the memory was measured with; where that is not ``hashed``, it wants `embed`.
    """

    def __init__(
        self,
        seed: int = 0,
        folder: str | Path | None = None,
        ask: Ask | None = None,
        embed: Embed | None = None,
        embedder: str = "hashed",
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="memory-")
            folder = self._temporary.name
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._ask = ask
        self._embed = embed
        self._embedder = embedder
        self._width = 0

    @property
    def rng(self) -> np.random.Generator:
        return self._rng

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def budget(self) -> Budget:
        return Budget(0, 0) if self._ask is None else Budget(None, None)

    def ask(self, prompt: str, *, max_tokens: int = 512) -> str:
        if self._ask is None:
            raise ModelUnavailable("this memory was loaded without a language model; pass one as ask=")
        return str(self._ask(prompt, max_tokens))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self._embed is None and self._embedder != "hashed":
            raise ModelUnavailable(
                f"this memory was measured with the embedder {self._embedder!r}, not with hashed words: pass yours as "
                "embed=, or embed=HashedEmbedder().embed to go without one"
            )
        if self._embed is None:
            self._embed = HashedEmbedder().embed
        if not texts:
            self._width = self._width or self.embed(["width"]).shape[1]
            return np.zeros((0, self._width), dtype=np.float32)
        vectors = np.array(self._embed(list(texts)), dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise ValueError(f"embed returned shape {vectors.shape} for {len(texts)} texts, wanted ({len(texts)}, d)")
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        norms[(norms == 0.0) | (np.abs(norms - 1.0) < 1e-4)] = 1.0  # what has unit norm stays as it is, to the last bit
        unit: NDArray[np.float32] = vectors / norms
        return unit


def only_memory(module: ModuleType) -> type[Memory]:
    """The one concrete subclass of `Memory` that a module defines.

    Raises:
        TypeError: there is none, or more than one.
    """
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Memory) and value.__module__ == module.__name__
    ]
    leaves = [c for c in found if not c.__abstractmethods__ and not any(d is not c and issubclass(d, c) for d in found)]
    if len(leaves) != 1:
        raise TypeError(f"{module.__name__} defines {len(leaves)} memories, wanted one")
    return leaves[0]
