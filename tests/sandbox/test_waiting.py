"""Claims about how long a call waits before it is tried again."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from gateways import Open, call, script
from raw_servers import completion, raw_server, response

from sandbox.mock_llm import serve
from sandbox.mock_script import Fault

LIMITED = {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}


def http_date(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def test_retry_after_is_kept_to_whether_seconds_or_a_date(gateway: Open) -> None:
    faults = (
        Fault(kind="status", status=429, retry_after="0.4", when="seconds"),
        Fault(kind="status", status=429, retry_after=http_date(3.0), when="future"),
    )
    with serve(script(*faults)) as server:
        quick = gateway(server)
        began = time.monotonic()
        assert quick.ask(call("some seconds")).attempts == 2
        assert time.monotonic() - began >= 0.4
        assert quick.ask(call("in the future")).attempts == 2
        assert time.monotonic() - began >= 1.0


@pytest.mark.parametrize("after", ["0", "0.1", http_date(-3600)], ids=["at once", "soon", "in the past"])
def test_waits_grow_whatever_the_provider_asks_for(gateway: Open, after: str) -> None:
    with serve(script(Fault(kind="status", status=429, retry_after=after, times=3))) as server:
        began = time.monotonic()
        assert gateway(server, attempts=4, backoff_seconds=0.2).ask(call()).attempts == 4
        assert time.monotonic() - began >= 0.2 + 0.4 + 0.8


def test_those_who_were_told_to_wait_equally_long_do_not_come_back_at_once(gateway: Open) -> None:
    came: list[float] = []

    def limited_at_first(connection: socket.socket) -> None:
        came.append(time.monotonic())
        refused = response(LIMITED, "429 Too Many Requests", "Retry-After: 1")
        connection.sendall(refused if len(came) <= 20 else response(completion()))

    with raw_server(limited_at_first) as server:
        gateway(server).ask_all([call(position=position) for position in range(20)])
    assert max(came[20:]) - min(came[20:]) > 0.25


NO_TIMES = (
    *("", "x", "nan", "1e999", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 99 Jan 2020 99:00:00"),
    *("Mon, 01 Jan 0001 00:00:00 +2359", "Mon, 01 Jan 2020 00:00:00 +99999999999"),
)


@pytest.mark.parametrize("after", NO_TIMES)
def test_what_is_no_time_to_wait_is_not_waited_for(gateway: Open, after: str) -> None:
    with serve(script(Fault(kind="status", status=429, retry_after=after))) as server:
        assert gateway(server).ask(call()).attempts == 2
