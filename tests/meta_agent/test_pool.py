"""Claims about the workers: real processes under a private Ray cluster, and a node of a cluster that is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_workers import jobs, rewards, workers_of
from small_runs import PROJECT, small_config

from meta_agent.evaluations import worker_spec
from meta_agent.pool import RayPool, SerialPool
from meta_agent.worker import Done


@pytest.fixture(scope="module")
def alone() -> dict[int, list[tuple[float, ...]]]:
    """What one worker in this process makes of the jobs."""
    with SerialPool(worker_spec(small_config())) as pool:
        return rewards([done for done in pool.run(jobs()) if done is not None])


@pytest.fixture(scope="module")
def pool() -> Iterator[RayPool]:
    with RayPool(worker_spec(small_config()), 2) as pool:
        pool.facts()
        yield pool


@pytest.mark.slow
def test_workers_say_what_one_worker_says(pool: RayPool, alone: dict[int, list[tuple[float, ...]]]) -> None:
    assert rewards([done for done in pool.run(jobs()) if done is not None]) == alone


@pytest.mark.slow
def test_a_worker_killed_in_an_evaluation_is_replaced_and_no_job_is_lost(
    pool: RayPool, alone: dict[int, list[tuple[float, ...]]]
) -> None:
    results, killed = [], 0
    for done in pool.run(jobs()):
        if done is None:
            continue
        results.append(done)
        if not killed:
            (killed, *_) = workers_of(os.getpid())
            os.kill(killed, signal.SIGKILL)
    assert killed
    assert rewards(results) == alone


@pytest.mark.slow
def test_once_it_is_late_nothing_is_begun_and_the_workers_go_on_afterwards(
    pool: RayPool, alone: dict[int, list[tuple[float, ...]]]
) -> None:
    results: list[Done] = []
    for done in pool.run(jobs(), late=lambda: bool(results)):
        if done is not None:
            results.append(done)
    assert 1 <= len(results) <= 2, "what was under way when it became late"
    assert rewards([done for done in pool.run(jobs()) if done is not None]) == alone


NODE_LOST = """
import sys
out, *sys.path[:0] = sys.argv[1:]
import fcntl, json, os, socket, struct
with socket.socket() as any_socket:  # the new network's loopback is down
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 1))
os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"})
from ray.cluster_utils import Cluster
from ray_workers import jobs, rewards
from small_runs import small_config
from meta_agent.evaluations import worker_spec
from meta_agent.pool import RayPool

soon = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
small = {"object_store_memory": 100 * 1024 * 1024, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": soon, **small})
node = cluster.add_node(num_cpus=1, object_store_memory=100 * 1024 * 1024)
with RayPool(worker_spec(small_config()), 4, cluster.address) as pool:
    pool.facts()
    results = []
    for done in pool.run(jobs()):
        if done is not None:
            results.append(done)
            if len(results) == 1:
                cluster.remove_node(node, allow_graceful=False)
    with open(out, "w") as file:
        json.dump(rewards(results), file)
cluster.shutdown()
"""


@pytest.mark.slow
def test_a_lost_node_costs_no_job(tmp_path: Path, alone: dict[int, list[tuple[float, ...]]]) -> None:
    """In a network of its own, since Ray would listen on every address of the machine."""
    unshare = ["unshare", "-n" if os.geteuid() == 0 else "-rn"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], check=False, timeout=60).returncode != 0:
        pytest.skip("this machine grants no network namespace")
    script, out = tmp_path / "node_lost.py", tmp_path / "out.json"
    script.write_text(NODE_LOST)
    python = [sys.executable, str(script), str(out), str(PROJECT), str(PROJECT / "tests")]
    done = subprocess.run(
        [*unshare, *python],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    told = {int(n): [tuple(r) for r in mine] for n, mine in json.loads(out.read_text()).items()}
    assert told == alone


TORN = """
import ctypes, os, signal, sys, threading, time
from meta_agent import pool
from meta_agent.ending import ending

def handler():
    found = ctypes.create_string_buffer(512)
    ctypes.CDLL(None).sigaction(signal.SIGTERM, None, found)
    return found.raw[:8]

def strike(before):  # once the library beneath Ray has put its own handler over that of Python
    while handler() == before:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGTERM)

print(os.getpid(), flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
threading.Thread(target=strike, args=(handler(),), daemon=True).start()
with ending():
    pool._start(None)
"""


def test_a_start_that_is_torn_by_a_signal_ends_cleanly_and_leaves_nobody() -> None:
    command = [sys.executable, "-c", TORN]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, start_new_session=True)
    assert done.returncode == 130, done.stderr
    assert "stopped before anything was begun" in done.stderr
    session = done.stdout.strip()
    deadline = time.monotonic() + 10
    while left := subprocess.run(["pgrep", "-s", session, "-a"], capture_output=True, text=True).stdout:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
