"""Claims about the cooking games, on games that the real engine makes. Needs the extra `textworld`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import filelock
import numpy as np
import pytest
import snowballstemmer

from sandbox.streams.base import SPLITS, Environment, Observation, Stream, Task
from sandbox.streams.textworld import GOAL, TextWorldSettings, TextWorldSource, clean_feedback

ROOT = Path(__file__).resolve().parents[2]
TOOLS = {"fry": "stove", "roast": "oven", "grill": "BBQ", "slice": "knife", "dice": "knife", "chop": "knife"}

STREAM_IN_A_PROCESS = """
import sys
from pathlib import Path
from sandbox.streams.textworld import TextWorldSettings, TextWorldSource

source = TextWorldSource(TextWorldSettings(tasks_count=1), cache=Path(sys.argv[1]))
source.stream("search", seed=1, index=0)
"""


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> TextWorldSource:
    return TextWorldSource(TextWorldSettings(tasks_count=2), cache=tmp_path_factory.mktemp("games"))


@pytest.fixture(scope="session")
def streams(source: TextWorldSource) -> tuple[Stream, ...]:
    return tuple(source.stream(split, seed=1, index=0) for split in SPLITS)


@pytest.fixture(scope="session")
def tasks(streams: tuple[Stream, ...]) -> tuple[Task, ...]:
    return tuple(task for stream in streams for task in stream.tasks)


def directions(recipe: str) -> list[tuple[str, str]]:
    """The steps of a recipe as (verb, ingredient)."""
    _, _, text = recipe.partition("Directions:\n")
    steps = (line.partition(" the ") for line in text.splitlines() if line != "prepare meal")
    return [(verb, food) for verb, _, food in steps]


def play_perfectly(environment: Environment) -> list[Observation]:
    """Win one game by the rules of cooking, which hold for all of them."""
    seen = [environment.reset()]

    def do(command: str) -> None:
        seen.append(environment.step(command))

    def take(thing: str) -> None:
        do(next(c for c in seen[-1].commands if f"{c} from ".startswith(f"take {thing} from ")))

    do("examine cookbook")
    steps = directions(seen[-1].feedback)
    foods = list(dict.fromkeys(food for _, food in steps))
    if any(f" {food} is" not in seen[-1].scene for food in foods if food not in seen[-1].inventory):
        do("open fridge")
    for food in foods:
        if food not in seen[-1].inventory:
            take(food)
    for verb, food in steps:
        if TOOLS[verb] != "knife":
            do(f"cook {food} with {TOOLS[verb]}")
    for verb, food in steps:
        if TOOLS[verb] != "knife":
            continue
        put_down = ""
        if "knife" not in seen[-1].inventory:
            if not any(c.startswith("take knife") for c in seen[-1].commands):  # hands are full
                put_down = next(other for other in foods if other != food)
                do(f"drop {put_down}")
            take("knife")
        do(f"{verb} {food} with knife")
        if put_down:
            do("drop knife")
            take(put_down)
    do("prepare meal")
    do("eat meal")
    return seen


def play_at_random(environment: Environment, max_steps: int, rng: np.random.Generator) -> list[Observation]:
    seen = [environment.reset()]
    while len(seen) <= max_steps and not seen[-1].done:
        seen.append(environment.step(str(rng.choice(seen[-1].commands))))
    return seen


def earned(seen: list[Observation]) -> float:
    return sum(observation.reward for observation in seen)


def test_a_player_who_knows_the_rules_wins_every_game_with_half_of_the_steps(
    source: TextWorldSource, tasks: tuple[Task, ...]
) -> None:
    for task in tasks:
        environment = source.environment(task)
        seen = play_perfectly(environment)
        environment.close()
        assert seen[-1].done
        assert seen[-1].commands == ()
        assert earned(seen) == 1.0
        assert len(seen) - 1 <= task.max_steps * 0.55


def test_a_random_player_earns_little_and_types_only_what_the_engine_accepts(
    source: TextWorldSource, tasks: tuple[Task, ...]
) -> None:
    rng = np.random.default_rng(0)
    scores = []
    for task in tasks:
        environment = source.environment(task)
        seen = play_at_random(environment, task.max_steps, rng)
        environment.close()
        scores.append(earned(seen))
        for observation in seen:
            assert "not a verb I recognise" not in observation.feedback
            assert "can't see any such thing" not in observation.feedback
    assert np.mean(scores) < 0.35


def test_wrong_processing_ends_the_game(source: TextWorldSource, tasks: tuple[Task, ...]) -> None:
    wrong = {"fry": "oven", "roast": "stove"}
    environment = source.environment(tasks[0])
    environment.reset()
    recipe = directions(environment.step("examine cookbook").feedback)
    observation = environment.step("open fridge")
    verb, food = next((verb, food) for verb, food in recipe if verb in wrong)
    environment.step(next(c for c in observation.commands if c.startswith(f"take {food} from ")))
    observation = environment.step(f"cook {food} with {wrong[verb]}")
    assert observation.done
    assert observation.reward == 0.0
    assert observation.feedback.endswith("You lost!")
    with pytest.raises(ValueError, match="not among the 0 commands"):
        environment.step("prepare meal")
    environment.close()


def test_observations_are_plain_lines_and_keep_the_closed_fridge_secret(
    source: TextWorldSource, tasks: tuple[Task, ...]
) -> None:
    environment = source.environment(tasks[0])
    first = environment.reset()
    assert first.feedback == "You are in the kitchen."
    assert "The fridge is closed." in first.scene.splitlines()
    assert "in the fridge" not in first.scene
    assert not {"look", "inventory", "examine knife"} & set(first.commands)
    assert {"examine cookbook", "examine stove", "examine oven", "open fridge"} <= set(first.commands)
    assert list(first.commands) == sorted(first.commands)
    opened = environment.step("open fridge")
    assert "The fridge is open." in opened.scene.splitlines()
    assert "in the fridge." in opened.scene
    held = environment.step(next(c for c in opened.commands if c.startswith("take knife")))
    assert held.inventory == "knife"
    assert "knife" not in held.scene
    environment.close()


def test_the_same_commands_give_the_same_observations_after_reset_and_in_a_new_environment(
    source: TextWorldSource, tasks: tuple[Task, ...]
) -> None:
    one, two = source.environment(tasks[0]), source.environment(tasks[0])
    assert play_perfectly(one) == play_perfectly(one) == play_perfectly(two)
    one.close()
    one.close()
    two.close()


def test_splits_share_no_game_and_no_family(streams: tuple[Stream, ...]) -> None:
    ids = [task.id for stream in streams for task in stream.tasks]
    assert len(set(ids)) == len(ids) == 6
    assert len({stream.family for stream in streams}) == len({stream.name for stream in streams}) == 3
    assert all(stream.source == "textworld" for stream in streams)


def test_processes_that_make_one_game_at_once_leave_one_game_of_the_same_bytes_as_ever(
    source: TextWorldSource, streams: tuple[Stream, ...], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", STREAM_IN_A_PROCESS, str(tmp_path)]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    (folder,) = (path for path in tmp_path.iterdir() if path.name != "locks")
    twin = source.cache / folder.name
    for name in ("game.json", "game.z8"):
        assert (folder / name).read_bytes() == (twin / name).read_bytes()
    assert (folder / "game.z8").read_bytes()[0x12:0x18] == b"000000"  # not the date of compilation
    assert json.loads((folder / "game.json").read_text())["objective"] == GOAL


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (TextWorldSettings(), "textworld/133de53c/search/seed0/1"),
        (
            TextWorldSettings(ingredients_count=2, take_count=2, cut=False, tasks_count=12, max_steps=20),
            "textworld/4ebfb5c9/search/seed0/1",
        ),
    ],
)
def test_streams_are_named_as_ever_so_that_ledgers_stay_valid(settings: TextWorldSettings, name: str) -> None:
    assert TextWorldSource(settings).stream_name("search", 0, 1) == name


def test_a_shorter_stream_begins_a_longer_one(source: TextWorldSource, streams: tuple[Stream, ...]) -> None:
    shorter = TextWorldSource(TextWorldSettings(tasks_count=1), cache=source.cache).stream("search", seed=1, index=0)
    assert shorter.tasks == streams[0].tasks[:1]
    assert shorter.name != streams[0].name


def test_who_finishes_second_leaves_the_first_ones_game_alone(tmp_path: Path) -> None:
    options = TextWorldSettings(ingredients_count=1, take_count=1).options("search")
    first = tmp_path / "game" / "game.z8"
    first.parent.mkdir()
    first.write_text("made by another process meanwhile")
    subprocess.run(
        [sys.executable, "-c", "from sandbox.streams.textworld_games import make_games; make_games()"],
        input=json.dumps([{"challenge": "tw-cooking", "options": options, "seed": 5, "folder": str(first.parent)}]),
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"},
        check=True,
        timeout=120,
    )
    assert first.read_text() == "made by another process meanwhile"
    assert list(first.parent.iterdir()) == [first]


def test_hands_that_hold_little_are_a_variant_that_can_be_won(tmp_path: Path) -> None:
    source = TextWorldSource(TextWorldSettings(drop=True, tasks_count=1), cache=tmp_path)
    (task,) = source.stream("search", seed=1, index=0).tasks
    environment = source.environment(task)
    seen = play_perfectly(environment)
    environment.close()
    assert earned(seen) == 1.0
    assert len(seen) - 1 <= task.max_steps


def test_without_the_engine_the_error_names_the_extra(tmp_path: Path) -> None:
    packages = {Path(package.__file__).parent for package in (np, filelock, snowballstemmer)}
    packages |= set(Path(np.__file__).parents[1].glob("numpy.libs"))
    for package in packages:
        (tmp_path / package.name).symlink_to(package)
    program = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(tmp_path)!r}]\n"
        "from sandbox.streams.textworld import TextWorldSource\n"
        "try:\n    TextWorldSource().stream('search', 0, 0)\n"
        "except ValueError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert "pip install 'mnemogen[textworld]'" in done.stdout


def test_importing_the_module_does_not_import_the_engine() -> None:
    program = "import sys, sandbox.streams.textworld; sys.exit('textworld' in sys.modules or 'jericho' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ingredients_count", 6),
        ("take_count", 4),
        ("rooms_count", 2),
        ("tasks_count", 0),
        ("max_steps", 0),
        ("level", 1),
        ("lie_probability", 1.5),
        ("challenge", "chess"),
    ],
)
def test_settings_out_of_range_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        TextWorldSettings(**{field: value})  # type: ignore[arg-type]


def test_settings_that_mean_nothing_for_the_challenge_are_refused() -> None:
    with pytest.raises(ValueError, match="permuted is a setting of cooking"):
        TextWorldSettings(challenge="coin collector", permuted=True)
    with pytest.raises(ValueError, match=r"level is 21, not 1 to 20 \(treasure hunter\)"):
        TextWorldSettings(challenge="treasure hunter", level=21)
    with pytest.raises(ValueError, match="level is a setting of hunts"):
        TextWorldSettings(level=3)


def test_streams_that_do_not_exist_are_refused(source: TextWorldSource) -> None:
    with pytest.raises(ValueError, match="index"):
        source.stream("search", seed=1, index=-1)
    with pytest.raises(ValueError, match="split"):
        source.stream("train", seed=1, index=0)  # type: ignore[arg-type]


def test_feedback_is_cleaned_of_status_line_and_scores() -> None:
    status = "\n>" + " " * 128 + "-= Kitchen =-2/7"
    text = "\nYou take the egg.\n\n\n\nYour score has just gone up by one point.\n" + status
    assert clean_feedback(text) == "You take the egg.\nYour score has just gone up by one point."
    text = (
        "\nYou burned the egg!\n\n      *** You lost! ***\n\nYou scored 2 out of a possible 11, in 7 turns.\n\n\n"
        "Would you like to RESTART, RESTORE a saved game, QUIT or UNDO the last command?" + status
    )
    assert clean_feedback(text) == "You burned the egg!\nYou lost!"
    assert clean_feedback("\n-= Pantry =-\nA pantry. You see a shelf.\n" + status) == ""
