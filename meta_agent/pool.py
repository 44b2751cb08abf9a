"""Workers on this machine or on a cluster, by Ray. The only module that imports it.

Ray runs a task at least once, so a result that arrives twice must be harmless: the ledger files it once.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, Self

from meta_agent.switchboard import Desk, RemoteModels, Switchboard
from meta_agent.worker import Done, Facts, Job, Worker, WorkerSpec
from sandbox.backend import SandboxUnavailable
from sandbox.calls import ModelFault, Models
from sandbox.gateway import Gateway

TRIES = 4
"""Attempts at a job whose worker or sandbox was lost, before the run stops."""
POLL_SECONDS = 0.2
GRACE_SECONDS = 10.0
"""What jobs that are under way may take once it is late."""
OBJECT_STORE_BYTES = 200 * 1024 * 1024


def never() -> bool:
    """It is never late."""
    return False


class WorkerLost(SandboxUnavailable):
    """A worker's process or its whole node is gone; neither the job nor its design is at fault."""


class Pool(Protocol):
    """Carries out jobs. Owes: every job's result at least once, in any order, and a pause in which to look up.

    Once `late` says so no further job is begun; those that are under way have `GRACE_SECONDS`.

    A design's fault is in the result; `SandboxUnavailable` and `ModelFault` end the iteration.
    """

    def facts(self) -> Facts: ...

    def run(self, jobs: Sequence[Job], late: Callable[[], bool] = never) -> Iterator[Done | None]:
        """Yield results as they arrive, and None now and then while nothing does."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class SerialPool:
    """One worker in this process: for single evaluations and for tests."""

    def __init__(self, spec: WorkerSpec, models: Models | None = None) -> None:
        self._worker = Worker(spec, models)

    def facts(self) -> Facts:
        return self._worker.facts()

    def run(self, jobs: Sequence[Job], late: Callable[[], bool] = never) -> Iterator[Done | None]:
        for job in jobs:
            if late():
                return
            yield self._worker.run(job)
            yield None

    def close(self) -> None:
        self._worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RayPool:
    """Worker processes, one a core, each with sandboxes of its own.

    Args:
        count: None is one for each core that Ray has.
        address: of a running cluster; None starts a private one on this machine, which ends with this process.
        models: answers the workers' model calls; None where the run is key-free.

    Raises:
        SandboxUnavailable: Ray does not start or cannot be reached, or no worker gets a sandbox.
    """

    def __init__(
        self, spec: WorkerSpec, count: int | None, address: str | None = None, models: Gateway | None = None
    ) -> None:
        self._ray = _start(address)
        self._spec = spec
        size = count or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        self._threads = -(-spec.in_flight // size) if spec.models else 1
        self._board = None if models is None else self._connect(models)
        self._actors: list[Any] = [self._hire() for _ in range(size)]
        self._heirs: dict[Any, Any] = {}

    def facts(self) -> Facts:
        """What the workers' sandboxes are; all must hold the same.

        Raises:
            SandboxUnavailable: they differ, or a worker did not come up.
        """
        pending = [actor.facts.remote() for actor in self._actors]
        try:
            told: set[Facts] = set(self._ray.get(pending, timeout=300))
        except self._ray.exceptions.RayTaskError as error:
            raise _unwrap(error) from error
        except (self._ray.exceptions.RayActorError, self._ray.exceptions.GetTimeoutError) as error:
            raise SandboxUnavailable(
                f"the workers did not start: {error}", "see the log in the run's folder"
            ) from error
        if len({fact.digest for fact in told}) != 1:
            raise SandboxUnavailable(
                "the nodes' sandboxes hold different code or Python versions", "install the same version on every node"
            )
        return told.pop()

    def run(self, jobs: Sequence[Job], late: Callable[[], bool] = never) -> Iterator[Done | None]:
        waiting = deque((job, 1) for job in jobs)
        idle = self._actors * self._threads
        flying: dict[Any, tuple[Job, int, Any]] = {}
        deadline = math.inf
        while waiting or flying:
            if deadline == math.inf and late():
                deadline = time.monotonic() + GRACE_SECONDS
            if deadline < math.inf:
                waiting.clear()
            if time.monotonic() > deadline:
                for _, _, actor in flying.values():
                    self._replace(actor)
                return
            while waiting and idle:
                actor = idle.pop()
                job, attempt = waiting.popleft()
                flying[actor.run.remote(job)] = (job, attempt, actor)
            ready, _ = self._ray.wait(list(flying), timeout=POLL_SECONDS)
            for reference in ready:
                job, attempt, actor = flying.pop(reference)
                done, fault = self._result(reference)
                idle.append(self._replace(actor) if isinstance(fault, WorkerLost) else actor)
                if done is not None:
                    yield done
                elif isinstance(fault, ModelFault) or (fault is not None and attempt >= TRIES):
                    raise fault
                else:
                    waiting.append((job, attempt + 1))
            if not ready:
                yield None

    def _result(self, reference: Any) -> tuple[Done, None] | tuple[None, Exception]:
        """What a worker sent, or why it could not; a fault is the machine's, and the job is then tried again."""
        try:
            return self._ray.get(reference), None
        except self._ray.exceptions.RayTaskError as error:
            return None, _unwrap(error)
        except self._ray.exceptions.RayError as error:
            return None, WorkerLost(f"workers were lost {TRIES} times: {error}")

    def _replace(self, actor: Any) -> Any:
        """Put a new worker into the place of one that is lost or given up, once for all its jobs."""
        if actor not in self._heirs:
            self._ray.kill(actor)
            fresh = self._heirs[actor] = self._hire()
            self._actors[self._actors.index(actor)] = fresh
        return self._heirs[actor]

    def close(self) -> None:
        pending = [actor.close.remote() for actor in self._actors]
        self._ray.wait(pending, num_returns=len(pending), timeout=3.0)
        for actor in self._actors:
            self._ray.kill(actor)
        if self._board is not None:
            self._desk.close()
        self._ray.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hire(self) -> Any:
        # Fractions of a core: more workers than cores are allowed, they only take turns.
        # One more than its jobs, so that it can be told to close while all of them wait for models.
        concurrency = self._threads + 1 if self._threads > 1 else 1
        options = {"max_restarts": 0, "scheduling_strategy": "SPREAD", "max_concurrency": concurrency}
        actor = self._ray.remote(num_cpus=0.001, **options)(Worker)
        return actor.remote(self._spec, None if self._board is None else _Board(self._board))

    def _connect(self, models: Gateway) -> Any:
        """Open the line between workers and gateway."""
        board = self._ray.remote(num_cpus=0.001, max_concurrency=100_000)(Switchboard).remote()
        ray = self._ray
        self._desk = Desk(models, lambda: ray.get(board.take.remote()), board.give.remote)
        return board


class _Board(RemoteModels):
    """The switchboard as a worker reaches it."""

    def __init__(self, board: Any) -> None:
        import ray

        self._board = board
        super().__init__(board.ask.remote, ray.get)

    def __reduce__(self) -> tuple[type[_Board], tuple[Any]]:
        return _Board, (self._board,)


def _start(address: str | None) -> Any:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**threads, "PYTHONHASHSEED": "0"}
    # Ray makes workers nice, and then each of their messages to a sandbox waits behind everything else.
    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"})
    if address is None:
        # What a private cluster starts inherits this; a runtime environment would cost each worker a second.
        os.environ.update(environment)
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray's default, but unasked it warns of it
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    try:
        if address is None:
            ray.init(address="local", include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **options)
        else:
            ray.init(address=address, runtime_env={"env_vars": environment}, **options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = "on this machine" if address is None else f"at {address}"
        raise SandboxUnavailable(
            f"Ray is not to be had {where}: {error}", "is the cluster up, and the port open?"
        ) from error
    return ray


def _unwrap(error: Any) -> Exception:
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, SandboxUnavailable | ModelFault) else error
