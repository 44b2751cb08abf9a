"""Where hostile designs are played: what is planted for them to find, what they said, and what they left behind."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from design_space import Outcome
from sandbox import reaper
from sandbox.backend import Ending, Guest
from sandbox.docker_backend import Client

DESIGNS = Path(__file__).parent / "designs"
MARK = "mnemogen-hostile-file"
"""The name of every file that a design tries to write where it must not."""
_TABLE = re.compile(r"^docker: ([a-z_ ]+) \| embedded: ([a-z_ ]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Part:
    """A design and what is to come of it.

    Attributes:
        expected: the outcomes that are right, by backend; more than one where the kernel's evidence does not tell.
    """

    name: str
    source: str
    expected: dict[str, frozenset[Outcome]]

    @classmethod
    def read(cls, name: str) -> Part:
        source = (DESIGNS / f"{name}.py").read_text(encoding="utf-8")
        table = _TABLE.search(source)
        if table is None:
            raise ValueError(f"{name}: its docstring has no line 'docker: OUTCOME | embedded: OUTCOME'")
        outcomes = [frozenset(map(Outcome, cell.split(" or "))) for cell in table.groups()]
        return cls(name, source, dict(zip(("docker", "embedded"), outcomes, strict=True)))


class Recorder:
    """A guest, and all that came out of it."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self.heard = bytearray()

    def start(self) -> None:
        self._guest.start()

    def send(self, body: bytes, *, resume: bool = False, refusal: bool = False) -> None:
        self._guest.send(body, resume=resume, refusal=refusal)

    def receive(self) -> bytes:
        body = self._guest.receive()
        self.heard += body + b"\n"
        return body

    def stop(self) -> Ending:
        ending = self._guest.stop()
        self.heard += ending.output_tail.encode("utf-8", "replace") + b"\n"
        return ending

    def close(self) -> None:
        self._guest.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass
class Plants:
    """Twelve secrets of the worker's, each in a place of its own, and what shows that it was touched.

    Attributes:
        values: by place.
    """

    cache: Path
    values: dict[str, str] = field(default_factory=dict)
    _files: dict[Path, tuple[str, int]] = field(default_factory=dict)
    _listeners: dict[str, socket.socket] = field(default_factory=dict)

    @contextlib.contextmanager
    def planted(self) -> Iterator[Self]:
        """Put them in their places, and take them away again."""
        with contextlib.ExitStack() as stack:
            os.environ["PROVIDER_API_KEY"] = self._value("environment of the worker")
            stack.callback(os.environ.pop, "PROVIDER_API_KEY")
            for place, folder in (
                ("home", Path.home()),
                ("folder of the bundles", self.cache),
                ("temporary folder", Path(tempfile.gettempdir())),
                ("shared memory", Path("/dev/shm")),
            ):
                stack.callback(self._plant_file(place, folder).unlink)
            self._process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", "input()", self._value("command line")],
                    stdin=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, "OTHER_API_KEY": self._value("environment of another process")},
                )
            )
            hidden = stack.enter_context(tempfile.TemporaryFile())
            hidden.write(self._value("open file").encode())
            hidden.flush()
            hidden.seek(0)
            self._hidden = hidden.fileno()
            self._pipe, writer = os.pipe()
            stack.callback(os.close, self._pipe)
            os.write(writer, self._value("open pipe").encode())
            stack.callback(os.close, writer)
            for number in (self._hidden, self._pipe):
                os.set_inheritable(number, True)
            self._listen(stack)
            yield self

    def _value(self, place: str) -> str:
        self.values[place] = f"canary-{secrets.token_hex(12)}"
        return self.values[place]

    def _plant_file(self, place: str, folder: Path) -> Path:
        file = folder / f"mnemogen-test-{secrets.token_hex(4)}.key"
        file.write_text(self._value(place))
        file.chmod(0o644)
        self._files[file] = (self.values[place], file.stat().st_mtime_ns)
        return file

    def _listen(self, stack: contextlib.ExitStack) -> None:
        """Sockets that answer to anyone who connects; the secret of each is its name or number."""
        for place, family, kind, address in (
            ("loopback TCP", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            ("loopback UDP", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            ("abstract socket", socket.AF_UNIX, socket.SOCK_STREAM, f"\0{self._value('abstract socket')}"),
            ("socket file", socket.AF_UNIX, socket.SOCK_STREAM, ""),
        ):
            listener = stack.enter_context(socket.socket(family, kind))
            if not address:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mnemogen-test-"))
                Path(folder).chmod(0o755)
                address = f"{folder}/{self._value(place)}"
            listener.bind(address)
            if kind == socket.SOCK_STREAM:
                listener.listen(8)
            self._listeners[place] = listener

    def open_file(self) -> BinaryIO:
        """The open file once more, with a place of its own in it: to read this one does not touch the other."""
        return Path(f"/proc/self/fd/{self._hidden}").open("rb")

    def touched(self) -> list[str]:
        """The places where somebody was."""
        found = [str(file) for file, kept in self._files.items() if kept != (file.read_text(), file.stat().st_mtime_ns)]
        if os.environ["PROVIDER_API_KEY"] != self.values["environment of the worker"]:
            found.append("environment of the worker")
        if self._process.poll() is not None:
            found.append("command line")
        if os.lseek(self._hidden, 0, os.SEEK_CUR) != 0:
            found.append("open file")
        if not select.select([self._pipe], [], [], 0)[0]:
            found.append("open pipe")
        ready, _, _ = select.select([*self._listeners.values()], [], [], 0)
        return found + [place for place, listener in self._listeners.items() if listener in ready]

    def found_in(self, said: bytes) -> list[str]:
        """The places whose secrets were said."""
        return [place for place, value in self.values.items() if value.encode() in said]


@dataclass(frozen=True)
class Remains:
    """What is there of sandboxes at one moment: processes below this one, containers of a run."""

    processes: frozenset[str]
    containers: frozenset[str]

    @classmethod
    def look(cls, client: Client | None, run: str) -> Remains:
        containers: frozenset[str] = frozenset()
        if client is not None:
            wanted = {"label": f"{reaper.RUN}={run}"}
            containers = frozenset(str(found["Id"]) for found in client.api.containers(all=True, filters=wanted))
        return cls(_descendants(), containers)

    def __sub__(self, before: Remains) -> Remains:
        return Remains(self.processes - before.processes, self.containers - before.containers)

    def __bool__(self) -> bool:
        return bool(self.processes or self.containers)


def until_none(left: Callable[[], Remains], seconds: float) -> Remains:
    """What is still left after so long."""
    deadline = time.monotonic() + seconds
    while (remains := left()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return remains


def _descendants() -> frozenset[str]:
    """Identities of the processes below this one."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, IndexError):
                parents[int(entry.name)] = int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
    family = {os.getpid()}
    while new := {child for child, parent in parents.items() if parent in family} - family:
        family |= new
    return frozenset(reaper.owner(member) for member in family - {os.getpid()})


def marked(*folders: Path) -> list[str]:
    """Files of a design's in folders that are none of its business."""
    everywhere = ("/", "/tmp", "/var/tmp", "/dev/shm", "/run", "/etc", "/srv", "/mnt", "/opt", "/home", ".")
    places = {Path.home(), *map(Path, everywhere), *folders}
    return [str(place / MARK) for place in places if (place / MARK).exists()]


def listing(folder: Path) -> frozenset[tuple[str, int, int]]:
    """Every file of a tree, with its size and the time of its last change."""
    files = ((file, file.lstat()) for file in folder.rglob("*"))
    return frozenset((str(file), state.st_size, state.st_mtime_ns) for file, state in files)
