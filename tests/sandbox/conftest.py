"""Backends to test, with a way to make the process inside do anything; gateways to models on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gateways import KEY, DictLog, Open, call, script, spec

from sandbox.backend import Backend, Ending, Guest, GuestEnded, Labels, Limits, SandboxUnavailable
from sandbox.budget import Caps
from sandbox.calls import Role
from sandbox.docker_backend import DockerBackend
from sandbox.embedded_backend import EmbeddedBackend
from sandbox.gateway import Gateway
from sandbox.guest.wire import RecallReader
from sandbox.mock_llm import ScriptedModel, serve
from sandbox.models import LiteLLMProvider

CHARS = 1_000_000  # of recall
LIMITS = Limits(
    call_cpu_seconds=0.5,
    call_wall_seconds=2.5,
    stream_cpu_seconds=1.6,
    memory_mib=160,
    processes_count=16,
    scratch_mib=4,
    scratch_inodes_count=200,
    open_files_count=64,
    output_kib=64,
    frame_kib=256,
)
PROBE = """
from design_space import Item, Memory, Recall
class Probe(Memory):
    def retrieve(self, query):
        scope = {"kit": self.kit, "say": print}
        exec(query.goal, scope)
        return Recall((Item("out", str(scope.get("out"))),))
    def update(self, episode):
        exec(episode.goal, {"kit": self.kit, "memory": self})
"""
MAKERS: dict[str, Callable[[], Backend]] = {
    "docker": lambda: DockerBackend(LIMITS, run="tests", prestart=1),
    "embedded": lambda: EmbeddedBackend(LIMITS, prestart=1),
    "plain": lambda: EmbeddedBackend(LIMITS, prestart=1, allow_namespaces=False),
}


class Driver:
    """A guest that holds the probe: runs any code in there."""

    def __init__(self, backend: Backend, guest: Guest) -> None:
        self.backend = backend
        self.guest = guest
        self._requests = 0

    def start(self, source: str = PROBE) -> dict[str, Any]:
        """A fresh process with a design in it."""
        self.guest.start()
        self._reader = RecallReader(CHARS)
        arg = {"source": source, "params": {}, "seed": 0, "folder": self.backend.folder, "calls": 9, "tokens": 999}
        return self.ask("open", {**arg, "recall_chars": CHARS, "embedder": "hashed", "dimensions": 0})

    def send(self, op: str, arg: Any) -> int:
        self._requests += 1
        self.guest.send(json.dumps({"id": self._requests, "op": op, "arg": arg}).encode())
        return self._requests

    def receive(self) -> dict[str, Any]:
        message = json.loads(self.guest.receive())
        assert isinstance(message, dict)
        return message

    def ask(self, op: str, arg: Any) -> dict[str, Any]:
        """One request and its answer, without up-calls."""
        number = self.send(op, arg)
        answer = self.receive()
        assert answer["id"] == number
        return answer

    def answer(self, call: dict[str, Any], text: str) -> None:
        reply = {"call": call["call"], "ok": {"text": text, "calls": 1, "tokens": 1}}
        self.guest.send(json.dumps(reply).encode(), resume=True)

    def query(self, code: str) -> dict[str, Any]:
        return {"goal": code, "situation": "", "step": 0, "history": [], "role": "actor"}

    def run(self, code: str) -> dict[str, Any]:
        """Run statements in the process; ``out`` is what they leave."""
        return self.ask("retrieve", self.query(code))

    def look(self, code: str) -> str:
        """Run statements that set ``out``, and return it as text."""
        answer = self.run(code)
        assert "ok" in answer, answer
        return self._reader.read(answer["ok"]).items[0].text

    def ending(self, code: str) -> tuple[Ending, dict[str, Any] | None]:
        """How the process ends that runs this, and its answer if it lived to give one."""
        try:
            answer = self.run(code)
        except GuestEnded as ended:
            return ended.ending, None
        return self.guest.stop(), answer


@pytest.fixture(scope="session", params=["docker", "embedded", "plain"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def backend(kind: str) -> Iterator[Backend]:
    try:
        made = MAKERS[kind]()
    except SandboxUnavailable as error:
        pytest.skip(f"{kind}: {error} ({error.hint})")
    yield made
    made.close()


@pytest.fixture(scope="session")
def shared(backend: Backend) -> Iterator[list[Guest]]:
    guests: list[Guest] = []
    yield guests
    for guest in guests:
        guest.close()


@pytest.fixture
def driver(backend: Backend, shared: list[Guest]) -> Iterator[Driver]:
    """A fresh process in a place that the tests of one backend use one after the other, and that survives them all."""
    if not shared:
        shared.append(backend.open(Labels("tests")))
    made = Driver(backend, shared[0])
    try:
        assert "ok" in made.start()
        yield made
        shared[0].stop()
    except SandboxUnavailable:
        shared.pop().close()
        raise


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "[docker" in item.name:
            item.add_marker(pytest.mark.docker)


@pytest.fixture(scope="module")
def model_key() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNEMOGEN_TEST_KEY", KEY)
        yield


@pytest.fixture(scope="module")
def provider(model_key: None) -> LiteLLMProvider:
    """Warm: litellm's first call imports for a second or two, which no timeout here is to count."""
    provider = LiteLLMProvider()
    with serve(script()) as server:
        asyncio.run(provider.attempt(spec(server), call()))
        asyncio.run(provider.attempt(spec(server), call(role="embedding")))
    return provider


@pytest.fixture
def gateway(provider: LiteLLMProvider) -> Iterator[Open]:
    """Opens gateways to a scripted server for all roles, and closes them."""
    opened: list[Gateway] = []

    def gateway(server: ScriptedModel, log: DictLog | None = None, caps: Caps | None = None, **changed: Any) -> Gateway:
        kept = log or DictLog()
        roles: tuple[Role, ...] = ("agent", "embedding")
        specs = {role: spec(server, **changed) for role in roles}
        opened.append(Gateway(specs, provider, lambda: kept, caps or Caps()))
        return opened[-1]

    yield gateway
    for one in opened:
        one.close()
