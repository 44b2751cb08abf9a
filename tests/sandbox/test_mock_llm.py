"""Claims about the scripted model, over real sockets: what its rules answer, how its faults look on the wire."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from sandbox.mock_llm import ScriptedModel, serve
from sandbox.mock_script import Fault, Rule, Script


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=10.0, headers={"Authorization": "Bearer sk-of-this-test"}) as client:
        yield client


Ask = Callable[..., httpx.Response]


@pytest.fixture
def ask(client: httpx.Client) -> Ask:
    def ask(server: ScriptedModel, *texts: str, model: str = "gpt-x", **more: Any) -> httpx.Response:
        return client.post(f"{server.url}/chat/completions", json=chat(*texts, model=model, **more))

    return ask


def chat(*texts: str, model: str = "gpt-x", **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text} for text in texts or ("hello",)]
    return {"model": model, "messages": messages, **more}


def text(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    content: str = response.json()["choices"][0]["message"]["content"]
    return content


def faulty(fault: Fault, reply: str = "a plain answer") -> Script:
    return Script(rules=(Rule(reply=reply),), faults=(fault,))


def test_the_first_rule_that_fits_answers(ask: Ask) -> None:
    script = Script(
        rules=(
            Rule(model="meta.*", when="design", reply="code"),
            Rule(model="meta", reply="prose"),
            Rule(when=r"first\nsecond", reply="both"),
            Rule(reply="else"),
        )
    )
    with serve(script) as server:
        assert text(ask(server, "a system text", "a design?", model="meta-large")) == "code"
        assert text(ask(server, "what?", model="meta")) == "prose"
        assert text(ask(server, "what?", model="my-meta")) == "else"  # the name is matched as a whole
        assert text(ask(server, "first", "second")) == "both"
        assert server.count(model="meta.*") == 2
        assert server.count(when="what") == 2
        assert server.requests[0].key == "sk-of-this-test"


def test_a_request_that_no_rule_fits_is_told_so(ask: Ask) -> None:
    with serve(Script(rules=(Rule(model="judge", reply="A"),))) as server:
        response = ask(server, model="gpt-x")
    assert response.status_code == 400
    assert "no rule of the script fits this request for the model 'gpt-x'" in response.json()["error"]["message"]


def test_replies_are_taken_in_turn(ask: Ask) -> None:
    with serve(Script(rules=(Rule(replies=("a", "b", "c")),))) as server:
        assert [text(ask(server)) for _ in range(4)] == ["a", "b", "c", "a"]


def test_replies_by_request_do_not_depend_on_the_order_of_arrival(ask: Ask) -> None:
    script = Script(rules=(Rule(replies=("a", "b", "c"), by="request"),))
    questions = [f"question {i}" for i in range(30)]
    with serve(script) as server:
        there = {question: text(ask(server, question)) for question in questions}
        assert [text(ask(server, question)) for question in questions] == list(there.values())
    with serve(script) as server:
        back = {question: text(ask(server, question)) for question in reversed(questions)}
    assert there == back
    assert set(there.values()) == {"a", "b", "c"}


def test_the_order_of_keys_in_a_body_is_of_no_account(client: httpx.Client) -> None:
    body = chat("which?")
    turned = {key: body[key] for key in reversed(body)}
    with serve(Script(rules=(Rule(replies=tuple("abcdefgh"), by="request"),))) as server:
        told = [client.post(f"{server.url}/chat/completions", content=json.dumps(b)) for b in (body, turned)]
    assert told[0].content == told[1].content


def test_one_of_the_lines_of_the_last_message_is_picked(ask: Ask) -> None:
    script = Script(
        rules=(Rule(pick="^- (.+)$", template='{"command": {json}, "why": "{text}"}'), Rule(reply="nothing to pick"))
    )
    with serve(script) as server:
        chosen = set()
        for number in range(20):
            answer = text(ask(server, "- never this", f'Turn {number}. You may:\n- go "west"\n- look {{json}}'))
            command, _, why = answer.partition(', "why": ')
            chosen.add(json.loads(command + "}")["command"])
            assert json.loads(command + "}")["command"] in why
        assert chosen == {'go "west"', "look {json}"}
        assert text(ask(server, "- never this", "no list here")) == "nothing to pick"


def test_an_answer_of_five_megabytes_arrives_whole(ask: Ask) -> None:
    with serve(Script(rules=(Rule(size_bytes=5_000_000),))) as server:
        answer = text(ask(server))
    assert len(answer) == 5_000_000
    assert answer.isalpha()


def test_tokens_are_counted_in_fours_of_bytes(ask: Ask) -> None:
    with serve(Script(rules=(Rule(reply="grüße"),))) as server:
        usage = ask(server, "12345", "é").json()["usage"]
        stats = server.stats()
    assert usage == {"prompt_tokens": 2 + 4 + 1 + 4, "completion_tokens": 2, "total_tokens": 13}
    assert (stats["prompt_tokens"], stats["completion_tokens"]) == (11, 2)


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_an_answer_is_cut_at_the_limit_of_its_request(ask: Ask, limit: str) -> None:
    with serve(Script(rules=(Rule(when="whole", reply="ééééé", unlimited=True), Rule(reply="ééééé")))) as server:
        cut = ask(server, **{limit: 2}).json()
        fitting = ask(server, **{limit: 3}).json()
        beyond = ask(server, "whole", **{limit: 2}).json()
    assert cut["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": "éééé"},
        "finish_reason": "length",
    }
    assert cut["usage"]["completion_tokens"] == 2
    for answer in (fitting, beyond):
        assert answer["choices"][0]["message"]["content"] == "ééééé"
        assert answer["choices"][0]["finish_reason"] == "stop"


def test_equal_requests_get_equal_bytes(ask: Ask) -> None:
    script = Script(rules=(Rule(replies=("a", "b"), by="request"),))
    told = []
    for _ in range(2):
        with serve(script) as server:
            told.append(ask(server, "the same").content)
    assert told[0] == told[1]


def test_a_function_may_answer_in_the_place_of_rules(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shout(request: Mapping[str, Any]) -> str:
        said: str = request["messages"][-1]["content"]
        return said.upper()

    with serve(Script(), hook=shout) as server:
        assert text(ask(server, "louder")) == "LOUDER"
    (tmp_path / "told_by_a_hook.py").write_text("def answer(request):\n    return f'hello {request[\"model\"]}'\n")
    monkeypatch.syspath_prepend(tmp_path)
    with serve(Script(answer="told_by_a_hook:answer")) as server:
        assert text(ask(server)) == "hello gpt-x"
    sys.modules.pop("told_by_a_hook")
    with pytest.raises(ValueError, match="told_by_a_hook:absent"), serve(Script(answer="told_by_a_hook:absent")):
        pass


def test_embeddings_are_unit_vectors_that_share_what_texts_share(client: httpx.Client) -> None:
    texts = ["the red house on the hill", "a red house on a hill", "seventeen ducks", ""]

    def embed(server: ScriptedModel, **more: Any) -> dict[str, Any]:
        told = client.post(f"{server.url}/embeddings", json={"model": "e", "input": texts, **more})
        body: dict[str, Any] = told.json()
        return body

    with serve(Script(embedding_dimensions=64)) as server:
        told = embed(server)
        again = embed(server)
        packed = embed(server, encoding_format="base64")
    vectors = np.array([row["embedding"] for row in told["data"]], dtype="<f4")
    assert told == again
    assert vectors.shape == (4, 64)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-6)
    assert vectors[0] @ vectors[1] > 0.5 > abs(vectors[0] @ vectors[2])
    assert [base64.b64decode(row["embedding"]) for row in packed["data"]] == [row.tobytes() for row in vectors]
    assert told["usage"]["prompt_tokens"] == sum(-(-len(t) // 4) + 4 for t in texts)


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("chat/completions", chat(stream=True), "does not stream"),
        ("chat/completions", {"model": "m"}, "a list of `messages`"),
        ("chat/completions", {"messages": []}, "the name of a `model`"),
        ("chat/completions", [1, 2], "a list of `messages`"),
        ("embeddings", {"model": "m", "input": [[1, 2]]}, "an `input` of one or several texts"),
    ],
)
def test_what_is_no_request_is_refused(client: httpx.Client, path: str, body: object, told: str) -> None:
    with serve(Script(rules=(Rule(reply="never"),))) as server:
        response = client.post(f"{server.url}/{path}", json=body)
        broken = client.post(f"{server.url}/{path}", content=b'{"model": ')
    assert response.status_code == broken.status_code == 400
    assert told in response.json()["error"]["message"]


def test_texts_in_parts_and_lone_surrogates_are_read(client: httpx.Client) -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "image_url"}, {"type": "text", "text": "two \ud800"}]
    body = {"model": "m", "messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": None}]}
    with serve(Script(rules=(Rule(when="one\ntwo", reply="seen"),))) as server:
        assert text(client.post(f"{server.url}/chat/completions", content=json.dumps(body))) == "seen"


def test_it_tells_its_models_and_what_it_has_done(client: httpx.Client, ask: Ask) -> None:
    faults = (Fault(kind="status", status=503, when="odd"), Fault(kind="html", when="page"))
    with serve(Script(rules=(Rule(reply="yes"),), faults=faults)) as server:
        for question in ("odd", "odd", "page", "even"):
            ask(server, question)
        assert client.get(f"{server.url}/models").json()["data"][0]["object"] == "model"
        stats = client.get(f"{server.url.removesuffix('/v1')}/stats").json()
    assert stats == {
        "requests": 4,
        "most_at_once": 1,
        "prompt_tokens": 10,
        "completion_tokens": 2,
        "statuses": {"200": 3, "503": 1},
        "faults": {"html": 1, "status": 1},
    }


def test_an_error_looks_like_openais(ask: Ask) -> None:
    fault = Fault(
        kind="status",
        status=429,
        retry_after="0.05",
        code="insufficient_quota",
        message="no more for {key}",
        times=None,
    )
    with serve(faulty(fault)) as server:
        response = ask(server)
        assert ask(server).status_code == 429
    assert response.status_code == 429
    assert response.headers["Retry-After"] == "0.05"
    error = response.json()["error"]
    assert (error["code"], error["message"]) == ("insufficient_quota", "no more for sk-of-this-test")


def test_a_stalled_request_gets_nothing_and_does_not_hold_up_the_end(client: httpx.Client) -> None:
    with serve(faulty(Fault(kind="stall"))) as server:
        with pytest.raises(httpx.ReadTimeout):
            client.post(f"{server.url}/chat/completions", json=chat(), timeout=0.2)
        assert text(client.post(f"{server.url}/chat/completions", json=chat())) == "a plain answer"

        def wait_long() -> None:
            with contextlib.suppress(httpx.HTTPError):
                client.post(f"{server.url}/chat/completions", json=chat("still here"))

        waiting = threading.Thread(target=wait_long)
        waiting.start()
        while server.count(fault="stall") < 2:
            time.sleep(0.005)
        ending = time.monotonic()
    waiting.join()
    assert time.monotonic() - ending < 2.0


def test_a_reset_is_a_reset(client: httpx.Client) -> None:
    with serve(faulty(Fault(kind="reset"))) as server:
        place = urlsplit(server.url)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=5.0)
        connection.request("POST", "/v1/chat/completions", json.dumps(chat()))
        with pytest.raises(ConnectionResetError):
            connection.getresponse()
        connection.close()
        assert text(client.post(f"{server.url}/chat/completions", json=chat())) == "a plain answer"


def test_a_malformed_answer_is_no_json_and_a_page_is_html(ask: Ask) -> None:
    with serve(faulty(Fault(kind="malformed"))) as server:
        response = ask(server)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("application/json")
    with pytest.raises(ValueError, match="Unterminated string"):
        response.json()
    with serve(faulty(Fault(kind="html"))) as server:
        response = ask(server)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")
    assert "<html>" in response.text


def test_a_truncated_answer_ends_in_its_middle(ask: Ask) -> None:
    with serve(faulty(Fault(kind="truncated"))) as server:
        with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending complete"):
            ask(server)
        assert text(ask(server)) == "a plain answer"


def test_a_slow_answer_comes_byte_by_byte(ask: Ask) -> None:
    with serve(faulty(Fault(kind="slow", latency_seconds=0.001))) as server:
        began = time.monotonic()
        response = ask(server)
        seconds = time.monotonic() - began
    assert text(response) == "a plain answer"
    assert seconds > 0.001 * len(response.content)


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 500}, {"kind": "empty"}, {"kind": "html"}])
def test_a_fault_may_take_its_time(ask: Ask, fault: dict[str, Any]) -> None:
    with serve(faulty(Fault(latency_seconds=0.1, **fault))) as server:
        began = time.monotonic()
        ask(server)
        assert time.monotonic() - began >= 0.1


def test_an_answer_may_be_empty_or_cut_or_not_say_its_tokens(ask: Ask) -> None:
    with serve(faulty(Fault(kind="empty"))) as server:
        assert text(ask(server)) == ""
    with serve(faulty(Fault(kind="cut"), reply="0123456789")) as server:
        choice = ask(server).json()["choices"][0]
        assert choice["message"]["content"] == "01234"
        assert choice["finish_reason"] == "length"
    with serve(faulty(Fault(kind="no_usage"))) as server:
        body = ask(server).json()
        assert "usage" not in body
        assert body["choices"][0]["message"]["content"] == "a plain answer"


@pytest.mark.parametrize("kind", ["empty", "truncated", "cut"])
def test_an_answer_that_is_spoiled_takes_no_turn(ask: Ask, kind: Any) -> None:
    script = Script(rules=(Rule(replies=("first", "second")),), faults=(Fault(kind=kind),))
    with serve(script) as server:
        with contextlib.suppress(httpx.RemoteProtocolError):
            ask(server)
        assert text(ask(server)) == "first"


def test_a_fault_is_shown_to_each_request_as_often_as_it_says(ask: Ask) -> None:
    faults = (Fault(kind="status", status=500, times=2), Fault(kind="status", status=503))
    with serve(Script(rules=(Rule(reply="at last"),), faults=faults)) as server:
        for question in ("one", "two"):
            assert [ask(server, question).status_code for _ in range(5)] == [500, 500, 503, 200, 200]


def test_faults_strike_the_same_share_of_requests_in_any_order(ask: Ask) -> None:
    script = faulty(Fault(kind="status", status=500, share=0.25, model="gpt.*", when="q"))
    questions = [f"q{i}" for i in range(200)]
    struck = []
    for order in (questions, questions[::-1]):
        with serve(script) as server:
            struck.append({question for question in order if ask(server, question).status_code == 500})
            assert ask(server, struck[-1].pop(), model="other").status_code == 200
            assert ask(server, "else").status_code == 200
    assert len(struck[0] ^ struck[1]) <= 2  # one was taken out of each
    assert 30 <= len(struck[0]) <= 70


def test_latency_is_waited_for_side_by_side() -> None:
    async def all_at_once(server: ScriptedModel) -> list[str]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(trust_env=False, limits=limits, timeout=20.0) as client:
            bodies = [chat(f"question {i}") for i in range(128)]
            answers = [client.post(f"{server.url}/chat/completions", json=body) for body in bodies]
            return [text(answer) for answer in await asyncio.gather(*answers)]

    script = Script(latency_seconds=30.0, rules=(Rule(replies=("a", "b"), by="request", latency_seconds=3.0),))
    with serve(script) as server:
        began = time.monotonic()
        answers = asyncio.run(all_at_once(server))
        seconds = time.monotonic() - began
        assert server.stats()["most_at_once"] >= 64
    assert len(answers) == 128
    assert seconds < 10.0
