"""Claims about the player without a language model: what it reads of a recall, and that advice is all it needs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from design_space import Design, Item, Recall
from design_space.evaluation import Outcome
from sandbox.agents.conditions import Known, parse
from sandbox.agents.evidence import LOOKS_COUNT, EvidenceAgent
from sandbox.backend import Labels, Limits
from sandbox.evaluate import Evaluator, Setting
from sandbox.inprocess import InProcessBackend
from sandbox.streams.base import Observation
from sandbox.streams.textworld import TextWorldSettings, TextWorldSource

COOKS = {"fry": ("fried", "stove"), "roast": ("roasted", "oven"), "grill": ("grilled", "BBQ")}
CUTS = {"slice": "sliced", "dice": "diced", "chop": "chopped"}
PLACES = ("fridge", "counter", "table", "stove")


def cooking_advice() -> list[tuple[str, str, float]]:
    """What a cook knows, as (situation, action, value)."""
    rows = [("", "examine cookbook", 0.65), ("fridge is closed", "open fridge", 0.7)]
    rows += [("", "prepare meal", 1.0), ("", "eat meal", 1.0)]
    for verb, (state, tool) in COOKS.items():
        rows.append((f"{verb} the {{x}}\n! {state} {{x}}", f"cook {{x}} with {tool}", 1.0))
    rows += [(f"{verb} the {{x}}\n! {state} {{x}}", f"{verb} {{x}} with knife", 1.0) for verb, state in CUTS.items()]
    for verb in (*COOKS, *CUTS):
        rows += [(f"{verb} the {{x}}\n! carrying {{x}}", f"take {{x}} from {place}", 0.9) for place in PLACES]
    return rows + [("chop the {x}\n! carrying knife", f"take knife from {place}", 0.8) for place in PLACES]


def memory(rows: list[tuple[str, str, float]]) -> str:
    return f"""
from design_space import *
ROWS = {json.dumps(rows)}
class Advice(Memory):
    def retrieve(self, query): return Recall(tuple(Item(str(i), "", *row) for i, row in enumerate(ROWS)))
    def update(self, episode): pass
"""


SMALL_RECIPES = TextWorldSettings(
    ingredients_count=2, take_count=2, cut=False, tasks_count=6, max_steps=20
)  # little enough that a dozen games teach it


@pytest.fixture(scope="module", params=[TextWorldSettings(tasks_count=4), SMALL_RECIPES], ids=["default", "small"])
def kitchens(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TextWorldSource:
    return TextWorldSource(request.param, cache=tmp_path_factory.mktemp("games"))


@pytest.fixture(scope="module")
def backend() -> Iterator[InProcessBackend]:
    backend = InProcessBackend(Limits())
    yield backend
    backend.close()


def rewards(source: TextWorldSource, backend: InProcessBackend, text: str) -> tuple[float, ...]:
    evaluator = Evaluator(source, EvidenceAgent, backend, Setting("online", "evidence", 20_000, 0, "test"))
    design, stream = Design(text), source.stream("search", 0, 0)
    with backend.open(Labels("test", design.id)) as guest:
        evaluation = evaluator.evaluate(design, stream, guest, evaluator.key(design, stream)).evaluation
    assert evaluation.outcome is Outcome.SCORED, evaluation.detail
    return evaluation.rewards


def test_perfect_advice_wins_cooking_games(kitchens: TextWorldSource, backend: InProcessBackend) -> None:
    assert statistics.mean(rewards(kitchens, backend, memory(cooking_advice()))) >= 0.95


def test_without_memory_cooking_games_are_lost_the_same_way_each_time(
    kitchens: TextWorldSource, backend: InProcessBackend
) -> None:
    first = rewards(kitchens, backend, memory([]))
    assert statistics.mean(first) <= 0.35
    assert first == rewards(kitchens, backend, memory([]))


COMMANDS = ("cook carrot with oven", "cook carrot with stove", "cook red onion with stove", "examine book", "wait")
KITCHEN = Observation("", "You are in the kitchen.", "raw carrot\nraw red onion", COMMANDS)


def chosen(*items: Item, goal: str = "fry the carrot", seed: int = 0) -> str:
    agent = EvidenceAgent(np.random.default_rng(seed))
    agent.begin(goal)
    return agent.choose(KITCHEN, Recall(items))


def rule(situation: str, action: str, value: float | None = 1.0, name: str = "i") -> Item:
    return Item(name, "", situation, action, value)


def test_a_variable_is_bound_by_the_task() -> None:
    for seed in range(20):
        advised = rule("fry the {x}", "cook {x} with stove")
        assert chosen(advised, seed=seed) == "cook carrot with stove"
        assert chosen(advised, goal="fry the red onion", seed=seed) == "cook red onion with stove"


def test_conditions_share_what_a_variable_stands_for() -> None:
    both = "fry the {x}\ncarrying {s} {x}"
    assert all(chosen(rule(both, "cook {x} with stove"), seed=i) == "cook carrot with stove" for i in range(20))
    silent = [chosen(rule(both, "cook {x} with oven"), goal="fry the egg", seed=i) for i in range(20)]
    assert silent == [chosen(goal="fry the egg", seed=i) for i in range(20)]


def test_a_condition_with_an_exclamation_mark_silences_what_is_already_so() -> None:
    item = rule("fry the {x}\n! raw {x}", "examine book")
    assert [chosen(item, seed=i) for i in range(20)] == [chosen(seed=i) for i in range(20)]


def test_stronger_evidence_wins_and_evidence_against_deters() -> None:
    for seed in range(20):
        stove, oven = rule("", "cook carrot with stove", 0.9), rule("", "cook carrot with oven", 0.7)
        assert chosen(stove, oven, seed=seed) == chosen(oven, stove, seed=seed) == "cook carrot with stove"
    against = sum(chosen(rule("", "cook carrot with oven", 0.0), seed=i) == "cook carrot with oven" for i in range(200))
    assert against < sum(chosen(seed=i) == "cook carrot with oven" for i in range(200)) / 3


def test_a_command_that_did_nothing_here_is_not_repeated() -> None:
    agent = EvidenceAgent(np.random.default_rng(0))
    agent.begin("fry the carrot")
    advised = Recall((rule("", "wait"),))
    assert agent.choose(KITCHEN, advised) == "wait"
    agent.learn("wait", KITCHEN, KITCHEN)
    assert agent.choose(KITCHEN, advised) != "wait"


def test_the_mere_text_of_an_item_counts_a_little() -> None:
    assert all(chosen(Item("i", "Then:\nwait", value=1.0), seed=i) == "wait" for i in range(20))


LINES = st.lists(st.text("abc x", min_size=1, max_size=8), max_size=4)


@given(LINES, LINES)
def test_coverage_is_a_share_and_full_for_what_is_known(lines: list[str], others: list[str]) -> None:
    known = Known(lines, (), LOOKS_COUNT)
    for condition in (c for text in (*lines, *others) for c in parse(text)):
        assert 0.0 <= known.coverage(condition) <= 1.0
    kept = Known([c.text for text in lines for c in parse(text)], (), LOOKS_COUNT)
    assert all(kept.coverage(c) == 1.0 for text in lines for c in parse(text))
