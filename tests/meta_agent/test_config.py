"""Claims about configs: strict, complete, and every key is read."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from meta_agent.config import Config, dump, load, parse
from meta_agent.errors import BadInput
from meta_agent.evaluations import worker_spec

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
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_the_nearest_valid_key(override: str, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        load(QUICKSTART, (override,))
    assert told in str(caught.value)
    assert caught.value.code == 2


def test_files_that_are_no_config_are_refused(tmp_path: Path) -> None:
    for text in ("a: [", "- 1", "", "\x00"):
        path = tmp_path / "c.yaml"
        path.write_text(text)
        with pytest.raises(BadInput):
            load(path)
    with pytest.raises(BadInput, match="cannot read"):
        load(tmp_path / "absent.yaml")


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
