"""Workers on this machine or on a cluster, by Ray. The only module that imports it.

Ray runs a task at least once, so a result that arrives twice must be harmless: the ledger files it once.

A worker holds a job on a lease. Once that has passed, whatever the reason, the job is another one's, under the next
epoch; what the first one says of it later is refused, and counted for what it cost.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, Self

from meta_agent.errors import Interrupted
from meta_agent.switchboard import Desk, RemoteModels, Switchboard
from meta_agent.worker import Done, Facts, Job, Worker, WorkerSpec
from sandbox.backend import SandboxUnavailable
from sandbox.calls import ModelFault, Models
from sandbox.evaluate import FOREIGN
from sandbox.gateway import Gateway
from sandbox.streams.base import SourceFault

TRIES = 4
"""Attempts at a job whose worker or sandbox was lost, before the run stops."""
POLL_SECONDS = 0.2
GRACE_SECONDS = 10.0
"""What jobs that are under way may take once it is late."""
OBJECT_STORE_BYTES = 200 * 1024 * 1024
START_SECONDS, PLAY_SECONDS, MODEL_SECONDS = 300.0, 300.0, 6 * 3_600.0
"""Of a lease: for a worker and its sandbox to start; of each stream, for our own part, and for waiting for models."""

_log = logging.getLogger(__name__)


def never() -> bool:
    """It is never late."""
    return False


class WorkerLost(SandboxUnavailable):
    """A worker's process or its whole node is gone; neither the job nor its design is at fault."""


def lease_seconds(spec: WorkerSpec, job: Job) -> float:
    """What a job takes at most: all that its design may take, and plenty for what is ours and for models."""
    streams = len(job.streams) * (2 if job.experience in FOREIGN else 1) + job.contract
    each = spec.limits.stream_wall_seconds + PLAY_SECONDS + (MODEL_SECONDS if spec.models else 0.0)
    return START_SECONDS + streams * each


@dataclass(frozen=True, slots=True)
class Late:
    """Results that were refused, since their lease had passed.

    Attributes:
        results: evaluations; seconds, model_calls, model_tokens: what they cost.
    """

    results: int = 0
    seconds: float = 0.0
    model_calls: int = 0
    model_tokens: int = 0

    def plus(self, done: Done) -> Late:
        evaluations = [evaluation for evaluation, _ in done.results]
        return Late(
            self.results + len(evaluations),
            self.seconds + sum(e.seconds for e in evaluations),
            self.model_calls + sum(e.model_calls for e in evaluations),
            self.model_tokens + sum(e.model_tokens for e in evaluations),
        )


@dataclass(frozen=True, slots=True)
class Lease:
    """A job in the hands of a worker.

    Attributes:
        epoch: how often the job has been given away, this time included.
        until: monotonic seconds.
    """

    job: Job
    epoch: int
    actor: Any
    until: float


class Pool(Protocol):
    """Carries out jobs. Owes: every job's result at least once, in any order, and a pause in which to look up.

    Once `late` says so no further job is begun; those that are under way have `GRACE_SECONDS`.

    A design's fault is in the result; `SandboxUnavailable` and `ModelFault` end the iteration.
    """

    def facts(self, stopping: Callable[[], bool] = never) -> Facts:
        """What the sandboxes are; waits for them, or until it is asked to stop."""
        ...

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

    def facts(self, stopping: Callable[[], bool] = never) -> Facts:
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
        lease: seconds for which a worker holds a job.

    Attributes:
        late: what came in after its lease had passed.

    Raises:
        SandboxUnavailable: Ray does not start or cannot be reached, or no worker gets a sandbox.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        count: int | None,
        address: str | None = None,
        models: Gateway | None = None,
        lease: Callable[[WorkerSpec, Job], float] = lease_seconds,
    ) -> None:
        self._ray = _start(address)
        self._spec = spec
        self._models = models
        self._lease = lease
        self.late = Late()
        size = count or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        self._threads = -(-spec.in_flight // size) if spec.models else 1
        self._board = None if models is None else self._connect(models)
        self._actors: list[Any] = [self._hire() for _ in range(size)]
        self._heirs: dict[Any, Any] = {}
        self._overdue: dict[Any, Lease] = {}

    def facts(self, stopping: Callable[[], bool] = never) -> Facts:
        """What the workers' sandboxes are; all must hold the same.

        Raises:
            Interrupted: it was asked to stop before they were up.
            ModelFault: the model that embeds for them does not.
            SandboxUnavailable: they differ, or a worker did not come up.
        """
        pending = [actor.facts.remote() for actor in self._actors]
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if not self._ray.wait(pending, num_returns=len(pending), timeout=POLL_SECONDS)[1]:
                break
            if stopping():
                raise Interrupted("stopped before anything was begun", "the same command again begins it")
        try:
            told: set[Facts] = set(self._ray.get(pending, timeout=0))
        except self._ray.exceptions.RayTaskError as error:
            raise _unwrap(error) from error
        except (self._ray.exceptions.RayActorError, self._ray.exceptions.GetTimeoutError) as error:
            if self._models is not None and self._models.fault is not None:
                raise self._models.fault from error  # they ask it at their start
            raise SandboxUnavailable(
                f"the workers did not start: {_last_words(error)}",
                "`mnemogen doctor` tells what this machine offers; `sandbox` in the config says what is wanted of it",
            ) from error
        if len({fact.digest for fact in told}) != 1:
            raise SandboxUnavailable(
                "the nodes' sandboxes hold different code or Python versions", "install the same version on every node"
            )
        return told.pop()

    def run(self, jobs: Sequence[Job], late: Callable[[], bool] = never) -> Iterator[Done | None]:
        waiting = deque((job, 1) for job in jobs)
        idle = self._actors * self._threads
        flying: dict[Any, Lease] = {}
        deadline = math.inf
        while waiting or flying:
            if deadline == math.inf and late():
                deadline = time.monotonic() + GRACE_SECONDS
            if deadline < math.inf:
                waiting.clear()
            if time.monotonic() > deadline:
                for lease in flying.values():
                    self._replace(lease.actor)
                return
            while waiting and idle:
                actor = idle.pop()
                job, epoch = waiting.popleft()
                until = time.monotonic() + self._lease(self._spec, job)
                flying[actor.run.remote(job)] = Lease(job, epoch, actor, until)
            ready, _ = self._ray.wait([*flying, *self._overdue], timeout=POLL_SECONDS)
            for reference in ready:
                if reference in self._overdue:
                    self._refuse(reference)
                    continue
                lease = flying.pop(reference)
                done, fault = self._result(reference)
                idle.append(self._replace(lease.actor) if isinstance(fault, WorkerLost) else self._heir(lease.actor))
                if done is not None:
                    yield done
                elif isinstance(fault, ModelFault) or (fault is not None and lease.epoch >= TRIES):
                    raise fault
                else:
                    waiting.append((lease.job, lease.epoch + 1))
            if not ready:  # what has arrived is taken first, however late the driver comes to look
                for lease in self._expire(flying):
                    if lease.epoch >= TRIES:
                        raise WorkerLost(f"workers held a job past its lease {TRIES} times", "see what slows them down")
                    idle.append(self._heir(lease.actor))
                    waiting.append((lease.job, lease.epoch + 1))
                yield None

    def _result(self, reference: Any) -> tuple[Done, None] | tuple[None, Exception]:
        """What a worker sent, or why it could not; a fault is the machine's, and the job is then tried again."""
        try:
            return self._ray.get(reference), None
        except self._ray.exceptions.RayTaskError as error:
            return None, _unwrap(error)
        except self._ray.exceptions.RayError as error:
            return None, WorkerLost(f"workers were lost {TRIES} times: {error}")

    def _expire(self, flying: dict[Any, Lease]) -> list[Lease]:
        """Take the jobs whose lease has passed from their workers, who get a successor each.

        The workers are set aside as long again, so that what they may still say is counted; then they are ended.
        """
        now = time.monotonic()
        for reference, lease in list(self._overdue.items()):
            if now > lease.until + self._lease(self._spec, lease.job):
                del self._overdue[reference]
                self._end(lease.actor)
        expired = {reference: lease for reference, lease in flying.items() if now > lease.until}
        for reference, lease in expired.items():
            del flying[reference]
            self._succeed(lease.actor)
            _log.warning(
                "a worker has held job %d, epoch %d, past its lease: another one gets it", lease.job.number, lease.epoch
            )
        self._overdue |= expired
        return list(expired.values())

    def _refuse(self, reference: Any) -> None:
        """Count what came under an old epoch, and end who sent it."""
        lease = self._overdue.pop(reference)
        done, _ = self._result(reference)
        if done is not None:
            self.late = self.late.plus(done)
            _log.warning(
                "refused what came of job %d, epoch %d, after its lease; refused so far: %d evaluations, %.1f s,"
                " %d model calls with %d tokens",
                *(lease.job.number, lease.epoch, self.late.results, self.late.seconds),
                *(self.late.model_calls, self.late.model_tokens),
            )
        if all(other.actor != lease.actor for other in self._overdue.values()):
            self._end(lease.actor)

    def _replace(self, actor: Any) -> Any:
        """Put a new worker into the place of one that is lost or given up, once for all its jobs."""
        self._end(actor)
        return self._succeed(actor)

    def _succeed(self, actor: Any) -> Any:
        """The worker that takes the place of another, hired once."""
        if actor not in self._heirs:
            fresh = self._heirs[actor] = self._hire()
            self._actors[self._actors.index(actor)] = fresh
        return self._heir(actor)

    def _heir(self, actor: Any) -> Any:
        """Who does the work of this one now; mostly itself."""
        while actor in self._heirs:
            actor = self._heirs[actor]
        return actor

    def _end(self, actor: Any) -> None:
        self._ray.kill(actor)

    def close(self) -> None:
        pending = [actor.close.remote() for actor in self._actors]
        self._ray.wait(pending, num_returns=len(pending), timeout=3.0)
        for actor in (*self._actors, *(lease.actor for lease in self._overdue.values())):
            self._end(actor)
        if self._board is not None:
            self._desk.close()
        with _own_handler():
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


@contextmanager
def _own_handler() -> Iterator[None]:
    """Keep this process's handler of SIGTERM.

    Ray takes the signal for itself, to exit at once; the library beneath it aborts a process that takes three seconds
    more to end; and when it is shut down, the signal has no handler at all. A run that is asked to stop has to finish.

    Raises:
        Interrupted: the signal came meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as error:
        raise Interrupted("stopped before anything was begun", "the same command again begins it") from error
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGTERM, handler)


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
    if address is None:
        options |= {"address": "local", "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    else:
        options |= {"address": address, "runtime_env": {"env_vars": environment}}
    try:
        with _own_handler():
            ray.init(**options)
    except Interrupted:
        _abandon()
        raise
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = "on this machine" if address is None else f"at {address}"
        raise SandboxUnavailable(
            f"Ray is not to be had {where}: {error}", "is the cluster up, and the port open?"
        ) from error
    return ray


def _abandon() -> None:
    """End what Ray has started so far, and keep it from what it does at the exit of a process.

    It was torn out of the middle of connecting, and would crash there.
    """
    from ray._private import worker

    if worker._global_node is not None:
        worker._global_node.kill_all_processes(check_alive=False, allow_graceful=True)
    atexit.register(os._exit, Interrupted.code)  # the last one that is registered is the first to be called


def _unwrap(error: Any) -> Exception:
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, SandboxUnavailable | ModelFault | SourceFault) else error


def _last_words(error: Exception) -> str:
    """What a worker died of: the end of the traceback that Ray makes of it, without the name of the exception."""
    last = str(error).strip().splitlines()[-1].strip()
    kind, _, told = last.partition(": ")
    return told if told and kind.replace(".", "_").isidentifier() else last
