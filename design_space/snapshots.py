"""Snapshots as JSON: what a memory has learned, in a file that any program can read."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from design_space.memory import Snapshot

_DTYPE = re.compile(r"\|b1|\|[iu]1|[<>|=]?[iu][1248]|[<>|=]?f(2|4|8|16)")
"""What numpy writes of booleans and numbers. Anything else it would have to parse, which it does not do safely."""


def snapshot_to_json(snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot as ``{"data": ..., "arrays": {name: {"dtype", "shape", "base64"}}}``.

    Raises:
        ValueError: an array holds anything but booleans and numbers.
    """
    arrays = {}
    for name, array in sorted(snapshot.arrays.items()):
        plain = np.asarray(array, order="C")
        if plain.dtype.kind not in "biuf":
            raise ValueError(f"snapshot array {name!r} has dtype {plain.dtype}, wanted booleans or numbers")
        arrays[name] = array_to_json(plain)
    return {"data": snapshot.data, "arrays": arrays}


def snapshot_from_json(value: Any) -> Snapshot:
    """Return the snapshot that `snapshot_to_json` made.

    Raises:
        ValueError: it is something else.
    """
    try:
        data, arrays = value["data"], value["arrays"]
        return Snapshot(data, {name: array_from_json(fields) for name, fields in arrays.items()})
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not a snapshot: {error!r}") from error


def snapshot_text(snapshot: Snapshot) -> str:
    """Return a snapshot as JSON text.

    Raises:
        ValueError: its data is not JSON, or an array holds anything but booleans and numbers.
    """
    try:
        return json.dumps(snapshot_to_json(snapshot)) + "\n"
    except (TypeError, RecursionError) as error:
        raise ValueError(f"the snapshot's data is not JSON: {error}") from error


def parse_snapshot(text: str) -> Snapshot:
    """Return the snapshot that `snapshot_text` wrote.

    Raises:
        ValueError: it is something else.
    """
    try:
        return snapshot_from_json(json.loads(text))
    except RecursionError as error:
        raise ValueError("not a snapshot: it nests too deeply") from error


def array_to_json(array: NDArray[Any]) -> dict[str, Any]:
    """Return an array of booleans or numbers as ``{"dtype", "shape", "base64"}``."""
    content = base64.b64encode(array.tobytes()).decode("ascii")
    return {"dtype": array.dtype.str, "shape": list(array.shape), "base64": content}


def array_from_json(fields: dict[str, Any]) -> NDArray[Any]:
    """Return the array that `array_to_json` wrote.

    Raises:
        ValueError: it is something else.
    """
    if set(fields) != {"dtype", "shape", "base64"}:
        raise ValueError(f"fields of a snapshot array are {sorted(fields)!r:.200}, wanted base64, dtype, shape")
    kind = fields["dtype"]
    if not isinstance(kind, str) or not _DTYPE.fullmatch(kind):
        raise ValueError(f"a snapshot array has dtype {kind!r:.40}, wanted booleans or numbers")
    content = base64.b64decode(fields["base64"], validate=True)
    return np.frombuffer(content, dtype=np.dtype(kind)).reshape(fields["shape"]).copy()


def save_snapshot(snapshot: Snapshot, path: Path | str) -> None:
    """Write a snapshot to a file, whole or not at all."""
    target = Path(path)
    draft = target.with_name(f".{target.name}.draft")
    draft.write_text(snapshot_text(snapshot), encoding="utf-8")
    draft.replace(target)


def load_snapshot(path: Path | str) -> Snapshot:
    """Read the file that `save_snapshot` wrote.

    Raises:
        ValueError: it holds something else.
    """
    return parse_snapshot(Path(path).read_text(encoding="utf-8"))
