"""Claims about signals, which are sent to a real process."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys

import pytest
from rich.console import Console
from small_runs import PROJECT

from meta_agent.terminal import say

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


WITH_WORKERS = """
import time
from meta_agent.errors import Interrupted
from meta_agent.evaluations import worker_spec
from meta_agent.pool import RayPool
from meta_agent.session import stoppable
from small_runs import small_config

with stoppable() as stopping:
    with RayPool(worker_spec(small_config()), 1) as pool:
        try:
            pool.facts(lambda: True)
        except Interrupted:
            print("not waited for", flush=True)
        print("ready", flush=True)
        while not stopping():
            time.sleep(0.01)
        time.sleep(4)
        print("finished", flush=True)
    print("closed", flush=True)
    time.sleep(4)
"""


def test_a_run_with_workers_takes_the_time_to_stop_that_it_needs() -> None:
    """Ray would have it exit at once, and aborted after three seconds. Before its workers are up, it need not wait."""
    path = os.pathsep.join((str(PROJECT), str(PROJECT / "tests")))
    process = subprocess.Popen(
        [sys.executable, "-c", WITH_WORKERS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["not waited for\n", "ready\n"]
    process.send_signal(signal.SIGTERM)
    assert [process.stdout.readline() for _ in range(2)] == ["finished\n", "closed\n"]
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, "the second one ends it, by the same handler"
    assert "stopping: what is finished is kept" in told
    assert "SIGTERM received" not in told


def test_nothing_that_is_said_steers_the_terminal() -> None:
    told = io.StringIO()
    text = "bad key\x1b]0;title\x07 \x1b[31m\x9b2J \u202egnp.exe \r\u200b\ud800\ttab\nline"
    say(text, Console(file=told, force_terminal=True, width=200))
    assert told.getvalue().encode()
    assert not set("\x1b\x07\x9b\r\u202e\u200b") & set(told.getvalue())
    assert "line" in told.getvalue().splitlines()[-1]


INTERRUPTED = """
import os, signal, time, typer
from meta_agent.ending import ending

app = typer.Typer()

@app.command()
def wait():
    os.kill(os.getpid(), signal.NUMBER)
    time.sleep(60)

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background has it ignored
with ending():
    app()
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_in_any_command_is_answered(number: str) -> None:
    script = INTERRUPTED.replace("NUMBER", number)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=PROJECT)
    assert done.returncode == 130
    assert done.stderr.splitlines()[0] == "error: stopped"
    assert done.stderr.count("stopped") == 1
