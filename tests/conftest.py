"""What all tests share: Docker tests are told apart in the results, and skip where no daemon answers; their order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import pytest
from small_runs import in_process

from sandbox.backend import SandboxUnavailable
from sandbox.docker_backend import connect


@pytest.fixture
def trusted() -> Iterator[None]:
    """Designs run in this process."""
    with in_process():
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("docker"):
            # tests/docker_ran.py counts these.
            item.user_properties.append(("docker", "yes"))
    # What takes longest begins first, so that no process is left alone with it in the end.
    longest = {item.path for item in items if item.get_closest_marker("timeout")}
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in longest, item.path not in slow))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("docker") and (reason := _no_daemon()):
        pytest.skip(reason)


@lru_cache(maxsize=1)
def _no_daemon() -> str:
    """Why no Docker daemon is to be had; empty if one answers."""
    try:
        connect(10.0).close()
    except SandboxUnavailable as error:
        return f"docker: {error} ({error.hint})"
    return ""
