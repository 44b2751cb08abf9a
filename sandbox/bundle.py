"""The folders that a sandbox is made of: an interpreter with numpy, and what of this project a design may see.

Both backends that isolate are made of the same two folders, kept in the user's cache and named by what is in them:

    base-<hash>/    usr/local (interpreter, standard library, shared libraries), opt/packages (numpy), mount points
    guest-<hash>/   design_space (without the catalogue) and sandbox/guest

What only some designs need comes on top as *extras*, each combination in folders of its own: ``foreign`` adds the
adapters of `design_space.foreign` to the guest's folder, ``networkx`` that package to the base.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sandbox.backend import SandboxUnavailable

PROJECT = Path(__file__).resolve().parent.parent
PACKAGES = "/opt/packages"
GUEST = "/opt/mnemogen"
COMMAND = ("python3", "-S", "-P", "-m", "sandbox.guest.supervisor")
_LAYOUT = "1"  # raise it when the way a base is made changes
_MOUNT_POINTS = ("proc", "dev", "tmp", "etc", "opt/mnemogen")
_DEVICES = ("null", "zero", "urandom", "random")
_SANDBOX = '"""What runs inside the sandbox."""\n'
_HOST_ONLY = frozenset({"compose.py", "source.py", "validate.py", "episodes.py"})
"""Files of `design_space` that no design needs: changing a message in them must not make every score a new one."""
_FOREIGN_HOST_ONLY = frozenset({"wrap.py"})
EXTRAS = ("foreign", "networkx")
PACKAGE_EXTRAS = frozenset({"networkx"})
"""Extras that are packages: pure Python, and nothing that they need besides."""
_LEFT_OUT = re.compile(
    r"^(site-packages|dist-packages|tests?|idlelib|idle_test|turtledemo|tkinter|ensurepip|lib2to3|config-.*|pydoc_data"
    r"|__pycache__|_tkinter\..*|_test.*\.so|_ctypes_test.*|_xx.*|xx.*\.so|.*\.(pyi|pyc|a|exe|h|lib))$"
)


@dataclass(frozen=True, slots=True)
class Bundle:
    """Where the two folders are, and what they hold.

    Attributes:
        digest: changes whenever anything that a design could notice does.
    """

    base: Path
    guest: Path
    digest: str


def digest(project: Path = PROJECT, extras: tuple[str, ...] = ()) -> str:
    """Hash of our files and of the versions of interpreter and packages; takes a few milliseconds.

    Raises:
        ValueError: an extra is unknown.
        SandboxUnavailable: a package that is wanted is not installed here.
    """
    return hash_of([base_digest(extras), guest_digest(project, extras)])


def base_digest(extras: tuple[str, ...] = ()) -> str:
    versions = [f"{name}=={version}" for name, version in package_versions(extras)]
    return hash_of([_LAYOUT, sys.version, platform.machine(), *platform.libc_ver(), np.__version__, *versions])


def guest_digest(project: Path = PROJECT, extras: tuple[str, ...] = ()) -> str:
    return hash_of(part for name, content in _guest_files(project, extras) for part in (name, content))


def package_versions(extras: tuple[str, ...]) -> list[tuple[str, str]]:
    """Name and version of each package that the extras add.

    Raises:
        ValueError: an extra is unknown.
        SandboxUnavailable: a package is not installed here.
    """
    if unknown := set(extras) - set(EXTRAS):
        raise ValueError(f"unknown extras {sorted(unknown)}, known are {', '.join(EXTRAS)}")
    found = []
    for name in sorted(PACKAGE_EXTRAS.intersection(extras)):
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError as error:
            raise SandboxUnavailable(
                f"the design imports {name}, which is not installed beside mnemogen", "pip install 'mnemogen[foreign]'"
            ) from error
    return found


def hash_of(parts: Iterable[str | bytes]) -> str:
    """Sixteen hexadecimal digits that tell the sequence `parts` from any other."""
    whole = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode()
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()[:16]


def _guest_files(project: Path, extras: tuple[str, ...] = ()) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file of ours that goes in: the catalogue holds other designs, so it stays out."""
    yield "sandbox/__init__.py", _SANDBOX.encode()
    for folder in ("design_space", "design_space/parts", "sandbox/guest"):
        for file in sorted((project / folder).glob("*.py")):
            if folder != "design_space" or file.name not in _HOST_ONLY:
                yield f"{folder}/{file.name}", file.read_bytes()
    for file in sorted((project / "design_space/foreign").glob("*.py")) if "foreign" in extras else ():
        if file.name not in _FOREIGN_HOST_ONLY:
            yield f"design_space/foreign/{file.name}", file.read_bytes()


def environment(base: str = "", guest: str = GUEST) -> dict[str, str]:
    """The whole environment of a supervisor and its children; nothing of the host's is in it.

    Args:
        base: what stands before ``/usr`` and ``/opt``, empty where the base is the root.
    """
    return {
        "PATH": f"{base}/usr/local/bin",
        "LD_LIBRARY_PATH": f"{base}/usr/local/lib",
        "PYTHONPATH": f"{guest}:{base}{PACKAGES}",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONUTF8": "1",
        # One thread: results must not depend on the machine. One arena: each other one that the allocator makes for
        # threads reserves 128 MiB of address space for a moment, which is what bounds the embedded sandbox's memory.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "1",
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
    }


def cache_folder() -> Path:
    """Where bundles are kept: not in root's home, which the sandbox's unprivileged user cannot enter."""
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "mnemogen"
    return Path("/var/cache/mnemogen") if os.geteuid() == 0 else Path.home() / ".cache" / "mnemogen"


def ensure(cache: Path | None = None, extras: tuple[str, ...] = ()) -> Bundle:
    """Return the bundle for this interpreter and these files, made on first use (about 5 s, 130 MB).

    Raises:
        SandboxUnavailable: it cannot be made here.
        ValueError: an extra is unknown.
    """
    return Bundle(ensure_base(cache, extras), ensure_guest(cache, extras), digest(extras=extras))


def ensure_base(cache: Path | None = None, extras: tuple[str, ...] = ()) -> Path:
    """The folder with this interpreter and the packages.

    Raises:
        SandboxUnavailable: it cannot be made here.
        ValueError: an extra is unknown.
    """
    if sys.platform != "linux":
        raise SandboxUnavailable(
            f"a sandbox of this machine's own interpreter needs Linux, this is {platform.system()}",
            "let Docker reach a registry, so that it can pull the public base image",
        )
    return _kept(cache, f"base-{base_digest(extras)}", lambda folder: _make_base(folder, extras))


def ensure_guest(cache: Path | None = None, extras: tuple[str, ...] = ()) -> Path:
    """The folder with our files.

    Raises:
        SandboxUnavailable: it cannot be made here.
    """
    return _kept(cache, f"guest-{guest_digest(extras=extras)}", lambda folder: _make_guest(folder, extras))


def _kept(cache: Path | None, name: str, make: Callable[[Path], None]) -> Path:
    folder = cache or cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _once(folder / name, make)
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxUnavailable(
            f"the sandbox's files cannot be made in {folder}: {error}",
            "choose a folder with 200 MB to spare by the environment variable XDG_CACHE_HOME",
        ) from error


def _once(target: Path, make: Callable[[Path], None]) -> Path:
    if target.is_dir():
        return target
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=target.parent))
    try:
        draft.chmod(0o755)
        make(draft)
        try:
            draft.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was faster
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _make_guest(folder: Path, extras: tuple[str, ...]) -> None:
    for name, content in _guest_files(PROJECT, extras):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    _compile(folder, GUEST)


def _make_base(folder: Path, extras: tuple[str, ...]) -> None:
    local = folder / "usr/local"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (local / "bin").mkdir(parents=True)
    binary = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    shutil.copyfile(binary, local / "bin/python3")
    (local / "bin/python3").chmod(0o755)
    _copy_tree(Path(sysconfig.get_path("stdlib")), local / "lib" / version)
    package = Path(np.__file__).parent
    _copy_tree(package, folder / "opt/packages/numpy")
    if (libraries := package.parent / "numpy.libs").is_dir():
        _copy_tree(libraries, folder / "opt/packages/numpy.libs")
    for name, _ in package_versions(extras):
        _copy_tree(_package_folder(name), folder / "opt/packages" / name)
    _copy_libraries(folder)
    for name in _MOUNT_POINTS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in _DEVICES:
        (folder / "dev" / name).touch()
    _compile(folder, "/")


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise SandboxUnavailable(f"{name} is installed but cannot be found", f"pip install --force-reinstall {name}")
    return Path(spec.origin).parent


def _copy_tree(source: Path, target: Path) -> None:
    def left_out(_: str, names: list[str]) -> set[str]:
        return {name for name in names if _LEFT_OUT.match(name)}

    shutil.copytree(source, target, ignore=left_out, copy_function=shutil.copyfile)
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _copy_libraries(folder: Path) -> None:
    """Copy the shared libraries that the interpreter and its extension modules name, and their loader to its place."""
    files = [folder / "usr/local/bin/python3", *folder.rglob("*.so")]
    answer = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True, timeout=60.0, check=False)
    target = folder / "usr/local/lib"
    for name, path in set(re.findall(r"^\s+(\S+) => (/\S+) \(", answer.stdout, re.MULTILINE)):
        if not Path(path).is_relative_to(folder) and not (target / name).exists():
            shutil.copyfile(path, target / name)
            (target / name).chmod(0o755)
    for path in set(re.findall(r"^\s+(/\S*/ld\S+) \(", answer.stdout, re.MULTILINE)):
        loader = folder / path.lstrip("/")
        loader.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, loader)
        loader.chmod(0o755)


def _compile(folder: Path, shown: str) -> None:
    """Compile every module, since nothing can be written inside; the files' times do not matter to the result."""
    arguments = ["-q", "-j", "2", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", shown]
    command = [sys.executable, "-m", "compileall", *arguments, str(folder)]
    # Some files of the standard library are not meant to compile.
    subprocess.run(command, capture_output=True, timeout=300.0, check=False)
