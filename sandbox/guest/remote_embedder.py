"""Vectors from the worker: what a design embeds with where hashed words are not enough."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from design_space.kit import Upcall

from . import wire

REMEMBERED_TEXTS = 2_048
_ENVELOPE_BYTES = 1_024  # of a frame, around what it carries


class RemoteEmbedder:
    """Sends texts up the pipe, in as few frames as hold them and their vectors, and none that it remembers.

    Args:
        dimensions: of the vectors.
        frame_bytes: largest frame in either direction.
    """

    def __init__(self, upcall: Upcall, dimensions: int, frame_bytes: int) -> None:
        self._upcall = upcall
        self._dimensions = dimensions
        self._frame_bytes = frame_bytes - _ENVELOPE_BYTES
        row_bytes = 4 * dimensions * 4 / 3  # float32 in base64
        self._batch_texts = max(1, min(wire.EMBED_TEXTS, int(self._frame_bytes / row_bytes)))
        # The oldest use first. A design may embed from several threads.
        self._known: dict[str, NDArray[np.float32]] = {}
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `design_space.memory.Kit.embed`.

        Raises:
            ModelUnavailable: the worker refuses some of them; the others are remembered.
        """
        wanted = [_cut(text) for text in texts]
        if not wanted:
            return np.zeros((0, self._dimensions), dtype=np.float32)
        rows = self._remembered(wanted)
        for batch in self._batches([text for text in dict.fromkeys(wanted) if text not in rows]):
            made = wire.vectors_from_json(self._upcall("embed", wire.texts_to_json(batch)))
            # Copies: one row that is kept must not keep its whole batch.
            new = {text: row.copy() for text, row in zip(batch, made, strict=True)}
            self._remember(new)
            rows |= new
        return np.stack([rows[text] for text in wanted])

    def _batches(self, texts: Sequence[str]) -> Iterator[list[str]]:
        batch: list[str] = []
        size = 0
        for text in texts:
            more = len(json.dumps(text)) + 1
            if batch and (len(batch) == self._batch_texts or size + more > self._frame_bytes):
                yield batch
                batch, size = [], 0
            batch.append(text)
            size += more
        if batch:
            yield batch

    def _remembered(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        with self._lock:
            found = {text: self._known.pop(text) for text in dict.fromkeys(texts) if text in self._known}
            self._known |= found
        return found

    def _remember(self, rows: dict[str, NDArray[np.float32]]) -> None:
        with self._lock:
            self._known |= rows
            for text in list(self._known)[: max(0, len(self._known) - REMEMBERED_TEXTS)]:
                del self._known[text]


def _cut(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError(f"embed wants texts, got a {type(text).__name__}")
    return text[: wire.EMBED_CHARS]
