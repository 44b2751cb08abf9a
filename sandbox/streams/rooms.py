"""The rooms of a TextWorld game, and the shortest ways to where something is."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.streams.textworld_environment import DIRECTIONS


@dataclass(frozen=True, slots=True)
class House:
    """A map with a beginning and a goal. Doors count for nothing: they can be opened.

    Attributes:
        ways: of each room, direction -> the room that lies there.
        start: where the player is at first.
        goal: the room that holds the treasure.
    """

    ways: Mapping[str, Mapping[str, str]]
    start: str
    goal: str

    @classmethod
    def of(cls, facts: Iterable[Any], treasure: str) -> House:
        """Read the map from the engine's facts at the beginning of a game.

        Raises:
            ValueError: the treasure is in no room.
        """
        ways: dict[str, dict[str, str]] = {}
        places: dict[str, str] = {}
        start = ""
        for fact in facts:
            what, *where = fact.arguments
            direction = fact.name.removesuffix("_of")
            if direction in DIRECTIONS:
                ways.setdefault(where[0].name, {})[direction] = what.name
            elif what.type == "P" and fact.name == "at":
                start = where[0].name
            elif fact.name in ("at", "in", "on"):
                places[what.name] = where[0].name
        goal = treasure
        while goal not in ways:
            if goal not in places:
                raise ValueError(f"{treasure!r} is in none of the rooms {', '.join(sorted(ways))}")
            goal = places[goal]
        return cls(ways, start, goal)

    def next_steps(self) -> Mapping[str, str]:
        """For each room but the goal, the first direction of a shortest way there; of several the first by compass."""
        distance = {self.goal: 0}
        queue = deque([self.goal])
        while queue:
            room = queue.popleft()
            for neighbour in self.ways[room].values():
                if neighbour not in distance:
                    distance[neighbour] = distance[room] + 1
                    queue.append(neighbour)
        return {
            room: next(d for d in DIRECTIONS if d in ways and distance[ways[d]] < distance[room])
            for room, ways in sorted(self.ways.items())
            if room != self.goal
        }

    def shortest(self) -> list[str]:
        """The rooms from the start to the goal, both included, as `next_steps` leads."""
        steps, rooms = self.next_steps(), [self.start]
        while rooms[-1] != self.goal:
            rooms.append(self.ways[rooms[-1]][steps[rooms[-1]]])
        return rooms
