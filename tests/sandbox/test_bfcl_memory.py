"""Claims about the memory benchmark of BFCL-v4, and about how the wheel that holds it is got."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

from design_space import catalogue
from sandbox.agents.evidence import EvidenceAgent
from sandbox.backend import Labels, Limits
from sandbox.evaluate import Evaluator, Setting
from sandbox.inprocess import InProcessBackend
from sandbox.registry import make_source
from sandbox.streams.base import Finite, Source, Split, Stream
from sandbox.streams.data.bfcl_memory import WHEEL
from sandbox.streams.data.wheel import Wheel

NAME = "tiny_notes-1.0-py3-none-any.whl"


def tiny(text: str = "hello") -> bytes:
    """A wheel as small as pip takes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in {
            "tiny_notes/data.txt": text,
            "tiny_notes-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny-notes\nVersion: 1.0\n",
            "tiny_notes-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "tiny_notes-1.0.dist-info/RECORD": "",
        }.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def known(content: bytes) -> Wheel:
    return Wheel("tiny-notes", "1.0", NAME, hashlib.sha256(content).hexdigest())


class Index(ThreadingHTTPServer):
    """A package index on loopback; `asked` counts the downloads of wheels."""

    def __init__(self, folder: Path) -> None:
        self.asked = 0
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Index)
        self.server.asked += self.path.endswith(".whl")
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index that has the tiny wheel, and that pip uses."""
    page = tmp_path / "index" / "tiny-notes"
    page.mkdir(parents=True)
    (page / NAME).write_bytes(tiny())
    (page / "index.html").write_text(f'<!DOCTYPE html><html><body><a href="{NAME}">{NAME}</a></body></html>')
    server = Index(tmp_path / "index")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/")
    yield server
    server.shutdown()
    server.server_close()


def test_a_wheel_is_fetched_once_and_again_if_it_is_damaged(index: Index, tmp_path: Path) -> None:
    wheel, folder = known(tiny()), tmp_path / "deep" / "cache"
    for _ in range(2):
        assert wheel.members(folder, ("tiny_notes/data.txt",), 60) == (b"hello",)
        assert index.asked == 1
    (folder / NAME).write_bytes(tiny()[:100])
    assert wheel.members(folder, ("tiny_notes/data.txt",), 60) == (b"hello",)
    assert index.asked == 2
    assert (folder / NAME).read_bytes() == tiny()


def test_processes_that_come_together_fetch_once(index: Index, tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from sandbox.streams.data.wheel import Wheel\n"
    code += "print(Wheel(*sys.argv[1:5]).members(Path(sys.argv[5]), ('tiny_notes/data.txt',), 60))"
    wheel = known(tiny())
    command = [sys.executable, "-c", code, wheel.distribution, wheel.version, wheel.file, wheel.sha256, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) for _ in range(3)]
    assert [process.communicate(timeout=120)[0] for process in started] == ["(b'hello',)\n"] * 3
    assert index.asked == 1


def test_another_wheel_than_the_known_one_is_never_opened(index: Index, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the index has another tiny_notes"):
        known(tiny("changed")).members(tmp_path / "cache", ("tiny_notes/data.txt",), 60)
    assert not (tmp_path / "cache" / NAME).exists()


def test_without_a_network_one_is_told_which_file_to_put_where(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    told = rf"cannot fetch tiny_notes.*pip says 'ERROR.*put the file from https://pypi\.org/.* into {tmp_path}"
    with pytest.raises(ValueError, match=told):
        known(tiny()).members(tmp_path, (), 60)


def test_a_fetch_that_takes_too_long_is_ended(tmp_path: Path, index: Index) -> None:
    with pytest.raises(ValueError, match=r"took more than 0\.01 s; put the file"):
        known(tiny()).members(tmp_path, (), 0.01)


def test_a_fetch_waits_for_that_of_another_process_within_its_time(tmp_path: Path) -> None:
    with FileLock(tmp_path / f"{NAME}.lock"), pytest.raises(ValueError, match="another process has been fetching"):
        known(tiny()).members(tmp_path, (), 0.1)


def test_a_folder_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot keep tiny_notes.* in .*file/cache: Not a directory"):
        known(tiny()).members(tmp_path / "file" / "cache", (), 1)


@pytest.fixture(scope="module")
def source() -> Source:
    return make_source("bfcl-memory", {}, ".")


@pytest.fixture(scope="module")
def streams(source: Source) -> list[Stream]:
    assert isinstance(source, Finite)
    return [source.stream("sealed", 0, i) for i in range(source.stream_count("sealed"))]


@pytest.mark.network
def test_five_users_told_their_story_and_are_asked_155_questions(streams: list[Stream]) -> None:
    assert {stream.family: (len(stream.sessions), len(stream.tasks)) for stream in streams} == {
        "bfcl-memory/customer": (10, 30),
        "bfcl-memory/healthcare": (5, 25),
        "bfcl-memory/finance": (7, 25),
        "bfcl-memory/student": (10, 50),
        "bfcl-memory/notetaker": (5, 25),
    }
    turns = [step.observation for stream in streams for episode in stream.sessions for step in episode.steps]
    assert all(turn.startswith("user: ") for turn in turns)
    assert sum(len(turn.removeprefix("user: ")) for turn in turns) == 209_756


@pytest.mark.network
def test_questions_stay_with_their_answers(streams: list[Stream]) -> None:
    first = streams[0].tasks[0]
    assert (first.goal, first.question and first.question.answers) == ("What is my first name?", ("Michael",))
    found = 0
    for stream in streams:
        told = "\n".join(step.observation for episode in stream.sessions for step in episode.steps)
        found += sum(task.question is not None and task.question.found_in(told) for task in stream.tasks)
    assert found == 138


@pytest.mark.network
@pytest.mark.parametrize("split", ["search", "validation"])
def test_nothing_is_ever_searched_on_it(source: Source, split: Split) -> None:
    assert isinstance(source, Finite)
    assert source.stream_count(split) == 0
    with pytest.raises(ValueError, match="it is a sealed benchmark, never searched on"):
        source.stream(split, 0, 0)


@pytest.mark.network
def test_the_wheel_is_kept_in_the_cache_folder_and_found_there_offline(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ValueError, match=f"cannot fetch {WHEEL.file}.* into {tmp_path}/mnemogen/bfcl"):
        make_source("bfcl-memory", {}, ".")
    (tmp_path / "mnemogen" / "bfcl" / WHEEL.file).write_bytes((root / "mnemogen" / "bfcl" / WHEEL.file).read_bytes())
    assert make_source("bfcl-memory", {}, ".").stream_name("sealed", 0, 0) == source.stream_name("sealed", 0, 0)


@pytest.mark.network
def test_memory_matters_and_so_does_which(source: Source, streams: list[Stream]) -> None:
    backend = InProcessBackend(Limits())
    evaluator = Evaluator(source, EvidenceAgent, backend, Setting("inject", "evidence", 1_000, 0, "test"))

    def answered(name: str) -> float:
        design = catalogue.load(name)
        with backend.open(Labels("test", design.id)) as guest:
            results = [evaluator.evaluate(design, s, guest, evaluator.key(design, s)).evaluation for s in streams]
        return sum(sum(result.rewards) for result in results) / 155

    assert answered("no_memory") == 0.0
    assert answered("random_recall") < 0.1
    assert answered("rag") > 0.5
    backend.close()


@pytest.mark.network
def test_the_package_is_never_imported(source: Source) -> None:
    assert not [name for name in sys.modules if name.startswith("bfcl_eval")]
