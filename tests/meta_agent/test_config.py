"""Claims about configs: strict, complete, and every key is read."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from archive.ledger import Ledger
from meta_agent.config import Config, dump, load, parse
from meta_agent.errors import BadInput
from meta_agent.evaluations import worker_spec
from meta_agent.run import check_unchanged

PROJECT = Path(__file__).parents[2]
CONFIGS = sorted(set((PROJECT / "configs").glob("*.yaml")) - {PROJECT / "configs" / "arena.yaml"})
QUICKSTART = PROJECT / "configs" / "quickstart.yaml"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_are_valid_and_complete(path: Path) -> None:
    config = load(path)
    assert parse(dump(config), "dumped") == config
    written = yaml.safe_load(path.read_text())
    assert set(written) == set(Config.model_fields)
    for name in ("evaluation", "sandbox", "search", "final", "budget", "workers"):
        assert set(written[name]) == set(Config.model_fields[name].annotation.model_fields)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("serach.keep=0.5", "did you mean 'search'"),
        ("search.generatoin_size=3", "did you mean 'generation_size'"),
        ("evaluation.limits.memory_mb=3", "did you mean 'memory_mib'"),
        ("stream.settings.task_count=3", "did you mean 'tasks_count'"),
        ("search.seeds=[exprga]", "did you mean 'exprag'"),
        ("search.selection=thomson", "did you mean 'thompson'"),
        ("budget.evaluations=-1", "budget.evaluations"),
        ("budget.evaluations=many", "budget.evaluations"),
        ("search.rungs=[4, 2]", "growing"),
        ("name=../elsewhere", "name"),
        ("controls=[last_k]", "no_memory"),
        ("models.agnet={model: x}", "did you mean 'agent'"),
        ("models.agent={model: x, max_token: 5}", "did you mean 'max_tokens'"),
        ("models.agent={model: x, max_tokens: -5}", "max_tokens is -5"),
        ("models.meta={model: x, attempts: 0}", "attempts 0"),
        ("models.meta={model: x, input_dollars: -1}", "price"),
        ("evaluation.agent=llm", "models.agent"),
        ("evaluation.embedder=model", "models.embedding"),
        ("search.proposers.llm=0.5", "models.meta"),
        ("budget", "KEY=VALUE"),
        ("seed.x=1", "holds a value"),
        ("seed=9999999999999999999999", "seed"),
        ("budget.evaluations=99999999999999999999", "budget.evaluations"),
        ("budget.wall_seconds=.inf", "finite"),
        ("budget.dollars=1e400", "finite"),
        ("search.proposers.compose=.inf", "finite"),
        ("search.prompts.constants.exploration=.nan", "finite"),
        ("search.prompts.constants.widening=-1", "widening is -1"),
        ("search.prompts.constants.scale.fading=5", "fading is 5"),
        ("search.prompts.constants.scale.noise_sd=0", "noise_sd is 0"),
        ("evaluation.limits.memory_mib=-5", "memory_mib is -5"),
        ("evaluation.limits.call_cpu_seconds=.nan", "finite"),
        ("evaluation.limits.stream_wall_seconds=0", "stream_wall_seconds is 0"),
        ("evaluation.allowance.calls_per_task=-1", "calls_per_task is -1"),
        ("stream.settings.tasks_count=-1", "tasks_count is -1"),
        ("stream.settings.tasks_count=99999999999", "tasks_count is 99999999999"),
        ("stream.settings.things_count=99", "things_count is 99"),
        ("stream.settings.stray_probability=.nan", "stray_probability is nan"),
        ("stream.settings.stray_probability=inf", "stray_probability is inf"),
        ("stream={source: poisoned, settings: {max_steps: 0}}", "max_steps is 0"),
        ("stream={source: facts, settings: {wish_probability: .nan}}", "wish_probability is nan"),
        ("stream.source=..:x", "cannot find the source '..:x'"),
        ("evaluation.agent=..:x", "cannot find the agent '..:x'"),
        ("evaluation.agent=os:sep", "the agent 'os:sep' is a str"),
        ("models.meta={model: x, timeout_seconds: .nan}", "finite"),
        ("models.meta={model: x, options: {api_key: sk-1}}", "key_env"),
        ("models.meta={model: x, options: {max_completion_tokens: 99}}", "reserved"),
        ("models.meta={model: x, options: {n: 9}}", "reserved"),
        ("models.meta={model: x, options: {stream: true}}", "'stream' is no option"),
        ("models.meta={model: x, options: {additional_drop_params: [max_tokens]}}", "is no option"),
        ("models.meta={model: x, options: {client: 5}}", "'client' is no option"),
        ("models.meta={model: x, options: {mock_timeout: true}}", "is no option"),
        ("models.meta={model: x, options: {model_list: []}}", "is no option"),
        ("models.meta={model: x, options: {extra_body: {max_tokens: 99}}}", "'max_tokens' is no option"),
        ("models.meta={model: x, options: {extra_body: {n: 9}}}", "'n' is no option"),
        ("models.meta={model: x, max_tokens: 1000000001}", "at most 1,000,000,000"),
        ("models.meta={model: x, input_dollars: 1.0e+7}", "at most 1,000,000"),
        ("budget.dollars=1.0e+300", "budget.dollars"),
        ("budget={evaluations: 5, evaluations: 6}", "no YAML"),
        ("seed=" + "9" * 5_000, "no YAML"),
        ("seed=" + "[" * 3_000, "no YAML"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_the_nearest_valid_key(override: str, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        load(QUICKSTART, (override,))
    assert told in str(caught.value)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    "told",
    [
        "key_env: sk-proj-THE-KEY-ITSELF",
        "key_env: ''",
        "options: {aws_secret_access_key: THE-KEY-ITSELF}",
        "options: {azure_ad_token: THE-KEY-ITSELF}",
        "options: {vertex_credentials: THE-KEY-ITSELF}",
        "options: {extra_body: {api_key: THE-KEY-ITSELF}}",
        "options: {extra_headers: {Authorization: Bearer THE-KEY-ITSELF}}",
        "options: {headers: {X-Api-Key: THE-KEY-ITSELF}}",
    ],
)
def test_a_key_that_stands_in_a_config_is_refused_and_not_quoted(told: str) -> None:
    with pytest.raises(BadInput, match="key") as caught:
        load(QUICKSTART, (f"models.meta={{model: x, {told}}}",))
    assert "THE-KEY-ITSELF" not in str(caught.value) + caught.value.hint


def test_options_that_only_sound_like_a_key_are_taken() -> None:
    options = "{prompt_cache_key: a, logprobs: true, extra_headers: {X-Title: a}, extra_body: {stop_token_ids: [1]}}"
    config = load(QUICKSTART, (f"models.meta={{model: x, key_env: _MY_key2, options: {options}}}",))
    assert config.models.meta is not None
    assert config.models.meta.options["prompt_cache_key"] == "a"


NO_CONFIGS = {
    "an open list": "a: [",
    "a list": "- 1",
    "nothing": "",
    "a zero byte": "\x00",
    "deep": "[" * 5_000,
    "a date that cannot be": "2024-13-45",
    "a number without end": "seed: " + "9" * 5_000,
}


def test_files_that_are_no_config_are_refused(tmp_path: Path) -> None:
    for text in NO_CONFIGS.values():
        path = tmp_path / "c.yaml"
        path.write_text(text)
        with pytest.raises(BadInput):
            load(path)
    with pytest.raises(BadInput, match="cannot read"):
        load(tmp_path / "absent.yaml")


def test_a_key_that_is_there_twice_is_refused_since_only_one_could_be_meant(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text(QUICKSTART.read_text() + "\nseed: 7\n")
    with pytest.raises(BadInput, match="the key 'seed' is there twice"):
        load(path)


def test_keys_that_are_merged_in_give_way_to_those_that_are_written(tmp_path: Path) -> None:
    text = QUICKSTART.read_text().replace("{tasks_count: 14, max_steps: 15}", "{<<: {tasks_count: 3}, tasks_count: 14}")
    path = tmp_path / "merged.yaml"
    path.write_text(text)
    assert load(path).stream.settings == {"tasks_count": 14}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("class Mine(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError: division by zero .*broken_stream.py, line 1"),
        ("def Mine(**settings):\n    raise KeyError('nobody')", "KeyError: 'nobody' .*broken_stream.py, line 2"),
    ],
)
def test_what_is_wrong_with_a_source_of_ones_own_is_said_with_its_line(
    text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_stream.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "broken_stream", raising=False)
    with pytest.raises(BadInput, match=told):
        load(QUICKSTART, ("stream={source: 'broken_stream:Mine', settings: {}}",))


def test_a_file_of_tasks_that_cannot_be_used_is_bad_input_with_its_line(tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text('{"history": "anna", "question": "Who?", "answer": "Tom"}\n')
    override = f"stream={{source: jsonl, settings: {{path: {tasks}}}}}"
    with pytest.raises(BadInput, match=rf"stream: {tasks}, line 1: unknown key 'answer'; expected"):
        load(QUICKSTART, (override,))


def test_a_package_that_the_streams_need_is_named_before_anything_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="the stream 'textworld' needs textworld") as caught:
        worker_spec(load(PROJECT / "configs" / "textworld.yaml"))
    assert "pip install 'mnemogen[textworld]'" in caught.value.hint


def test_every_key_is_read_somewhere() -> None:
    """A setting that nobody reads is a promise that nobody keeps."""
    read = set()
    for file in (*PROJECT.glob("meta_agent/*.py"), *PROJECT.glob("sandbox/**/*.py")):
        read |= {n.attr for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Attribute)}

    def keys(model: Any) -> set[str]:
        found = set(model.model_fields)
        for field in model.model_fields.values():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                found |= keys(field.annotation)
        return found

    assert keys(Config) <= read


def test_a_run_goes_on_only_with_what_it_was_begun_with(tmp_path: Path) -> None:
    began = load(QUICKSTART)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        check_unchanged(ledger, began)
        check_unchanged(ledger, began)
        free = ("budget.dollars=7", "budget.wall_seconds=null", "workers.count=3", "sandbox.prestart=0", "name=moved")
        check_unchanged(ledger, load(QUICKSTART, free))
        for override, told in (
            ("seed=5", f"config.yaml says seed: 5, the run was begun with {began.seed}"),
            ("budget.evaluations=249", "budget.evaluations: 249"),
            ("stream.settings={tasks_count: 3}", "stream.settings"),
            ("search.rungs=[1, 2]", "search.rungs"),
        ):
            with pytest.raises(BadInput, match=re.escape(told)):
                check_unchanged(ledger, load(QUICKSTART, (override,)))
