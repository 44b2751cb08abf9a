"""What all tests share: Docker tests are told apart in the results file, and skip where no daemon answers."""

from __future__ import annotations

from functools import lru_cache

import pytest

from sandbox.backend import SandboxUnavailable
from sandbox.docker_backend import connect


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("docker"):
            # tests/docker_ran.py counts these.
            item.user_properties.append(("docker", "yes"))


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
