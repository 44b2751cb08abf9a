"""Claims about the record of model calls: durable, additive, and what a repetition is answered from."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from archive.call_book import CallBook, CallRow
from archive.content import content
from archive.errors import ArchiveDamaged
from archive.ledger import Ledger

OPEN = CallRow("scope", "meta", 0, "abc", "openai/x", charged_calls=1, charged_tokens=100, charged_nanodollars=900)
ANSWERED = replace(
    OPEN, outcome="answered", answer="yes \u2603", attempts=1, input_tokens=7, output_tokens=3, dollars=0.25,
    seconds=1.5, charged_calls=0, charged_tokens=-90, charged_nanodollars=-800,
)  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    return path


def test_an_open_call_is_charged_and_not_found_until_it_is_answered(file: Path) -> None:
    with CallBook(file) as book:
        book.write([OPEN])
        assert book.find("scope", "meta", 0, "abc") is None
        assert book.charged() == (1, 100, 900)
        book.write([ANSWERED])
        assert book.charged() == (1, 10, 100)
        found = book.find("scope", "meta", 0, "abc")
    assert found is not None
    assert (found.answer, found.dollars, found.seconds) == ("yes \u2603", 0.25, 1.5)
    with Ledger(file, read_only=True) as ledger:
        spent = ledger.spent()
    assert (spent.model_calls, spent.model_tokens, spent.dollars) == (1, 10, 1e-7)


def test_an_answer_stays_whatever_comes_later_and_charges_add_up(file: Path) -> None:
    with CallBook(file) as book:
        book.write([OPEN, ANSWERED, replace(ANSWERED, answer="no", charged_tokens=5, charged_nanodollars=0)])
        found = book.find("scope", "meta", 0, "abc")
        assert found is not None
        assert found.answer == "yes \u2603"
        assert book.charged() == (1, 15, 100)


def test_equal_questions_at_other_places_are_other_calls(file: Path) -> None:
    others = [replace(ANSWERED, scope="other"), replace(ANSWERED, position=1), replace(ANSWERED, content="abd")]
    with CallBook(file) as book:
        book.write(others)
        assert book.find("scope", "meta", 0, "abc") is None
        assert len(list(book.calls())) == 3
        assert [cost.calls for cost in book.costs()] == [0]


def test_two_connections_of_one_process_write_beside_each_other(file: Path) -> None:
    with Ledger(file) as ledger, CallBook(file, check=False) as book:
        for number in range(20):
            book.write([replace(OPEN, position=number)])
            ledger.set_meta(f"name {number}", "value")
        assert ledger.meta("name 19") == "value"
        ledger.check()
    with CallBook(file) as book:
        assert book.charged()[0] == 20


def test_a_flipped_answer_is_damage(file: Path) -> None:
    with CallBook(file) as book:
        book.write([ANSWERED])
    with sqlite3.connect(file) as db:
        db.execute("UPDATE model_calls SET input_tokens = 8")
    with CallBook(file) as book, pytest.raises(ArchiveDamaged, match="seal"):
        book.find("scope", "meta", 0, "abc")


def test_what_a_ledger_says_does_not_depend_on_charges_of_lost_attempts(file: Path, tmp_path: Path) -> None:
    Ledger(tmp_path / "other.sqlite").close()
    with CallBook(file) as one, CallBook(tmp_path / "other.sqlite") as other:
        one.write([replace(OPEN, position=5), OPEN, ANSWERED])
        other.write([ANSWERED])
        assert list(content(one)) == list(content(other))
        other.write([replace(ANSWERED, position=1)])
        assert list(content(one)) != list(content(other))


def test_a_price_that_is_not_known_is_not_called_nothing(file: Path) -> None:
    with CallBook(file) as book:
        book.write([ANSWERED, replace(ANSWERED, model="openai/own", position=1, dollars=None, charged_nanodollars=0)])
        assert {cost.model: cost.dollars is None for cost in book.costs()} == {"openai/x": False, "openai/own": True}
