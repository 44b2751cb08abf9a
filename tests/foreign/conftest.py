"""Sandboxes that hold what foreign designs need, and this process in their place."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from foreign_files import EXTRAS, Opener

from design_space import Design
from sandbox.backend import Backend, Labels, Limits, SandboxUnavailable
from sandbox.docker_backend import DockerBackend
from sandbox.embedded_backend import EmbeddedBackend
from sandbox.inprocess import InProcessBackend
from sandbox.session import Broker, KeyFreeBroker, MemorySession

ROOTS = frozenset(
    {"agents", "dynamic_module", "eval_envs", "utils", "langchain", "langchain_chroma", "langchain_core", "sklearn"}
    | {"EvolveLab", "FlashOAgents", "sentence_transformers", "smolagents", "storage"}
)


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a guest's process has to itself, given back: working directory and names of modules."""
    monkeypatch.chdir(tmp_path)
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in ROOTS}
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in ROOTS]:
        del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture
def here(alone: None) -> Iterator[Backend]:
    backend = InProcessBackend(Limits())
    yield backend
    backend.close()


@pytest.fixture
def memory(here: Backend) -> Iterator[Opener]:
    """Opens designs in this process, one after the other."""
    guest = here.open(Labels("test"))

    def open_(design: Design, broker: Broker | None = None) -> MemorySession:
        session = MemorySession(guest, broker or KeyFreeBroker(), 100_000)
        session.open(design, 0, here.folder)
        return session

    yield open_
    guest.close()


MAKERS: dict[str, Callable[[], Backend]] = {
    "docker": lambda: DockerBackend(Limits(), run="tests", prestart=1, extras=EXTRAS),
    "embedded": lambda: EmbeddedBackend(Limits(), prestart=1, extras=EXTRAS),
    "plain": lambda: EmbeddedBackend(Limits(), prestart=1, allow_namespaces=False, extras=EXTRAS),
}


@pytest.fixture(scope="session")
def made() -> Iterator[dict[str, Backend]]:
    """Backends by kind, made when they are first asked for."""
    backends: dict[str, Backend] = {}
    yield backends
    for backend in backends.values():
        backend.close()


@pytest.fixture(params=["docker", "embedded"])
def backend(request: pytest.FixtureRequest, made: dict[str, Backend]) -> Backend:
    return isolating(str(request.param), made)


@pytest.fixture
def plain(made: dict[str, Backend]) -> Backend:
    """The embedded backend as it is where the kernel refuses namespaces."""
    return isolating("plain", made)


def isolating(kind: str, made: dict[str, Backend]) -> Backend:
    if kind not in made:
        try:
            made[kind] = MAKERS[kind]()
        except SandboxUnavailable as error:
            pytest.skip(f"{kind}: {error} ({error.hint})")
    return made[kind]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "[docker" in item.name:
            item.add_marker(pytest.mark.docker)
