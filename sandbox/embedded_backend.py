"""A backend without a daemon, for a Linux laptop or CI without Docker: namespaces, Landlock and seccomp through ctypes.

What it does not protect against: a hole in the kernel, as with Docker; and there are no cgroups, so memory is bounded
by the size of the child's address space, the scratch (in memory too) comes on top of it, and processors are bounded by
the time that they work, not by their number. Where the kernel refuses namespaces (Ubuntu 24.04, default containers) a
design gets no scratch, since nothing would bound it, its threads are not counted, and it can tell by guessing a path
whether a file of the machine exists (not what is in it).
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import select
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path

from sandbox import bundle, namespaces
from sandbox.backend import Labels, Limits, SandboxUnavailable
from sandbox.pool import Pool
from sandbox.remote import Box, SupervisedGuest, terms_of

MINIMUM = frozenset({"landlock", "seccomp"})
_HINT = "start a Docker daemon and use the docker backend"
_EXIT_SECONDS = 5.0


class ProcessLink:
    """Pipes to a launcher and, through it, to its supervisor."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            cwd="/",
            bufsize=0,
            # Ctrl-C is for the worker, who then ends this in order.
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        self.closed = False

    def send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._in, rest) :]

    def receive(self, seconds: float) -> bytes:
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        if not poll.poll(seconds * 1000):
            raise TimeoutError
        return os.read(self._out, 1 << 16)

    def diagnosis(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_SECONDS)
        self._errors.seek(0)
        return self._errors.read()[-4_096:].decode("utf-8", "replace").strip()

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()  # the first process in the namespace dies with its launcher, and all others with it
            self._process.wait()
        self._errors.close()


class EmbeddedBackend:
    """See the module.

    Args:
        prestart: sandboxes kept ready for the next designs.
        cache: where the bundle is kept; see `sandbox.bundle`.
        minimum: layers of confinement without which no design is run; an empty set is for code that you trust.
        allow_namespaces: False shows what is left where the kernel refuses them.
        extras: what the bundle holds on top, see `sandbox.bundle`.

    Raises:
        SandboxUnavailable: this is not Linux, or the kernel grants less than `minimum`.
    """

    folder = "/tmp"

    def __init__(
        self,
        limits: Limits,
        run: str = "",
        prestart: int = 1,
        cache: Path | None = None,
        minimum: frozenset[str] = MINIMUM,
        allow_namespaces: bool = True,
        extras: tuple[str, ...] = (),
    ) -> None:
        if sys.platform != "linux":
            raise SandboxUnavailable(f"the embedded sandbox needs Linux, this is {platform.system()}", _HINT)
        self._limits = limits
        self._minimum = minimum
        self._lock = threading.Lock()
        self._links: list[ProcessLink] = []
        self._bundle = bundle.ensure(cache, extras)
        self.digest = self._bundle.digest
        first, self._namespaces = self._first(allow_namespaces)
        layers = "+".join([*(["namespaces"] if self._namespaces else []), *first.layers])
        self.name = f"embedded ({layers or 'nothing'})"
        self.caveat = (
            "there are no cgroups, so memory is bounded by address space only; a hole in the kernel lets a design out"
            if self._namespaces
            else "this kernel refuses namespaces: a design has no scratch folder, and its threads are not counted"
        )
        if missing := minimum - set(first.layers):
            first.close()
            text = f"this kernel, on {platform.machine()}, does not grant {', '.join(sorted(missing))} ({self.name})"
            raise SandboxUnavailable(text, _HINT)
        self._pool = Pool(self._make, prestart)
        self._pool.put(first)

    def open(self, labels: Labels) -> SupervisedGuest:
        return SupervisedGuest(self._pool.take(), self._minimum)

    def close(self) -> None:
        self._pool.close()
        with self._lock:
            left, self._links = self._links, []
        for link in left:
            link.close()

    def _first(self, allow_namespaces: bool) -> tuple[Box, bool]:
        """Find out by trying whether the kernel grants namespaces."""
        if allow_namespaces:
            self._namespaces = True
            with contextlib.suppress(SandboxUnavailable):
                return self._make(), True
        self._namespaces = False
        return self._make(), False

    def _make(self) -> Box:
        base, guest = str(self._bundle.base), str(self._bundle.guest)
        if self._namespaces:
            root, scratch, environment = "", self.folder, bundle.environment()
            readable: tuple[str, ...] = ("/usr", "/lib64", "/lib", "/opt")
        else:
            root, scratch, environment = base, "", bundle.environment(base, guest)
            readable = (f"{base}/usr", f"{base}/opt", guest)
        terms = terms_of(self._limits, scratch, readable, address_space=True, own_users=self._namespaces)
        launch = namespaces.Launch(
            namespaces=self._namespaces,
            base=base,
            guest=guest,
            scratch_bytes=self._limits.scratch_mib * 1024 * 1024,
            scratch_inodes=self._limits.scratch_inodes_count,
            command=[f"{root}/usr/local/bin/{bundle.COMMAND[0]}", *bundle.COMMAND[1:], terms.to_json()],
            environment=environment,
        )
        program = [f"{base}/usr/local/bin/python3", "-S", "-P", namespaces.__file__, json.dumps(asdict(launch))]
        try:
            link = ProcessLink(program, bundle.environment(base, guest))
        except OSError as error:
            raise SandboxUnavailable(f"no process could be started: {error}", _HINT) from error
        with self._lock:
            self._links = [*(old for old in self._links if not old.closed), link]
        return Box(link, terms)
