"""Claims about games that were played before: the same answers, and the engine only where they are not known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandbox.streams.base import Environment, Observation
from sandbox.streams.remembered import Book


class Counter:
    """A game of two buttons: what is seen is all that was pressed. Counts what the engine had to do."""

    starts = 0
    steps = 0

    def __init__(self) -> None:
        type(self).starts += 1
        self._pressed = ""

    def _seen(self) -> Observation:
        commands = () if len(self._pressed) == 4 else ("press a", "press b")
        return Observation(self._pressed, f"pressed {self._pressed}", "", commands, 0.0, not commands)

    def reset(self) -> Observation:
        self._pressed = ""
        return self._seen()

    def step(self, command: str) -> Observation:
        if command not in self._seen().commands:
            raise ValueError(command)
        type(self).steps += 1
        self._pressed += command[-1]
        return self._seen()

    def close(self) -> None:
        return


def play(game: Environment, buttons: str) -> list[Observation]:
    seen = [game.reset(), *(game.step(f"press {button}") for button in buttons)]
    game.close()
    return seen


def engine() -> type[Counter]:
    """A fresh count."""
    return type("Fresh", (Counter,), {"starts": 0, "steps": 0})


@given(st.lists(st.text("ab", min_size=0, max_size=4), max_size=12), st.integers(1, 40))
def test_whatever_was_played_before_the_answers_are_the_engines(attempts: list[str], limit: int) -> None:
    kind, book = engine(), Book(limit)
    for number, buttons in enumerate(attempts):
        name = f"game {number % 3}"
        assert play(book.environment(name, kind), buttons) == play(kind(), buttons)


def test_an_attempt_that_was_made_before_takes_no_engine() -> None:
    kind, book = engine(), Book()
    first = play(book.environment("game", kind), "abab")
    assert (kind.starts, kind.steps) == (1, 4)
    assert play(book.environment("game", kind), "abab") == first
    assert (kind.starts, kind.steps) == (1, 4)


def test_the_engine_catches_up_where_an_attempt_leaves_the_known_path() -> None:
    kind, book = engine(), Book()
    play(book.environment("game", kind), "aaa")
    assert play(book.environment("game", kind), "aab")[-1].scene == "pressed aab"
    assert (kind.starts, kind.steps) == (2, 6)


def test_an_attempt_can_be_begun_again_in_its_middle() -> None:
    kind, book = engine(), Book()
    game = book.environment("game", kind)
    game.reset()
    game.step("press a")
    game.reset()
    assert game.step("press b").scene == "pressed b"
    assert game.step("press a").scene == "pressed ba"


def test_a_command_that_is_not_on_offer_is_refused_and_not_remembered() -> None:
    kind, book = engine(), Book()
    for _ in range(2):
        game = book.environment("game", kind)
        game.reset()
        try:
            game.step("press c")
        except ValueError:
            continue
        raise AssertionError("it was taken")


def test_what_was_played_longest_ago_is_dropped_first() -> None:
    kind, book = engine(), Book(nodes_count=7)
    for name in ("one", "two", "three"):
        play(book.environment(name, kind), "aab")
    starts = kind.starts
    play(book.environment("three", kind), "aab")
    assert kind.starts == starts
    play(book.environment("one", kind), "aab")
    assert kind.starts == starts + 1
