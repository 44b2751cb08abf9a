"""Claims about the agent that takes advice at its word."""

from __future__ import annotations

import numpy as np

from design_space import Item, Recall
from sandbox.agents.literal import LiteralAgent
from sandbox.streams.base import Observation, neighbour
from sandbox.streams.data.histories import Asked, History, HistorySource
from sandbox.streams.grading import NOT_TOLD, Question
from sandbox.streams.household import HouseholdSource

HERE = Observation("", "A door.", "", ("open door", "knock", "wait"))
WON = Observation("", "A door.", "", HERE.commands, reward=0.5)


def agent(seed: int = 0) -> LiteralAgent:
    made = LiteralAgent(np.random.default_rng(seed))
    made.begin("get in")
    return made


def test_the_first_item_that_names_a_command_on_offer_is_followed() -> None:
    recall = Recall((Item("a", "sing", action="sing"), Item("b", "say\nKnock!"), Item("c", "", action="open door")))
    assert agent().choose(HERE, recall) == "knock"


def test_what_went_badly_is_no_advice() -> None:
    recall = Recall((Item("a", "", action="knock", value=0.2), Item("b", "", action="wait", value=0.9)))
    assert agent().choose(HERE, recall) == "wait"


def test_what_was_tried_in_vain_is_not_tried_again_until_something_is_earned() -> None:
    player, recall = agent(), Recall((Item("a", "", action="knock"),))
    player.learn("knock", HERE, HERE)
    assert player.choose(HERE, recall) != "knock"
    player.learn("wait", HERE, WON)
    assert player.choose(WON, recall) == "knock"


def test_equal_seeds_choose_alike_and_all_commands_come_up() -> None:
    assert agent(3).choose(HERE, Recall()) == agent(3).choose(HERE, Recall())
    assert {agent(seed).choose(HERE, Recall()) for seed in range(40)} == set(HERE.commands)


def test_a_question_is_answered_with_the_beginning_of_the_first_item() -> None:
    long = " ".join(f"w{i}" for i in range(100))
    assert agent().answer("what?", Recall((Item("a", long), Item("b", "x")))) == " ".join(long.split()[:40])
    assert agent().answer("what?", Recall()) == NOT_TOLD


def test_the_neighbour_of_a_stream_is_another_family() -> None:
    asked = (Asked("how?", Question(("so",))),)
    two = HistorySource("two", [History(name, (), asked) for name in "ab"], (0, 1, 0), "digest")
    assert [neighbour(two, "validation", index) for index in (0, 1)] == [1, 0]
    assert neighbour(HouseholdSource(), "validation", 7) == 8
