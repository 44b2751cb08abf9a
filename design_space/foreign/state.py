"""What a foreign design has learned, as bytes: it has no `snapshot` of its own.

The object is pickled, by the design's own process, and unpickled by one that runs the same design: both inside the
sandbox. Unlike plain pickle this also takes lambdas and nested functions, as in ``defaultdict(lambda: 0)``, modules
and idle locks. Whoever unpickles such bytes outside runs code of the design's author.
"""

from __future__ import annotations

import asyncio
import builtins
import importlib
import io
import marshal
import pickle
import sys
import threading
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

_LOCKS: tuple[type, ...] = (type(threading.Lock()), type(threading.RLock()), asyncio.Lock)


class NotTold(Exception):
    """The state holds what no bytes can hold; the message says what."""


def dump(value: object) -> bytes:
    """Return an object and all that it refers to as bytes.

    Raises:
        NotTold: something in it cannot be told, such as an open file or a database connection.
    """
    buffer = io.BytesIO()
    try:
        _Pickler(buffer, protocol=5).dump(value)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise NotTold(f"{type(error).__name__}: {error}") from error
    return buffer.getvalue()


def load(data: bytes) -> Any:
    """Return the object that `dump` was given. The design's module must be loaded.

    Raises:
        Exception: whatever the design's own classes raise.
    """
    return pickle.loads(data)


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, ModuleType):
            return importlib.import_module, (value.__name__,)
        if isinstance(value, _LOCKS):
            return _lock, (type(value).__name__,)
        if isinstance(value, FunctionType) and not _can_be_imported(value):
            cells = tuple(cell.cell_contents for cell in value.__closure__ or ())
            parts = (value.__name__, value.__defaults__, value.__kwdefaults__, cells, value.__module__)
            return _function, (marshal.dumps(value.__code__), *parts)
        return NotImplemented


def _can_be_imported(function: FunctionType) -> bool:
    place: Any = sys.modules.get(function.__module__)
    for name in function.__qualname__.split("."):
        place = getattr(place, name, None)
    return place is function


def _lock(kind: str) -> object:
    return {"RLock": threading.RLock, "lock": threading.Lock, "Lock": asyncio.Lock}[kind]()


def _function(
    code: bytes, name: str, defaults: Any, keyword_defaults: Any, cells: tuple[Any, ...], module: str
) -> FunctionType:
    body: CodeType = marshal.loads(code)
    there = sys.modules.get(module, builtins)
    made = FunctionType(body, vars(there), name, defaults, tuple(CellType(value) for value in cells))
    made.__kwdefaults__ = keyword_defaults
    return made
