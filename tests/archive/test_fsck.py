"""Claims about `mnemogen fsck`: whatever byte is wrong is found and named; a repair loses nothing that was whole."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import sqlite3
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from filelock import FileLock

from archive.call_book import CallBook, CallRow
from archive.card import Card
from archive.content import MEASURED
from archive.errors import ArchiveDamaged, ArchiveError, ArchiveMissing
from archive.ledger import Ledger
from archive.novelty import fingerprint
from archive.raw_repository import commit_objects
from archive.records import Decision, DesignRow, DesignStatus, Proposal, ProposalVerdict, Purpose, Trial
from archive.repository import Repository
from archive.rows import TABLES, seal_of
from archive.schema import MIGRATIONS, VERSION
from archive.search_book import InsightRow, PromptRow, SearchBook
from archive.wal import FRAME, HEADER
from design_space import Design, DesignId, Evaluation, EvaluationKey, Outcome, catalogue
from meta_agent import cli
from meta_agent.config import dump, load
from meta_agent.run import RunFolder, create

PROJECT = Path(cli.__file__).parents[1]
OWNERS = dict.fromkeys(("episodes", "questions", "agent_costs", "recalls"), ("evaluations", 1))
OWNERS |= {"parents": ("designs", 2), "prompts": ("prompts", 1)}
"""What a row of a table belongs to, and where in that one's row the name is."""
Rows = set[tuple[object, ...]]


@dataclass(frozen=True)
class Run:
    """A run that was killed: its log is not folded in.

    Attributes:
        rows: what its ledger holds, measured columns left out.
        designs: what its repository holds.
    """

    path: Path
    rows: Rows
    designs: dict[DesignId, tuple[Card, str]]


def evaluation(design: DesignId, number: int) -> Evaluation:
    key = EvaluationKey(design, f"house:{number}", "search", 0, "online", "evidence", 7, "guest", "config")
    extra = {"found": (True, False), "task_tokens": (3, 4), "task_seconds": (0.5, 0.25), "recalls": f"{number:04x}"}
    return Evaluation(key, Outcome.SCORED, (0.5, number / 100), (3, 4), seconds=1.5, backend="embedded", **extra)  # type: ignore[arg-type]


def file_generation(run: Path, generation: int, designs: Sequence[Design], parents: tuple[DesignId, ...]) -> None:
    """Commit and record a generation, as the product does."""
    first = generation * 3
    repository = Repository(run / "archive.git")
    cards = [
        Card.of(design, sequence=first + n, generation=generation, parents=parents, operator="mutate", note=f"why {n}")
        for n, design in enumerate(designs)
    ]
    commits = [done.commit for done in repository.commit(list(zip(cards, designs, strict=True)))]
    rows = [
        DesignRow(c.id, c.sequence, c.name, commit, generation, fingerprint(d.source), parents, operator="mutate")
        for c, d, commit in zip(cards, designs, commits, strict=True)
    ]
    proposals = [
        Proposal(c.sequence, generation, n, c.id, ProposalVerdict.NEW, operator="mutate", note=c.note)
        for n, c in enumerate(cards)
    ]
    decisions = [Decision(generation, "parent", "it was the best", c.id, {"mean": 0.5}) for c in cards]
    with Ledger(run / "ledger.sqlite") as ledger:
        ledger.record_generation(designs=rows, proposals=proposals, decisions=decisions)


def make(run: Path) -> Run:
    noise = random.Random(5)
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(dump(load(PROJECT / "configs" / "quickstart.yaml", ())))
    sources = [f"# {noise.random()}\n" + catalogue.load("arcmemo").source + f"\nx = {n}\n" for n in range(5)]
    designs = [catalogue.load("exprag"), *(Design(source, {}, f"n{n}") for n, source in enumerate(sources))]
    file_generation(run, 0, designs[:3], ())
    file_generation(run, 1, designs[3:], (designs[0].id, designs[1].id))
    with SearchBook(run / "ledger.sqlite") as book:
        book.record_prompts(
            [PromptRow("p0", None, 0, "hand", "be good"), PromptRow("p1", "p0", 1, "edit", "be better")]
        )
        book.record_insights([InsightRow(n, "add", f"i{n}", 0, f"insight {n}") for n in (1, 2, 3)])
    with CallBook(run / "ledger.sqlite") as calls:
        calls.write([CallRow("meta", "meta", n, f"c{n}", "m", "answered", "asked", "told" * n) for n in range(9)])
    with Ledger(run / "ledger.sqlite") as ledger:
        ledger.set_meta("standing", "{}")
        ledger.record_trials([Trial("s", n, designs[0].id, designs[1].id, {"k": n}) for n in range(3)])
        for number in range(70):
            episodes = [noise.randbytes(300 + 40 * number), b"{}"] if number % 3 else []
            ledger.record_evaluation(evaluation(designs[number % 6].id, number), Purpose.SEARCH, episodes)
    killed = Ledger(run / "ledger.sqlite")  # what follows stays in the log
    for number in range(70, 80):
        killed.record_evaluation(evaluation(designs[number % 6].id, number), Purpose.SEARCH, [noise.randbytes(500)])
    (run / "lock").touch()
    kept = run.with_name("kept")
    shutil.copytree(run, kept, ignore=shutil.ignore_patterns("*-shm"))
    killed.close()
    shutil.rmtree(run)
    kept.rename(run)
    (run / "archive.git" / "refs" / "tags").mkdir(exist_ok=True)
    return Run(run, rows_of(run), designs_of(run))


def young(run: Path) -> Run:
    """One whose writer was killed before anything was folded in: all it holds is in the log."""
    kept = run.with_name("kept")
    (run / "archive.git").mkdir(parents=True)
    (run / "config.yaml").write_text(dump(load(PROJECT / "configs" / "quickstart.yaml", ())))
    killed = Ledger(run / "ledger.sqlite")
    designs = [Design(f"x = {n}\n", {}, f"n{n}") for n in range(6)]
    shutil.rmtree(run / "archive.git")
    file_generation(run, 0, designs[:3], ())
    file_generation(run, 1, designs[3:], (designs[0].id,))
    killed.record_evaluation(evaluation(designs[0].id, 1), Purpose.SEARCH, [b"{}"])
    shutil.copytree(run, kept, ignore=shutil.ignore_patterns("*-shm"))
    rows = rows_of(run)
    killed.close()
    shutil.rmtree(run)
    kept.rename(run)
    return Run(run, rows, designs_of(run))


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make(tmp_path_factory.mktemp("intact") / "run")


@pytest.fixture(scope="module")
def loose(tmp_path_factory: pytest.TempPathFactory, intact: Run) -> Run:
    """The same with an object a file and a ref a file."""
    run = tmp_path_factory.mktemp("loose") / "run"
    shutil.copytree(intact.path, run)
    folder = run / "archive.git"
    packs = list((folder / "objects" / "pack").iterdir())
    for pack in packs:
        shutil.move(pack, run.parent)
    for pack in run.parent.glob("*.pack"):
        git = ["git", f"--git-dir={folder}", "unpack-objects", "-q"]
        subprocess.run(git, input=pack.read_bytes(), check=True, timeout=60)
    for line in (folder / "packed-refs").read_text().splitlines()[1:]:
        commit, ref = line.split(" ")
        (folder / ref).parent.mkdir(exist_ok=True, parents=True)
        (folder / ref).write_text(f"{commit}\n")
    (folder / "packed-refs").unlink()
    return replace(intact, path=run)


# -- reading by other means than fsck's


def rows_of(run: Path) -> Rows:
    """All rows of a ledger whose seal fits, as far as SQLite gets through each table."""
    rows: Rows = set()
    copy = run.parent / "reading"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in run.glob("ledger.sqlite*"):
        shutil.copy(path, copy)
    with closing(sqlite3.connect(copy / "ledger.sqlite", isolation_level=None)) as db:
        db.text_factory = lambda content: content.decode("utf-8", "replace")
        for table, columns in TABLES.items():
            away = (*MEASURED.get(table, ()), "number" if table == "openings" else "")
            kept = [place for place, name in enumerate(columns) if name not in away]
            try:
                for row in db.execute(f"SELECT {', '.join(columns)}, seal FROM {table} NOT INDEXED"):
                    if seal_of(row[:-1]) == row[-1]:
                        rows.add((table, *(row[place] for place in kept)))
            except (sqlite3.DatabaseError, UnicodeDecodeError):
                continue
    return rows


def whole(rows: Rows) -> Rows:
    """Without what belongs to an evaluation, a design or a prompt that cannot be read itself."""
    named = {table: {row[place] for row in rows if row[0] == table} for table, place in OWNERS.values()}
    needed = {"parents": (1, 3), "prompts": (2,), "episodes": (1,), "questions": (1,)}
    needed |= {"agent_costs": (1,), "recalls": (1,)}
    kept = set()
    for row in rows:
        owner = OWNERS.get(str(row[0]))
        if owner is None or all(row[place] in {None, *named[owner[0]]} for place in needed[str(row[0])]):
            kept.add(row)
    return kept


def designs_of(run: Path) -> dict[DesignId, tuple[Card, str]]:
    """All designs that git can read."""
    try:
        repository = Repository(run / "archive.git", read_only=True)
        ids = repository.ids()
    except ArchiveError:
        return {}
    try:
        return {c.id: (c, d.source) for c, d in repository._entries(ids)}
    except ArchiveError:
        found = {}
        for id_ in ids:
            try:
                found[id_] = (repository.card(id_), repository.load(id_).source)
            except ArchiveError:
                continue
        return found


def snapshot(run: Path) -> dict[str, bytes]:
    return {p.relative_to(run).as_posix(): p.read_bytes() for p in sorted(run.rglob("*")) if p.is_file()}


Fsck = Callable[..., tuple[int, str]]


@pytest.fixture
def fsck(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fsck:
    """The command: its exit code, and all that it said."""

    def call(run: Path, *options: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["mnemogen", "fsck", str(run), *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out + told.err

    return call


# -- damage


@dataclass(frozen=True)
class Damage:
    kind: str
    file: str
    place: int

    def inflict(self, run: Path) -> bool:
        """Whether there is a difference."""
        path = run / self.file
        path.chmod(0o644)
        before = path.read_bytes()
        after = bytearray(before)
        match self.kind:
            case "flip":
                after[self.place] ^= 1 << self.place % 8
            case "zero":
                after[self.place : self.place + 64] = bytes(len(after[self.place : self.place + 64]))
            case "truncate":
                del after[self.place :]
        path.write_bytes(after)
        return bytes(after) != before


def damages(run: Run, target: str, count: int) -> Iterator[Damage]:
    chance = random.Random(target)
    files = sorted(p.relative_to(run.path).as_posix() for p in run.path.glob(target) if p.is_file())
    for number in range(count):
        file = chance.choice(files)
        size = (run.path / file).stat().st_size
        yield Damage(("flip", "zero", "truncate")[number % 3], file, chance.randrange(size))
    for place in (0, 1):  # the beginnings, whole
        yield Damage("zero" if place else "truncate", files[0], 0)


def last_transaction(run: Run) -> int:
    """Where the last transaction of the log begins."""
    log = (run.path / "ledger.sqlite-wal").read_bytes()
    starts = range(HEADER, len(log), FRAME + 4096)
    ends = [start for start in starts if struct.unpack_from(">II", log, start)[1]]
    return ends[-2] + FRAME + 4096


def checked(run: Run, damage: Damage, place: Path, fsck: Fsck) -> str:
    """Inflict, look, repair, look again; return what became of it."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(run.path, place)
    if not damage.inflict(place):
        return "no difference"
    before = snapshot(place)
    code, told = fsck(place)
    assert snapshot(place) == before, f"{damage}: looking changed something"
    ours = damage.file.startswith("ledger")  # what is not of the damaged part stays byte for byte
    rows = whole(rows_of(place)) if ours else run.rows
    designs = run.designs if ours else designs_of(place)
    if code == 0:
        assert designs == run.designs, f"{damage}: {told}"
        lossy = damage.file.endswith("-wal") and (damage.kind == "truncate" or damage.place >= last_transaction(run))
        assert rows <= run.rows if lossy else rows == run.rows, f"{damage}: {told}"
        return "torn" if lossy and rows < run.rows else "harmless"
    assert code == 4, f"{damage}: {told}"
    named = Path(damage.file).name if "/refs/" not in damage.file else "refs/"
    assert named.removesuffix(".git") in told, f"{damage}: {told}"
    assert "Traceback" not in told
    code, told = fsck(place, "--repair")
    changed = {name for name, content in snapshot(place).items() if content != before.get(name)}
    assert not any(name.startswith("archive.git" if ours else "ledger") for name in changed)
    after = rows_of(place) if ours else run.rows
    designs_after = run.designs if ours else designs_of(place)
    assert rows <= after <= run.rows, f"{damage}: {sorted(map(str, rows - after))[:3]} {told}"
    assert designs.items() <= designs_after.items() <= run.designs.items(), f"{damage}: {told}"
    if ours:
        assert code == 0, f"{damage}: {told}"
        assert after == run.rows or "lost" in told, f"{damage}: {told}"
        with Ledger(place / "ledger.sqlite") as ledger:
            ledger.check()
        kept = next(place.glob(f"damaged-*/{damage.file}"))
        assert kept.read_bytes() == before[damage.file]
    elif code == 0:
        assert designs_after == run.designs
        Repository(place / "archive.git").verify()
    else:
        assert code == 4
        assert all(id_ in told for id_ in set(run.designs) - set(designs_after)), f"{damage}: {told}"
    return "mended" if code == 0 and after == run.rows else "lost a part"


TARGETS = {
    "ledger.sqlite": 15,
    "ledger.sqlite-wal": 9,
    "archive.git/objects/pack/*.pack": 6,
    "archive.git/objects/pack/*.idx": 3,
    "archive.git/objects/[0-9a-f]*/*": 3,
    "archive.git/packed-refs": 3,
    "archive.git/refs/*/*": 3,
    "archive.git/HEAD": 3,
    "archive.git/config": 3,
}


@pytest.mark.parametrize("target", TARGETS)
def test_damage_is_found_named_and_mended(target: str, intact: Run, loose: Run, tmp_path: Path, fsck: Fsck) -> None:
    run = loose if "objects/[" in target or "refs/*" in target else intact
    fates: dict[str, int] = {}
    for damage in damages(run, target, TARGETS[target]):
        fate = checked(run, damage, tmp_path / "run", fsck)
        fates[fate] = fates.get(fate, 0) + 1
    found, injected = fates.get("mended", 0) + fates.get("lost a part", 0), sum(fates.values())
    told = f"{target}: {found} detected of {injected} injected ({fates})"
    print(told)  # noqa: T201
    unseen = {"no difference", "harmless", "torn"}
    assert found + sum(fates.get(fate, 0) for fate in unseen) == injected, told
    assert found >= injected // 3, told


# -- what is said of single kinds of damage


def place_of(run: Run, tmp_path: Path) -> Path:
    place = tmp_path / "run"
    shutil.copytree(run.path, place)
    return place


def test_a_sound_run_is_sound_and_stays_as_it_is(intact: Run, loose: Run, fsck: Fsck) -> None:
    for run in (intact, loose):
        before = snapshot(run.path)
        assert fsck(run.path) == (0, f"{run.path}: sound\n")
        assert fsck(run.path, "--repair")[0] == 0
        assert snapshot(run.path) == before


def test_a_run_that_is_held_or_absent_is_refused(intact: Run, tmp_path: Path, fsck: Fsck) -> None:
    place = place_of(intact, tmp_path)
    with RunFolder(place).held():
        for options in ((), ("--repair",)):
            code, told = fsck(place, *options)
            assert (code, f"held by process {os.getpid()}" in told) == (2, True)
    assert fsck(place)[0] == 0
    assert fsck(tmp_path / "absent", "--repair")[0] == 2


def test_json_tells_the_same(intact: Run, tmp_path: Path, fsck: Fsck) -> None:
    place = place_of(intact, tmp_path)
    (place / "config.yaml").write_bytes(b"name: [\xff")
    lock = place / "archive.git" / "packed-refs.lock"
    lock.touch()
    os.utime(lock, (time.time() - 60, time.time() - 60))
    code, told = fsck(place, "--json")
    data = json.loads(told[: told.rindex("}") + 1])
    assert (code, data["sound"]) == (4, False)
    assert [finding["where"] for finding in data["findings"]] == ["config.yaml", "archive.git/packed-refs.lock"]
    code, told = fsck(place, "--repair")
    assert code == 4, "a config cannot be made anew"
    assert "config.yaml" in told
    assert not lock.exists()


def test_a_commit_without_a_row_is_no_damage(intact: Run, tmp_path: Path, fsck: Fsck) -> None:
    place = place_of(intact, tmp_path)
    design = Design("y = 1\n")
    Repository(place / "archive.git").commit([(Card.of(design, sequence=9, generation=2), design)])
    code, told = fsck(place)
    assert code == 0
    assert f"design {design.id} has no row" in told


def test_a_row_without_a_commit_is_damage_that_no_repair_makes_up_for(intact: Run, tmp_path: Path, fsck: Fsck) -> None:
    place, lost = place_of(intact, tmp_path), DesignId("0123456789abcdef")
    with Ledger(place / "ledger.sqlite") as ledger:
        ledger.record_generation(designs=[DesignRow(lost, 9, "lost", "1" * 40, 2)])
    for options in ((), ("--repair",)):
        code, told = fsck(place, *options)
        assert code == 4
        assert f"design {lost}: commit {'1' * 40} is missing" in told


def test_no_repair_is_promised_for_a_config_that_is_lost(intact: Run, tmp_path: Path, fsck: Fsck) -> None:
    place = place_of(intact, tmp_path)
    (place / "config.yaml").unlink()
    code, told = fsck(place)
    assert code == 4
    assert "no repair makes up for it" in told
    assert "--repair" not in told


def test_a_run_in_a_folder_that_may_not_be_written_is_looked_at(
    intact: Run, tmp_path: Path, fsck: Fsck, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(lock: object, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    folder = RunFolder(place_of(intact, tmp_path))
    monkeypatch.setattr(FileLock, "acquire", refuse)
    assert fsck(folder.path)[0] == 0
    assert not folder.busy()
    folder.holder.write_text('{"pid": 1}')
    assert fsck(folder.path)[0] == 2
    assert folder.busy()


def test_a_source_that_does_not_hash_to_its_id_is_named(intact: Run, tmp_path: Path, fsck: Fsck) -> None:
    place = place_of(intact, tmp_path)
    design = Design("z = 1\n")
    card = Card.of(design, sequence=9, generation=2)
    forged = commit_objects(card, Design("z = 2\n"), [])
    for found in forged:
        content = b"%s %d\0%s" % (found.kind.encode(), len(found.content), found.content)
        path = place / "archive.git" / "objects" / found.sha[:2] / found.sha[2:]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(zlib.compress(content))
    ref = place / "archive.git" / "refs" / "designs" / card.id
    ref.parent.mkdir(exist_ok=True)
    ref.write_text(f"{forged[-1].sha}\n")
    code, told = fsck(place)
    assert code == 4
    assert f"does not hash to its id {card.id}" in told


@pytest.mark.parametrize("sealed", [True, False])
def test_a_row_that_was_changed_and_one_that_cannot_be_decompressed(
    intact: Run, tmp_path: Path, fsck: Fsck, sealed: bool
) -> None:
    place = place_of(intact, tmp_path)
    with closing(sqlite3.connect(place / "ledger.sqlite", isolation_level=None)) as db:
        digest, position = db.execute("SELECT digest, position FROM episodes LIMIT 1").fetchone()
        seal = seal_of((digest, position, b"junk")) if sealed else "0" * 16
        new = (b"junk", seal, digest, position)
        db.execute("UPDATE episodes SET content = ?, seal = ? WHERE digest = ? AND position = ?", new)
    code, told = fsck(place)
    assert code == 4
    assert digest in told
    assert ("cannot be decompressed" if sealed else "its seal does not fit") in told
    code, told = fsck(place, "--repair")
    assert code == 0
    assert "lost at least 1 of episodes" in told
    assert len(intact.rows - rows_of(place)) == 1


def test_lost_rows_of_designs_come_back_from_their_commits(intact: Run, tmp_path: Path, fsck: Fsck) -> None:
    place = place_of(intact, tmp_path)
    with closing(sqlite3.connect(place / "ledger.sqlite", isolation_level=None)) as db:
        db.execute("UPDATE designs SET seal = 'x' WHERE sequence > 1")
    assert fsck(place)[0] == 4
    assert fsck(place, "--repair")[0] == 0
    assert rows_of(place) == intact.rows


def test_a_design_that_was_thrown_out_does_not_come_back_with_its_row(intact: Run, tmp_path: Path, fsck: Fsck) -> None:
    place = place_of(intact, tmp_path)
    with Ledger(place / "ledger.sqlite") as ledger:
        leaked = ledger.designs()[3].id
        ledger.record_decisions([Decision(1, "alarm", "knows 9 of 10", leaked)])
        ledger.record_status(leaked, DesignStatus.INVALID, f"{Outcome.POLICY}: knows 9 of 10")
    before = rows_of(place)
    with closing(sqlite3.connect(place / "ledger.sqlite", isolation_level=None)) as db:
        db.execute("UPDATE designs SET seal = 'x' WHERE sequence > 1")
    code, told = fsck(place, "--repair")
    assert code == 0
    assert "4 rows of designs are from their commits" in told
    assert rows_of(place) == before


@pytest.mark.parametrize("damage", [lambda file: file.write_bytes(b""), Path.unlink], ids=["emptied", "gone"])
def test_a_ledger_whose_log_alone_is_left_is_made_of_it(
    tmp_path: Path, fsck: Fsck, damage: Callable[[Path], object]
) -> None:
    """So it is with a young run; and nobody may open it before, as SQLite would drop the log."""
    run = young(tmp_path / "run")
    ledger, log = run.path / "ledger.sqlite", run.path / "ledger.sqlite-wal"
    damage(ledger)
    before = log.read_bytes()
    with pytest.raises(ArchiveMissing):
        RunFolder(run.path).open_ledger()
    with pytest.raises(ArchiveDamaged, match="its write-ahead log is not"):
        Ledger(ledger)
    assert log.read_bytes() == before
    code, told = fsck(run.path)
    assert (code, "its write-ahead log holds what was written" in told) == (4, True)
    assert fsck(run.path, "--repair")[0] == 0
    assert rows_of(run.path) == run.rows
    assert fsck(run.path)[0] == 0


def test_looking_at_a_ledger_that_lost_its_log_does_not_hide_it(tmp_path: Path, fsck: Fsck) -> None:
    run = young(tmp_path / "run")
    (run.path / "ledger.sqlite-wal").unlink()
    told = fsck(run.path)
    assert told[0] == 4
    with pytest.raises(ArchiveMissing):
        RunFolder(run.path).open_ledger()
    with pytest.raises(ArchiveDamaged, match="6 designs are in the repository"), RunFolder(run.path).held():
        create(RunFolder(run.path), RunFolder(run.path).read_config())
    assert fsck(run.path) == told


def test_a_commit_is_adopted_only_once_there_is_a_ledger_to_adopt_it(intact: Run, tmp_path: Path, fsck: Fsck) -> None:
    place = place_of(intact, tmp_path)
    for path in place.glob("ledger.sqlite*"):
        path.unlink()
    code, told = fsck(place)
    assert code == 4
    assert "`mnemogen resume`, after the ledger's repair, adopts it" in told


def test_a_repair_that_was_cut_short_goes_on(intact: Run, tmp_path: Path, fsck: Fsck) -> None:
    place = place_of(intact, tmp_path)
    (place / "damaged-1").mkdir()
    for path in place.glob("ledger.sqlite*"):
        path.rename(place / "damaged-1" / path.name)
    assert fsck(place)[0] == 4
    assert fsck(place, "--repair")[0] == 0
    assert rows_of(place) == intact.rows


def test_objects_are_made_anew_where_their_bytes_can_be_had(loose: Run, tmp_path: Path, fsck: Fsck) -> None:
    """Commit and tree always, a card from the ledger, a source from the catalogue; nothing else."""
    place = place_of(loose, tmp_path)
    with Ledger(place / "ledger.sqlite") as ledger:
        commits = {row.id: row.commit for row in ledger.designs()}
    objects = place / "archive.git" / "objects"
    known, other = catalogue.load("exprag").id, next(i for i, (card, _) in loose.designs.items() if card.sequence == 5)
    for id_, first in ((known, 0), (other, 1)):
        card, source = loose.designs[id_]
        made = commit_objects(card, Design(source, card.params, card.name), [commits[p] for p in card.parents])
        assert made[-1].sha == commits[id_]
        for found in made[first:]:
            (objects / found.sha[:2] / found.sha[2:]).unlink()
    assert fsck(place)[0] == 4
    assert fsck(place, "--repair")[0] == 0
    assert designs_of(place) == loose.designs
    blob = made[0].sha
    (objects / blob[:2] / blob[2:]).unlink()
    for options in ((), ("--repair",)):
        code, told = fsck(place, *options)
        assert code == 4
        assert f"design {other}: blob of design.py {blob} is missing" in told
    assert "restore it from a backup" in told


@pytest.mark.parametrize("version", [1, VERSION + 1])
def test_another_version_is_no_damage(intact: Run, tmp_path: Path, fsck: Fsck, version: int) -> None:
    place = place_of(intact, tmp_path)
    with closing(sqlite3.connect(place / "ledger.sqlite", isolation_level=None)) as db:
        if version == 1:
            for table in ("questions", "agent_costs", "recalls", "model_calls"):
                db.execute(f"DROP TABLE {table}")
            db.execute(MIGRATIONS[0][-1])
        else:
            db.execute("CREATE TABLE later (name TEXT)")
        db.execute(f"PRAGMA user_version = {version}")
    code, told = fsck(place)
    assert code == (0 if version == 1 else 1), told
