"""The folders and the image that a sandbox is made of."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox import bundle, image
from sandbox.backend import SandboxUnavailable
from sandbox.docker_backend import connect

if TYPE_CHECKING:
    from sandbox.docker_backend import Client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    try:
        made = connect(5.0)
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    yield made
    made.close()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("design_space", "sandbox/guest"):
        shutil.copytree(bundle.PROJECT / name, tmp_path / name)
    return tmp_path


def test_digest_follows_every_file_that_a_design_could_notice(project: Path) -> None:
    original = bundle.digest(project)
    assert original == bundle.digest()
    seen = {original}
    for name in ("design_space/memory.py", "design_space/parts/__init__.py", "sandbox/guest/host.py"):
        with (project / name).open("a") as file:
            file.write("\n# changed\n")
        seen.add(bundle.digest(project))
    (project / "design_space/more.py").write_text("")
    seen.add(bundle.digest(project))
    assert len(seen) == 5


def test_digest_does_not_follow_what_stays_outside(project: Path) -> None:
    original = bundle.digest(project)
    (project / "design_space/catalogue").mkdir(exist_ok=True)
    (project / "design_space/catalogue/winner.py").write_text("x = 1")
    (project / "sandbox/evaluate.py").write_text("x = 1")
    assert bundle.digest(project) == original


def test_digest_follows_the_interpreter_and_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    original = bundle.base_digest()
    monkeypatch.setattr("numpy.__version__", "0.0")
    assert bundle.base_digest() != original


def test_hash_tells_where_a_part_ends() -> None:
    assert bundle.hash_of(["ab", "c"]) != bundle.hash_of(["a", "bc"])


def test_bundle_holds_what_a_design_needs_and_nothing_of_ours_besides() -> None:
    made = bundle.ensure()
    files = {str(path.relative_to(made.guest)) for path in made.guest.rglob("*.py")}
    assert {"design_space/memory.py", "design_space/parts/__init__.py", "sandbox/guest/supervisor.py"} <= files
    ours = {name for name in files if name.startswith("sandbox/")}
    assert all(name == "sandbox/__init__.py" or name.startswith("sandbox/guest/") for name in ours)
    assert not [name for name in files if "catalogue" in name]
    top = {path.name for path in (made.base / "opt/packages").iterdir()}
    assert top <= {"numpy", "numpy.libs", "__pycache__"}


def test_bundle_is_made_once(tmp_path: Path) -> None:
    calls = []

    def make(folder: Path) -> None:
        calls.append(folder)
        (folder / "file").write_text("x")

    for _ in range(2):
        assert (bundle._once(tmp_path / "made", make) / "file").read_text() == "x"
    assert len(calls) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_bundle_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        bundle._once(tmp_path / "made", make)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_written_is_named_with_a_way_out() -> None:
    with pytest.raises(SandboxUnavailable) as caught:
        bundle.ensure(Path("/proc/nowhere"))
    assert "XDG_CACHE_HOME" in caught.value.hint


@pytest.mark.docker
def test_image_is_found_again_and_cheaply(client: Client) -> None:
    first = image.ensure(client)
    started = time.perf_counter()
    assert image.ensure(client) == first
    assert time.perf_counter() - started < 1.0
    assert first.tag.startswith("mnemogen-sandbox:")


@pytest.mark.docker
def test_image_holds_no_secret_and_no_service_of_ours(client: Client) -> None:
    found = client.images.get(image.ensure(client).tag)
    assert found.labels["mnemogen"] == "sandbox"
    history = " ".join(str(layer) for layer in found.history())
    assert "KEY=" not in history.replace("GPG_KEY=", "")
    code = "import os; print(sorted(os.listdir('/opt/mnemogen/sandbox')), sorted(os.listdir('/opt/mnemogen')))"
    output = client.containers.run(found, ["python3", "-c", code], network_mode="none", remove=True).decode()
    assert "catalogue" not in output
    assert "'guest'" in output
    assert "streams" not in output
