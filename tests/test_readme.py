"""The README's examples do what it says they do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from small_runs import PROJECT, SMALL, finish, mnemogen

from meta_agent.config import load

README = (PROJECT / "README.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"<!-- (\w+\.py) -->\n```python\n(.*?)```", README, re.DOTALL))


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with the three examples and a config, as a reader would have it."""
    for name, text in EXAMPLES.items():
        (tmp_path / name).write_text(text)
    config = load(PROJECT / "configs" / "quickstart.yaml", SMALL).model_dump(mode="json")
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def test_there_are_three_examples_of_about_thirty_lines() -> None:
    assert set(EXAMPLES) == {"my_memory.py", "my_stream.py", "my_agent.py"}
    for text in EXAMPLES.values():
        assert len([line for line in text.splitlines() if line.strip()]) <= 42


def test_the_design_holds_its_contract(workplace: Path) -> None:
    done = mnemogen("check", "my_memory.py", "--backend", "embedded", cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert "valid" in done.stderr


@pytest.mark.slow
def test_the_design_is_scored_beside_the_controls(workplace: Path) -> None:
    done = mnemogen("evaluate", "my_memory.py", "small.yaml", "--streams", "4", "--json", cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert '"rival": "no_memory"' in done.stdout


@pytest.mark.usefixtures("trusted")
def test_the_stream_and_the_agent_carry_a_run(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    overrides = ("stream={source: 'my_stream:Vending', settings: {}}", "evaluation.agent=my_agent:Follower")
    config = load(workplace / "small.yaml", overrides)
    final = finish(workplace / "runs" / "own", config)
    assert final.score.n == 3
    assert final.score.mean > 0.1


def test_every_command_is_named_in_the_readme_and_explains_itself(tmp_path: Path) -> None:
    from typer.main import get_command

    from meta_agent.cli import app

    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        assert name in README
        assert command.help


def test_the_exit_codes_are_the_readmes() -> None:
    from meta_agent import cli

    for code in ("0", "1", "2", "3", "4", "5", "6", "7", "130"):
        assert f"| {code} |" in README
        assert re.search(rf"\b{code}\b", cli.__doc__ or "")
