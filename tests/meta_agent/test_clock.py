"""Claims about the machine's clock, set forward and back: nothing that a run waits for or decides goes by it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from shims import CLOCK, preloaded
from small_runs import PROJECT, archive_of, finish

from archive.card import Card
from archive.repository import Repository
from design_space import Design
from meta_agent.config import Config, dump

RUN = """
import sys, time
from pathlib import Path
from meta_agent.config import load
from small_runs import finish, in_process

times, began = [], time.monotonic()
while time.monotonic() < began + 1.1:
    times.append(time.time())
print(max(times) - min(times) > 700_000, abs(time.monotonic() - began - 1.1) < 1.0)
with in_process():
    finish(Path(sys.argv[1]), load(Path(sys.argv[2])))
"""


def test_a_run_comes_to_the_same_while_the_clock_is_set_forward_and_back(
    small: Config, tmp_path: Path, trusted: None
) -> None:
    """With a limit of time, which the jumps of a week and more would pass at once."""
    limited = small.model_copy(update={"budget": small.budget.model_copy(update={"wall_seconds": 3_600.0})})
    config = tmp_path / "config.yaml"
    config.write_text(dump(limited))
    environment = preloaded(tmp_path, CLOCK)
    environment["PYTHONPATH"] = os.pathsep.join((str(PROJECT), str(PROJECT / "tests")))
    command = [sys.executable, "-c", RUN, str(tmp_path / "jumping"), str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "True"], "the time of day did jump, and no other"
    finish(tmp_path / "steady", limited)
    assert archive_of(tmp_path / "jumping") == archive_of(tmp_path / "steady")


def test_a_lock_from_the_future_holds_nobody_up_for_long(tmp_path: Path) -> None:
    """A killed writer left it, and then the clock was set back."""
    repository = Repository(tmp_path / "archive.git")
    lock = repository.folder / "packed-refs.lock"
    lock.touch()
    os.utime(lock, (time.time() + 36_000, time.time() + 36_000))
    design, began = Design("x = 1"), time.monotonic()
    repository.commit([(Card.of(design, sequence=0, generation=0), design)])
    assert repository.ids() == (design.id,)
    assert time.monotonic() - began < 15.0
