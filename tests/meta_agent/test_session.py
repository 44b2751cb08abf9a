"""Claims about signals, which are sent to a real process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from small_runs import PROJECT

WAITER = """
import sys, time
from meta_agent.session import stoppable

with stoppable() as stopping:
    print("ready", flush=True)
    while not stopping():
        time.sleep(0.01)
    print("asked", flush=True)
    if sys.argv[1] == "deaf":
        time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("manner", ["polite", "deaf"])
def test_signals_ask_for_a_stop_and_a_second_one_ends_it(number: signal.Signals, manner: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITER, manner],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.stdout.readline() == "asked\n"
    if manner == "deaf":
        process.send_signal(number)
    _, told = process.communicate(timeout=30)
    assert process.returncode == (128 + number if manner == "deaf" else 0)
    assert "stopping: what is finished is kept" in told
