"""Claims about a Docker daemon that is stopped and started in a run: a second one, so that nobody else is hurt."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_runs import archive_of, finish

from archive.ledger import Ledger
from design_space import Outcome
from meta_agent.config import Config
from sandbox import image
from sandbox.backend import SandboxUnavailable
from sandbox.docker_backend import connect


class Daemon:
    """A Docker daemon in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.host = f"unix://{folder}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Skips the test where no daemon comes up."""
        (self._folder / "daemon.json").write_text("{}")  # the machine's own settings are for the other one
        places = {"data-root": "data", "exec-root": "exec", "pidfile": "pid", "config-file": "daemon.json"}
        command = ["dockerd", "--host", self.host, "--bridge=none", "--iptables=false", "--ip6tables=false"]
        command += [f"--{option}={self._folder / name}" for option, name in places.items()]
        command += ["--shutdown-timeout=1", "--log-level=error"]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 20.0
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(SandboxUnavailable):
                connect(5.0).close()
                return
            time.sleep(0.05)
        self.stop()
        pytest.skip(f"no second daemon comes up here: {(self._folder / 'log').read_text()[-500:]}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """A daemon that has the sandbox's image, and is the one that the environment names."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("a second Docker daemon takes root and dockerd")
    everyones = connect()
    tag = image.ensure(everyones).tag
    # A socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="mnemogen-test-", ignore_cleanup_errors=True) as folder:
        made = Daemon(Path(folder))
        monkeypatch.setenv("DOCKER_HOST", made.host)
        made.start()
        try:
            client = connect()
            client.images.load(b"".join(everyones.images.get(tag).save(named=True)))
            client.close()
            yield made
        finally:
            made.stop()
            everyones.close()
            for left in Path(folder).rglob("*"):
                if left.is_mount():
                    subprocess.run(["umount", "-l", str(left)], check=False, timeout=30)


@pytest.mark.slow
@pytest.mark.docker
def test_a_daemon_that_is_stopped_ends_the_run_and_blames_no_design_and_started_again_the_run_goes_on(
    daemon: Daemon, small: Config, tmp_path: Path
) -> None:
    config = small.model_copy(
        update={
            "sandbox": small.sandbox.model_copy(update={"backend": "docker"}),
            "final": small.final.model_copy(update={"validation_streams": 2}),
            "budget": small.budget.model_copy(update={"evaluations": 32}),
        }
    )
    looks = itertools.count()

    def look() -> bool:
        if next(looks) == 4:
            daemon.stop()
        return False

    with pytest.raises(SandboxUnavailable):
        finish(tmp_path / "stopped", config, stopping=look)
    _, before = archive_of(tmp_path / "stopped")
    assert before
    with Ledger(tmp_path / "stopped" / "ledger.sqlite", read_only=True) as ledger:
        assert {row.evaluation.outcome for row in ledger.evaluations()} == {Outcome.SCORED}
    daemon.start()
    finish(tmp_path / "stopped", config)
    finish(tmp_path / "whole", config)
    assert archive_of(tmp_path / "stopped") == archive_of(tmp_path / "whole")
    assert before.items() <= archive_of(tmp_path / "stopped")[1].items()
