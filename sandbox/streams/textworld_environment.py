"""The interpreter of a TextWorld game, in the words that agents read."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox.streams.base import Observation
from sandbox.streams.textworld_games import engine_version

_ENGINE = threading.Lock()
"""The engine's parser, and what it knows of rules, are shared by all games of a process and made for one thread."""


class TextWorldEnvironment:
    """One attempt at one game.

    The scene and the inventory are told from the engine's facts, as far as they are visible, in one fixed form: the
    engine's prose for a room varies from game to game and is half decoration. Feedback is the engine's own. Of the
    commands to examine something those remain whose answer says something (cookbook, stove, oven, BBQ).

    Games may be played in several threads, one each; the engine takes their steps one after the other.

    Args:
        path: a game.z8 with its game.json beside it.

    Raises:
        ValueError: the engine is not installed.
    """

    def __init__(self, path: Path) -> None:
        engine_version()
        import textworld

        infos = textworld.EnvInfos(
            feedback=True, facts=True, admissible_commands=True, score=True, max_score=True, won=True, lost=True
        )
        with _ENGINE, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jericho: "game is not fully supported", of any game it does not know
            self._engine: Any = textworld.start(str(path), infos)
        self._commands: tuple[str, ...] = ()
        self._earned = 0.0
        self._facts: tuple[Any, ...] = ()

    @property
    def facts(self) -> tuple[Any, ...]:
        """The engine's propositions that hold now, hidden ones too: for wrappers, never for an agent."""
        return self._facts

    @property
    def room(self) -> str:
        """Where the player is."""
        return _room(self._facts)

    def reset(self) -> Observation:
        """Begin again."""
        if self._engine is None:
            raise RuntimeError("reset() of a closed environment")
        self._earned = 0.0
        with _ENGINE:
            return self._observe(self._engine.reset(), feedback="", done=False)

    def step(self, command: str) -> Observation:
        """Carry out one of the commands on offer.

        Raises:
            ValueError: the command is not on offer; after the end none is.
        """
        if command not in self._commands:
            raise ValueError(f"{command!r} is not among the {len(self._commands)} commands on offer")
        with _ENGINE:
            state, _, done = self._engine.step(command)
            return self._observe(state, feedback=clean_feedback(state.feedback), done=bool(done))

    def close(self) -> None:
        """Free the interpreter; may be called twice."""
        self._commands = ()
        if self._engine is not None:
            with _ENGINE:
                self._engine.close()
            self._engine = None

    def _observe(self, state: Any, feedback: str, done: bool) -> Observation:
        self._facts = tuple(state.facts)
        scene, inventory = _visible(self._facts)
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


DIRECTIONS = ("north", "east", "south", "west")
_PORTABLE = ("o", "f", "k", "meal")
_STATES = ("sliced", "diced", "chopped", "raw", "fried", "roasted", "grilled", "burned")


def _visible(facts: Sequence[Any]) -> tuple[str, str]:
    """Scene and inventory, one fact a line, from all facts of the world; what is hidden stays hidden."""
    relations: dict[str, list[tuple[Any, ...]]] = {}
    for fact in facts:
        relations.setdefault(fact.name, []).append(tuple(fact.arguments))

    def are(relation: str) -> set[str]:
        return {arguments[0].name for arguments in relations.get(relation, ())}

    states = {state: are(state) for state in _STATES}
    states["raw"] |= are("needs_cooking")
    conditions = {condition: are(condition) for condition in ("open", "closed", "locked")}

    def title(name: str) -> str:
        return " ".join([*(state for state in _STATES if name in states[state]), name])

    def condition_of(name: str, default: str) -> str:
        return next((condition for condition, names in conditions.items() if name in names), default)

    here = _room(facts)
    furniture: list[str] = []
    floor: list[str] = []
    holders: set[str] = set()
    for what, place in relations["at"]:
        if place.name != here or what.type == "P":
            continue
        if what.type in _PORTABLE:
            floor.append(f"The {title(what.name)} is on the floor.")
            continue
        state = condition_of(what.name, "here")
        furniture.append(f"The {what.name} is {state}.")
        if state in ("open", "here"):
            holders.add(what.name)
    contents = [
        f"The {title(what.name)} is {relation} the {holder.name}."
        for relation in ("on", "in")
        for what, holder in relations.get(relation, ())
        if holder.name in holders
    ]
    doors = {(a.name, b.name): door.name for a, door, b in relations.get("link", ())}
    exits = []
    for direction in DIRECTIONS:
        for there, origin in relations.get(f"{direction}_of", ()):
            if origin.name != here:
                continue
            door = doors.get((here, there.name))
            state = condition_of(door, "open") if door else ""
            exits.append(f"The {door} to the {direction} is {state}." if door else f"There is a way {direction}.")
    held = sorted(title(what.name) for what, holder in relations.get("in", ()) if holder.type == "I")
    lines = [f"You are in the {here}.", *sorted(furniture), *sorted(contents), *sorted(floor), *exits]
    return "\n".join(lines), "\n".join(held)


def _room(facts: Sequence[Any]) -> str:
    return next(str(f.arguments[1].name) for f in facts if f.name == "at" and f.arguments[0].type == "P")
