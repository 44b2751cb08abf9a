"""Carries model calls from worker processes to the gateway in the driver's, and the answers back.

So there is one budget, one record and one place that knows a key, however many workers there are on however many
machines. A call costs two messages more than it would otherwise: about a millisecond, beside the seconds of a model.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from sandbox.calls import Call, CallRefused, ModelFault, Reply
from sandbox.gateway import Gateway

Answer = Reply | CallRefused | ModelFault
TAKE_SECONDS = 0.5
"""After which a desk without calls looks up whether it is to close."""


class Switchboard:
    """Where workers leave their calls; runs as an actor, all of it on one event loop."""

    def __init__(self) -> None:
        self._calls: asyncio.Queue[tuple[int, Call]] = asyncio.Queue()
        self._open: dict[int, asyncio.Future[Answer]] = {}
        self._tickets = 0

    async def ask(self, call: Call) -> Answer:
        """Wait for the answer to a call."""
        ticket, self._tickets = self._tickets, self._tickets + 1
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open[ticket] = answer
        await self._calls.put((ticket, call))
        try:
            return await answer
        finally:
            del self._open[ticket]

    async def take(self) -> list[tuple[int, Call]]:
        """Hand out the calls that wait; none if none comes for a while."""
        try:
            taken = [await asyncio.wait_for(self._calls.get(), TAKE_SECONDS)]
        except TimeoutError:
            return []
        while not self._calls.empty():
            taken.append(self._calls.get_nowait())
        return taken

    async def give(self, ticket: int, answer: Answer) -> None:
        """Bring an answer; nobody may wait for it any more."""
        waiting = self._open.get(ticket)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)


class Desk:
    """The gateway's side: a thread that takes calls and gives answers.

    Args:
        take: the switchboard's, as a blocking call; give: the same, need not block.
    """

    def __init__(
        self, gateway: Gateway, take: Callable[[], list[tuple[int, Call]]], give: Callable[[int, Answer], Any]
    ) -> None:
        self._gateway = gateway
        self._take = take
        self._give = give
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="model desk", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join(timeout=10.0)

    def _serve(self) -> None:
        while not self._closing.is_set():
            for ticket, call in self._take():
                self._gateway.submit(call).add_done_callback(self._answering(ticket))

    def _answering(self, ticket: int) -> Callable[[Future[Reply]], None]:
        def done(future: Future[Reply]) -> None:
            if not future.cancelled() and not self._closing.is_set():
                self._give(ticket, _answer(future))

        return done


class RemoteModels:
    """`sandbox.calls.Models` in a worker.

    Args:
        begin: leaves a call at the switchboard; wait: waits for the answer to what was begun.
    """

    def __init__(self, begin: Callable[[Call], Any], wait: Callable[[Any], Answer]) -> None:
        self._begin = begin
        self._wait = wait

    def ask(self, call: Call) -> Reply:
        answer = self._wait(self._begin(call))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask_all(self, calls: Sequence[Call]) -> list[Reply | CallRefused]:
        answers = [self._wait(begun) for begun in [self._begin(call) for call in calls]]
        for answer in answers:
            if isinstance(answer, ModelFault):
                raise answer
        return [answer for answer in answers if not isinstance(answer, ModelFault)]


def _answer(future: Future[Reply]) -> Answer:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, CallRefused | ModelFault):
        return error
    return ModelFault(f"the call could not be made or recorded: {type(error).__name__}: {error}")
