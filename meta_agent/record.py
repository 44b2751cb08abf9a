"""A run's models: the gateway over the run's own record of calls, and over another run's where one is repeated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from archive.call_book import CallBook, CallRow
from meta_agent.config import Config
from meta_agent.errors import Interrupted
from sandbox.budget import Amount, Caps
from sandbox.calls import Call, CallRefused, Reply, plain
from sandbox.gateway import Entry, Gateway, value_of

KEPT: tuple[str, ...] = ("meta", "judge")
"""Roles whose questions are kept word for word, to be read; those of others a repetition makes again."""
POLL_SECONDS = 0.2


class RunLog:
    """`sandbox.gateway.CallLog` in the ledger's file.

    Raises:
        ArchiveError: as `CallBook`.
    """

    def __init__(self, path: Path, read_only: bool = False) -> None:
        self._book = CallBook(path, read_only=read_only, check=False)

    def find(self, call: Call) -> Reply | CallRefused | None:
        row = self._book.find(call.scope, call.role, call.position, call.content)
        if row is None:
            return None
        if row.outcome == "refused":
            return CallRefused(row.answer)
        return Reply(
            text=row.answer,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            dollars=row.dollars,
            cut=row.cut,
            vectors=row.vectors,
            attempts=row.attempts,
            seconds=row.seconds,
        )

    def write(self, entries: Sequence[Entry]) -> None:
        self._book.write([_row(entry) for entry in entries])

    def charged(self) -> Amount:
        return Amount(*self._book.charged())

    def close(self) -> None:
        self._book.close()


@contextmanager
def open_models(config: Config, ledger: Path, replay: Path | None = None) -> Iterator[Gateway | None]:
    """The gateway of a run; None where the run is key-free.

    Args:
        ledger: the run's file, which exists.
        replay: the file of another run, from which every call is answered; no provider is asked.

    Raises:
        ModelFault: a price is not known.
        ArchiveError: a file cannot be read or written.
    """
    specs = config.models.specs
    if not specs:
        yield None
        return
    from sandbox.models import LiteLLMProvider

    caps = Caps(config.budget.calls, config.budget.tokens, config.budget.dollars)
    repeat = None if replay is None else lambda: RunLog(replay, read_only=True)
    with Gateway(specs, LiteLLMProvider(), lambda: RunLog(ledger), caps, repeat) as gateway:
        yield gateway


class Interruptible:
    """`sandbox.calls.Models` for the driver: signals are heard while it waits; what was asked is still recorded.

    Raises:
        Interrupted: by every method, once `stopping` says so.
    """

    def __init__(self, gateway: Gateway, stopping: Callable[[], bool]) -> None:
        self._gateway = gateway
        self._stopping = stopping

    def ask(self, call: Call) -> Reply:
        (answer,) = self.ask_all([call])
        if isinstance(answer, CallRefused):
            raise answer
        return answer

    def ask_all(self, calls: Sequence[Call]) -> list[Reply | CallRefused]:
        futures = [self._gateway.submit(call) for call in calls]
        while wait(futures, POLL_SECONDS).not_done:
            if self._stopping():
                raise Interrupted("stopped; what was answered is kept", "`mnemogen resume` goes on")
        return [value_of(future) for future in futures]


def _row(entry: Entry) -> CallRow:
    call, answer = entry.call, entry.answer
    row = CallRow(
        scope=call.scope,
        role=call.role,
        position=call.position,
        content=call.content,
        model=entry.model,
        request=json.dumps(plain(call), ensure_ascii=False) if call.role in KEPT else "",
        charged_calls=entry.charge.calls,
        charged_tokens=entry.charge.tokens,
        charged_nanodollars=entry.charge.nanodollars,
    )
    if answer is None:
        return row
    if isinstance(answer, CallRefused):
        return replace(row, outcome="refused", answer=str(answer))
    return replace(
        row,
        outcome="answered",
        answer=answer.text,
        vectors=answer.vectors,
        cut=answer.cut,
        attempts=answer.attempts,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        dollars=answer.dollars,
        seconds=answer.seconds,
    )
