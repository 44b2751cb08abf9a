"""The one place that every model call of a run goes through: the record, the budget, the provider, in this order.

It runs an event loop in a thread of its own, so that hundreds of calls wait at once and nobody's core with them.
A call that the record has is answered from it. What is not there is reserved, written down as open, asked, settled and
written down as answered, in that order: whatever moment the process dies at, no answer that was paid for is lost once
it has arrived, and what was under way stays charged at its reservation.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from sandbox.budget import NANO, Amount, Budget, Caps
from sandbox.calls import (
    Call,
    CallRefused,
    ModelFault,
    ModelSpec,
    NotRecorded,
    PriceUnknown,
    ProviderDown,
    Reply,
    Role,
)

T = TypeVar("T")

LONGEST_WAIT_SECONDS = 60.0
LONGEST_RETRY_AFTER_SECONDS = 600.0
BARREN_CALLS = 8
"""In a row without a usable answer to any attempt, after which a model is taken for unfit and the run stops."""


class AttemptFailed(Exception):
    """One attempt brought nothing; another may.

    Args:
        after: seconds that the provider asked to wait; None if it did not say.
        used: input and output tokens that the provider says it has used; None if it may have, and did not say.
        answered: the provider works; what it said to this very call is worth nothing.
    """

    def __init__(
        self,
        message: str,
        after: float | None = None,
        used: tuple[int, int] | None = (0, 0),
        answered: bool = False,
    ) -> None:
        super().__init__(message)
        self.after = after
        self.used = used
        self.answered = answered


@dataclass(frozen=True, slots=True)
class Price:
    """In dollars per million tokens."""

    input: float
    output: float

    def nanodollars(self, input_tokens: int, output_tokens: int) -> int:
        return math.ceil((self.input * input_tokens + self.output * output_tokens) * (NANO / 1e6) - 1e-6)


class Provider(Protocol):
    """Makes one attempt at a call."""

    def price(self, spec: ModelSpec) -> Price | None:
        """What the model costs; None if nobody knows."""
        ...

    async def attempt(self, spec: ModelSpec, call: Call) -> Reply:
        """Ask once. The gateway fills `dollars`, `attempts` and `seconds`.

        Raises:
            AttemptFailed, CallRefused, ProviderRefused
        """
        ...


class CallLog(Protocol):
    """The record of a run's calls. Every method is durable when it returns; all are called by one thread."""

    def find(self, call: Call) -> Reply | CallRefused | None:
        """What an equal call was answered; None if it has no answer yet."""
        ...

    def write(self, entries: Sequence[Entry]) -> None: ...

    def charged(self) -> Amount:
        """All that was ever charged."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A change of the record: what is charged to a call more than before, and its answer once there is one."""

    call: Call
    model: str
    charge: Amount
    answer: Reply | CallRefused | None = None


class Gateway:
    """Answers the calls of one run; see `sandbox.calls.Models`.

    Args:
        open_log: opens the record; it is called, as is all of the record, in a thread of its own.
        replay: a record to answer from alone: no provider is asked.

    Raises:
        PriceUnknown: there is a cap in dollars, and the price of a model is not known.
    """

    def __init__(
        self,
        specs: Mapping[Role, ModelSpec],
        provider: Provider,
        open_log: Callable[[], CallLog],
        caps: Caps,
        replay: Callable[[], CallLog] | None = None,
    ) -> None:
        self._specs = specs
        self._provider = provider
        self._prices = {role: provider.price(spec) for role, spec in specs.items()}
        unpriced = [spec.model for role, spec in specs.items() if self._prices[role] is None]
        if caps.dollars is not None and unpriced:
            raise PriceUnknown(
                f"budget.dollars is set, but the price of {unpriced[0]} is not known",
                "say its input_dollars and output_dollars per million tokens, or cap tokens instead",
            )
        self._fatal: ModelFault | None = None
        self._unwritable: Exception | None = None
        self._barren: Counter[Role] = Counter()
        self._flying: dict[tuple[str, str, int, str], asyncio.Task[Reply]] = {}
        self._writer = ThreadPoolExecutor(1, "model record")
        self._log = self._writer.submit(open_log).result()
        self._replay = None if replay is None else self._writer.submit(replay).result()
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        charged = self._writer.submit(self._log.charged).result()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="model gateway", daemon=True)
        self._thread.start()
        self._budget = self._in_loop(_made(Budget, caps, charged))

    @property
    def spent(self) -> Amount:
        return self._budget.spent

    @property
    def fault(self) -> ModelFault | None:
        """What has ended it; no call is made any more."""
        return self._fatal

    def ask(self, call: Call) -> Reply:
        return self.submit(call).result()

    def ask_all(self, calls: Sequence[Call]) -> list[Reply | CallRefused]:
        return [value_of(future) for future in [self.submit(call) for call in calls]]

    def submit(self, call: Call) -> concurrent.futures.Future[Reply]:
        """Begin a call; the future raises what `ask` would."""
        return asyncio.run_coroutine_threadsafe(self._shared(call), self._loop)

    def close(self) -> None:
        """Give up what is under way, and close the record."""
        if not self._loop.is_closed():
            self._in_loop(self._cancel())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=10.0)
            self._loop.close()
            self._writer.submit(self._log.close).result()
            if self._replay is not None:
                self._writer.submit(self._replay.close).result()
            self._writer.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _cancel(self) -> None:
        for task in self._flying.values():
            task.cancel()
        await asyncio.gather(*self._flying.values(), return_exceptions=True)
        if self._writing is not None:
            await self._writing
        # Libraries leave tasks of their own on the loop, which would complain once it is closed.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._loop.shutdown_asyncgens()

    async def _shared(self, call: Call) -> Reply:
        """Two that ask the same at the same time share the answer: a job may be given away while it still goes on."""
        key = (call.scope, call.role, call.position, call.content)
        task = self._flying.get(key)
        if task is None:
            task = self._flying[key] = asyncio.ensure_future(self._answer(call))
            task.add_done_callback(lambda _: self._flying.pop(key, None))
        return await asyncio.shield(task)

    async def _answer(self, call: Call) -> Reply:
        if self._fatal is not None:
            raise self._fatal
        found = await self._loop.run_in_executor(self._writer, self._log.find, call)
        if found is None:
            try:
                found = await (self._ask(call) if self._replay is None else self._repeat(call))
            except ModelFault as fault:
                self._fatal = self._fatal or fault
                raise
        if isinstance(found, CallRefused):
            raise found
        return found

    async def _repeat(self, call: Call) -> Reply | CallRefused:
        """Answer from the other record, and write it down in this one."""
        assert self._replay is not None
        found = await self._loop.run_in_executor(self._writer, self._replay.find, call)
        if found is None:
            raise NotRecorded(
                f"the recorded run has no answer to call {call.position} of {call.role} in {call.scope}",
                "a replay wants the same config and the same version of mnemogen",
            )
        model = self._specs[call.role].model if call.role in self._specs else ""
        await self._write(Entry(call, model, _charge(found), found))
        return found

    async def _ask(self, call: Call) -> Reply | CallRefused:
        spec = self._specs.get(call.role)
        if spec is None:
            return CallRefused(f"this run has no model for the role {call.role!r}")
        retrying = AsyncRetrying(
            stop=stop_after_attempt(spec.attempts),
            wait=_Wait(spec.backoff_seconds),
            retry=retry_if_exception_type(AttemptFailed),
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    return await self._attempt(spec, call, attempt.retry_state.attempt_number)
        except AttemptFailed as error:
            raise ProviderDown(
                f"{spec.model} did not answer in {spec.attempts} attempts; the last one: {error}",
                "`mnemogen resume` goes on once it answers again",
            ) from error
        raise AssertionError("tenacity ends by returning or raising")

    async def _attempt(self, spec: ModelSpec, call: Call, number: int) -> Reply | CallRefused:
        reserved = self._amount(call.role, call.input_bytes, call.max_tokens)
        await self._budget.reserve(reserved)
        spent = reserved
        answer: Reply | CallRefused | None = None
        try:
            try:
                await self._write(Entry(call, spec.model, reserved))
            except Exception:
                spent = Amount()
                raise
            if self._fatal is not None:
                spent = Amount()
                raise self._fatal
            began = self._loop.time()
            try:
                reply = await self._provider.attempt(spec, call)
            except AttemptFailed as failed:
                spent = reserved if failed.used is None else self._amount(call.role, *failed.used)
                if not failed.answered or number < spec.attempts:
                    raise
                answer = self._worthless(spec, call.role, failed)
                return answer
            except CallRefused as refused:
                spent = self._amount(call.role, *refused.used)
                answer = refused
                return answer
            except ModelFault:
                spent = self._amount(call.role, 0, 0)
                raise
            self._barren[call.role] = 0
            spent = self._amount(call.role, reply.input_tokens, reply.output_tokens)
            dollars = None if self._prices[call.role] is None else spent.dollars
            # As it can be written down: a repetition must read what was read the first time.
            text = reply.text.encode("utf-8", "replace").decode()
            answer = replace(reply, text=text, dollars=dollars, attempts=number, seconds=self._loop.time() - began)
            return answer
        finally:
            # A cancelled attempt stays charged at its reservation: nobody knows whether it was paid for.
            await asyncio.shield(self._settle(Entry(call, spec.model, spent - reserved, answer), reserved, spent))

    def _worthless(self, spec: ModelSpec, role: Role, last: AttemptFailed) -> CallRefused:
        """What becomes of a call to which every answer was worth nothing: others may fare better, unless none does."""
        self._barren[role] += 1
        told = f"{spec.model} gave no usable answer in {spec.attempts} attempts; the last one: {last}"
        if self._barren[role] >= BARREN_CALLS:
            raise ProviderDown(
                f"{told}; so it went with {BARREN_CALLS} calls in a row",
                f"is models.{role}.max_tokens ({spec.max_tokens}) enough, reasoning included?",
            ) from last
        return CallRefused(told)

    async def _settle(self, entry: Entry, reserved: Amount, spent: Amount) -> None:
        try:
            await self._write(entry)
        finally:
            # Otherwise those who wait for the budget would wait for ever.
            await self._budget.settle(reserved, spent)

    def _amount(self, role: Role, input_tokens: int, output_tokens: int) -> Amount:
        price = self._prices[role]
        cost = 0 if price is None else price.nanodollars(input_tokens, output_tokens)
        return Amount(1, input_tokens + output_tokens, cost)

    async def _write(self, entry: Entry) -> None:
        """Have an entry written; those that come while the disk is at work share its next turn.

        After a write that failed none is tried again: who knows what the disk holds.
        """
        if self._unwritable is not None:
            raise self._unwritable
        done = self._loop.create_future()
        self._waiting.append((entry, done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.ensure_future(self._flush())
        await done

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                if self._unwritable is not None:
                    raise self._unwritable
                await self._loop.run_in_executor(self._writer, self._log.write, [entry for entry, _ in batch])
            except Exception as error:  # noqa: BLE001 - whatever the disk said is for those who wait
                self._unwritable = error
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, done in batch:
                    if not done.done():
                        done.set_result(None)


class _Wait:
    """Longer and longer, and no shorter than the provider asked for: it may say 0, or the same to all who wait."""

    def __init__(self, initial: float) -> None:
        self._growing = wait_exponential(initial, max=LONGEST_WAIT_SECONDS)
        self._spread = wait_random(0.0, 0.5)

    def __call__(self, state: RetryCallState) -> float:
        error = None if state.outcome is None else state.outcome.exception()
        after = error.after if isinstance(error, AttemptFailed) else None
        least = max(min(after or 0.0, LONGEST_RETRY_AFTER_SECONDS), self._growing(state))
        return least + self._spread(state) * min(least, LONGEST_WAIT_SECONDS)


async def _made(make: Callable[..., T], *args: object) -> T:
    """Make something that must be made on the loop that it lives on."""
    return make(*args)


def _charge(answer: Reply | CallRefused) -> Amount:
    if isinstance(answer, CallRefused):
        return Amount(1)
    return Amount(1, answer.input_tokens + answer.output_tokens, round((answer.dollars or 0.0) * NANO))


def value_of(future: concurrent.futures.Future[Reply]) -> Reply | CallRefused:
    """The answer of a finished call, or its refusal as a value.

    Raises:
        ModelFault: as `Models.ask`.
    """
    try:
        return future.result()
    except CallRefused as refused:
        return refused
