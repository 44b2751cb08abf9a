"""What the adapters of all foreign systems share: where a design lives, how its module is loaded, what it stores."""

from __future__ import annotations

import base64
import contextlib
import linecache
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from design_space.foreign.look_alikes import explained
from design_space.memory import Kit, Memory

FILE = "design.py"
"""Under this name the sandbox looks for a design's own lines in a traceback: they are those of the foreign file."""
MODULE = "design.foreign"
STORED_BYTES = 4 * 1024 * 1024
"""Most that a snapshot holds; a frame over the pipe is bounded, and a design that stores more is not to fail by it."""


class ForeignMemory(Memory):
    """A memory whose work is done by a design of another system.

    Attributes:
        SOURCE: the foreign file's text.
        place: the design's working directory, one level below the scratch: ``../x`` can be written too.
    """

    SOURCE: ClassVar[str] = ""

    def __init__(self, kit: Kit, **params: Any) -> None:
        super().__init__(kit, **params)
        self.place = kit.folder / "work"
        with contextlib.suppress(PermissionError, FileNotFoundError):
            self.place.mkdir(exist_ok=True)

    @contextmanager
    def at_home(self) -> Iterator[None]:
        """Run the design's own code: in its working directory, with failed imports explained.

        Without a scratch (see `sandbox.embedded_backend`) the working directory stays what it is.
        """
        before = Path.cwd()
        with contextlib.suppress(PermissionError, FileNotFoundError):
            os.chdir(self.place)
        try:
            with explained():
                yield
        finally:
            os.chdir(before)


def load(source: str, place: Path, package: str = "") -> ModuleType:
    """Execute a foreign file as a module, registered before it runs, as dataclasses and pickle want it.

    Args:
        package: the one that its relative imports start from.

    Raises:
        Exception: whatever the module raises.
    """
    module = ModuleType(MODULE)
    # Whoever goes up from the file's folder to its project's root arrives at the working directory.
    module.__file__ = str(place.joinpath(*package.split("."), FILE))
    module.__package__ = package
    sys.modules[MODULE] = sys.modules["dynamic_module"] = module
    linecache.cache[FILE] = (len(source), None, source.splitlines(keepends=True), FILE)
    exec(compile(source.encode(), FILE, "exec", dont_inherit=True), vars(module))
    return module


def first_class(module: ModuleType, base: type) -> type:
    """Return the alphabetically first class of the module that can be made an instance of, as ALMA's loader does.

    Raises:
        TypeError: there is none.
    """
    found = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == MODULE
        and not getattr(value, "__abstractmethods__", None)
    }
    if not found:
        raise TypeError(f"the file defines no concrete subclass of {base.__name__}")
    return found[min(found)]


def read_files(place: Path, room: int = STORED_BYTES) -> tuple[dict[str, str], dict[str, int]]:
    """Return what a design has written, by path below `place`: contents in base64, and sizes of what found no room.

    Args:
        room: bytes.
    """
    content: dict[str, str] = {}
    left_out: dict[str, int] = {}
    for file in _files(place):
        name, size = str(file.relative_to(place)), file.stat().st_size
        if size > room:
            left_out[name] = size
            continue
        room -= size
        content[name] = base64.b64encode(file.read_bytes()).decode("ascii")
    return content, left_out


def write_files(place: Path, content: dict[str, str]) -> None:
    """Put back what `read_files` returned; other files go.

    Raises:
        ValueError: a path leads out of `place`.
    """
    for file in list(_files(place)):
        file.unlink()
    for name, text in content.items():
        file = place / name
        if not file.resolve().is_relative_to(place.resolve()):
            raise ValueError(f"a snapshot's file {name!r} lies outside the working directory")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(text, validate=True))


def _files(place: Path) -> Iterator[Path]:
    """Plain files only, in the order of their names; links are not followed."""
    for path in sorted(place.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path
