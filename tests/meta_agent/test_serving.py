"""Claims about the commands that serve a model, called as a user calls them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from small_runs import PROJECT, mnemogen

from meta_agent.errors import BadInput
from meta_agent.serving import read_script
from sandbox.mock_llm import serve

PAGE = (PROJECT / "docs" / "models.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_script_is_served_until_it_is_stopped(tmp_path: Path, ending: signal.Signals) -> None:
    (tmp_path / "parrot.py").write_text("def answer(request):\n    return request['messages'][-1]['content'] * 2\n")
    (tmp_path / "script.yaml").write_text("answer: parrot:answer\n")
    command = [sys.executable, "-m", "meta_agent.cli", "mock-llm", str(tmp_path / "script.yaml"), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        said = ""
        while "Ctrl-C" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        base = re.search(r"api_base: (\S+)", said)
        assert base is not None, said
        body = {"model": "any", "messages": [{"role": "user", "content": "hello"}]}
        answer = httpx.post(f"{base[1]}/chat/completions", json=body, trust_env=False)
        process.send_signal(ending)
        out, told = process.communicate(timeout=20)
    assert answer.json()["choices"][0]["message"]["content"] == "hellohello"
    assert process.returncode == 0
    assert told == "stopped after 1 requests, 6 prompt tokens, 3 completion tokens\n"
    assert out == ""


def test_a_bad_script_or_a_taken_port_is_one_message_and_code_2(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("rules: [{repyl: hello}]")
    done = mnemogen("mock-llm", "bad.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "bad.yaml: unknown key 'rules.0.repyl'; did you mean 'reply'?" in done.stderr
    (tmp_path / "good.yaml").write_text("rules: [{reply: hello}]")
    with serve(read_script(tmp_path / "good.yaml")) as server:
        port = server.url.split(":")[2].split("/")[0]
        done = mnemogen("mock-llm", "good.yaml", "--port", port, cwd=tmp_path)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("def f(:\n", "SyntaxError: "),
        ("1/0\n", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(7)\n", "SystemExit: 7"),
        ("import absent_module\n", "No module named 'absent_module'"),
    ],
)
def test_a_module_that_does_not_import_is_one_message_and_code_2(tmp_path: Path, module: str, told: str) -> None:
    (tmp_path / "broken.py").write_text(module)
    (tmp_path / "script.yaml").write_text("answer: broken:f\n")
    done = mnemogen("mock-llm", "script.yaml", "--port", "0", cwd=tmp_path)
    assert done.returncode == 2
    assert f"answer: 'broken:f' cannot be imported: {told}" in done.stderr.replace("ModuleNotFoundError: ", "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("rule: []", "unknown key 'rule'; did you mean 'rules'?"),
        ("[1, 2]", "holds a list, wanted keys and values"),
        ("rules: [{reply: a", "is no YAML"),
        ("rules: [{model: m}]", "rules.0: wants exactly one of reply, replies, pick, size_bytes; it has none"),
        ("rules: [{reply: a, size_bytes: 3}]", "it has reply and size_bytes"),
        ("rules: [{reply: a}, {reply: b, when: '('}]", "rules.1.when: '(' is no regular expression"),
        ("rules: [{reply: a, by: request}]", "by says nothing without replies"),
        ("rules: [{reply: a, template: '{json}'}]", "template says nothing without pick"),
        ("rules: [{replies: []}]", "rules.0.replies"),
        ("faults: [{kind: stal}]", "faults.0.kind: Input should be 'status', 'stall'"),
        ("faults: [{kind: stall, tims: 2}]", "unknown key 'faults.0.tims'; did you mean 'times'?"),
        ("faults: [{kind: status}]", "faults.0: kind status wants a status, such as 429"),
        ("faults: [{kind: stall, status: 500}]", "status says nothing where kind is stall"),
        ("faults: [{kind: slow}]", "kind slow wants latency_seconds"),
        ("faults: [{kind: stall, share: 2}]", "faults.0.share"),
        ("{answer: 'a:b', rules: [{reply: a}]}", "answer takes the place of rules"),
        ("answer: nofunction", "answer: String should match pattern"),
        ("latency_seconds: -1", "latency_seconds: Input should be greater than or equal to 0"),
    ],
)
def test_a_bad_script_gets_one_clear_message(tmp_path: Path, script: str, told: str) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(script)
    with pytest.raises(BadInput) as caught:
        read_script(path)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "docs/models.md" in caught.value.hint or "mend" in caught.value.hint


def test_the_script_in_the_docs_is_one(tmp_path: Path) -> None:
    example = re.search(r"<!-- script\.yaml -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    (tmp_path / "script.yaml").write_text(example[1])
    script = read_script(tmp_path / "script.yaml")
    assert len(script.rules) > 2
    assert len(script.faults) > 1


def test_every_key_of_a_script_is_explained_in_the_docs() -> None:
    from typing import get_args

    from sandbox.mock_script import Fault, FaultKind, Rule, Script

    keys = {*Rule.model_fields, *Fault.model_fields, *Script.model_fields, *get_args(FaultKind)}
    assert {key for key in keys if f"`{key}`" not in PAGE} == set()


def test_a_local_model_that_cannot_be_is_said_in_one_message(tmp_path: Path) -> None:
    done = mnemogen("local-llm", "--gguf", "absent.gguf", cwd=tmp_path)
    assert done.returncode == 2
    assert "absent.gguf" in done.stderr
    assert "hint: " in done.stderr
    (tmp_path / "notes.gguf").write_text("some notes")
    done = mnemogen("local-llm", "--gguf", "notes.gguf", cwd=tmp_path)
    assert done.returncode == 2
    assert "notes.gguf is no GGUF file" in done.stderr
    assert "Traceback" not in done.stderr
