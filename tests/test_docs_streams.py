"""What the page on streams shows works as it says."""

from __future__ import annotations

import re
from pathlib import Path

from design_space import catalogue
from sandbox.agents.evidence import EvidenceAgent
from sandbox.backend import Labels, Limits
from sandbox.evaluate import Evaluator, Setting
from sandbox.inprocess import InProcessBackend
from sandbox.registry import SOURCES, make_source, settings_of
from sandbox.streams.base import Finite

PAGE = (Path(__file__).parents[1] / "docs" / "streams.md").read_text(encoding="utf-8")


def test_the_example_is_read_told_and_answered(tmp_path: Path) -> None:
    example = re.search(r"<!-- tasks\.jsonl -->\n```json\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    (tmp_path / "tasks.jsonl").write_text(example[1], encoding="utf-8")
    source = make_source("jsonl", {"path": "tasks.jsonl", "shares": [1, 0, 0]}, str(tmp_path))
    assert isinstance(source, Finite)
    assert source.stream_count("search") == 2
    backend = InProcessBackend(Limits())
    evaluator = Evaluator(source, EvidenceAgent, backend, Setting("inject", "evidence", 1_000, 0, "test"))
    design = catalogue.load("full_history")
    for index, rewards in enumerate([(1.0, 1.0), (1.0,)]):
        stream = source.stream("search", 0, index)
        with backend.open(Labels("test", design.id)) as guest:
            evaluation = evaluator.evaluate(design, stream, guest, evaluator.key(design, stream)).evaluation
        assert evaluation.rewards == rewards
    backend.close()


def test_every_source_has_its_section_and_every_setting_of_data_is_named() -> None:
    for name in SOURCES:
        assert re.search(rf"^## {name}\b", PAGE, re.MULTILINE), name
    for name in ("jsonl", "locomo", "longmemeval", "memoryagentbench", "bfcl-memory"):
        line = next(line for line in PAGE.splitlines() if line.startswith(f"| [{name}]"))
        assert re.findall(r"`(\w+)`", line) == list(settings_of(name)), line


def test_every_rule_is_explained() -> None:
    from typing import get_args

    from sandbox.streams.grading import Rule

    for rule in get_args(Rule):
        assert f"| `{rule}` |" in PAGE
