"""The benchmark programs that take seconds still run; their figures are not looked at."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import PROJECT, finish, in_process, small_config


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("overhead.py --designs 16 --window 8 --windows 2", "last window over first, ask"),
        ("controllers.py --null 1", "ours, thompson, all see 3"),
        ("prompts.py --designs 8 --seeds 2", "uniform"),
        ("fuzz_frames.py --frames 100", "refused"),
    ],
)
def test_a_benchmark_comes_to_its_end(program: str, told: str) -> None:
    assert told in output(program)


def test_a_run_is_looked_at_for_what_it_foretells(tmp_path: Path) -> None:
    with in_process():
        finish(tmp_path / "small", small_config())
    told = output(f"held_out.py {tmp_path / 'small'}")
    assert "by lineage and traits the error is smaller by the share" in told


def output(program: str) -> str:
    name, *arguments = program.split()
    command = [sys.executable, str(PROJECT / "benchmarks" / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout
