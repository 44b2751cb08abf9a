"""Cooking games of the TextWorld engine as task streams (Côté et al. 2018, arXiv 1806.11532; extra `textworld`).

TextWorldSource.stream() derives seeds, has the missing games made (about 1 s each) and names the tasks;
TextWorldSource.environment() starts one of them; make_games() is what the generating process runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from sandbox.streams.base import SPLITS, Environment, Observation, Split, Stream, Task, generator

GOAL = (  # the objective of every game
    "You are hungry! Let's cook a delicious meal. "
    "Check the cookbook in the kitchen for the recipe. Once done, enjoy your meal!"
)

# The challenge's own partition of foods and of ways to prepare them: "carrots are fried" does not carry over.
_FOODS: Mapping[Split, str] = {"search": "train", "validation": "valid", "sealed": "test"}
_LAYOUT = 1  # of a game's folder; part of its name in the cache
_SERIAL = slice(0x12, 0x18)  # of a Z-machine story file: the date of compilation

_START_SECONDS = 120.0  # what the generating process may take before its first game, and for each game
_GAME_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class TextWorldSettings:
    """What a stream of cooking games is made of.

    The defaults make a single kitchen, so that exploring needs no navigation; every ingredient must be fetched, cooked
    the right way and cut the right way, and any wrong processing loses the game. A perfect player needs 14 steps or so.

    Attributes:
        ingredients_count: of the recipe, 1 to 5.
        take_count: ingredients that have to be fetched; the others are in hand from the start.
        rooms_count: 1, 6, 9 or 12; the BBQ (grilling) needs a backyard, which one room does not have.
        open: containers and doors are closed at first.
        cook: ingredients have to be fried, roasted or grilled.
        cut: ingredients have to be sliced, diced or chopped.
        drop: hands hold no more than the ingredients, so that the knife has to be exchanged for one of them.
        tasks_count: games of a stream.
        max_steps: actions per game.

    Raises:
        ValueError: a number is out of its range.
    """

    ingredients_count: int = 3
    take_count: int = 3
    rooms_count: Literal[1, 6, 9, 12] = 1
    open: bool = True
    cook: bool = True
    cut: bool = True
    drop: bool = False
    tasks_count: int = 20
    max_steps: int = 30

    def __post_init__(self) -> None:
        if not 1 <= self.ingredients_count <= 5:
            raise ValueError(f"ingredients_count is {self.ingredients_count}, not 1 to 5")
        if not 0 <= self.take_count <= self.ingredients_count:
            raise ValueError(f"take_count is {self.take_count}, not 0 to ingredients_count ({self.ingredients_count})")
        if self.rooms_count not in (1, 6, 9, 12):
            raise ValueError(f"rooms_count is {self.rooms_count}, not 1, 6, 9 or 12")
        if self.tasks_count < 1 or self.max_steps < 1:
            raise ValueError(f"tasks_count is {self.tasks_count}, max_steps {self.max_steps}: not both at least 1")

    def challenge(self, split: Split) -> dict[str, Any]:
        """The settings of a game in the words of the engine's tw-cooking challenge."""
        return {
            "recipe": self.ingredients_count,
            "take": self.take_count,
            "go": self.rooms_count,
            "open": self.open,
            "cook": self.cook,
            "cut": self.cut,
            "drop": self.drop,
            "recipe_seed": 0,
            "split": _FOODS[split],
        }


class TextWorldSource:
    """Streams of cooking games, made by the real engine and kept in a cache folder.

    All games share one table of rules (the stove fries, the oven roasts, the BBQ grills, the knife cuts; cooking twice
    burns; eating an ingredient loses). So a family is here no hidden table of its own: what is measured is how
    knowledge from some games carries over to others. Splits share no game, and differ in foods and preparations.

    Several processes may use one cache at once: a game appears in it whole, and who comes second waits for the first.

    Args:
        settings: what the games are like.
        cache: folder for the games, about 0.5 MB each; default $XDG_CACHE_HOME/mnemogen/textworld.
    """

    name = "textworld"

    def __init__(self, settings: TextWorldSettings | None = None, cache: Path | None = None) -> None:
        self.settings = settings or TextWorldSettings()
        self.cache = cache if cache is not None else _default_cache()

    def stream_name(self, split: Split, seed: int, index: int) -> str:
        settings = hashlib.sha256(_canonical(asdict(self.settings)).encode()).hexdigest()[:8]
        return f"{self.name}/{settings}/{split}/seed{seed}/{index}"

    def stream(self, split: Split, seed: int, index: int) -> Stream:
        """Return the `index`-th stream of a split, its games made already.

        Raises:
            ValueError: there is no such split or stream, or the engine is not installed.
            RuntimeError: the engine could not make a game.
        """
        if split not in SPLITS:
            raise ValueError(f"split is {split!r}, not one of {', '.join(SPLITS)}")
        if index < 0:
            raise ValueError(f"stream index is {index}, not 0 or more")
        challenge = self.settings.challenge(split)
        # Seeds depend neither on tasks_count nor on max_steps: a shorter stream is the beginning of a longer one.
        parts = (self.name, _canonical(challenge), split, seed, index)
        games = [
            _Game(challenge=challenge, seed=int(generator(*parts, position).integers(2**31)))
            for position in range(self.settings.tasks_count)
        ]
        self._make(games)
        tasks = tuple(
            Task(
                id=f"{self.name}/{game.key}",
                goal=GOAL,
                max_steps=self.settings.max_steps,
                payload={"challenge": game.challenge, "seed": game.seed},
            )
            for game in games
        )
        return Stream(
            name=self.stream_name(split, seed, index),
            source=self.name,
            split=split,
            family=f"{self.name}/{split}/{index}",
            tasks=tasks,
        )

    def environment(self, task: Task) -> Environment:
        """Return a fresh game; made first if this machine's cache does not hold it.

        Raises:
            ValueError: the engine is not installed.
            RuntimeError: the engine could not make the game.
        """
        game = _Game(challenge=task.payload["challenge"], seed=task.payload["seed"])
        self._make([game])
        return TextWorldEnvironment(self._folder(game) / "game.z8")

    def _folder(self, game: _Game) -> Path:
        return self.cache / game.key

    def _missing(self, games: Iterable[_Game]) -> list[_Game]:
        return [game for game in games if not self._folder(game).is_dir()]

    def _make(self, games: Sequence[_Game]) -> None:
        if not self._missing(games):
            return
        locks = self.cache / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        batch = hashlib.sha256("".join(game.key for game in games).encode()).hexdigest()[:16]
        # The lock only saves work; that a game is whole is owed to the rename in make_games.
        with FileLock(locks / batch), tempfile.TemporaryDirectory(prefix=".making-", dir=self.cache) as scratch:
            missing = self._missing(games)
            if missing:
                folders = [str(self._folder(game).resolve()) for game in missing]
                orders = [
                    {"challenge": game.challenge, "seed": game.seed, "folder": folder}
                    for game, folder in zip(missing, folders, strict=True)
                ]
                _run_generator(orders, Path(scratch).resolve())


@dataclass(frozen=True, slots=True)
class _Game:
    """One game before it is made: the engine's settings and a seed; `key` names it in the cache."""

    challenge: Mapping[str, Any]
    seed: int

    @property
    def key(self) -> str:
        content = _canonical([_engine_version(), _LAYOUT, dict(self.challenge), self.seed])
        return hashlib.sha256(content.encode()).hexdigest()[:24]


class TextWorldEnvironment:
    """One attempt at one game.

    The scene and the inventory are told from the engine's facts, as far as they are visible, in one fixed form: the
    engine's prose for a room varies from game to game and is half decoration. Feedback is the engine's own. Of the
    commands to examine something those remain whose answer says something (cookbook, stove, oven, BBQ).

    Args:
        path: a game.z8 with its game.json beside it.

    Raises:
        ValueError: the engine is not installed.
    """

    def __init__(self, path: Path) -> None:
        _engine_version()
        import textworld

        infos = textworld.EnvInfos(
            feedback=True, facts=True, admissible_commands=True, score=True, max_score=True, won=True, lost=True
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jericho: "game is not fully supported", of any game it does not know
            self._engine: Any = textworld.start(str(path), infos)
        self._commands: tuple[str, ...] = ()
        self._earned = 0.0

    def reset(self) -> Observation:
        """Begin again."""
        if self._engine is None:
            raise RuntimeError("reset() of a closed environment")
        self._earned = 0.0
        return self._observe(self._engine.reset(), feedback="", done=False)

    def step(self, command: str) -> Observation:
        """Carry out one of the commands on offer.

        Raises:
            ValueError: the command is not on offer; after the end none is.
        """
        if command not in self._commands:
            raise ValueError(f"{command!r} is not among the {len(self._commands)} commands on offer")
        state, _, done = self._engine.step(command)
        return self._observe(state, feedback=clean_feedback(state.feedback), done=bool(done))

    def close(self) -> None:
        """Free the interpreter; may be called twice."""
        self._commands = ()
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _observe(self, state: Any, feedback: str, done: bool) -> Observation:
        scene, inventory = _visible(state.facts)
        # Paid as the rest to what is due, so that the rewards of a won game add up to 1.0 exactly.
        reward = state.score / state.max_score - self._earned
        self._earned += reward
        self._commands = () if done else tuple(c for c in sorted(state.admissible_commands) if _is_useful(c))
        return Observation(
            feedback=feedback or scene.partition("\n")[0],
            scene=scene,
            inventory=inventory,
            commands=self._commands,
            reward=reward,
            done=done,
        )


def clean_feedback(text: str) -> str:
    """The engine's answer without status line, account of the score, rules and blank lines; one statement a line.

    A room's description after `go` is dropped: the scene says it.
    """
    text = re.sub(r"\n>[^\n]*\s*\Z", "", text)
    text = re.sub(r"-= .*? =-.*", "", text, flags=re.DOTALL)
    lines = (line.strip().strip("*").strip() for line in text.splitlines())
    noise = re.compile(r"-*|You scored \d+ out of .*|Would you like to RESTART.*")
    return "\n".join(line for line in lines if not noise.fullmatch(line))


def _is_useful(command: str) -> bool:
    verb, _, thing = command.partition(" ")
    return verb not in ("look", "inventory") and (verb != "examine" or thing in ("cookbook", "stove", "oven", "BBQ"))


_STATES = ("sliced", "diced", "chopped", "raw", "fried", "roasted", "grilled", "burned")


def _visible(facts: Iterable[Any]) -> tuple[str, str]:
    """Scene and inventory, one fact a line, from all facts of the world; what is hidden stays hidden."""
    relations: dict[str, list[tuple[Any, ...]]] = {}
    for fact in facts:
        relations.setdefault(fact.name, []).append(tuple(fact.arguments))

    def are(relation: str) -> set[str]:
        return {arguments[0].name for arguments in relations.get(relation, ())}

    states = {state: are(state) for state in _STATES}
    states["raw"] |= are("needs_cooking")
    opened, closed = are("open"), are("closed")

    def title(name: str) -> str:
        return " ".join([*(state for state in _STATES if name in states[state]), name])

    here = next(place.name for what, place in relations["at"] if what.type == "P")
    furniture: list[str] = []
    floor: list[str] = []
    holders: set[str] = set()
    for what, place in relations["at"]:
        if place.name != here or what.type == "P":
            continue
        if what.type in ("o", "f", "meal"):
            floor.append(f"The {title(what.name)} is on the floor.")
            continue
        state = "closed" if what.name in closed else "open" if what.name in opened else "here"
        furniture.append(f"The {what.name} is {state}.")
        if state != "closed":
            holders.add(what.name)
    contents = [
        f"The {title(what.name)} is {relation} the {holder.name}."
        for relation in ("on", "in")
        for what, holder in relations.get(relation, ())
        if holder.name in holders
    ]
    doors = {(a.name, b.name): door.name for a, door, b in relations.get("link", ())}
    exits = []
    for direction in ("north", "east", "south", "west"):
        for there, origin in relations.get(f"{direction}_of", ()):
            if origin.name != here:
                continue
            door = doors.get((here, there.name))
            state = "closed" if door in closed else "open"
            exits.append(f"The {door} to the {direction} is {state}." if door else f"There is a way {direction}.")
    held = sorted(title(what.name) for what, holder in relations.get("in", ()) if holder.type == "I")
    lines = [f"You are in the {here}.", *sorted(furniture), *sorted(contents), *sorted(floor), *exits]
    return "\n".join(lines), "\n".join(held)


def _engine_version() -> str:
    try:
        return importlib.metadata.version("textworld")
    except importlib.metadata.PackageNotFoundError as error:
        raise ValueError(
            "the stream 'textworld' needs the TextWorld engine; hint: pip install 'mnemogen[textworld]'"
        ) from error


def _default_cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "mnemogen" / "textworld"


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _run_generator(orders: Sequence[Mapping[str, Any]], scratch: Path) -> None:
    """Make games in a process of its own: bytes depend on PYTHONHASHSEED, and one method of the engine is replaced."""
    path = [str(Path(entry).resolve()) for entry in sys.path]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(path), "TMPDIR": str(scratch)}
    process = subprocess.Popen(
        [sys.executable, "-c", "from sandbox.streams.textworld import make_games; make_games()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=scratch,
        env=environment,
        start_new_session=True,
    )
    timeout = _START_SECONDS + _GAME_SECONDS * len(orders)
    try:
        _, errors = process.communicate(json.dumps(orders), timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"making {len(orders)} TextWorld games took more than {timeout:.0f} s") from error
    finally:
        if process.poll() is None:  # the compilers of Inform are its children
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"TextWorld could not make a game (exit {process.returncode}): {errors.strip()[-2000:]}")


def make_games() -> None:
    """Make the games ordered on stdin (JSON) below the current folder and move each to its place.

    Only for a process of its own, with PYTHONHASHSEED=0. The challenge would compile each game twice, the first time to
    note a walkthrough, which nobody here reads; leaving that out halves the time and changes no byte of game.z8.
    """
    import textworld
    import textworld.challenges
    import textworld.generator

    textworld.GameMaker.set_walkthrough = lambda self, commands: None
    _, make, _ = textworld.challenges.CHALLENGES["tw-cooking"]
    for order in json.load(sys.stdin):
        making = Path(tempfile.mkdtemp(prefix="game-", dir=Path.cwd())) / "game"
        making.mkdir()
        options = textworld.GameOptions()
        options.seeds = order["seed"]
        options.path = str(making / "game.z8")
        textworld.generator.compile_game(make(order["challenge"], options), options)
        (making / "game.ni").unlink()
        story = bytearray((making / "game.z8").read_bytes())
        story[_SERIAL] = b"000000"  # the compiler writes today's date; the header is not part of the checksum
        (making / "game.z8").write_bytes(story)
        try:
            making.rename(order["folder"])
        except OSError:  # another process was first; its bytes are the same
            if not Path(order["folder"]).is_dir():
                raise
            shutil.rmtree(making)
