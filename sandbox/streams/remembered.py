"""Games without the engine, as far as they were played before: equal commands from the beginning, equal answers.

Most attempts at a game begin alike, and those without a memory are alike to the end, while each step of the engine
takes ten milliseconds. So the answers are kept as a tree of commands, and the engine is started only for a command that
nobody has typed there before.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from sandbox.streams.base import Environment, Observation

NODES_COUNT = 60_000
"""Observations that are kept at most, about 1 KiB each."""


@dataclass(slots=True)
class _Node:
    """What is seen after some commands, and after each command that was typed then."""

    seen: Observation
    after: dict[str, _Node] = field(default_factory=dict)


@dataclass(slots=True)
class _Tree:
    """What is known of one game. Equal texts are kept once."""

    root: _Node | None = None
    size: int = 0
    texts: dict[Any, Any] = field(default_factory=dict)

    def node(self, seen: Observation) -> _Node:
        once = self.texts.setdefault
        commands = tuple(once(command, command) for command in seen.commands)
        scene, inventory = once(seen.scene, seen.scene), once(seen.inventory, seen.inventory)
        self.size += 1
        return _Node(replace(seen, scene=scene, inventory=inventory, commands=once(commands, commands)))


class Book:
    """What one process knows of games, the least recently played ones dropped first. Safe for threads."""

    def __init__(self, nodes_count: int = NODES_COUNT) -> None:
        self._limit = nodes_count
        self._lock = threading.Lock()
        self._trees: OrderedDict[str, _Tree] = OrderedDict()

    def environment(self, name: str, make: Callable[[], Environment]) -> Environment:
        """Return an attempt at a game.

        Args:
            name: of the game; equal names, equal games.
            make: starts the engine; called only where its answer is not known.
        """
        with self._lock:
            tree = self._trees.setdefault(name, _Tree())
            self._trees.move_to_end(name)
            while len(self._trees) > 1 and sum(known.size for known in self._trees.values()) > self._limit:
                self._trees.popitem(last=False)
        return _RememberedEnvironment(tree, make)


class _RememberedEnvironment:
    """One attempt."""

    def __init__(self, tree: _Tree, make: Callable[[], Environment]) -> None:
        self._tree = tree
        self._make = make
        self._game: Environment | None = None
        self._at: _Node | None = None
        self._typed: list[str] = []
        self._played = 0  # commands that the engine has had

    def reset(self) -> Observation:
        if self._game is not None:
            self._game.close()
            self._game = None
        self._typed = []
        if self._tree.root is None:
            self._tree.root = self._tree.node(self._begin().reset())
        self._at = self._tree.root
        return self._at.seen

    def step(self, command: str) -> Observation:
        if self._at is None:
            raise RuntimeError("step() before reset()")
        known = self._at.after.get(command)
        if known is None:
            known = self._at.after[command] = self._tree.node(self._catch_up().step(command))
            self._played += 1
        self._typed.append(command)
        self._at = known
        return known.seen

    def close(self) -> None:
        self._at = None
        if self._game is not None:
            self._game.close()
            self._game = None

    def _begin(self) -> Environment:
        self._game = self._make()
        self._played = 0
        return self._game

    def _catch_up(self) -> Environment:
        """The engine where the attempt is."""
        game = self._game
        if game is None:
            game = self._begin()
            game.reset()
        for command in self._typed[self._played :]:
            game.step(command)
        self._played = len(self._typed)
        return game
