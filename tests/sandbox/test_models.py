"""Claims about models through litellm: what every fault of a provider does to a call, to the run and to the budget."""

from __future__ import annotations

import base64
import json
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import pytest
from gateways import ANSWER, KEY, DictLog, Open, call, reserved, script, spec, tokens_of
from raw_servers import completion, raw_server, response

from sandbox.budget import Amount, Caps
from sandbox.calls import (
    BudgetUsedUp,
    Call,
    CallRefused,
    Message,
    NotRecorded,
    ProviderDown,
    ProviderRefused,
    Reply,
    Role,
)
from sandbox.gateway import BARREN_CALLS, Gateway
from sandbox.mock_llm import serve
from sandbox.mock_script import Fault, Rule, Script
from sandbox.models import LiteLLMProvider

UNBILLED = {
    "429": Fault(kind="status", status=429, code="rate_limit_exceeded"),
    "429 with seconds to wait": Fault(kind="status", status=429, retry_after="0.05"),
    "409": Fault(kind="status", status=409),
    "429 of a minute": Fault(
        kind="status", status=429, message="You exceeded your current quota. Please retry in 2 s. It was {key}'s."
    ),
    "500": Fault(kind="status", status=500),
    "500 with other words": Fault(kind="status", status=500, message="This model's maximum context length is 8 tokens"),
    "502": Fault(kind="status", status=502),
    "503": Fault(kind="status", status=503),
    "529": Fault(kind="status", status=529, code="overloaded_error"),
}
PERHAPS_BILLED = {
    "reset": Fault(kind="reset"),
    "malformed": Fault(kind="malformed"),
    "html": Fault(kind="html"),
    "truncated": Fault(kind="truncated"),
    "408": Fault(kind="status", status=408),
    "504": Fault(kind="status", status=504),
}


@pytest.mark.parametrize("fault", UNBILLED.values(), ids=UNBILLED.keys())
def test_what_a_provider_declines_for_now_is_asked_again_and_costs_nothing(fault: Fault, gateway: Open) -> None:
    with serve(script(fault)) as server:
        opened = gateway(server)
        reply = opened.ask(call())
        assert (reply.text, reply.attempts) == (ANSWER, 2)
        assert server.count() == 2
    assert opened.spent == Amount(2, tokens_of(call()), opened.spent.nanodollars)


@pytest.mark.parametrize("fault", PERHAPS_BILLED.values(), ids=PERHAPS_BILLED.keys())
@pytest.mark.parametrize("role", ["agent", "embedding"])
def test_where_no_answer_is_understood_it_is_asked_again_and_charged_at_the_bound(
    fault: Fault, role: Role, gateway: Open
) -> None:
    asked = call(role=role)
    with serve(script(fault)) as server:
        opened = gateway(server)
        reply = opened.ask(asked)
        assert reply.attempts == 2
        assert server.count() == 2
    told = tokens_of(asked, "" if role == "embedding" else ANSWER)
    assert opened.spent == Amount(2, reserved(asked) + told, opened.spent.nanodollars)


@pytest.mark.parametrize("fault", [Fault(kind="stall"), Fault(kind="slow", latency_seconds=0.01)])
def test_what_takes_too_long_is_given_up_and_asked_again(fault: Fault, gateway: Open) -> None:
    with serve(script(fault)) as server:
        opened = gateway(server, timeout_seconds=0.5, attempts=6)
        began = time.monotonic()
        reply = opened.ask(call())
        assert time.monotonic() - began >= 0.5
        assert reply.text == ANSWER
        assert server.count(fault=fault.kind) == 1
    assert opened.spent.tokens == tokens_of(call()) + (reply.attempts - 1) * reserved(call())


def test_an_empty_answer_is_asked_for_again_and_charged_as_told(gateway: Open) -> None:
    with serve(script(Fault(kind="empty"))) as server:
        opened = gateway(server)
        assert opened.ask(call()).text == ANSWER
        assert opened.ask(call(role="embedding")).vectors
        assert server.count(fault="empty") == 2
    told = tokens_of(call()) + tokens_of(call(), "") + 2 * tokens_of(call(role="embedding"), "")
    assert opened.spent.tokens == told


FATAL = {
    "401": Fault(kind="status", status=401, code="invalid_api_key", message="Incorrect API key provided: {key}."),
    "403": Fault(kind="status", status=403, message="{key} may not do that"),
    "400": Fault(kind="status", status=400, message="bad parameter in a request of {key}"),
    "404": Fault(kind="status", status=404, code="model_not_found", message="no such model for {key}"),
    "422": Fault(kind="status", status=422, message="unprocessable, {key}"),
    "400 with other words": Fault(kind="status", status=400, message="bad value: 'rate limit 429' of {key}"),
    "quota": Fault(kind="status", status=429, code="insufficient_quota", message="check the plan of {key}"),
    "quota in words": Fault(kind="status", status=429, message="You exceeded your current quota, {key}"),
}


@pytest.mark.parametrize("fault", FATAL.values(), ids=FATAL.keys())
@pytest.mark.parametrize("role", ["agent", "embedding"])
def test_what_no_repetition_would_help_ends_the_run_after_one_request(fault: Fault, role: Role, gateway: Open) -> None:
    with serve(script(fault)) as server:
        opened = gateway(server)
        with pytest.raises(ProviderRefused) as caught:
            opened.ask(call(role=role))
        with pytest.raises(ProviderRefused):
            opened.ask(call("another", position=1))
        assert server.count() == 1
    assert "openai/some-model" in str(caught.value)
    assert caught.value.hint
    assert opened.fault is not None
    assert opened.spent.tokens == 0


def everything(error: BaseException) -> str:
    """All that any report of an exception could show."""
    found, seen = "".join(traceback.format_exception(error)), [error]
    for one in seen:
        found += f"\n{one!r} {one.args} {getattr(one, 'hint', '')}"
        seen += [e for e in (one.__cause__, one.__context__) if e is not None and e not in seen]
    return found


@pytest.mark.parametrize(
    "fault", [*FATAL.values(), *(f.model_copy(update={"message": "{key}", "times": None}) for f in UNBILLED.values())]
)
def test_the_key_is_in_no_message_even_if_the_provider_quotes_it(
    fault: Fault, gateway: Open, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with serve(script(fault)) as server:
        with pytest.raises((ProviderRefused, ProviderDown)) as caught:
            gateway(server).ask(call())
        assert server.requests[0].key == KEY
    told = capfd.readouterr()
    assert KEY not in everything(caught.value) + caplog.text + told.out + told.err


def test_keys_of_the_environment_that_litellm_finds_itself_are_not_shown_either(
    gateway: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "another-key-0815")
    with serve(script(FATAL["401"])) as server:
        monkeypatch.setenv("OPENAI_API_BASE", server.url)
        with pytest.raises(ProviderRefused) as caught:
            gateway(server, api_base=None, key_env=None).ask(call())
        assert server.requests[0].key == "another-key-0815"
    assert "another-key-0815" not in everything(caught.value)


def test_a_key_that_is_not_set_is_said_before_anything_is_asked(gateway: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MNEMOGEN_TEST_KEY")
    with serve(script()) as server:
        with pytest.raises(ProviderRefused, match="MNEMOGEN_TEST_KEY is not set"):
            gateway(server).ask(call())
        assert server.count() == 0


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, "context_length_exceeded", "This model's maximum context length is 8192 tokens, you asked for 9000."),
        (400, "context_length_exceeded", "in words of its own"),
        (400, None, "This model's maximum context length is 8192 tokens, you asked for 9000."),
        (400, "content_policy_violation", "Your request was rejected as a result of our safety system."),
        (413, None, "Request Entity Too Large"),
    ],
)
def test_a_call_that_is_too_long_or_not_allowed_is_refused_alone(
    status: int, code: str | None, message: str, gateway: Open
) -> None:
    fault = Fault(kind="status", status=status, code=code, message=message, when="too much", times=None)
    with serve(script(fault)) as server:
        opened, log = gateway(server), DictLog()
        with pytest.raises(CallRefused):
            opened.ask(call("too much"))
        assert opened.ask(call("enough")).text == ANSWER
        assert opened.fault is None
        answers = opened.ask_all([call("too much", position=1), call("enough", position=1)])
        assert [type(answer) for answer in answers] == [CallRefused, Reply]
        assert server.count() == 4
        for _ in range(2):
            with pytest.raises(CallRefused):
                gateway(server, log).ask(call("too much"))
        assert server.count() == 5  # the refusal is on record


def test_attempts_are_bounded(gateway: Open) -> None:
    with serve(script(Fault(kind="status", status=500, times=None))) as server:
        opened = gateway(server, attempts=4)
        with pytest.raises(ProviderDown, match="did not answer in 4 attempts"):
            opened.ask(call())
        assert server.count() == 4


def test_nobody_at_the_address_is_a_provider_that_is_down(gateway: Open) -> None:
    with serve(script()) as server:
        pass
    with pytest.raises(ProviderDown, match="did not answer in 3 attempts"):
        gateway(server).ask(call())


def test_half_an_answer_is_worth_something_only_to_who_takes_it(gateway: Open) -> None:
    fault = Fault(kind="cut")
    with serve(script(fault)) as server:
        opened = gateway(server)
        half = opened.ask(call())
        assert (half.cut, half.attempts) == (True, 1)
        whole = opened.ask(call("to the end", whole=True))
        assert (whole.text, whole.cut, whole.attempts) == (ANSWER, False, 2)
        assert server.count() == 3


@pytest.mark.parametrize("kind", ["empty", "cut"])
def test_a_call_that_is_never_answered_usably_is_refused_alone_and_on_record(
    kind: Literal["empty", "cut"], gateway: Open
) -> None:
    with serve(script(Fault(kind=kind, when="too hard", times=None))) as server:
        log = DictLog()
        opened = gateway(server, log)
        with pytest.raises(CallRefused, match="no usable answer in 3 attempts"):
            opened.ask(call("too hard", whole=True))
        assert server.count() == 3
        assert opened.ask(call("easy", whole=True)).text == ANSWER
        with pytest.raises(CallRefused, match="no usable answer"):
            gateway(server, log).ask(call("too hard", whole=True))
        assert server.count() == 4


def test_a_model_that_answers_nothing_usably_stops_the_run(gateway: Open) -> None:
    with serve(script(Fault(kind="empty", times=None))) as server:
        opened = gateway(server, attempts=1)
        for position in range(BARREN_CALLS - 1):
            with pytest.raises(CallRefused):
                opened.ask(call(position=position))
        with pytest.raises(ProviderDown, match="8 calls in a row") as caught:
            opened.ask(call(position=BARREN_CALLS))
        assert "models.agent.max_tokens" in caught.value.hint


def test_embeddings_have_a_row_a_text(gateway: Open) -> None:
    texts = ("the red house", "a red house", "", "ducks")
    asked = Call("s", "embedding", 0, tuple(Message("user", text) for text in texts), 0)
    with serve(Script(embedding_dimensions=48)) as server:
        reply = gateway(server).ask(asked)
        assert server.count() == 1
    vectors = np.frombuffer(reply.vectors, dtype="<f4").reshape(len(texts), -1)
    assert vectors.shape == (4, 48)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-6)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[3]
    assert (reply.text, reply.output_tokens) == ("", 0)
    assert reply.dollars == pytest.approx(reply.input_tokens * 1e-6)


def test_what_a_spec_says_reaches_the_provider(gateway: Open) -> None:
    schema = '{"type": "object", "properties": {"x": {"type": "string"}}}'
    with serve(script()) as server:
        opened = gateway(server, temperature=0.25, options={"top_p": 0.5})
        opened.ask(call(schema=schema, max_tokens=17))
        body = server.requests[0].asked.body
    assert (body["model"], body["temperature"], body["top_p"]) == ("some-model", 0.25, 0.5)
    assert server.requests[0].asked.limit == 17
    assert body["response_format"]["json_schema"]["schema"]["properties"] == {"x": {"type": "string"}}
    assert body["messages"] == [{"role": "user", "content": "what is it?"}]


def outcomes(futures: Sequence[Future[Reply]]) -> list[Reply | BaseException]:
    return [future.exception() or future.result() for future in futures]


@pytest.mark.parametrize("capped", ["tokens", "dollars", "calls"])
def test_a_thousand_calls_at_once_get_what_the_cap_pays_for_and_no_more(capped: str, gateway: Open) -> None:
    calls = [call(position=position) for position in range(1_000)]
    cost, most = tokens_of(calls[0]), reserved(calls[0])
    answered = -(-len(ANSWER) // 4)
    dear = (cost - answered) + 2 * answered
    dearest = calls[0].input_bytes + 2 * calls[0].max_tokens
    caps, expected = {
        "tokens": (Caps(tokens=600), (600 - most) // cost + 1),
        "dollars": (Caps(dollars=0.0008), (800 - dearest) // dear + 1),
        "calls": (Caps(calls=40), 40),
    }[capped]
    log = DictLog()
    with serve(script(latency=0.02)) as server:
        opened = gateway(server, log, caps)
        ended = outcomes([opened.submit(one) for one in calls])
        assert server.count() == expected
    replies = [one for one in ended if isinstance(one, Reply)]
    assert len(replies) == expected
    assert all(isinstance(one, Reply | BudgetUsedUp) for one in ended)
    assert caps.breach(log.highest) == ""
    assert opened.spent == log.total


def test_hundreds_of_calls_at_once_are_all_answered_though_some_fail_at_first(gateway: Open) -> None:
    calls = [call(f"question {position}", position=position) for position in range(100)]
    faults = (Fault(kind="status", status=429, retry_after="0.01", share=0.1), Fault(kind="reset", share=0.1))
    with serve(Script(rules=(Rule(pick=r"\d+"),), faults=faults, latency_seconds=3.0)) as server:
        replies = gateway(server).ask_all(calls)
        assert server.stats()["most_at_once"] >= 64
    assert [reply.text for reply in replies if isinstance(reply, Reply)] == [str(i) for i in range(100)]


def test_two_equal_calls_in_flight_share_one_request(gateway: Open) -> None:
    with serve(script(latency=0.3)) as server:
        opened = gateway(server)
        first, second, other = (opened.submit(call(text)) for text in ("same", "same", "other"))
        assert first.result() == second.result()
        assert other.result().text == ANSWER
        assert server.count(when="same") == 1
        assert server.count() == 2


def test_a_call_that_was_answered_before_is_answered_from_the_record(gateway: Open, provider: LiteLLMProvider) -> None:
    log = DictLog()
    with serve(script()) as server:
        first = gateway(server, log).ask(call())
        again = gateway(server, log)
        assert again.ask(call()) == first
        assert server.count() == 1
        assert again.spent.calls == 1
        with Gateway({"agent": spec(server)}, provider, DictLog, Caps(), replay=lambda: log) as replay:
            assert replay.ask(call()) == first
            with pytest.raises(NotRecorded):
                replay.ask(call(position=1))
        assert server.count() == 1


def test_a_record_that_cannot_be_written_stops_everything_and_hangs_nobody(gateway: Open) -> None:
    log = DictLog()
    calls = [call(position=position) for position in range(20)]
    with serve(script()) as server:
        opened = gateway(server, log, Caps(tokens=2 * reserved(calls[0])))
        log.full = True
        ended: list[list[Reply | BaseException]] = []
        asking = threading.Thread(
            target=lambda: ended.append(outcomes([opened.submit(one) for one in calls])), daemon=True
        )
        asking.start()
        asking.join(timeout=10.0)
        assert ended, "somebody waits for ever"
        assert {type(one) for one in ended[0]} == {OSError}
        log.full = False
        with pytest.raises(OSError, match="No space left"):
            opened.ask(call(position=99))
        assert server.count() == 0


def test_closing_gives_up_what_is_under_way_and_keeps_it_charged(gateway: Open) -> None:
    log = DictLog()
    with serve(script(Fault(kind="stall"))) as server:
        opened = gateway(server, log)
        future = opened.submit(call())
        while not server.count():
            time.sleep(0.005)
        opened.close()
        assert future.cancelled() or future.exception() is not None
    assert log.total == Amount(1, reserved(call()), log.total.nanodollars)
    assert log.answers == {}


@pytest.mark.parametrize("content", [7, [{"type": "text", "text": "hi"}], {"a": 1}, None])
def test_a_content_of_another_kind_is_no_answer_and_is_not_quoted(
    gateway: Open, content: Any, recwarn: pytest.WarningsRecorder
) -> None:
    LiteLLMProvider()  # pytest has forgotten what the one before wanted silent
    with raw_server(response(completion(content))) as server, pytest.raises((ProviderDown, CallRefused)):
        gateway(server, attempts=1).ask(call())
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("vector", [[], [1e300, 0.0], "AACAPwAAAAA=", [[1.0]]])
def test_what_is_no_vector_is_no_answer(gateway: Open, vector: Any) -> None:
    LiteLLMProvider()  # pytest has forgotten what the one before wanted silent
    row = {"object": "embedding", "index": 0, "embedding": vector}
    answer = {"object": "list", "data": [row], "model": "m", "usage": {"prompt_tokens": 5, "total_tokens": 5}}
    with raw_server(response(answer)) as server, pytest.raises(ProviderDown):
        gateway(server, attempts=1).ask(call(role="embedding"))


WRITTEN: dict[str, Callable[[str], str]] = {
    "in JSON": lambda key: json.dumps(key)[1:-1],
    "in Python": lambda key: repr(key)[1:-1],
    "in an address": lambda key: quote(key, safe=""),
    "in a header": lambda key: base64.b64encode(key.encode()).decode(),
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=list(WRITTEN))
def test_a_key_is_not_shown_in_other_forms_either(
    gateway: Open, written: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = 'odd "key"/with\\much+in=it'
    monkeypatch.setenv("MNEMOGEN_TEST_KEY", f" {key}\n")
    error = {"error": {"message": f"bad key: {written(key)}", "code": "invalid_api_key"}}
    with raw_server(response(error, "401 Unauthorized")) as server, pytest.raises(ProviderRefused) as caught:
        gateway(server, attempts=1).ask(call())
    assert "bad key: ***" in str(caught.value)
    assert written(key) not in str(caught.value)


@pytest.mark.parametrize("key", ["first line\nsecond line", "a k\xe9y that no header holds", "a\x1bkey"])
def test_a_key_that_no_header_can_hold_is_refused_unasked_and_unseen(
    gateway: Open, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNEMOGEN_TEST_KEY", key)
    with raw_server(b"") as server, pytest.raises(ProviderRefused, match="MNEMOGEN_TEST_KEY") as caught:
        gateway(server, attempts=1).ask(call())
    assert server.asked == []
    assert key not in str(caught.value)
