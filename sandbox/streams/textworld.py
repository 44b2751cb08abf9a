"""Games of the TextWorld engine as task streams (Côté et al. 2018, arXiv 1806.11532; extra `textworld`).

TextWorldSource.stream() derives seeds, has the missing games made and names the tasks; TextWorldSource.environment()
starts one of them, and puts the hidden rules of its family into force.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sandbox.streams.base import MOST_STEPS, MOST_TASKS, SPLITS, Environment, Split, Stream, Task, generator
from sandbox.streams.hunt import HuntEnvironment, house_of
from sandbox.streams.permuted import CookingTable, PermutedEnvironment
from sandbox.streams.remembered import Book
from sandbox.streams.signs import DoorTable, WayTable
from sandbox.streams.textworld_environment import TextWorldEnvironment, clean_feedback
from sandbox.streams.textworld_games import Challenge, Game, GameCache, Treasure, canonical

__all__ = ["GOAL", "TextWorldSettings", "TextWorldSource", "clean_feedback"]

GOAL = (  # the objective of every cooking game
    "You are hungry! Let's cook a delicious meal. "
    "Check the cookbook in the kitchen for the recipe. Once done, enjoy your meal!"
)

# The challenge's own partition of foods and of ways to prepare them: "carrots are fried" does not carry over.
_FOODS: Mapping[Split, str] = {"search": "train", "validation": "valid", "sealed": "test"}


@dataclass(frozen=True, slots=True)
class _Usual:
    """What a challenge has where the settings say nothing.

    Attributes:
        levels: the highest level that can be played; cooking has none, which is 0.
    """

    level: int
    levels: int
    tasks_count: int
    max_steps: int


Table = CookingTable | WayTable | DoorTable
"""The hidden rules of a family."""

_USUAL: Mapping[Challenge, _Usual] = {
    "cooking": _Usual(level=0, levels=0, tasks_count=20, max_steps=30),
    "coin collector": _Usual(level=105, levels=300, tasks_count=12, max_steps=8),
    "treasure hunter": _Usual(level=13, levels=20, tasks_count=15, max_steps=9),
}


@dataclass(frozen=True, slots=True)
class TextWorldSettings:
    """What a stream of games is made of.

    The defaults make a single kitchen, so that exploring needs no navigation; every ingredient must be fetched, cooked
    the right way and cut the right way, and any wrong processing loses the game. A perfect player needs 14 steps or so.

    Attributes:
        challenge: of the engine: `cooking`, or a hunt for a treasure, `coin collector` or `treasure hunter`.
        permuted: of cooking: each family has rules of its own for what commands do, see `CookingTable`. If not, all
            families share one table.
        ingredients_count: of the recipe, 1 to 5; this and what follows until `drop` is of cooking only.
        take_count: ingredients that have to be fetched; the others are in hand from the start.
        rooms_count: 1, 6, 9 or 12; the BBQ (grilling) needs a backyard, which one room does not have.
        open: containers and doors are closed at first.
        cook: ingredients have to be fried, roasted or grilled.
        cut: ingredients have to be sliced, diced or chopped.
        drop: hands hold no more than the ingredients, so that the knife has to be exchanged for one of them.
        level: of a hunt, in the engine's numbering; None is its usual one. Coin collector: 1 to 300, the last two
            digits are the steps that it takes, the hundreds the dead ends for each room on the way; None is 105.
            Treasure hunter: 1 to 10 are bare houses of 5 rooms, 11 to 20 furnished ones of 10; None is 13.
        lie_probability: of a hunt: chance that the sign of a room is wrong, in [0, 1].
        tasks_count: games of a stream; None: 20 of cooking, 12 of coin collector, 15 of treasure hunter.
        max_steps: actions per game; None: 30 of cooking, 8 of coin collector, 9 of treasure hunter.

    Raises:
        ValueError: a number is out of its range, or a setting has no meaning for the challenge.
    """

    ingredients_count: int = 3
    take_count: int = 3
    rooms_count: Literal[1, 6, 9, 12] = 1
    open: bool = True
    cook: bool = True
    cut: bool = True
    drop: bool = False
    tasks_count: int | None = None
    max_steps: int | None = None
    challenge: Challenge = "cooking"
    permuted: bool = False
    level: int | None = None
    lie_probability: float = 0.02

    def __post_init__(self) -> None:
        if self.challenge not in _USUAL:
            raise ValueError(f"challenge is {self.challenge!r}, not one of {', '.join(_USUAL)}")
        if not 1 <= self.ingredients_count <= 5:
            raise ValueError(f"ingredients_count is {self.ingredients_count}, not 1 to 5")
        if not 0 <= self.take_count <= self.ingredients_count:
            raise ValueError(f"take_count is {self.take_count}, not 0 to ingredients_count ({self.ingredients_count})")
        if self.rooms_count not in (1, 6, 9, 12):
            raise ValueError(f"rooms_count is {self.rooms_count}, not 1, 6, 9 or 12")
        if not 1 <= self.games_count <= MOST_TASKS or not 1 <= self.steps_count <= MOST_STEPS:
            raise ValueError(
                f"tasks_count is {self.games_count}, max_steps {self.steps_count}: "
                f"not both at least 1, and at most {MOST_TASKS} and {MOST_STEPS}"
            )
        if self.permuted and self.challenge != "cooking":
            raise ValueError(f"permuted is a setting of cooking, not of {self.challenge}, whose signs differ anyway")
        if self.level is not None and self.challenge == "cooking":
            raise ValueError(f"level is a setting of hunts; it is {self.level}, but cooking has none")
        if self.level is not None and not 1 <= self.level <= _USUAL[self.challenge].levels:
            raise ValueError(f"level is {self.level}, not 1 to {_USUAL[self.challenge].levels} ({self.challenge})")
        if not 0.0 <= self.lie_probability <= 1.0:
            raise ValueError(f"lie_probability is {self.lie_probability}, not 0 to 1")

    @property
    def games_count(self) -> int:
        """Games of a stream."""
        return _USUAL[self.challenge].tasks_count if self.tasks_count is None else self.tasks_count

    @property
    def steps_count(self) -> int:
        """Actions that a game may take."""
        return _USUAL[self.challenge].max_steps if self.max_steps is None else self.max_steps

    def options(self, split: Split) -> dict[str, Any]:
        """The settings of a game in the words of the engine's challenge."""
        if self.challenge != "cooking":
            return {"level": _USUAL[self.challenge].level if self.level is None else self.level}
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

    @property
    def digest(self) -> str:
        """Part of a stream's name: equal where the tasks are, whatever has no meaning for the challenge."""
        told: dict[str, Any] = {"tasks_count": self.games_count, "max_steps": self.steps_count}
        if self.challenge == "cooking":
            names = ("ingredients_count", "take_count", "rooms_count", "open", "cook", "cut", "drop")
            told |= {name: getattr(self, name) for name in names} | ({"permuted": True} if self.permuted else {})
        else:
            told |= {"challenge": self.challenge, "lie_probability": self.lie_probability, **self.options("search")}
        return hashlib.sha256(canonical(told).encode()).hexdigest()[:8]


class TextWorldSource:
    """Streams of games, made by the real engine and kept in a cache folder.

    In plain cooking all games share one table of rules (the stove fries, the oven roasts, the BBQ grills, the knife
    cuts; cooking twice burns; eating an ingredient loses). So a family is there no hidden table of its own: what is
    measured is how knowledge from some games carries over to others. Splits share no game, and differ in foods and
    preparations.

    In permuted cooking and in the hunts a family is a hidden table, one for each stream: see `CookingTable`,
    `DoorTable` (coin collector) and `WayTable` (treasure hunter). No table belongs to two splits. Permuted streams are
    played on the games of the plain ones.

    Args:
        settings: what the games are like.
        cache: folder for the games, about 0.5 MB each; default $XDG_CACHE_HOME/mnemogen/textworld.
    """

    name = "textworld"

    def __init__(self, settings: TextWorldSettings | None = None, cache: Path | None = None) -> None:
        self.settings = settings or TextWorldSettings()
        self._games = GameCache(cache)
        self._known = Book()

    @property
    def cache(self) -> Path:
        """The folder of the games."""
        return self._games.root

    def stream_name(self, split: Split, seed: int, index: int) -> str:
        return f"{self.name}/{self.settings.digest}/{split}/seed{seed}/{index}"

    def table(self, split: Split, seed: int, index: int) -> Table | None:
        """The hidden rules of a stream; None in plain cooking. For tests and reports, never for a design."""
        if self.settings.challenge == "coin collector":
            return DoorTable.draw(split, seed, index)
        if self.settings.challenge == "treasure hunter":
            return WayTable.draw(split, seed, index)
        return CookingTable.draw(split, seed, index) if self.settings.permuted else None

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
        challenge, options = self.settings.challenge, self.settings.options(split)
        # Seeds depend neither on tasks_count nor on max_steps: a shorter stream is the beginning of a longer one.
        kind = canonical(options) if challenge == "cooking" else canonical([challenge, options])
        games = [
            Game(challenge, options, int(generator(self.name, kind, split, seed, index, position).integers(2**31)))
            for position in range(self.settings.games_count)
        ]
        self._games.make(games)
        table = self.table(split, seed, index)
        return Stream(
            name=self.stream_name(split, seed, index),
            source=self.name,
            split=split,
            family=f"{self.name}/{split}/{index}" if table is None else f"{self.name}/{table.digest}",
            tasks=tuple(self._task(game, table) for game in games),
        )

    def environment(self, task: Task) -> Environment:
        """Return a fresh game; made first if this machine's cache does not hold it.

        The engine starts with the first command that this source has not seen in this game, or raises:

        Raises:
            ValueError: the engine is not installed.
            RuntimeError: the engine could not make the game.
        """
        return self._known.environment(task.id, lambda: self._start(task))

    def _start(self, task: Task) -> Environment:
        game, table = task.payload["game"], task.payload["table"]
        self._games.make([game])
        environment = TextWorldEnvironment(self._games.story(game))
        if table is None:
            return environment
        if isinstance(table, CookingTable):
            return PermutedEnvironment(environment, table)
        house = house_of(environment, self._games.treasure(game).wanted)
        posts = table.post(house, self.settings.lie_probability, generator("signs", task.id))
        return HuntEnvironment(environment, posts)

    def _task(self, game: Game, table: Table | None) -> Task:
        name = f"{self.name}/{game.key}"
        return Task(
            id=name if table is None else f"{name}/{table.digest}",
            goal=GOAL if game.challenge == "cooking" else _goal(self._games.treasure(game)),
            max_steps=self.settings.steps_count,
            payload={"game": game, "table": table},
        )


def _goal(treasure: Treasure) -> str:
    lines = ["Somewhere in this house is a treasure. Find it and take it!", f"The treasure is the {treasure.wanted}."]
    if treasure.cursed is not None:
        lines.append(f"The {treasure.cursed} is cursed: who takes it has lost.")
    return "\n".join(lines)
