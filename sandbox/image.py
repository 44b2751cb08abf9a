"""The Docker image of the sandbox: found by the hash of what is in it, or built, with a registry or without."""

from __future__ import annotations

import contextlib
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sandbox import bundle, volumes
from sandbox.backend import SandboxUnavailable

if TYPE_CHECKING:
    from sandbox.docker_backend import Client

REPOSITORY = "mnemogen-sandbox"
LOCAL_BASE = "mnemogen-base"
PUBLIC_BASE = "python:3.12-slim"
LABEL = "mnemogen"
_REGISTRY_SECONDS = 5
_DOCKERFILE = Path(__file__).with_name("Dockerfile")
# Runs once, in the build: a public base lacks numpy, and nothing can be compiled on a read-only root.
_PREPARE = """\
import compileall, importlib.util, os, py_compile, subprocess, sys
if importlib.util.find_spec("numpy") is None:
    pip = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--target", "/opt/packages"]
    subprocess.run([*pip, "numpy==" + os.environ["NUMPY"]], check=True)
unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
compileall.compile_dir("/opt", quiet=2, invalidation_mode=unchecked)
import sandbox.guest.supervisor
"""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """An image that is there.

    Attributes:
        digest: changes whenever anything that a design could notice does.
    """

    tag: str
    digest: str


def ensure(client: Client, base: str = PUBLIC_BASE, extras: tuple[str, ...] = ()) -> ImageInfo:
    """Return the image, built if the daemon has none of this content.

    Args:
        base: a public image with Python to build on, where a registry offers it.
        extras: what it holds on top, see `sandbox.bundle`.

    Raises:
        SandboxUnavailable: it could not be built.
        docker.errors.DockerException: the daemon's own words why.
    """
    content = _content(base, extras)
    tag = f"{REPOSITORY}:{content}"
    found = client.images.list(name=tag)
    if not found:
        _build(client, tag, base, extras)
        found = client.images.list(name=tag)
    if not found:
        raise SandboxUnavailable(f"the image {tag} was built and is gone", "look at `docker images`")
    origin = found[0].labels.get(f"{LABEL}.base", "")
    return ImageInfo(tag, bundle.hash_of([content, origin]))


def _content(base: str, extras: tuple[str, ...]) -> str:
    return bundle.hash_of([bundle.digest(extras=extras), base, _DOCKERFILE.read_bytes(), _prepare(extras)])


def _prepare(extras: tuple[str, ...]) -> str:
    """The program that runs in the build."""
    before, mark, after = _PREPARE.partition("unchecked =")
    install = "".join(
        f"if importlib.util.find_spec({name!r}) is None:\n"
        f'    pip = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--target", "/opt/packages"]\n'
        f'    subprocess.run([*pip, "--no-deps", "{name}=={version}"], check=True)\n'
        for name, version in bundle.package_versions(extras)
    )
    return before + install + mark + after


def prune(client: Client) -> list[str]:
    """Remove the sandbox images and volumes of other versions of our files; those in use stay.

    Returns:
        What was removed: tags of images, names of volumes.
    """
    current, removed = {ensure(client).tag}, []
    for extras in (("foreign",), bundle.EXTRAS):
        with contextlib.suppress(SandboxUnavailable):  # a package is not installed: no image of today's holds it
            current.add(f"{REPOSITORY}:{_content(PUBLIC_BASE, extras)}")
    for found in client.images.list(name=REPOSITORY):
        for tag in set(found.tags) - current:
            # A container of another run may need it: the daemon refuses then, by an error that is an OSError.
            with contextlib.suppress(OSError):
                client.images.remove(tag)
                removed.append(tag)
    return removed + volumes.prune(client, current)


def _build(client: Client, tag: str, base: str, extras: tuple[str, ...]) -> None:
    origin, source = _find_base(client, base, extras)
    local = source.startswith(LOCAL_BASE)
    with tempfile.TemporaryDirectory(prefix="mnemogen-image-") as folder:
        context = Path(folder)
        guest = bundle.ensure_guest(extras=extras)
        for name in ("design_space", "sandbox"):
            shutil.copytree(guest / name, context / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copyfile(_DOCKERFILE, context / "Dockerfile")
        (context / "prepare.py").write_text(_prepare(extras))
        client.images.build(
            path=folder,
            tag=tag,
            rm=True,
            forcerm=True,
            buildargs={"BASE": source, "NUMPY": np.__version__},
            labels={LABEL: "sandbox", f"{LABEL}.base": origin},
            network_mode="none" if local else None,
        )


def _find_base(client: Client, public: str, extras: tuple[str, ...]) -> tuple[str, str]:
    """What to build on: what it holds, and its name."""
    local = f"{LOCAL_BASE}:{bundle.base_digest(extras)}"
    if client.images.list(name=local):
        return local, local  # made because no registry answered; it is not asked again
    if (digest := _ask_registry(client, public)) is not None:
        image = client.images.pull(public)
        return f"{public}@{digest}", str(image.tags[0] if image.tags else public)
    _import_base(client, local, extras)
    return local, local


def _ask_registry(client: Client, name: str) -> str | None:
    """The digest of a public image; None where no registry is within reach."""
    answer = None
    before = client.api.timeout
    client.api.timeout = _REGISTRY_SECONDS
    # Whatever stands in the way (no network, a proxy, a refusal, a slow line), the local base serves.
    with contextlib.suppress(OSError):
        found: dict[str, Any] = client.api.inspect_distribution(name)  # type: ignore[no-untyped-call]
        answer = str(found["Descriptor"]["digest"])
    client.api.timeout = before
    return answer


def _import_base(client: Client, name: str, extras: tuple[str, ...]) -> None:
    base = bundle.ensure_base(extras=extras)
    with tempfile.NamedTemporaryFile(suffix=".tar", prefix="mnemogen-base-") as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            for member, path in _members(base):
                archive.add(path, arcname=member, recursive=False, filter=_plain)
        file.flush()
        repository, tag = name.split(":")
        variables = {**bundle.environment(), "PYTHONDONTWRITEBYTECODE": ""}
        changes = [f"ENV {key}={value}" for key, value in variables.items() if key in ("PATH", "LD_LIBRARY_PATH")]
        client.api.import_image_from_file(file.name, repository=repository, tag=tag, changes=changes)


def _members(base: Path) -> Iterator[tuple[str, Path]]:
    yield ".", base
    for path in sorted(base.rglob("*")):
        yield str(path.relative_to(base)), path


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    if member.isdir():
        member.mode = 0o755
    return member
