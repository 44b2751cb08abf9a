"""The benchmark programs that take seconds still run; their figures are not looked at."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


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
    name, *arguments = program.split()
    command = [sys.executable, str(PROJECT / "benchmarks" / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert told in done.stdout
