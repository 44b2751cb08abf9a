"""What the tests of whole runs share."""

from __future__ import annotations

import pytest
from small_runs import small_config

from meta_agent.config import Config


@pytest.fixture
def small() -> Config:
    return small_config()
