"""Nothing outlives its owner; a broken sandbox is told from a broken design; what is left over is found and removed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox import bundle, image, reaper
from sandbox.backend import Labels, Limits, SandboxUnavailable
from sandbox.choose import choose
from sandbox.docker_backend import DockerBackend, connect
from sandbox.embedded_backend import EmbeddedBackend
from sandbox.guest import evidence
from sandbox.inprocess import InProcessBackend
from sandbox.remote import terms_of

if TYPE_CHECKING:
    from sandbox.docker_backend import Client

PROJECT = Path(__file__).resolve().parents[2]
WORKER = """
import json, sys, time
from sandbox.backend import Labels, Limits
from sandbox.docker_backend import DockerBackend
from sandbox.embedded_backend import EmbeddedBackend
from sandbox.guest import evidence
kind, run = sys.argv[1:]
limits = Limits(call_cpu_seconds=600.0, call_wall_seconds=600.0, stream_cpu_seconds=600.0)
if kind == "docker":
    backend = DockerBackend(limits, run)
else:
    backend = EmbeddedBackend(limits, run, allow_namespaces=kind == "embedded")
guest = backend.open(Labels(run))
guest.start()
source = "while True: pass"
arg = {"source": source, "params": {}, "seed": 0, "folder": "/tmp", "calls": 0, "tokens": 0}
arg |= {"recall_chars": 1_000, "embedder": "hashed", "dimensions": 0}
guest.send(json.dumps({"id": 1, "op": "open", "arg": arg}).encode())
print("spinning", backend.name, flush=True)
time.sleep(600)
"""


def until(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Poll for a condition."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.02)
    return true()


def processes() -> dict[int, tuple[int, str]]:
    """Of each process: its parent and its identity."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, IndexError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                found[int(entry.name)] = (parent, reaper.owner(int(entry.name)))
    return found


def descendants(pid: int) -> set[str]:
    """Identities of the processes below `pid`."""
    table = processes()
    family, grown = {pid}, True
    while grown:
        new = {child for child, (parent, _) in table.items() if parent in family} - family
        family |= new
        grown = bool(new)
    return {table[member][1] for member in family - {pid}}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    try:
        made = connect(5.0)
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    yield made
    made.close()


def containers(client: Client, run: str, status: str | None = None) -> list[str]:
    wanted = {"label": f"{reaper.RUN}={run}"} | ({"status": status} if status else {})
    return [found["Id"] for found in client.api.containers(all=True, filters=wanted)]


def take_away(client: Client, run: str) -> None:
    for victim in containers(client, run):
        with contextlib.suppress(OSError):  # it may be going by itself already
            client.api.remove_container(victim, force=True)


@pytest.mark.parametrize("kind", ["docker", "embedded", "plain"])
def test_killed_worker_leaves_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    run = f"killed-{os.getpid()}-{kind}"
    engine = request.getfixturevalue("client") if kind == "docker" else None
    worker = subprocess.Popen([sys.executable, "-c", WORKER, kind, run], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline().startswith("spinning")
        below = descendants(worker.pid)
        assert engine is not None or len(below) >= 3
        assert engine is None or containers(engine, run)
    finally:
        worker.kill()
        worker.wait()
        worker.stdout.close()
    if engine is not None:
        # One that was made and not yet started when its owner died has nothing in it that could end it.
        assert until(lambda: not containers(engine, run, "running"))
        reaper.reap(engine, run)
        assert until(lambda: not containers(engine, run))
    assert until(lambda: not below & {identity for _, identity in processes().values()})


@pytest.mark.parametrize("kind", ["docker", "embedded"])
def test_closed_backend_leaves_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    run = f"closed-{os.getpid()}-{kind}"
    engine = request.getfixturevalue("client") if kind == "docker" else None
    before = descendants(os.getpid())
    backend = DockerBackend(Limits(), run, prestart=2) if engine else EmbeddedBackend(Limits(), run, prestart=2)
    guest = backend.open(Labels(run))
    guest.start()
    guest.close()
    guest.close()
    backend.open(Labels(run)).start()
    backend.close()
    assert until(lambda: descendants(os.getpid()) <= before)
    assert engine is None or until(lambda: not containers(engine, run))


@pytest.mark.docker
def test_container_that_is_taken_away_is_our_fault_not_the_designs(client: Client) -> None:
    run = f"removed-{os.getpid()}"
    backend = DockerBackend(Limits(), run, prestart=0)
    try:
        take_away(client, run)
        with backend.open(Labels(run)) as guest:  # the one that was ready is dead: a new one is made
            guest.start()
            take_away(client, run)
            guest.send(b"{}")
            with pytest.raises(SandboxUnavailable):
                guest.receive()
            with pytest.raises(SandboxUnavailable):
                guest.stop()
    finally:
        backend.close()


@pytest.mark.docker
def test_reaper_removes_strays_and_nothing_else(client: Client) -> None:
    run = f"reaped-{os.getpid()}"
    tag = image.ensure(client).tag
    gone = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    marks = {
        "mine": reaper.labels(Labels(run), os.getpid()),
        "orphan": reaper.labels(Labels(run), gone.pid),
        "late": reaper.labels(Labels(run), os.getpid()) | {reaper.DEADLINE: "1"},
        "elsewhere": reaper.labels(Labels(run), gone.pid) | {reaper.NODE: "another/machine"},
    }
    gone.communicate(timeout=10.0)
    sleep = ["python3", "-c", "import time; time.sleep(600)"]
    made = {}
    try:
        for name, labels in marks.items():
            config = client.api.create_host_config(network_mode="none")
            made[name] = client.api.create_container(tag, command=sleep, labels=labels, host_config=config)["Id"]
        client.api.start(made["orphan"])
        assert reaper.reap(client, "another run") == []
        assert set(reaper.reap(client, run)) == {made["orphan"], made["late"]}
        assert until(lambda: set(containers(client, run)) == {made["mine"], made["elsewhere"]})
    finally:
        for container in containers(client, run):
            client.api.remove_container(container, force=True)


def test_owner_is_told_from_a_later_process_of_the_same_id() -> None:
    marks = reaper.labels(Labels("r"), os.getpid())
    assert not reaper.is_stray(marks, time.time())
    assert reaper.is_stray(marks | {reaper.OWNER: f"{os.getpid()}:1"}, time.time())
    assert reaper.is_stray(marks, time.time() + 2 * reaper.LIFETIME_SECONDS)


def test_supervisor_gives_up_when_nothing_is_heard_of_its_worker() -> None:
    made = bundle.ensure()
    base, guest = str(made.base), str(made.guest)
    limits = Limits()
    terms = json.loads(terms_of(limits, "", (base, guest), address_space=True).to_json()) | {"idle_seconds": 0.5}
    process = subprocess.Popen(
        [f"{base}/usr/local/bin/python3", *bundle.COMMAND[1:], json.dumps(terms)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=bundle.environment(base, guest),
    )
    try:
        assert process.wait(20.0) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_embedded_works_for_an_unprivileged_user() -> None:
    made = bundle.ensure()
    script = WORKER.replace("from sandbox.docker_backend import DockerBackend\n", "").replace("time.sleep(600)", "")
    with tempfile.TemporaryDirectory() as readable:  # this checkout may lie where another user cannot look
        Path(readable).chmod(0o755)
        for package in ("design_space", "sandbox"):
            shutil.copytree(PROJECT / package, Path(readable) / package)
        finished = _as_nobody(script, made, readable)
    assert "embedded (namespaces+landlock+seccomp)" in finished.stdout, finished.stderr


def _as_nobody(script: str, made: bundle.Bundle, project: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [f"{made.base}/usr/local/bin/python3", "-c", script, "embedded", "unprivileged"],
        env=bundle.environment(str(made.base), project) | {"XDG_CACHE_HOME": str(made.base.parents[1])},
        cwd="/",
        user=65534,
        group=65534,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=60.0,
        check=False,
    )


def test_without_a_daemon_the_choice_falls_on_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(SandboxUnavailable) as caught:
        choose("docker", Limits())
    assert "embedded" in caught.value.hint
    backend = choose("auto", Limits())
    try:
        assert backend.name.startswith("embedded")
    finally:
        backend.close()


def test_less_confinement_than_the_minimum_is_refused() -> None:
    with pytest.raises(SandboxUnavailable, match="does not grant moon") as caught:
        EmbeddedBackend(Limits(), minimum=frozenset({"moon", "seccomp"}))
    assert caught.value.hint


def test_a_starved_process_is_not_taken_for_a_sleeping_one() -> None:
    spin = [sys.executable, "-c", "while True: pass"]
    crowd = [subprocess.Popen(spin) for _ in range(3)]
    try:
        for process in crowd:
            os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
        clocks = [evidence.WallClock(process.pid) for process in crowd]
        offset = [time.monotonic() - clock.seconds() for clock in clocks]
        assert until(
            lambda: all(
                time.monotonic() - clock.seconds() > before + 0.1 for clock, before in zip(clocks, offset, strict=True)
            )
        )
    finally:
        for process in crowd:
            process.kill()
            process.wait()
    last = [clock.seconds() for clock in clocks]
    assert all(clock.seconds() >= before for clock, before in zip(clocks, last, strict=True)), "they go on"
    for clock in clocks:
        clock.close()


def test_in_process_backend_keeps_the_protocol() -> None:
    backend = InProcessBackend(Limits())
    source = """
from design_space import Item, Memory, Recall
class Asker(Memory):
    def retrieve(self, query):
        (self.kit.folder / "x").write_text("x")
        return Recall((Item("1", self.kit.ask(query.goal)),))
    def update(self, episode):
        raise SystemExit
"""
    arg = {"source": source, "params": {}, "seed": 0, "folder": backend.folder, "calls": 9, "tokens": 9}
    arg |= {"recall_chars": 1_000, "embedder": "hashed", "dimensions": 0}
    query = {"goal": "why?", "situation": "", "step": 0, "history": [], "role": "actor"}
    try:
        with backend.open(Labels("r")) as guest:
            for _ in range(2):
                guest.start()
                assert list(Path(backend.folder).iterdir()) == []
                guest.send(json.dumps({"id": 1, "op": "open", "arg": arg}).encode())
                assert json.loads(guest.receive())["ok"]["name"] == "Asker"
                guest.send(json.dumps({"id": 2, "op": "retrieve", "arg": query}).encode())
                call = json.loads(guest.receive())
                assert call["arg"]["prompt"] == "why?"
                reply = {"call": call["call"], "ok": {"text": "so", "calls": 8, "tokens": 8}}
                guest.send(json.dumps(reply).encode(), resume=True)
                assert json.loads(guest.receive())["ok"]["items"][0][1] == "so"
    finally:
        backend.close()


def test_signals_to_the_terminal_do_not_reach_the_sandbox() -> None:
    backend = EmbeddedBackend(Limits(), prestart=0)
    try:
        with backend.open(Labels("r")) as guest:
            guest.start()
            groups = {os.getpgid(pid) for pid, (parent, _) in processes().items() if parent == os.getpid()}
            assert os.getpgrp() not in groups
            guest.stop()
    finally:
        backend.close()
