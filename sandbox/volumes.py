"""What an image holds, once more as volumes of the daemon, mounted read-only over the same paths.

Files of an image come through the storage driver; where that is a file system in user space, a container takes two
seconds of processor time to start an interpreter. Volumes are plain folders of the daemon, filled by itself from the
image: no path of this machine is shared with a container.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import TYPE_CHECKING

from filelock import FileLock

from sandbox import bundle

if TYPE_CHECKING:
    from sandbox.docker_backend import Client

LABEL = "mnemogen"
FOLDERS = {"usr": "/usr/local", "opt": "/opt"}


def ensure(client: Client, tag: str) -> dict[str, dict[str, str]]:
    """Make the volumes of an image, once; what to mount where, as the SDK wants it.

    Args:
        tag: of the image; its hash names the volumes.

    Raises:
        docker.errors.DockerException: the daemon could not make them.
    """
    stem = tag.replace(":", "-")
    ready = f"{stem}-ready"
    mounts = {f"{stem}-{name}": folder for name, folder in FOLDERS.items()}
    if ready not in _names(client):
        cache = bundle.cache_folder()
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "volumes.lock"):
            known = _names(client)
            if ready not in known:
                _fill(client, tag, mounts, known)
                client.volumes.create(ready, labels={LABEL: "volume"})
    return {name: {"bind": folder, "mode": "ro"} for name, folder in mounts.items()}


def prune(client: Client, keep: Collection[str]) -> list[str]:
    """Remove the volumes of all images but those of the tags `keep`; those in use stay."""
    stems = tuple(tag.replace(":", "-") for tag in keep)
    removed = []
    for volume in client.volumes.list(filters={"label": LABEL}):
        if not volume.name.startswith(stems):
            # A container of another run may need it: the daemon refuses then, by an error that is an OSError.
            with contextlib.suppress(OSError):
                volume.remove()
                removed.append(volume.name)
    return removed


def _names(client: Client) -> set[str]:
    return {volume.name for volume in client.volumes.list(filters={"label": LABEL})}


def _fill(client: Client, tag: str, mounts: dict[str, str], known: set[str]) -> None:
    """The daemon copies what the image has at a path into an empty volume when a container is created over it."""
    for name in mounts:
        if name in known:  # left half-filled by a process that was killed
            client.volumes.get(name).remove(force=True)
        client.volumes.create(name, labels={LABEL: "volume"})
    binds = {name: {"bind": folder, "mode": "rw"} for name, folder in mounts.items()}
    container = client.containers.create(tag, command=["python3", "-c", "pass"], volumes=binds, network_mode="none")
    container.remove()
