"""Claims about the command line, called as a user calls it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from small_runs import PROJECT, SMALL, archive_of, finish, mnemogen

from archive.content import content
from meta_agent.config import dump, load
from meta_agent.errors import Interrupted, RunBusy
from meta_agent.handing_on import begin_with
from meta_agent.learned import learned
from meta_agent.run import RunFolder, create

EVOLVING = "search.prompts.policy=tree"
NEXT = (EVOLVING, "name=next", "search.rungs=[1]", "budget.evaluations=45", "final.validation_streams=2")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config and a finished run whose prompts evolved."""
    place = tmp_path_factory.mktemp("place")
    config = load(PROJECT / "configs" / "quickstart.yaml", (*SMALL, EVOLVING))
    (place / "small.yaml").write_text(dump(config))
    finish(place / "runs" / "small", config)
    return place


def test_a_finished_run_can_be_looked_at(place: Path) -> None:
    shown = mnemogen("show", "small", "winner", cwd=place)
    assert shown.returncode == 0, shown.stderr
    assert "validation:" in shown.stdout
    assert "class " in shown.stdout
    status = json.loads(mnemogen("status", "small", "--json", cwd=place).stdout)
    assert status["state"] == "finished"
    assert status["best"]["n"] == 3
    listed = json.loads(mnemogen("designs", "small", "--json", cwd=place).stdout)
    assert listed[0]["rank"] == 1
    for command in ("lineage", "episodes"):
        done = mnemogen(command, "small", "winner", cwd=place)
        assert done.returncode == 0, done.stderr
        assert done.stdout
    ids = [row["id"] for row in listed[:2]]
    assert "diff --git" in mnemogen("diff", "small", *ids, cwd=place).stdout
    page = Path(mnemogen("report", "small", cwd=place).stdout.strip())
    assert page.read_text().lstrip().lower().startswith("<!doctype html>")
    for part in ("prompts", "insights", "figure-prompt-tree"):
        assert f'id="{part}"' in page.read_text()


def test_a_terminal_that_knows_few_characters_is_shown_the_others_as_question_marks(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    for command in (
        ("designs", "small"),
        ("show", "small", "winner"),
        ("prompts", "small"),
        ("lineage", "small", "winner"),
    ):
        done = mnemogen(*command, cwd=place)
        assert done.returncode == 0, done.stderr
        assert done.stdout.isascii()


def test_what_show_prints_is_the_source_to_the_letter(place: Path) -> None:
    rows = json.loads(mnemogen("designs", "small", "--json", cwd=place).stdout)
    widest = max(rows, key=lambda row: len(row["name"]))  # many parts, whose calls are long lines
    for row in (widest, rows[0]):
        source = json.loads(mnemogen("show", "small", row["id"], "--json", cwd=place).stdout)["source"]
        assert mnemogen("show", "small", row["id"], cwd=place).stdout.rstrip().endswith(source.rstrip())
        assert row != widest or max(map(len, source.splitlines())) > 80, "wider than what a pipe is taken for"


def test_a_run_may_be_named_by_a_date(place: Path) -> None:
    done = mnemogen("run", "small.yaml", "--name", "2026-11-30", "--set", "budget.evaluations=5", cwd=place)
    assert "allow at least" in done.stderr, "the name was taken"


@pytest.mark.docker
def test_workers_that_cannot_start_say_why_in_one_line(place: Path) -> None:
    wanted = ("--set", "sandbox.backend=docker", "--set", "sandbox.runtime=no-such-runtime", "--name", "unstarted")
    done = mnemogen("run", "small.yaml", *wanted, "--workers", "1", cwd=place)
    assert done.returncode == 3, done.stderr
    assert "no container could be started" in done.stderr
    assert "no-such-runtime" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_prompts_and_insights_of_a_run_can_be_looked_at(place: Path) -> None:
    listed = json.loads(mnemogen("prompts", "small", "--json", cwd=place).stdout)
    root, *_ = listed
    assert (root["depth"], root["parent"], root["proposer"]) == (0, None, "compose")
    assert sum(row["visits"] for row in listed) == root["beneath"]
    with RunFolder(place / "runs" / "small").open_ledger() as ledger:
        designs = {row.id: row for row in ledger.designs()}
        reasons = [decision for decision in ledger.decisions() if decision.kind == "prompt"]
    composed = {row.id for row in designs.values() if row.proposer == "compose"}
    assert {design["id"] for row in listed for design in row["designs"]} == composed
    assert len(reasons) == len(composed)
    assert {decision.data["given"] for decision in reasons} <= designs.keys()  # type: ignore[call-overload,index]
    one = json.loads(mnemogen("prompt", "small", root["id"], "--json", cwd=place).stdout)
    assert {design["id"] for design in one["designs"]} == {design["id"] for design in root["designs"]}
    made = root["designs"][0]["id"]
    assert f"made by prompt {root['id']}" in mnemogen("show", "small", made, cwd=place).stdout
    insights = json.loads(mnemogen("insights", "small", "--json", "--count", "2", cwd=place).stdout)
    assert len(insights) == 2


def test_a_run_begins_with_what_another_one_learned(place: Path, tmp_path: Path) -> None:
    source, folder = RunFolder(place / "runs" / "small"), RunFolder(tmp_path / "next")
    config = load(PROJECT / "configs" / "quickstart.yaml", (*SMALL, *NEXT))
    with folder.held():
        create(folder, config)
        carried = begin_with(folder, source)
    assert carried > 1
    looks = iter(range(12))
    with pytest.raises(Interrupted):
        finish(folder.path, config, stopping=lambda: next(looks, None) is None)
    finish(folder.path, config)
    with folder.open_ledger() as ledger:
        first, found = list(content(ledger)), learned(ledger).insights
    assert [insight.origin for insight in found].count("small") == carried
    assert len(found) > carried, "it learns of its own too"
    finish(folder.path, config)
    with folder.open_ledger() as ledger:
        assert list(content(ledger)) == first, "going on needs no word of where the insights came from"


def test_the_winner_can_be_taken_home(place: Path, tmp_path: Path) -> None:
    done = mnemogen("export", "small", "winner", str(tmp_path / "mine"), "--learned", cwd=place)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mine" / "pyproject.toml").exists()
    # A bare name would be looked for on the package index.
    assert f"pip install {tmp_path / 'mine'} " in done.stderr
    again = mnemogen("export", "small", "winner", str(tmp_path / "mine"), cwd=place)
    assert again.returncode == 2
    assert "Traceback" not in again.stderr


def kept(folder: Path) -> dict[str, bytes]:
    """What lies in a run's folder, but for the files that SQLite has beside a database while somebody looks."""
    files = (file for file in folder.iterdir() if file.is_file() and not file.name.endswith(("-wal", "-shm")))
    return {file.name: file.read_bytes() for file in files}


BROKEN = "from design_space import Memory\nclass Half(Memory):\n    def retrieve(self, query) return None\n"
CONTRACTLESS = """
from design_space import Memory, Recall
class Wrong(Memory):
    def retrieve(self, query):
        return ["not a recall"]
    def update(self, episode):
        pass
"""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "small.yaml", "--set", "serach.keep=1"), "did you mean 'search'"),
        (("run", "absent.yaml"), "cannot read the config"),
        (("run", "small.yaml", "--set", "seed=9"), "another config"),
        (("run", "small.yaml", "--replay", "small"), "cannot be compared with itself"),
        (("episodes", "small", "winner", "--task", "999"), "give a number from 1 to"),
        (("show", "small", "nobody"), "nobody"),
        (("show", "smal"), "there is no run 'smal'"),
        (("diff", "small", "winner", "zzzz"), "zzzz"),
        (("status", "bare"), "mnemogen fsck RUN"),
        (("report", "bare"), "no ledger at"),
        (("check", "broken.py"), "line 3"),
        (("check", "contractless.py", "--backend", "embedded"), "wanted design_space.Recall"),
        (("check", "absent.py"), "cannot read the design"),
        (("evaluate", "broken.py", "small.yaml"), "line 3"),
        (("stop", "small"), "is not running"),
        (("check", "broken.py", "--backend", "bocker"), "unknown backend"),
        (("run", "small.yaml", "--insights-from", "absent"), "there is no run 'absent'"),
        (("run", "small.yaml", "--insights-from", "small"), "has learned something already"),
        (("prompt", "small", "zzzz"), "did you mean"),
        (("run",), "Missing argument"),
        (("nonsense",), "No such command"),
    ],
)
def test_bad_input_gets_one_clear_message_and_code_2(place: Path, arguments: tuple[str, ...], told: str) -> None:
    (place / "broken.py").write_text(BROKEN)
    (place / "contractless.py").write_text(CONTRACTLESS)
    (place / "runs" / "bare").mkdir(exist_ok=True)
    shutil.copy(place / "runs" / "small" / "config.yaml", place / "runs" / "bare")
    before = kept(place / "runs" / "small")
    done = mnemogen(*arguments, cwd=place)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert kept(place / "runs" / "small") == before


def test_a_second_run_on_the_same_folder_is_refused(place: Path) -> None:
    with RunFolder(place / "runs" / "small").held():
        done = mnemogen("run", "small.yaml", cwd=place)
    assert done.returncode == 2
    assert f"held by process {os.getpid()}" in " ".join(done.stderr.split())


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_full_disk_is_said_and_resumed_from(place: Path, tmp_path: Path) -> None:
    small = tmp_path / "disk"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=640k", "mnemogen-test", str(small)],
        capture_output=True,
        check=False,
        timeout=30,
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.decode()}")
    try:
        done = mnemogen("run", str(place / "small.yaml"), "--runs", str(small), "--workers", "1", cwd=place)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert "hint: " in done.stderr
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True, timeout=30)
        done = mnemogen("resume", "small", "--runs", str(small), "--workers", "1", cwd=place)
        assert done.returncode == 0, done.stderr
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False, timeout=30)


@pytest.mark.slow
def test_ctrl_c_stops_cleanly_and_the_run_resumes_with_other_workers(place: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "meta_agent.cli", "run", str(place / "small.yaml"), "--workers", "2"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(PROJECT)}
    )
    folder = RunFolder(tmp_path / "runs" / "small")
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if folder.ledger.exists():
            # In its first moment the file has no tables yet, and is its maker's alone.
            with suppress(RunBusy), folder.open_ledger() as ledger:
                if ledger.counts().evaluations >= 4:
                    break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert time.monotonic() - asked < 10
    assert "Traceback" not in told
    done = mnemogen("resume", "small", "--workers", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    # One worker in this process made the other: neither their number nor the interruption shows in the archive.
    assert archive_of(folder.path) == archive_of(place / "runs" / "small")


LINES = [
    {"history": who, **record}
    for who, pet, name in (("anna", "cat", "Tom"), ("ben", "dog", "Rex"))
    for record in (
        {"session": {"title": "Monday", "turns": [f"user: My {pet} is called {name}."]}},
        {"question": f"How is my {pet} called?", "answers": [name]},
    )
]


def test_judging_twice_says_the_same_to_the_byte(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    told = []
    for runs in ("a", "b"):
        call = ("judge", "rag", "--streams", "mine.jsonl", "--backend", "embedded", "--runs", runs, "--json")
        done = mnemogen(*call, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)
    assert told[0] == told[1]
    assert json.loads(told[0])["sheets"][0]["claim"] == "memory"
    (one,), (other,) = (list((tmp_path / runs).iterdir()) for runs in ("a", "b"))
    assert (one / "certificate.json").read_text() == told[0]
    assert (one / "certificate.html").read_bytes() == (other / "certificate.html").read_bytes()


def test_an_arena_of_ones_own_is_held(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    (tmp_path / "ring.yaml").write_text(
        "{name: ring, streams: [mine.jsonl], designs: [rag, last_k], sandbox: {backend: embedded}}"
    )
    done = mnemogen("arena", "ring.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "rag" in done.stderr
    standings = json.loads((tmp_path / "runs" / "ring" / "standings.json").read_text())
    assert {placed["name"] for placed in standings["tables"][0]["placed"]} == {"rag", "last_k", "no_memory"}
    assert (tmp_path / "runs" / "ring" / "standings.html").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("judge", "rag", "--streams", "fcats"), "did you mean 'facts'?"),
        (("judge", "nothing.py"), "cannot read the design"),
        (("judge", "rag", "--streams", "locomo:gone.json"), "there is no file"),
        (("arena", "gone.yaml"), "cannot read the config"),
    ],
)
def test_what_cannot_be_judged_is_named(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    done = mnemogen(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


CROOKED = """
from sandbox.streams.base import Observation, Stream, Task

class Crooked:
    name = "crooked"

    def stream_name(self, split, seed, index):
        return f"crooked/{split}/{seed}/{index}"

    def stream(self, split, seed, index):
        name = self.stream_name(split, seed, index)
        return Stream(name, "crooked", split, name, (Task(f"{name}/0", "go", 2),))

    def environment(self, task):
        return self

    def reset(self):
        return Observation("", "", "", ("go",))

    def step(self, command):
        return Observation("", "", "", (), 100.0, True)

    def close(self):
        pass
"""


@pytest.mark.parametrize(
    ("wrong", "told"),
    [("pass", "then 100.0"), ("1 / 0", "with crooked:Crooked: ZeroDivisionError: division by zero (")],
)
def test_what_is_wrong_with_a_source_of_ones_own_is_said_in_one_message(tmp_path: Path, wrong: str, told: str) -> None:
    (tmp_path / "crooked.py").write_text(
        CROOKED.replace("    def step(self, command):", f"    def step(self, command):\n        {wrong}")
    )
    overrides = ("stream={source: 'crooked:Crooked', settings: {}}", "sandbox.backend=embedded", "workers.count=1")
    config = PROJECT / "configs" / "quickstart.yaml"
    arguments = [part for override in overrides for part in ("--set", override)]
    done = mnemogen("evaluate", "no_memory", str(config), "--streams", "2", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("judge", "memento", "--seed", "9" * 30),
        ("poison", "memento", "--seed", "9" * 30),
        ("judge", "memento", "--workers", "-1"),
        ("resume", "small", "--workers", "0"),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused_before_anything_begins(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    done = mnemogen(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "Invalid value" in done.stderr
    assert list(tmp_path.iterdir()) == []
