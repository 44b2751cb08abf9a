"""Claims about workers that hold a job for too long: real processes under a private Ray cluster, really stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from ray_workers import jobs, rewards, workers_of
from small_runs import small_config

from design_space import catalogue
from meta_agent.evaluations import worker_spec
from meta_agent.pool import Late, RayPool, SerialPool, lease_seconds
from meta_agent.worker import Done, Job
from sandbox.calls import ModelSpec

LEASE_SECONDS = 10.0


def ended(pid: int, seconds: float = 10.0) -> bool:
    """Whether a process is gone, or soon is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                time.sleep(0.02)
                continue
        return True
    return False


@pytest.mark.slow
def test_a_worker_stopped_past_its_lease_loses_the_job_and_what_it_says_later_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with SerialPool(worker_spec(small_config())) as serial:
        alone = rewards([done for done in serial.run(jobs()) if done is not None])
    results: list[Done] = []
    with RayPool(worker_spec(small_config()), 2, lease=lambda *_: LEASE_SECONDS) as pool:
        pool.facts()
        (first, second) = workers_of(os.getpid())
        try:
            for done in pool.run(jobs()):
                if done is not None:
                    results.append(done)
                    if len(results) == 1:
                        os.kill(first, signal.SIGSTOP)  # it has a job, or gets the next one
            assert sorted(done.number for done in results) == list(range(len(jobs()))), "each job once"
            assert rewards(results) == alone
            assert pool.late == Late()
            os.kill(first, signal.SIGCONT)
            again = [done for done in pool.run(jobs()) if done is not None]
            assert sorted(done.number for done in again) == list(range(len(jobs())))
            assert rewards(again) == alone
            assert ended(first), "a worker that lost a job is not kept"
            assert pool.late.results == len(jobs()[0].streams)
            assert pool.late.seconds > 0.0
            assert [r.levelname for r in caplog.records if "refused what came of job" in r.message] == ["WARNING"]
            (_, third) = sorted(workers_of(os.getpid()), key=lambda pid: pid != second)
            os.kill(third, signal.SIGSTOP)
        finally:
            began = time.monotonic()
    assert time.monotonic() - began < 10.0
    assert ended(third), "a stopped worker does not outlive the pool"


def test_a_lease_covers_all_that_a_job_may_take() -> None:
    spec = worker_spec(small_config())
    job = Job(0, catalogue.load("no_memory"), "search", (0, 1, 2))
    assert lease_seconds(spec, job) > 3 * spec.limits.stream_wall_seconds
    assert lease_seconds(spec, replace(job, contract=True)) > lease_seconds(spec, job)
    assert lease_seconds(spec, replace(job, experience="shuffled")) > 6 * spec.limits.stream_wall_seconds
    asking = replace(spec, models={"memory": ModelSpec("openai/some-model")})
    assert lease_seconds(asking, job) > lease_seconds(spec, job) + 3 * 3_600.0
