"""Claims about what a model's server may not do, whichever client litellm takes: redirect us, answer without end."""

from __future__ import annotations

import gzip
import socket
from typing import Any

import pytest
from gateways import Open, call, reserved
from raw_servers import completion, raw_server, response

from sandbox import guarded
from sandbox.calls import ProviderDown, ProviderRefused
from sandbox.models import LiteLLMProvider


@pytest.fixture(params=[None, "DISABLE_AIOHTTP_TRANSPORT", "LITELLM_HTTP2"])
def client(request: pytest.FixtureRequest, provider: LiteLLMProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients that litellm can be told to take; none from before is left."""
    import litellm

    litellm.in_memory_llm_clients_cache.flush_cache()
    if request.param is not None:
        monkeypatch.setenv(request.param, "True")


@pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("model", ["openai/m", "anthropic/claude-3-5-sonnet-20240620", "gemini/gemini-pro", "azure/m"])
def test_neither_key_nor_question_follows_a_redirect(gateway: Open, model: str, status: str) -> None:
    with raw_server(response(completion())) as elsewhere:
        place = elsewhere.url.replace("127.0.0.1", "localhost")
        with raw_server(response({}, status, f"Location: {place}/chat/completions")) as server:
            asked = gateway(server, model=model)
            with pytest.raises(ProviderRefused, match="redirects") as caught:
                asked.ask(call())
    assert elsewhere.asked == []
    assert len(server.asked) == 1, "it is not asked again"
    assert "api_base" in caught.value.hint


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


@pytest.mark.parametrize(
    "answer",
    [endless, response(gzip.compress(bytes(300_000_000), 1), "200 OK", "Content-Encoding: gzip")],
    ids=["endless", "packed"],
)
def test_an_answer_without_end_is_given_up_before_it_fills_the_memory(
    gateway: Open, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded, "MOST_BYTES", 10_000_000)
    with raw_server(answer) as server:
        opened = gateway(server, attempts=1)
        with pytest.raises(ProviderDown, match="the answer is longer than"):
            opened.ask(call())
        assert opened.spent.tokens == reserved(call()), "nobody knows what it has cost"


@pytest.mark.usefixtures("client")
def test_nor_through_a_proxy(gateway: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server(response({}, "307 Temporary Redirect", "Location: http://elsewhere.invalid/v1")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        with pytest.raises(ProviderRefused, match="redirects"):
            gateway(proxy, api_base="http://some.invalid/v1").ask(call())
    assert len(proxy.asked) == 1
