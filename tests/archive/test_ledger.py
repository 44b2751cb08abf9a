"""Claims about the ledger, on real SQLite files."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.errors import (
    AlreadyRecorded,
    ArchiveDamaged,
    ArchiveMissing,
    ArchiveOutdated,
    ArchiveUnwritable,
    ArchiveVersion,
    UnknownDesign,
)
from archive.ledger import Ledger
from archive.records import (
    Decision,
    DesignRow,
    DesignStatus,
    Proposal,
    ProposalVerdict,
    Purpose,
    Spent,
    Trial,
)
from archive.schema import MIGRATIONS, VERSION
from design_space import DesignId, Evaluation, EvaluationKey, Outcome

A, B, C = DesignId("a" * 16), DesignId("b" * 16), DesignId("c" * 16)


def key(number: int = 0, *, design: DesignId = A, split: str = "search") -> EvaluationKey:
    return EvaluationKey(design, f"house:{number}", split, 0, "online", "evidence", 7, "guest", "config")


def evaluation(number: int = 0, *, design: DesignId = A, split: str = "search") -> Evaluation:
    return Evaluation(
        key(number, design=design, split=split),
        Outcome.SCORED,
        rewards=(0.0, 1.0, 0.1 + 0.2),
        steps=(3, 4, 5),
        seconds=1.5,
        cpu_seconds=0.25,
        bytes_stored=1000,
        recall_chars=42,
        model_calls=2,
        model_tokens=300,
        backend="embedded/full",
    )


def row(id_: DesignId, sequence: int, *parents: DesignId) -> DesignRow:
    return DesignRow(id_, sequence, f"n{sequence}", "f" * 40, 0, ast_hash=f"h{sequence}", parents=parents)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def test_generation_comes_back_after_reopening(ledger: Ledger) -> None:
    designs = (row(A, 0), row(B, 1, A), replace(row(C, 2, B, A), status=DesignStatus.INVALID, reason="crashed"))
    proposals = (
        Proposal(0, 0, 0, A, ProposalVerdict.NEW, "llm", "mutate", "why\nnot", ""),
        Proposal(1, 0, 1, A, ProposalVerdict.DUPLICATE),
        Proposal(2, 0, 2, None, ProposalVerdict.INVALID, reason="prose"),
    )
    decisions = (Decision(0, "parent", "best", A, {"mean": 0.5, "of": [A, B]}), Decision(1, "stop", "enough"))
    ledger.record_generation(designs=designs, proposals=proposals, decisions=decisions)
    ledger.close()
    with Ledger(ledger.path) as again:
        assert again.designs() == designs
        assert again.design(C) == designs[2]
        assert again.design(DesignId("0" * 16)) is None
        assert again.proposals() == proposals
        assert again.proposals(generation=1) == ()
        assert again.decisions() == tuple(replace(d, sequence=n) for n, d in enumerate(decisions, 1))
        assert [d.kind for d in again.decisions(subject=A)] == ["parent"]
        assert [d.kind for d in again.decisions(generation=1)] == ["stop"]
        counts = again.counts()
        assert (counts.designs, counts.invalid, counts.proposals, counts.duplicates) == (3, 1, 3, 1)
        again.record_status(B, DesignStatus.INVALID, "it never stores anything")
        assert again.design(B) == replace(designs[1], status=DesignStatus.INVALID, reason="it never stores anything")
        again.check()


@pytest.mark.parametrize(
    ("designs", "proposals", "error"),
    [
        ((row(B, 1), row(C, 2, DesignId("0" * 16))), (), UnknownDesign),
        ((row(B, 1), row(B, 2)), (), AlreadyRecorded),
        ((row(B, 0),), (), AlreadyRecorded),
        ((row(B, 1),), (Proposal(0, 0, 0, C, ProposalVerdict.NEW),), UnknownDesign),
        ((row(B, 1),), (Proposal(0, 0, 0, None, ProposalVerdict.DUPLICATE),), UnknownDesign),
        ((row(B, 1),), (Proposal(9, 0, 0, A, ProposalVerdict.NEW),), AlreadyRecorded),
        ((row(B, 2**63),), (), ValueError),
    ],
)
def test_generation_is_recorded_whole_or_not_at_all(ledger: Ledger, designs, proposals, error) -> None:
    ledger.record_generation(designs=[row(A, 0)], proposals=[Proposal(9, 0, 0, A, ProposalVerdict.NEW)])
    before = ledger.designs(), ledger.proposals(), ledger.decisions()
    with pytest.raises(error):
        ledger.record_generation(designs=designs, proposals=proposals, decisions=[Decision(0, "stop", "x")])
    assert (ledger.designs(), ledger.proposals(), ledger.decisions()) == before
    ledger.record_generation(designs=[row(B, 1)])


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
evaluations = st.builds(
    Evaluation,
    key=st.builds(
        EvaluationKey,
        design=st.sampled_from([A, B]),
        stream=text,
        split=st.sampled_from(["search", "validation"]),
        order=st.integers(0, 9),
        protocol=text,
        agent=text,
        seed=st.integers(0, 2**62),
        guest=text,
        config=text,
    ),
    outcome=st.sampled_from(Outcome),
    rewards=st.lists(st.floats(0, 1), max_size=5).map(tuple),
    steps=st.lists(st.integers(0, 10**6), max_size=5).map(tuple),
    detail=text,
    seconds=st.floats(0, 1e6),
    cpu_seconds=st.none() | st.floats(0, 1e6),
    bytes_stored=st.none() | st.integers(0, 2**40),
    recall_chars=st.integers(0, 2**40),
    model_calls=st.integers(0, 2**40),
    model_tokens=st.integers(0, 2**40),
    backend=text,
)


@settings(max_examples=60, deadline=None)
@given(evaluations, st.lists(st.binary(max_size=200), max_size=3))
def test_evaluation_comes_back_exactly(given_: Evaluation, episodes: list[bytes]) -> None:
    with TemporaryDirectory() as folder, Ledger(Path(folder) / "l.sqlite") as ledger:
        assert ledger.find(given_.key) is None
        assert ledger.record_evaluation(given_, Purpose.SEARCH, episodes) is True
        assert ledger.find(given_.key) == given_
        assert ledger.episodes(given_.key) == tuple(episodes)
        assert ledger.record_evaluation(given_, Purpose.SEARCH, episodes) is False
        assert [(r.evaluation, r.purpose, r.sequence) for r in ledger.evaluations()] == [(given_, Purpose.SEARCH, 1)]
        ledger.check()


def test_text_that_sqlite_cannot_hold_is_made_harmless(ledger: Ledger) -> None:
    ledger.record_evaluation(replace(evaluation(), detail="a\ud800b\0c" + "x" * 10**6), Purpose.SEARCH)
    found = ledger.find(key())
    assert found is not None
    assert found.detail.startswith("a?b\0cxxx")
    assert len(found.detail) == 20_000
    ledger.check()


def test_second_result_of_a_key_is_refused_and_the_first_stays(ledger: Ledger) -> None:
    first = evaluation()
    assert ledger.record_evaluation(first, Purpose.SEARCH) is True
    slower = replace(first, seconds=99.0, backend="docker")
    assert ledger.record_evaluation(slower, Purpose.SEARCH) is False
    for other in (
        replace(first, rewards=(1.0, 1.0, 1.0)),
        replace(first, steps=(1, 1, 1)),
        replace(first, outcome=Outcome.CRASHED),
    ):
        with pytest.raises(AlreadyRecorded, match="first result counts"):
            ledger.record_evaluation(other, Purpose.SEARCH)
    assert ledger.find(first.key) == first
    assert ledger.counts().evaluations == 1


@pytest.mark.parametrize(
    "change",
    [
        {"rewards": (float("nan"),)},
        {"rewards": (1.01,)},
        {"rewards": (-0.01,)},
        {"seconds": float("inf")},
        {"cpu_seconds": float("nan")},
        {"model_tokens": 2**70},
    ],
)
def test_impossible_numbers_are_refused(ledger: Ledger, change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        ledger.record_evaluation(replace(evaluation(), **change), Purpose.SEARCH)
    assert ledger.counts().evaluations == 0


def test_evaluations_are_found_by_design_purpose_and_split(ledger: Ledger) -> None:
    ledger.record_evaluation(evaluation(0), Purpose.SEARCH)
    ledger.record_evaluation(evaluation(1, design=B), Purpose.CONTROL)
    ledger.record_evaluation(evaluation(2, split="validation"), Purpose.VALIDATION)
    streams = lambda **wanted: [r.evaluation.key.stream for r in ledger.evaluations(**wanted)]  # noqa: E731
    assert streams() == ["house:0", "house:1", "house:2"]
    assert streams(design=A) == ["house:0", "house:2"]
    assert streams(purpose=Purpose.CONTROL) == ["house:1"]
    assert streams(design=A, split="validation") == ["house:2"]
    assert ledger.spent() == Spent(3, 0, 0, 0.0, 4.5), "model calls are the call book's"


def test_sealed_split_is_scored_only_for_a_list_frozen_beforehand(ledger: Ledger) -> None:
    sealed = evaluation(5, split="sealed")
    with pytest.raises(ValueError, match="no opening"):
        ledger.record_evaluation(sealed, Purpose.SEALED)
    opening = ledger.record_opening([A, B], ["house:5"], decided_at=41, data={"why": "the end"})
    assert opening.number == 1
    assert ledger.record_evaluation(sealed, Purpose.SEALED)
    for wrong in (evaluation(6, split="sealed"), evaluation(5, design=C, split="sealed")):
        with pytest.raises(ValueError, match="no opening"):
            ledger.record_evaluation(wrong, Purpose.SEALED)
    with pytest.raises(ValueError, match="the split is"):
        ledger.record_evaluation(evaluation(5, design=B, split="sealed"), Purpose.SEARCH)
    with pytest.raises(ValueError, match="the split is"):
        ledger.record_evaluation(evaluation(5), Purpose.SEALED)
    with pytest.raises(ValueError, match="at least one"):
        ledger.record_opening([], ["house:5"], decided_at=42)
    assert ledger.openings() == (opening,)


def test_trials_and_meta_come_back(ledger: Ledger) -> None:
    trials = [Trial("study", n, A, B, {"k": n, "on": True}, "complete", n / 3) for n in range(3)]
    ledger.record_trials(trials)
    assert ledger.trials("study") == tuple(trials)
    with pytest.raises(AlreadyRecorded):
        ledger.record_trials([replace(trials[0], number=7), trials[0]])
    assert ledger.counts().trials == 3
    with pytest.raises(ValueError, match="refuses"):
        ledger.record_trials([replace(trials[0], number=8, state="great")])
    ledger.set_meta("config", "one")
    ledger.set_meta("config", "two")
    assert (ledger.meta("config"), ledger.meta("other")) == ("two", None)


def test_viewer_reads_while_the_writer_writes(ledger: Ledger) -> None:
    with Ledger(ledger.path, read_only=True) as viewer:
        for number in range(5):
            ledger.record_evaluation(evaluation(number), Purpose.SEARCH, [json.dumps({"n": number}).encode()])
            assert len(viewer.evaluations()) == number + 1
            assert viewer.episodes(key(number)) == (b'{"n": %d}' % number,)
        with pytest.raises(ValueError, match="read-only"):
            viewer.record_evaluation(evaluation(9), Purpose.SEARCH)
        with pytest.raises(ValueError, match="read-only"):
            viewer.set_meta("a", "b")


def test_viewer_never_makes_a_file(tmp_path: Path) -> None:
    with pytest.raises(ArchiveMissing):
        Ledger(tmp_path / "ledger.sqlite", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_strange_paths(tmp_path: Path) -> None:
    path = tmp_path / "a b?mode=memory&x=#%41" / "ledger.sqlite"
    path.parent.mkdir()
    with Ledger(path) as ledger:
        ledger.record_evaluation(evaluation(), Purpose.SEARCH)
    with Ledger(path, read_only=True) as viewer:
        assert viewer.find(key()) == evaluation()
    assert path.is_file()


def test_acknowledged_means_synced(tmp_path: Path, ledger: Ledger) -> None:
    """A copy of the files, taken while the ledger is open, holds all that was acknowledged."""
    ledger.record_evaluation(evaluation(), Purpose.SEARCH)
    for path in tmp_path.glob("ledger.sqlite*"):
        if not path.name.endswith("-shm"):
            (tmp_path / "copy").mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / "copy")
    with Ledger(tmp_path / "copy" / "ledger.sqlite") as copy:
        assert copy.find(key()) == evaluation()


def test_a_row_costs_the_same_however_many_there_are(ledger: Ledger) -> None:
    ledger.record_evaluation(evaluation(), Purpose.SEARCH)
    with sqlite3.connect(ledger.path) as db:
        for sql in (
            "SELECT * FROM evaluations WHERE digest = 'x' LIMIT 1",
            "SELECT coalesce(max(sequence), 0) + 1 FROM evaluations",
            "SELECT * FROM episodes WHERE digest = 'x' ORDER BY position",
        ):
            plan = " ".join(row[-1] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}"))
            assert "SCAN" not in plan, plan
        assert "COVERING" in str(db.execute("EXPLAIN QUERY PLAN SELECT total(seconds) FROM evaluations").fetchall())
    db.close()


# -- damage


def filled(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.record_generation(
            designs=[row(A, 0), row(B, 1, A)],
            proposals=[Proposal(0, 0, 0, A, ProposalVerdict.NEW, note="first")],
            decisions=[Decision(0, "parent", "best", A, {"mean": 0.5})],
        )
        for number in range(60):
            episodes = [random.Random(number).randbytes(1000)]
            ledger.record_evaluation(evaluation(number), Purpose.SEARCH, episodes)


def content(path: Path) -> tuple[object, ...]:
    with Ledger(path) as ledger:
        ledger.check()
        recorded = ledger.evaluations()
        episodes = [ledger.episodes(r.evaluation.key) for r in recorded]
        return ledger.designs(), ledger.proposals(), ledger.decisions(), recorded, episodes


@pytest.mark.parametrize("kind", ["flip", "zero", "truncate"])
def test_damage_never_passes_for_data(tmp_path: Path, kind: str) -> None:
    path, chance = tmp_path / "ledger.sqlite", random.Random(kind)
    filled(path)
    intact, wanted, found = path.read_bytes(), content(path), []
    for _ in range(60):
        damaged, place = bytearray(intact), chance.randrange(len(intact))
        match kind:
            case "flip":
                damaged[place] ^= 1 << chance.randrange(8)
            case "zero":
                damaged[place : place + 64] = bytes(len(damaged[place : place + 64]))
            case "truncate":
                del damaged[place:]
        for old in tmp_path.glob("ledger.sqlite*"):
            old.unlink()
        path.write_bytes(damaged)
        try:
            assert (kind == "truncate" and not damaged) or content(path) == wanted
        except (ArchiveDamaged, ArchiveVersion, ArchiveUnwritable) as error:
            found.append(str(error))
    assert len(found) >= 20
    assert all(str(path) in message and "hint: " in message for message in found)


def test_changed_digit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    filled(path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE evaluations SET rewards = '[1.0, 1.0, 1.0]' WHERE sequence = 17")
    db.close()
    with Ledger(path) as ledger:
        with pytest.raises(ArchiveDamaged, match="row 17 of evaluations") as caught:
            ledger.evaluations()
        assert "row 17 of evaluations" in caught.value.damaged


def test_lost_row_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    filled(path)
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM evaluations WHERE sequence = 17")
    db.close()
    with Ledger(path) as ledger, pytest.raises(ArchiveDamaged):
        ledger.check()


def test_damaged_write_ahead_log_is_noticed(tmp_path: Path) -> None:
    work, chance = tmp_path / "work", random.Random(3)
    path = work / "ledger.sqlite"
    work.mkdir()
    ledger = Ledger(path)
    ledger.record_generation(designs=[row(A, 0)])
    for number in range(20):
        ledger.record_evaluation(evaluation(number), Purpose.SEARCH)
    files = {p.name: p.read_bytes() for p in work.iterdir() if not p.name.endswith("-shm")}
    wanted = ledger.evaluations()
    ledger.close()
    log = files["ledger.sqlite-wal"]
    assert len(log) > 50_000
    for cut in (0, 10, 100, 4096 * 3 + 17):  # a torn end is no damage: it was never acknowledged
        restored(work, files, log[: len(log) - cut])
        with Ledger(path) as again:
            rows = again.evaluations()
            assert rows == wanted[: len(rows)]
            again.check()
    for _ in range(20):
        damaged = bytearray(log)
        damaged[chance.randrange(len(log) * 3 // 4)] ^= 1 << chance.randrange(8)
        restored(work, files, damaged)
        with pytest.raises(ArchiveDamaged, match="sqlite-wal"):
            Ledger(path)
    restored(work, files, bytes(32) + log[32:])
    with pytest.raises(ArchiveDamaged, match="header"):
        Ledger(path)


def restored(work: Path, files: dict[str, bytes], log: bytes | bytearray) -> None:
    for old in work.iterdir():
        old.unlink()
    (work / "ledger.sqlite").write_bytes(files["ledger.sqlite"])
    (work / "ledger.sqlite-wal").write_bytes(log)


def test_files_that_are_no_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"this is a diary, not a database. " * 100)
    with pytest.raises(ArchiveDamaged, match="not a database"):
        Ledger(path)
    with pytest.raises(ArchiveDamaged, match="not a database"):
        Ledger(path, read_only=True)
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
    db.close()
    with pytest.raises(ArchiveDamaged, match="no ledger"):
        Ledger(path)
    with pytest.raises(ArchiveUnwritable):
        Ledger(tmp_path / "absent" / "ledger.sqlite")


def test_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    filled(path)
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    for read_only in (False, True):
        with pytest.raises(ArchiveVersion, match="update mnemogen"):
            Ledger(path, read_only=read_only)


@pytest.mark.parametrize("version", range(1, VERSION))
def test_an_older_ledger_is_brought_up_to_date_and_keeps_its_rows(tmp_path: Path, version: int) -> None:
    path = tmp_path / "ledger.sqlite"
    filled(path)
    with Ledger(path) as now:
        before = now.evaluations()
    with sqlite3.connect(path) as db:
        added = {2: ("questions",), 3: ("agent_costs", "model_calls"), 4: ("recalls",)}
        for table in (name for later, names in added.items() if later > version for name in names):
            db.execute(f"DROP TABLE {table}")
        if version < 3:
            db.execute(MIGRATIONS[0][-1])  # the first table of model calls
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    with pytest.raises(ArchiveOutdated):
        Ledger(path, read_only=True)
    with Ledger(path) as migrated:
        assert migrated.evaluations() == before
        asked = replace(evaluation(1_000), found=(True, False, True), recalls="0f")
        migrated.record_evaluation(asked, Purpose.SEARCH)
        assert migrated.find(asked.key) == asked
        assert migrated.evaluations()[-1].evaluation == asked
        migrated.check()


def test_the_same_rewards_with_other_findings_are_another_result(ledger: Ledger) -> None:
    asked = replace(evaluation(), found=(True, False, True))
    ledger.record_evaluation(asked, Purpose.SEARCH)
    assert not ledger.record_evaluation(asked, Purpose.SEARCH)
    with pytest.raises(AlreadyRecorded):
        ledger.record_evaluation(replace(asked, found=(True, True, True)), Purpose.SEARCH)


def test_read_only_folder_can_be_viewed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    filled(folder / "ledger.sqlite")
    folder.chmod(0o555)
    (folder / "ledger.sqlite").chmod(0o444)
    try:
        with Ledger(folder / "ledger.sqlite", read_only=True) as viewer:
            assert len(viewer.evaluations()) == 60
        if os.geteuid():
            with pytest.raises(ArchiveUnwritable):
                Ledger(folder / "ledger.sqlite")
    finally:
        folder.chmod(0o755)


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TRIGGER forget AFTER INSERT ON evaluations BEGIN DELETE FROM evaluations; END",
        "CREATE VIEW glance AS SELECT * FROM designs",
    ],
)
@pytest.mark.parametrize("read_only", [True, False])
def test_a_ledger_that_somebody_taught_to_change_itself_is_not_opened(
    tmp_path: Path, made: str, read_only: bool
) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    with sqlite3.connect(path) as db:
        db.execute(made)
    db.close()
    with pytest.raises(ArchiveDamaged, match="no version of Mnemogen made it"):
        Ledger(path, read_only=read_only)
