"""Signs in the rooms of a house that say what to do next, to those who know what they mean.

What the signs mean is the hidden table of a family. There are two kinds: `WayTable`, whose signs name a direction, so
that what was learned in one room serves in any other once the room's name is abstracted from; and `DoorTable`, whose
signs name the colour of a door, so that a remembered case serves as it is. Either kind says with `post` what a game's
rooms look like.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd, perm

import numpy as np

from sandbox.streams.base import SPLITS, Split, generator
from sandbox.streams.rooms import House
from sandbox.streams.textworld_environment import DIRECTIONS

MARKS = ("beetle", "candle", "comet", "dragon", "feather", "heron", "lantern", "thistle")
HERE = "here"
MEANINGS = (*DIRECTIONS, HERE)
"""What a sign of a `WayTable` can say: to leave the room that way, or that the treasure is in this room."""
COLOURS = ("amber", "black", "green", "red")
"""What a sign of a `DoorTable` can say: through which door to leave the room."""


@dataclass(frozen=True, slots=True)
class Post:
    """How one room is shown.

    Attributes:
        scene: lines about the room as such, its sign among them.
        arrival: what is answered to the move that leads here.
        moves: direction -> the command that leaves the room that way; no two are alike.
    """

    scene: tuple[str, ...]
    arrival: str
    moves: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WayTable:
    """Five of the eight marks stand for the four directions and for "here".

    There are 6,720 tables, 2,240 for each split: splits share none.

    Attributes:
        marks: one for each of MEANINGS, in that order.
    """

    marks: tuple[str, ...]

    @classmethod
    def draw(cls, split: Split, seed: int, index: int) -> WayTable:
        """The table of a stream; the first 2,240 streams of a split and seed differ."""
        return cls(_arrangement(len(MEANINGS), split, seed, index))

    @property
    def digest(self) -> str:
        """Names the family: equal tables, equal digests."""
        return _digest("ways", self.marks)

    def mark(self, meaning: str) -> str:
        """The mark that says so."""
        return self.marks[MEANINGS.index(meaning)]

    def post(self, house: House, lie_probability: float, rng: np.random.Generator) -> Mapping[str, Post]:
        """What each room looks like. A move names the room that it leaves, so that no room has another's commands."""
        steps = house.next_steps()
        posts = {}
        for room, ways in sorted(house.ways.items()):
            said = _said(steps.get(room, HERE), MEANINGS, lie_probability, rng)
            sign = f"A {self.mark(said)} marks the {room}."
            arrival = f"You arrive in another room.\nWays out of it: {len(ways)}.\n{sign}"
            moves = {direction: f"go {direction} from {room}" for direction in ways}
            posts[room] = Post((f"You are in the {room}.", sign), arrival, moves)
        return posts


@dataclass(frozen=True, slots=True)
class DoorTable:
    """Four of the eight marks stand for the colours of doors.

    There are 1,680 tables, 560 for each split: splits share none.

    Attributes:
        marks: one for each of COLOURS, in that order.
    """

    marks: tuple[str, ...]

    @classmethod
    def draw(cls, split: Split, seed: int, index: int) -> DoorTable:
        """The table of a stream; the first 560 streams of a split and seed differ."""
        return cls(_arrangement(len(COLOURS), split, seed, index))

    @property
    def digest(self) -> str:
        """Names the family: equal tables, equal digests."""
        return _digest("doors", self.marks)

    def mark(self, colour: str) -> str:
        """The mark that says so."""
        return self.marks[COLOURS.index(colour)]

    def post(self, house: House, lie_probability: float, rng: np.random.Generator) -> Mapping[str, Post]:
        """What each room looks like.

        Rooms are not named, and where the treasure is there is no sign. The doors of a room differ in colour; those of
        the shortest way from the start do too, as far as there are colours.
        """
        steps = house.next_steps()
        order = _shuffled(COLOURS, rng)
        right = {room: order[i % len(order)] for i, room in enumerate(house.shortest())}
        posts = {}
        for room, ways in sorted(house.ways.items()):
            colour = right.get(room) or _shuffled(COLOURS, rng)[0]
            others = _shuffled([other for other in COLOURS if other != colour], rng)
            doors = {way: colour if way == steps.get(room) else others.pop() for way in ways}
            said = _said(colour, COLOURS, lie_probability, rng)
            sign = "The wall is bare." if room == house.goal else f"A {self.mark(said)} is on the wall."
            moves = {way: f"go through {door} door" for way, door in doors.items()}
            posts[room] = Post((sign,), "You arrive in another room.", moves)
        return posts


def _said(true: str, all_: Sequence[str], lie_probability: float, rng: np.random.Generator) -> str:
    """What a sign says, which with some probability is one of the other things."""
    others = [other for other in all_ if other != true]
    lie = others[int(rng.integers(len(others)))]
    return lie if rng.random() < lie_probability else true


def _shuffled(names: Sequence[str], rng: np.random.Generator) -> list[str]:
    return [names[i] for i in rng.permutation(len(names))]


def _arrangement(length: int, split: Split, seed: int, index: int) -> tuple[str, ...]:
    """Different marks in an order that belongs to the split; the same only after all that belong to it."""
    count = perm(len(MARKS), length) // len(SPLITS)
    rng = generator("arrangements of marks", length, split, seed)
    first, stride = int(rng.integers(count)), int(rng.integers(1, count))
    while gcd(stride, count) > 1:
        stride += 1
    rank = len(SPLITS) * ((first + index * stride) % count) + SPLITS.index(split)
    left, chosen = list(MARKS), []
    for _ in range(length):
        rank, position = divmod(rank, len(left))
        chosen.append(left.pop(position))
    return tuple(chosen)


def _digest(kind: str, marks: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps([kind, *marks]).encode()).hexdigest()[:16]
