"""Claims about the record of what the search learns: durable, all or nothing, and the same however often it is told."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.content import content
from archive.errors import AlreadyRecorded, ArchiveDamaged
from archive.ledger import Ledger
from archive.records import TEXT_LIMIT
from archive.search_book import InsightRow, PromptRow, SearchBook

ROOT = PromptRow("r", None, 0, "root", "Look.\n", {"prior": 0.0, "of": ["a", None]})
CHILD = PromptRow("c", "r", 3, "lesson", "Look closer \u2603.")
ADDED = InsightRow(1, "add", "i1", 1, "notes help", {"evidence": [["d", 0.25]]})
DELETED = InsightRow(2, "delete", "i1", 2, "they do not")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def test_rows_come_back_after_reopening_in_the_order_of_recording(file: Path) -> None:
    with SearchBook(file) as book:
        book.record_prompts([ROOT, CHILD])
        book.record_prompts([replace(ROOT, id="a")])
        book.record_insights([ADDED, DELETED])
    with SearchBook(file, read_only=True) as book:
        assert book.prompts() == (ROOT, CHILD, replace(ROOT, id="a"))
        assert book.insights() == (ADDED, DELETED)


def test_a_run_that_does_everything_again_changes_nothing_and_goes_on(file: Path) -> None:
    with SearchBook(file) as book:
        book.record_prompts([ROOT])
        book.record_insights([ADDED])
        before = list(content(book))
        for _ in range(2):
            book.record_prompts([ROOT])
            book.record_insights([ADDED])
        assert list(content(book)) == before
        book.record_prompts([ROOT, CHILD])
        book.record_insights([ADDED, DELETED])
        assert len(book.prompts()) == len(book.insights()) == 2


@pytest.mark.parametrize(
    "change",
    [{"content": "other"}, {"generation": 9}, {"origin": "x"}, {"data": {"prior": 0.1}}, {"parent": "c"}],
)
def test_another_prompt_under_the_same_id_is_refused_with_all_that_came_along(
    file: Path, change: dict[str, object]
) -> None:
    with SearchBook(file) as book:
        book.record_prompts([ROOT, CHILD])
        with pytest.raises(AlreadyRecorded, match="prompt r"):
            book.record_prompts([replace(CHILD, id="d"), replace(ROOT, **change)])  # type: ignore[arg-type]
        assert book.prompts() == (ROOT, CHILD)


@pytest.mark.parametrize(
    "change", [{"content": "x"}, {"operation": "modify"}, {"insight": "i2"}, {"generation": 2}, {"data": None}]
)
def test_another_operation_under_the_same_number_is_refused(file: Path, change: dict[str, object]) -> None:
    with SearchBook(file) as book:
        book.record_insights([ADDED])
        with pytest.raises(AlreadyRecorded, match="operation 1 on insights"):
            book.record_insights([DELETED, replace(ADDED, **change)])  # type: ignore[arg-type]
        assert book.insights() == (ADDED,)


def test_rows_that_could_not_be_rebuilt_from_are_refused_whole(file: Path) -> None:
    with SearchBook(file) as book:
        with pytest.raises(ValueError, match="parent of prompt c is r"):
            book.record_prompts([replace(ROOT, id="a"), CHILD])
        with pytest.raises(ValueError, match="is 2, wanted 1"):
            book.record_insights([DELETED])
        with pytest.raises(ValueError, match="refuses this row"):
            book.record_insights([ADDED, replace(DELETED, operation="forget")])  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="JSON"):
            book.record_insights([ADDED, replace(DELETED, data=float("nan"))])
        assert book.prompts() == book.insights() == ()


def test_a_long_prompt_is_kept_whole_and_a_lone_surrogate_is_no_obstacle(file: Path) -> None:
    long = replace(ROOT, content="x" * TEXT_LIMIT + "\ud800 end")
    with SearchBook(file) as book:
        book.record_prompts([long])
        book.record_prompts([long])
        assert book.prompts()[0].content == "x" * TEXT_LIMIT + "? end"
        with pytest.raises(AlreadyRecorded):
            book.record_prompts([replace(long, content="x" * TEXT_LIMIT + " other end")])


def test_what_two_runs_are_compared_by_holds_prompts_and_insights(file: Path, tmp_path: Path) -> None:
    with SearchBook(file) as one, SearchBook(tmp_path / "other.sqlite") as other:
        for book in (one, other):
            book.record_prompts([ROOT])
            book.record_insights([ADDED])
        assert list(content(one)) == list(content(other))
        one.record_prompts([CHILD])
        assert list(content(one)) != list(content(other))
        other.record_prompts([CHILD])
        other.record_insights([DELETED])
        assert list(content(one)) != list(content(other))


@pytest.mark.parametrize("table", ["prompts", "insights"])
def test_a_flipped_text_is_damage(file: Path, table: str) -> None:
    with SearchBook(file) as book:
        book.record_prompts([ROOT])
        book.record_insights([ADDED])
    with sqlite3.connect(file) as db:
        db.execute(f"UPDATE {table} SET content = 'y'")
    db.close()
    with SearchBook(file) as book, pytest.raises(ArchiveDamaged, match="seal"):
        list(book.rows(table))
    with Ledger(file) as ledger, pytest.raises(ArchiveDamaged, match=table):
        ledger.check()


def test_an_operation_that_went_missing_is_damage(file: Path) -> None:
    with SearchBook(file) as book:
        book.record_insights([ADDED, DELETED])
    with Ledger(file) as ledger:
        ledger.check()
    with sqlite3.connect(file) as db:
        db.execute("DELETE FROM insights WHERE sequence = 1")
    db.close()
    with Ledger(file) as ledger, pytest.raises(ArchiveDamaged, match="insights"):
        ledger.check()


def test_it_writes_beside_the_ledger(file: Path) -> None:
    with Ledger(file) as ledger, SearchBook(file, check=False) as book:
        for number in range(10):
            book.record_prompts([replace(ROOT, id=f"p{number}")])
            ledger.set_meta("name", str(number))
        ledger.check()
        assert len(book.prompts()) == 10


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(TEXT, TEXT, JSON), max_size=6), st.integers(0, 5))
def test_whatever_is_recorded_comes_back_however_often_it_was_interrupted(
    told: list[tuple[str, str, object]], cut: int
) -> None:
    prompts = [
        PromptRow(f"p{n}", f"p{n - 1}" if n else None, n, origin, text, data)  # type: ignore[arg-type]
        for n, (origin, text, data) in enumerate(told)
    ]
    insights = [
        InsightRow(n, "add", f"i{n}", n, text, data)  # type: ignore[arg-type]
        for n, (_, text, data) in enumerate(told, 1)
    ]
    with TemporaryDirectory() as folder:
        with SearchBook(Path(folder) / "ledger.sqlite") as book:
            book.record_prompts(prompts[:cut])
            book.record_insights(insights[:cut])
        with SearchBook(Path(folder) / "ledger.sqlite") as book:
            book.record_prompts(prompts)
            book.record_insights(insights)
            assert book.prompts() == tuple(prompts)
            assert book.insights() == tuple(insights)
