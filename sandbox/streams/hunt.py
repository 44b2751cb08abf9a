"""Hunts for a treasure: coin collector and treasure hunter of the engine, with signs put up in the rooms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sandbox.streams.base import Observation
from sandbox.streams.rooms import House
from sandbox.streams.signs import Post
from sandbox.streams.textworld_environment import TextWorldEnvironment

_VERBS = ("go", "open", "unlock", "take")


class HuntEnvironment:
    """A game of the engine whose rooms are shown, and left, as their posts say.

    On offer is what can lead to the treasure: to go, open, unlock and take. The reward is the engine's: it comes at the
    end, for the treasure.

    Args:
        game: closed with this one.
        posts: of each room.
    """

    def __init__(self, game: TextWorldEnvironment, posts: Mapping[str, Post]) -> None:
        self._game = game
        self._posts = posts
        self._commands: dict[str, str] = {}

    def reset(self) -> Observation:
        """Begin again; the signs stay."""
        seen = self._show(self._game.reset())
        return replace(seen, feedback=seen.scene.partition("\n")[0])

    def step(self, command: str) -> Observation:
        """Carry out one of the commands on offer.

        Raises:
            ValueError: the command is not on offer; after the end none is.
        """
        if command not in self._commands:
            raise ValueError(f"{command!r} is not among the {len(self._commands)} commands on offer")
        seen = self._show(self._game.step(self._commands[command]))
        return replace(seen, feedback=self._post().arrival) if command.startswith("go ") else seen

    def close(self) -> None:
        """Free the game; may be called twice."""
        self._commands = {}
        self._game.close()

    def _post(self) -> Post:
        return self._posts[self._game.room]

    def _show(self, seen: Observation) -> Observation:
        """The room as its post has it. Ways without a door are known by the commands alone."""
        post = self._post()
        self._commands = {
            post.moves[rest] if verb == "go" else f"{verb} {rest}": f"{verb} {rest}"
            for verb, _, rest in (command.partition(" ") for command in seen.commands)
            if verb in _VERBS
        }
        _, *things = seen.scene.splitlines()
        things = [line for line in things if not line.startswith("There is a way ")]
        return replace(seen, scene="\n".join([*post.scene, *things]), commands=tuple(sorted(self._commands)))


def house_of(game: TextWorldEnvironment, treasure: str) -> House:
    """The map of a game; begins it anew."""
    game.reset()
    return House.of(game.facts, treasure)
