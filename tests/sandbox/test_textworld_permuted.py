"""Claims about cooking with hidden rules: the tables, and real games in which they hold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.streams.base import SPLITS, Environment, Observation, Task
from sandbox.streams.permuted import COOKS, CUTS, KINDS, CookingTable
from sandbox.streams.textworld import TextWorldSettings, TextWorldSource

DONE = {"oven": "roasted", "stove": "fried", "chop": "chopped", "dice": "diced", "slice": "sliced"}
TOOLS = {"fry": "stove", "roast": "oven"}
FOODS = ("red apple", "block of cheese", "pork chop", "chicken leg", "red hot pepper", "tomato", "water")


def tables(count: int) -> Iterator[CookingTable]:
    return (CookingTable.draw(split, 0, index) for split in SPLITS for index in range(count))


def shows(table: CookingTable) -> tuple[bool, tuple[str, ...]]:
    """What of a table can be seen where nothing is cut."""
    return table.swapped, table.odd


def test_families_differ_and_splits_share_none_even_where_nothing_is_cut() -> None:
    assert len({shows(table) for table in tables(42)}) == 3 * 42
    seen = [{shows(CookingTable.draw(split, seed, 3)) for seed in range(200)} for split in SPLITS]
    assert len(set().union(*seen)) == sum(map(len, seen))
    assert CookingTable.draw("search", 1, 0) == CookingTable.draw("search", 1, 0)
    assert len({table.digest for table in tables(42)}) == 3 * 42


def test_every_table_has_odd_foods_that_follow_other_rules_than_ordinary_ones() -> None:
    for table in tables(42):
        assert 1 <= len(table.odd) <= 3
        assert set(table.odd) <= set(KINDS)
        assert table.cuts != table.odd_cuts
        odd, ordinary = table.odd[0], "tomato"
        assert (
            table.carried_out(f"cook {odd} with oven").split()[-1]
            != table.carried_out(f"cook {ordinary} with oven").split()[-1]
        )


COMMANDS = [f"cook {food} with {tool}" for food in FOODS for tool in (*COOKS, "BBQ")]
COMMANDS += [f"{cut} {food} with knife" for food in FOODS for cut in CUTS]
COMMANDS += ["open fridge", "take pork chop from fridge", "prepare meal", "eat red apple", "drop knife"]


@given(st.sampled_from(SPLITS), st.integers(0, 10**6), st.integers(0, 300))
def test_commands_and_what_they_do_are_one_to_one(split: str, seed: int, index: int) -> None:
    table = CookingTable.draw(split, seed, index)  # type: ignore[arg-type]
    assert {table.carried_out(command) for command in COMMANDS} == set(COMMANDS)
    assert all(table.shown(table.carried_out(command)) == command for command in COMMANDS)
    assert table.carried_out("cook red apple with BBQ") == "cook red apple with BBQ"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[TextWorldSource, TextWorldSource]:
    """Plain and permuted, with one cache."""
    cache = tmp_path_factory.mktemp("games")
    return (
        TextWorldSource(TextWorldSettings(tasks_count=3), cache),
        TextWorldSource(TextWorldSettings(tasks_count=3, permuted=True), cache),
    )


def test_permuted_streams_are_played_on_the_games_of_plain_ones(
    sources: tuple[TextWorldSource, TextWorldSource],
) -> None:
    plain, permuted = (source.stream("search", 1, 0) for source in sources)
    assert [task.payload["game"] for task in plain.tasks] == [task.payload["game"] for task in permuted.tasks]
    assert len(list(sources[0].cache.glob("*/game.z8"))) == 3
    assert plain.name != permuted.name
    assert plain.family != permuted.family
    assert not {task.id for task in plain.tasks} & {task.id for task in permuted.tasks}


def recipe(text: str) -> list[tuple[str, str]]:
    """Its steps as (verb, food)."""
    steps = (line.partition(" the ") for line in text.partition("Directions:\n")[2].splitlines())
    return [(verb, food) for verb, _, food in steps if food]


def play(environment: Environment, table: CookingTable | None) -> list[Observation]:
    """Follow the recipe by a family's rules; None believes in those of plain cooking."""
    seen = [environment.reset()]

    def do(command: str) -> None:
        if not seen[-1].done:
            seen.append(environment.step(command))

    def take(thing: str) -> None:
        if thing not in seen[-1].inventory:
            do(next(c for c in seen[-1].commands if f"{c} from ".startswith(f"take {thing} from ")))

    do("examine cookbook")
    steps = recipe(seen[-1].feedback)
    do("open fridge")
    for food in dict.fromkeys(food for _, food in steps):
        take(food)
    take("knife")
    for verb, food in steps:
        wanted = f"cook {food} with {TOOLS[verb]}" if verb in TOOLS else f"{verb} {food} with knife"
        do(wanted if table is None else table.shown(wanted))
    do("prepare meal")
    do("eat meal")
    return seen


def played(source: TextWorldSource, index: int, knows: bool) -> list[tuple[Task, list[Observation]]]:
    table = source.table("search", 1, index) if knows else None
    assert table is None or isinstance(table, CookingTable)
    found = []
    for task in source.stream("search", 1, index).tasks:
        environment = source.environment(task)
        found.append((task, play(environment, table)))
        environment.close()
    return found


def test_who_knows_the_table_wins_and_who_believes_in_plain_cooking_loses(
    sources: tuple[TextWorldSource, TextWorldSource],
) -> None:
    for _, seen in played(sources[1], 0, knows=True):
        assert sum(observation.reward for observation in seen) == 1.0
    assert any(seen[-1].feedback.endswith("You lost!") for _, seen in played(sources[1], 0, knows=False))
    assert all(sum(o.reward for o in seen) == 1.0 for _, seen in played(sources[0], 0, knows=False))


def test_what_is_seen_is_what_was_done_and_no_tool_is_described_falsely(
    sources: tuple[TextWorldSource, TextWorldSource],
) -> None:
    source = sources[1]
    table = source.table("search", 1, 0)
    assert isinstance(table, CookingTable)
    plain = sources[0].environment(source.stream("search", 1, 0).tasks[0])
    environment = source.environment(source.stream("search", 1, 0).tasks[0])
    told = [environment.reset(), environment.step("open fridge")]
    engine = [plain.reset(), plain.step("open fridge")]
    for now, then in zip(told, engine, strict=True):
        assert set(now.commands) == set(then.commands) - {"examine stove", "examine oven"}
        assert (now.scene, now.inventory, now.feedback) == (then.scene, then.inventory, then.feedback)
    food = "red potato" if "red potato" in told[-1].scene else "potato"
    take = next(command for command in told[-1].commands if command.startswith("take ") and food in command)
    food = take.removeprefix("take ").partition(" from ")[0]
    environment.step(take)
    typed = f"cook {food} with stove"
    done = DONE[table.carried_out(typed).split()[-1]]
    seen = environment.step(typed)
    assert done in seen.feedback or f"{done} {food}" in seen.inventory
    with pytest.raises(ValueError, match="not among"):
        environment.step("examine stove")
    environment.close()
    plain.close()


def test_the_kinds_of_food_are_fried_or_roasted_in_every_split() -> None:
    cooking = pytest.importorskip("textworld.challenges.tw_cooking.cooking")
    for prepared in cooking.FOOD_PREPARATIONS_SPLITS.values():
        cooked = [food for food, ways in prepared.items() if {way for way, _ in ways} & {"fried", "roasted"}]
        assert set(KINDS) <= {word for food in cooked for word in food.split()}
