"""Claims about the design repository, on real git."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import archive.repository as repository_module
from archive.card import Card
from archive.errors import ArchiveDamaged, ArchiveMissing, UnknownDesign
from archive.repository import Repository
from design_space import Design, DesignId

Entry = tuple[Card, Design]

_ROOT = Path(repository_module.__file__).parents[1]

any_text = st.text(st.characters(exclude_categories=()), max_size=60)
hostile_text = st.sampled_from(
    [
        "--exec=touch /tmp/pwned",
        "-c core.pager=sh",
        "$(reboot); `id` | cat && true",
        "a\nfrom refs/heads/main\nM 100644 inline evil.py\ndata 0\n",
        "done\n",
        "data <<EOF",
        "nul\0nul",
        "\x1b[2J\x1b]0;title\x07",
        "\ud800 lone surrogate \udfff",
        "\u202egnp.exe\u200b",
        "../../etc/passwd",
        "'; DROP TABLE designs; --",
        "x" * 5000,
        "\r\ntwo\rlines\r\n",
        "",
    ]
)
text = any_text | hostile_text
value = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text


def entry(number: int, *, source: str = "", parents: Sequence[DesignId] = (), name: str = "design") -> Entry:
    design = Design(source or f"x = {number}\n", name=f"{name}-{number}")
    return Card.of(design, sequence=number, generation=number // 4, parents=tuple(parents), operator="mutate"), design


def lineage(count: int) -> list[Entry]:
    """A few roots, then children of one or two of those before."""
    chance, entries = random.Random(1), list[Entry]()
    for number in range(count):
        known = [card.id for card, _ in entries]
        entries.append(entry(number, parents=chance.sample(known, min(len(known), chance.choice([0, 1, 2])))))
    return entries


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(text, text, text, text, st.dictionaries(text, value, max_size=3)), min_size=1, max_size=6))
def test_whatever_a_model_writes_comes_back_and_harms_nothing(rows: list[tuple[str, str, str, str, dict]]) -> None:
    with TemporaryDirectory() as folder:
        repository = Repository(Path(folder) / "archive.git")
        entries = []
        for number, (source, name, operator, note, params) in enumerate(rows):
            design = Design(source, params, name)
            entries.append((Card.of(design, sequence=number, generation=0, operator=operator, note=note), design))
        reports = repository.commit(entries)
        wanted = dict(reversed([(card.id, (card, design)) for card, design in entries]))
        assert {report.id: report.commit for report in reports} == repository.refs()
        assert set(repository.refs()) == set(wanted)
        for id_, (card, design) in wanted.items():
            found = repository.load(id_)
            assert (found.id, found.source) == (id_, design.source)
            assert repository.card(id_).to_json() == card.to_json()
        repository.verify()
        tree = git(repository.folder, "ls-tree", "-r", "--name-only", "main").split()
        assert tree == ["card.json", "design.py"]
        shown = repository.log_graph() + repository.diff(entries[0][0].id, entries[-1][0].id)
        assert not any((ord(c) < 32 and c not in "\n\t") or c == "\x7f" for c in shown)


def test_lineage_is_history(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "archive.git")
    entries = lineage(12)
    repository.commit(entries[:5])
    repository.commit(entries[5:])
    refs = repository.refs()
    assert repository.ids() == tuple(card.id for card, _ in entries)
    for card, _ in entries:
        assert repository.parents(card.id) == card.parents
        commit, *parents = git(repository.folder, "rev-list", "--parents", "-n1", refs[card.id]).split()
        assert (commit, parents) == (refs[card.id], [refs[parent] for parent in card.parents])
        assert card.id in repository.log_graph()
    assert git(repository.folder, "rev-parse", "HEAD").strip() == refs[entries[-1][0].id]
    assert not list((repository.folder / "refs").rglob("*.*")), "refs are packed"
    assert [card.id for card in repository.cards()] == list(repository.ids())


def test_plain_clone_brings_every_design_along(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "archive.git")
    entries = lineage(9)
    repository.commit(entries)
    git(tmp_path, "clone", "--quiet", str(repository.folder), "copy")
    assert len(git(tmp_path / "copy", "log", "--all", "--oneline").splitlines()) == 9
    a, b = entries[0][0].id, entries[1][0].id
    assert "+x = 1" in git(tmp_path / "copy", "diff", a, b)
    assert "+x = 1" in repository.diff(a, b)


def test_refs_are_identical_on_every_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = lineage(10)
    first = Repository(tmp_path / "one.git")
    first.commit(entries)

    home, hooks, canary = tmp_path / "home", tmp_path / "hooks", tmp_path / "canary"
    home.mkdir()
    hooks.mkdir()
    for hook in ("reference-transaction", "post-commit", "pre-auto-gc", "post-index-change"):
        (hooks / hook).write_text(f"#!/bin/sh\ntouch {canary}\n")
        (hooks / hook).chmod(0o755)
    (home / ".gitconfig").write_text(
        "[user]\n name = Mallory\n email = m@example.org\n[commit]\n gpgsign = true\n[gpg]\n program = false\n"
        f"[core]\n hooksPath = {hooks}\n autocrlf = true\n pager = touch {canary}\n fsync = none\n"
        f"[i18n]\n commitEncoding = latin1\n[init]\n templateDir = {hooks}\n defaultBranch = trunk\n"
        f"[diff]\n external = touch {canary}\n[log]\n showSignature = true\n date = relative\n[color]\n ui = always\n"
        "[fastimport]\n unpackLimit = 1000\n[core]\n bare = false\n logAllRefUpdates = always\n"
    )
    for name, content in {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "GIT_DIR": str(tmp_path / "elsewhere"),
        "GIT_WORK_TREE": str(tmp_path / "elsewhere"),
        "GIT_INDEX_FILE": str(tmp_path / "elsewhere" / "index"),
        "GIT_OBJECT_DIRECTORY": str(tmp_path / "elsewhere" / "objects"),
        "GIT_NAMESPACE": "other",
        "GIT_AUTHOR_NAME": "Mallory",
        "GIT_COMMITTER_DATE": "1999-01-01T00:00:00",
        "GIT_DEFAULT_HASH": "sha256",
        "GIT_EXTERNAL_DIFF": f"touch {canary}",
        "GIT_CONFIG_PARAMETERS": "'core.bare=false'",
        "GIT_TRACE": "1",
        "TZ": "Asia/Tokyo",
        "LC_ALL": "de_DE.UTF-8",
    }.items():
        monkeypatch.setenv(name, content)
    second = Repository(tmp_path / "two.git")
    second.commit(entries[:3])
    second.commit(entries[3:])
    assert second.refs() == first.refs()
    assert second.cards() == first.cards()
    assert second.diff(*first.ids()[:2]) == first.diff(*first.ids()[:2])
    assert second.log_graph() == first.log_graph()
    (home / ".gitconfig").write_text("[this is no configuration")
    second.verify()
    assert second.commit(entries)[0].new is False
    assert not canary.exists()
    assert not (tmp_path / "elsewhere").exists()


def test_commit_ids_never_change(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "archive.git")
    (report,) = repository.commit([entry(0)])
    assert report.commit == "0a84baf3977a05837b8ae3d0baf1282dcd8b816b"


def test_same_design_is_adopted(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "archive.git")
    entries = lineage(6)
    repository.commit(entries[:4])
    before = repository.refs()
    again = Card.of(entries[0][1], sequence=99, generation=9)
    reports = repository.commit([*entries, (again, entries[0][1])])
    assert [report.new for report in reports] == [False] * 4 + [True] * 2 + [False]
    assert repository.card(again.id) == entries[0][0]
    assert {id_: repository.refs()[id_] for id_ in before} == before
    whole = Repository(tmp_path / "whole.git")
    whole.commit(entries)
    assert whole.refs() == repository.refs()


def test_main_is_the_latest_design_though_a_crash_left_only_that_one_of_a_batch(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "archive.git")
    entries = [entry(0), entry(1)]
    repository.commit(entries)
    refs = repository.refs()
    git(repository.folder, "update-ref", "-d", f"refs/designs/{entries[0][0].id}")
    git(repository.folder, "update-ref", "-d", "refs/heads/main")
    again = Repository(repository.folder)
    assert [report.new for report in again.commit(entries)] == [True, False]
    assert again.refs() == refs
    assert git(repository.folder, "rev-parse", "main").strip() == refs[entries[1][0].id]


def test_parent_must_exist_and_nothing_is_written(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "archive.git")
    orphan = entry(1, parents=[DesignId("0123456789abcdef")])
    with pytest.raises(UnknownDesign, match="0123456789abcdef"):
        repository.commit([entry(0), orphan])
    assert repository.ids() == ()


def test_entries_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "archive.git")
    repository.commit([entry(5)])
    with pytest.raises(ValueError, match="sequence 5, wanted more than 5"):
        repository.commit([entry(5, source="y = 1\n")])
    with pytest.raises(ValueError, match="card is of design"):
        repository.commit([(entry(6)[0], entry(7)[1])])
    with pytest.raises(UnknownDesign):
        repository.load(DesignId("f" * 16))
    with pytest.raises(UnknownDesign):
        repository.diff(DesignId("--output=/tmp/x"), DesignId("f" * 16))
    with pytest.raises(ValueError, match="read-only"):
        Repository(repository.folder, read_only=True).commit([entry(8)])
    assert repository.commit([]) == ()


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"sequence": -1}, "sequence"),
        ({"sequence": True}, "sequence"),
        ({"generation": 2**31}, "generation"),
        ({"parents": ("0" * 16, "0" * 16)}, "parents"),
        ({"parents": ("a" * 16,)}, "parents"),
        ({"id": "refs/heads/main"}, "16 hexadecimal"),
        ({"params": {"x": float("nan")}}, "finite"),
        ({"params": {"x": [1]}}, "a number, text or bool"),
    ],
)
def test_card_is_strict(change: dict[str, object], wanted: str) -> None:
    good: dict[str, object] = {"id": "a" * 16, "name": "n", "sequence": 1, "generation": 0}
    Card(**good)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=wanted):
        Card(**(good | change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace('"sequence": 0', '"sequence": "0"'),
        lambda text: text.replace('"sequence": 0', '"sequence": 0, "sequence": 0'),
        lambda text: text.replace("}\n", ', "extra": 1}\n'),
        lambda text: text[:-2],
        lambda text: text.replace("[]", "null"),
        lambda text: "[" * 100_000,
        lambda text: "[]",
    ],
)
def test_card_that_was_changed_is_refused(damage) -> None:
    text_ = entry(0)[0].to_json()
    assert Card.from_json(text_) == entry(0)[0]
    with pytest.raises(ValueError, match=r"."):
        Card.from_json(damage(text_))


def test_read_only_needs_a_repository(tmp_path: Path) -> None:
    with pytest.raises(ArchiveMissing):
        Repository(tmp_path / "archive.git", read_only=True)
    assert not (tmp_path / "archive.git").exists()
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "notes.txt").write_text("mine")
    with pytest.raises(ArchiveDamaged):
        Repository(tmp_path / "files")


def test_flipped_bytes_are_detected_and_named(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "archive.git")
    entries = [entry(n, source=f"# {random.Random(n).random()}\n" * 20) for n in range(5)]
    repository.commit(entries)
    wanted = [repository.load(card.id) for card, _ in entries]
    (pack,) = (repository.folder / "objects" / "pack").glob("*.pack")
    pack.chmod(0o644)
    intact, chance, refused = pack.read_bytes(), random.Random(7), 0
    for _ in range(12):
        place = chance.randrange(len(intact) - 20)
        damaged = bytearray(intact)
        damaged[place] ^= 1 << chance.randrange(8)
        pack.write_bytes(damaged)
        with pytest.raises(ArchiveDamaged) as caught:
            repository.verify()
        assert str(repository.folder) in str(caught.value)
        for (card, _), design in zip(entries, wanted, strict=True):
            try:
                assert repository.load(card.id) == design
            except ArchiveDamaged:
                refused += 1
    assert refused >= 6, "load reads on over most of the flips"
    pack.write_bytes(intact)
    repository.verify()


@pytest.mark.parametrize("where", ["packed-refs", "HEAD", "pack", "truncated pack", "ref", "swapped"])
def test_lost_and_broken_files_are_detected(tmp_path: Path, where: str) -> None:
    repository = Repository(tmp_path / "archive.git")
    repository.commit(lineage(4))
    a, b, *_ = repository.ids()
    packed = repository.folder / "packed-refs"
    (pack,) = (repository.folder / "objects" / "pack").glob("*.pack")
    pack.chmod(0o644)
    match where:
        case "packed-refs":
            packed.write_bytes(packed.read_bytes().replace(a[:8].encode(), b"\0\xff\n\0    "))
        case "HEAD":
            (repository.folder / "HEAD").write_bytes(bytes(20))
        case "pack":
            pack.unlink()
        case "truncated pack":
            pack.write_bytes(pack.read_bytes()[:50])
        case "ref":
            packed.write_text(packed.read_text().replace(repository.refs()[a], "1" * 40))
        case "swapped":
            text_ = packed.read_text().replace(f"designs/{a}", "designs/x").replace(f"designs/{b}", f"designs/{a}")
            packed.write_text(text_.replace("designs/x", f"designs/{b}"))
    with pytest.raises(ArchiveDamaged):
        Repository(repository.folder).verify()
    with pytest.raises(ArchiveDamaged):
        Repository(repository.folder).load(a)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GIT_QUARANTINE_PATH", "/tmp"),
        ("GIT_ATTR_SOURCE", "nothing"),
        ("GIT_REF_PARANOIA", "perhaps"),
        ("GIT_ADVICE", "perhaps"),
        ("GIT_EXEC_PATH", "/nonexistent"),
        ("GIT_ICASE_PATHSPECS", "1"),
        ("GIT_DIR", "/nonexistent"),
        ("GIT_CONFIG_PARAMETERS", "garbage"),
    ],
)
def test_what_the_environment_tells_git_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    here = Repository(tmp_path / "here.git")
    here.commit(lineage(3))
    monkeypatch.setenv(name, value)
    there = Repository(tmp_path / "there.git")
    there.commit(lineage(3))
    assert there.refs() == here.refs()
    a, b = there.ids()[:2]
    assert there.diff(a, b) == here.diff(a, b) != ""
    there.verify()


def test_no_variable_has_git_write_outside_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_TRACE2", "GIT_TRACE2_EVENT", "GIT_TRACE_SETUP", "GIT_TRACE_PACK_ACCESS"):
        monkeypatch.setenv(name, str(tmp_path / name))
    Repository(tmp_path / "archive.git").commit(lineage(2))
    assert [path.name for path in tmp_path.iterdir()] == ["archive.git"]


def test_a_machine_without_git_is_told_what_to_install(tmp_path: Path) -> None:
    Repository(tmp_path / "archive.git").commit(lineage(1))
    for variables in ({"PATH": "/nonexistent"}, {"PATH": "/nonexistent", "GIT_TRACE": "0", "GIT_ADVICE": "0"}):
        done = subprocess.run(
            [sys.executable, "-c", "import sys; from archive.repository import Repository; Repository(sys.argv[1])",
             str(tmp_path / "archive.git")],
            env={"PYTHONPATH": str(_ROOT), **variables}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "ArchiveError: cannot run git (hint: install git" in done.stderr


def test_what_git_says_of_damage_is_not_hidden_behind_its_advice(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "archive.git")
    repository.commit(lineage(2))
    (pack,) = (repository.folder / "objects" / "pack").glob("*.pack")
    pack.unlink()
    with pytest.raises(ArchiveDamaged) as caught:
        Repository(repository.folder).verify()
    assert "graft" not in str(caught.value)


def test_locks_of_a_killed_writer_are_removed(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "archive.git")
    repository.commit([entry(0)])
    (repository.folder / "refs" / "designs").mkdir(exist_ok=True)
    for name in ("packed-refs.lock", f"refs/designs/{entry(1)[0].id}.lock", "refs/heads/main.lock", "HEAD.lock"):
        lock = repository.folder / name
        lock.touch()
        os.utime(lock, (time.time() - 60, time.time() - 60))
    Repository(repository.folder).commit([entry(1)])
    assert repository.ids() == (entry(0)[0].id, entry(1)[0].id)
    assert not list(repository.folder.rglob("*.lock"))


def test_packs_stay_few(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "archive.git")
    for number in range(36):
        repository.commit([entry(number)])
    assert len(list((repository.folder / "objects" / "pack").glob("*.pack"))) <= 32
    repository.verify()
    assert len(repository.ids()) == 36


_FULL = """
import subprocess, sys
from pathlib import Path
folder = Path(sys.argv[1])
if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)], capture_output=True).returncode:
    sys.exit(77)
import random
from archive.card import Card
from archive.errors import ArchiveFull
from archive.ledger import Ledger
from archive.records import Purpose
from archive.repository import Repository
from design_space import Design, Evaluation, EvaluationKey, Outcome
noise = random.Random(1)
what = sys.argv[2]
kept = []
ledger = Ledger(folder / "l.sqlite") if what == "ledger" else None
repository = Repository(folder / "archive.git") if what == "git" else None
try:
    for number in range(1000):
        design = Design(noise.randbytes(20_000).hex())
        if ledger:
            key = EvaluationKey(design.id, "s", "search", 0, "online", "a", 0, "g", "c")
            done = Evaluation(key, Outcome.SCORED, (0.5,), (1,))
            ledger.record_evaluation(done, Purpose.SEARCH, [design.source.encode()])
            kept.append(done)
        else:
            repository.commit([(Card.of(design, sequence=number, generation=0), design)])
            kept.append(design)
except ArchiveFull as error:
    assert error.hint
else:
    sys.exit("never full")
assert kept
if ledger:
    assert [found.evaluation for found in ledger.evaluations()] == kept
else:
    assert [repository.load(id_).source for id_ in repository.ids()][: len(kept)] == [design.source for design in kept]
"""


@pytest.mark.parametrize("what", ["git", "ledger"])
def test_full_disk_is_told_and_loses_nothing(tmp_path: Path, what: str) -> None:
    command = ["unshare", "--map-root-user", "--mount", sys.executable, "-c", _FULL, str(tmp_path), what]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=_ROOT)
    except FileNotFoundError:
        pytest.skip("no unshare(1) here")
    if done.returncode == 77 or done.stderr.startswith("unshare:"):
        pytest.skip("a small file system cannot be mounted here")
    assert done.returncode == 0, done.stderr
