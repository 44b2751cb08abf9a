"""The default backend: one container for each design, through the Docker SDK, which is imported here only."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import threading
import time
from typing import Any

import docker
from docker.errors import BuildError, DockerException
from docker.types import Ulimit

from sandbox import bundle, image, reaper, volumes
from sandbox.attach import AttachReader
from sandbox.backend import Labels, Limits, SandboxUnavailable
from sandbox.guest.frames import FrameError
from sandbox.pool import Pool
from sandbox.remote import Box, SupervisedGuest, terms_of

_HINT = "is the Docker daemon running, and may you use it? `docker info` says; `embedded` needs no daemon"
Client = docker.DockerClient
MINIMUM = frozenset({"seccomp"})  # of 36 probes, a stock container alone lets 7 through
_USER = "65534:65534"
_MIB = 1024 * 1024


def connect(timeout: float = 60.0) -> Client:
    """A client of the daemon that the environment names; each process needs one of its own.

    Raises:
        SandboxUnavailable: none answers.
    """
    try:
        client = docker.from_env(timeout=int(timeout))
        client.ping()
    except (DockerException, OSError) as error:
        raise SandboxUnavailable(f"no Docker daemon answers: {error}", _HINT) from error
    return client


class AttachLink:
    """The attach socket of a container: plain on its way in; on its way out each piece says which pipe it is from."""

    def __init__(self, client: Client, container: str) -> None:
        parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        self._file: Any = client.api.attach_socket(container, params=parameters)
        self._socket: Any = getattr(self._file, "_sock", self._file)
        self._pipes = AttachReader()

    def send(self, data: bytes) -> None:
        self._socket.settimeout(60.0)
        self._socket.sendall(data)

    def receive(self, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        while True:
            # Zero would mean: do not wait at all, and raise another error.
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            data = self._socket.recv(1 << 16)
            if not data:
                return b""
            try:
                piece = self._pipes.feed(data)
            except FrameError as error:
                raise OSError(f"the daemon's stream is malformed: {error}") from error
            if piece:
                return piece

    def diagnosis(self) -> str:
        return self._pipes.errors.decode("utf-8", "replace").strip()

    def close(self) -> None:
        # The response that it came from holds on to the socket too: to close only the file would not end it.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            getattr(self._file, "_response", self._file).close()


class DockerBackend:
    """Single-use containers without network, on a read-only root, as an unprivileged user.

    Args:
        run: name of the run, for the reaper.
        prestart: containers kept ready for the next designs.
        runtime: of Docker, where another than its default is wanted, such as ``runsc`` (gVisor) or ``kata``.
        minimum: layers of confinement inside the container without which no design is run.
        extras: what the image holds on top, see `sandbox.bundle`.

    Raises:
        SandboxUnavailable: no daemon answers, the image cannot be had, or a container does not come up.
    """

    folder = "/tmp"
    caveat = "a hole in the Linux kernel would let a design out of its container; a runtime such as gVisor narrows that"

    def __init__(
        self,
        limits: Limits,
        run: str = "",
        prestart: int = 1,
        runtime: str | None = None,
        minimum: frozenset[str] = MINIMUM,
        extras: tuple[str, ...] = (),
    ) -> None:
        self._limits = limits
        self._run = run
        self._runtime = runtime
        self._client = connect()
        self._lock = threading.Lock()
        self._containers: set[str] = set()
        readable = ("/usr", "/lib", "/lib64", "/opt")
        self._terms = terms_of(limits, self.folder, readable)
        self._image = _ensure_image(self._client, extras)
        self.digest = self._image.digest
        self._volumes = _ensure_volumes(self._client, self._image.tag)
        first = self._make()
        layers = "+".join(["container", *first.layers])
        self.name = f"docker ({runtime or 'default runtime'}, {layers})"
        if missing := minimum - set(first.layers):
            first.close()
            text = f"the container on {platform.machine()} does not grant {', '.join(sorted(missing))} ({self.name})"
            raise SandboxUnavailable(text, "a kernel with seccomp filters on x86_64 or aarch64 is needed")
        self._minimum = minimum
        self._pool = Pool(self._make, prestart)
        self._pool.put(first)

    def open(self, labels: Labels) -> SupervisedGuest:
        # A container's labels cannot change, and this one was made before the design was known: the run is its label.
        return SupervisedGuest(self._pool.take(), self._minimum)

    def close(self) -> None:
        """Remove every container of this backend that is left."""
        self._pool.close()
        with contextlib.suppress(DockerException, OSError):
            mine = {"label": f"{reaper.OWNER}={reaper.owner(os.getpid())}"}
            for found in self._client.api.containers(all=True, filters=mine):
                if found["Id"] in self._containers:
                    with contextlib.suppress(DockerException):  # most are going by themselves at this moment
                        self._client.api.remove_container(found["Id"], force=True, v=True)
        self._client.close()

    def _make(self) -> Box:
        try:
            container = self._create()
            link = AttachLink(self._client, container)
            self._client.api.start(container)
        except (DockerException, OSError) as error:
            raise SandboxUnavailable(f"no container could be started: {error}", _HINT) from error
        return Box(link, self._terms)

    def _create(self) -> str:
        api = self._client.api
        answer = api.create_container(
            self._image.tag,
            command=[*bundle.COMMAND, self._terms.to_json()],
            environment=bundle.environment(),
            user=_USER,
            working_dir="/",
            hostname="sandbox",
            stdin_open=True,
            labels=reaper.labels(Labels(self._run), os.getpid()),
            host_config=api.create_host_config(**self._confinement()),
        )
        container = str(answer["Id"])
        with self._lock:
            self._containers.add(container)
        return container

    def _confinement(self) -> dict[str, Any]:
        limits = self._limits
        memory = (limits.memory_mib + _SUPERVISOR_MIB + limits.scratch_mib) * _MIB
        files = max(limits.open_files_count, 64)
        scratch = (
            f"rw,noexec,nosuid,nodev,size={limits.scratch_mib}m,nr_inodes={limits.scratch_inodes_count},"
            "mode=700,uid=65534,gid=65534"
        )
        return {
            "auto_remove": True,
            "network_mode": "none",
            "ipc_mode": "none",
            "read_only": True,
            "binds": self._volumes,
            "tmpfs": {self.folder: scratch},
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "pids_limit": limits.processes_count + _SUPERVISOR_PROCESSES,
            "mem_limit": memory,
            "memswap_limit": memory,
            "nano_cpus": int(limits.cpus_count * 1e9),
            "ulimits": [
                Ulimit(name="nofile", soft=files, hard=files),
                Ulimit(name="core", soft=0, hard=0),
                Ulimit(name="memlock", soft=0, hard=0),
            ],
            "log_config": {"Type": "none"},
            "runtime": self._runtime,
        }


def _ensure_image(client: Client, extras: tuple[str, ...]) -> image.ImageInfo:
    try:
        return image.ensure(client, extras=extras)
    except BuildError as error:
        log = "".join(str(chunk.get("stream", "")) for chunk in error.build_log)
        raise SandboxUnavailable(f"the sandbox's image could not be built: {error}\n{log[-2_000:]}", _HINT) from error
    except (DockerException, OSError) as error:
        raise SandboxUnavailable(f"the sandbox's image could not be made: {error}", _HINT) from error


def _ensure_volumes(client: Client, tag: str) -> dict[str, dict[str, str]]:
    try:
        return volumes.ensure(client, tag)
    except (DockerException, OSError) as error:
        raise SandboxUnavailable(f"the sandbox's volumes could not be made: {error}", _HINT) from error


_SUPERVISOR_MIB = 64  # supervisor and zygote, which share most of their pages with the child
_SUPERVISOR_PROCESSES = 3
