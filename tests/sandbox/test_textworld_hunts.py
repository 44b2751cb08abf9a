"""Claims about the hunts for a treasure: the tables of signs, and real games in which the signs are put up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sandbox.streams.base import SPLITS, Observation, Task
from sandbox.streams.rooms import House
from sandbox.streams.signs import COLOURS, HERE, MEANINGS, DoorTable, WayTable
from sandbox.streams.textworld import TextWorldSettings, TextWorldSource

CHALLENGES = ("coin collector", "treasure hunter")
#     attic - hall - den
#              |
#            cellar
HOUSE = House(
    ways={
        "attic": {"east": "hall"},
        "hall": {"west": "attic", "east": "den", "south": "cellar"},
        "den": {"west": "hall"},
        "cellar": {"north": "hall"},
    },
    start="attic",
    goal="cellar",
)


@pytest.mark.parametrize(("kind", "count"), [(WayTable, 2_240), (DoorTable, 560)])
def test_families_of_signs_differ_and_splits_share_none(kind: type[WayTable | DoorTable], count: int) -> None:
    tables = [{kind.draw(split, 0, index).marks for index in range(count)} for split in SPLITS]
    assert [len(own) for own in tables] == [count] * 3
    others = {kind.draw("sealed", seed, 0).marks for seed in range(300)}
    assert not others & (tables[0] | tables[1])
    assert len({kind.draw("search", 0, index).digest for index in range(count)}) == count


def test_the_first_step_of_a_shortest_way_is_found_from_every_room() -> None:
    assert HOUSE.next_steps() == {"attic": "east", "den": "west", "hall": "south"}
    assert HOUSE.shortest() == ["attic", "hall", "cellar"]


def test_signs_of_ways_name_the_next_step_and_moves_the_room_that_they_leave() -> None:
    table = WayTable.draw("search", 0, 0)
    posts = table.post(HOUSE, 0.0, np.random.default_rng(0))
    for room, meaning in {"attic": "east", "den": "west", "hall": "south", "cellar": HERE}.items():
        sign = f"A {table.mark(meaning)} marks the {room}."
        assert posts[room].scene == (f"You are in the {room}.", sign)
        assert posts[room].arrival.endswith(f"\n{sign}")
        assert posts[room].moves == {way: f"go {way} from {room}" for way in HOUSE.ways[room]}


def test_signs_of_doors_name_the_colour_of_the_next_door() -> None:
    table = DoorTable.draw("search", 0, 0)
    for seed in range(50):
        posts = table.post(HOUSE, 0.0, np.random.default_rng(seed))
        for room, way in HOUSE.next_steps().items():
            colours = [move.split()[2] for move in posts[room].moves.values()]
            assert len(set(colours)) == len(colours)
            right = posts[room].moves[way].split()[2]
            assert posts[room].scene == (f"A {table.mark(right)} is on the wall.",)
        assert posts["attic"].moves["east"] != posts["hall"].moves["south"]
        assert posts["cellar"].scene == ("The wall is bare.",)


@pytest.mark.parametrize("kind", [WayTable, DoorTable])
def test_signs_lie_as_often_as_they_are_told_to(kind: type[WayTable | DoorTable]) -> None:
    table = kind.draw("search", 0, 0)
    lies = []
    for seed in range(2_000):
        truth = table.post(HOUSE, 0.0, np.random.default_rng(seed))
        told = table.post(HOUSE, 0.2, np.random.default_rng(seed))
        assert all(told[room].moves == truth[room].moves for room in HOUSE.ways)
        lies += [told[room].scene != truth[room].scene for room in HOUSE.next_steps()]
    assert abs(np.mean(lies) - 0.2) < 0.02


@pytest.fixture(scope="module", params=CHALLENGES)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TextWorldSource:
    settings = TextWorldSettings(challenge=request.param, tasks_count=4, lie_probability=0.0)
    return TextWorldSource(settings, tmp_path_factory.mktemp("games"))


def follow(source: TextWorldSource, task: Task, table: WayTable | DoorTable) -> list[Observation]:
    """Play as one who can read the signs."""
    treasure = task.goal.splitlines()[1].removeprefix("The treasure is the ").rstrip(".")
    environment = source.environment(task)
    seen = [environment.reset()]
    while not seen[-1].done and len(seen) <= task.max_steps:
        seen.append(environment.step(best(seen[-1], table, treasure)))
    environment.close()
    return seen


def best(seen: Observation, table: WayTable | DoorTable, treasure: str) -> str:
    wanted = [f"take {treasure}"]
    if isinstance(table, WayTable):
        wanted += [f"go {m} from" for m in MEANINGS if f"A {table.mark(m)} marks" in seen.scene]
    else:
        wanted += [f"go through {c} door" for c in COLOURS if f"A {table.mark(c)} is" in seen.scene]
    wanted += ["open "]  # a door in the way, or what the treasure is in
    return next(command for prefix in wanted for command in seen.commands if command.startswith(prefix))


def table_of(source: TextWorldSource) -> WayTable | DoorTable:
    table = source.table("search", 1, 0)
    assert isinstance(table, WayTable | DoorTable)
    return table


def test_who_reads_the_signs_finds_every_treasure(source: TextWorldSource) -> None:
    for task in source.stream("search", 1, 0).tasks:
        seen = follow(source, task, table_of(source))
        assert seen[-1].done
        assert seen[-1].commands == ()
        assert [observation.reward for observation in seen] == [0.0] * (len(seen) - 1) + [1.0]


def test_who_cannot_read_them_seldom_does_though_every_command_is_understood(source: TextWorldSource) -> None:
    rng = np.random.default_rng(0)
    won = []
    for task in source.stream("search", 1, 0).tasks * 5:
        environment = source.environment(task)
        now = environment.reset()
        for _ in range(task.max_steps):
            if now.done:
                break
            now = environment.step(str(rng.choice(now.commands)))
            assert "not a verb I recognise" not in now.feedback
            assert "can't see any such thing" not in now.feedback
            assert len(set(now.commands)) == len(now.commands)
        won.append(now.reward)
        environment.close()
    assert np.mean(won) < 0.35


def test_equal_commands_give_equal_observations_and_other_commands_are_refused(source: TextWorldSource) -> None:
    task = source.stream("search", 1, 0).tasks[0]
    assert follow(source, task, table_of(source)) == follow(source, task, table_of(source))
    environment = source.environment(task)
    environment.reset()
    with pytest.raises(ValueError, match="not among"):
        environment.step("go north")
    environment.close()
    environment.close()


def test_hunts_are_made_of_the_same_bytes_in_every_cache(
    source: TextWorldSource, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source.stream("search", 1, 0)
    settings = TextWorldSettings(challenge=source.settings.challenge, tasks_count=1, lie_probability=0.5)
    other = TextWorldSource(settings, tmp_path_factory.mktemp("others"))
    (task,) = other.stream("search", 1, 0).tasks
    name = task.payload["game"].key
    for file in ("game.json", "game.z8"):
        assert (other.cache / name / file).read_bytes() == (source.cache / name / file).read_bytes()


def test_the_goal_names_the_treasure_and_who_takes_what_is_cursed_has_lost(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    settings = TextWorldSettings(challenge="treasure hunter", level=1, tasks_count=4)
    source = TextWorldSource(settings, tmp_path_factory.mktemp("games"))
    lost = 0
    for task in source.stream("search", 1, 0).tasks:
        assert task.goal.splitlines()[1].startswith("The treasure is the ")
        cursed = task.goal.splitlines()[2].removeprefix("The ").partition(" is cursed")[0]
        environment = source.environment(task)
        seen = wander(environment.step, environment.reset(), f"take {cursed}")
        environment.close()
        if seen is not None:
            assert seen.done
            assert seen.reward == 0.0
            assert seen.feedback.endswith("You lost!")
            lost += 1
    assert lost > 0


def wander(step: object, now: Observation, wanted: str) -> Observation | None:
    """Walk about by chance until something may be taken, and take it."""
    assert callable(step)
    rng = np.random.default_rng(0)
    for _ in range(60):
        taking: Sequence[str] = [command for command in now.commands if f"{command} ".startswith(f"{wanted} ")]
        if taking:
            seen = step(taking[0])
            assert isinstance(seen, Observation)
            return seen
        now = step(str(rng.choice([command for command in now.commands if not command.startswith("take ")])))
    return None
