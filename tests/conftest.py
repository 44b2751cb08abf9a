"""What all tests share: Docker tests are told apart in the results file."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("docker"):
            # tests/docker_ran.py counts these.
            item.user_properties.append(("docker", "yes"))
