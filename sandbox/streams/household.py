"""Household: tasks in a house whose habits must be learned. Pure Python, the verbs of ALFWorld (arXiv 2010.03768).

A family is a house with hidden regularities: the usual place of every kind of thing, which appliance really cleans,
heats or cools which class of things, which appliances want to be switched on first, and which spoil what they are
wrongly used on. None of it is told; all of it shows in what happens. Things stray from their usual place now and
then, so one look proves little.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, cast

import numpy as np

from sandbox.streams.base import MOST_STEPS, MOST_TASKS, Observation, Split, Stream, Task, generator

THINGS: dict[str, tuple[str, ...]] = {
    "food": ("apple", "bread", "egg", "potato", "tomato", "soup"),
    "ware": ("mug", "plate", "bowl", "kettle", "pan", "fork"),
    "cloth": ("towel", "shirt", "napkin", "blanket", "sock", "apron"),
    "gear": ("candle", "battery", "vase", "soapbar", "statue", "hammer"),
}
STORES = ("cabinet", "drawer", "shelf", "table", "desk", "dresser", "chest", "counter", "basket", "bench")
CLOSED = frozenset({"cabinet", "drawer"})
APPLIANCES: dict[str, tuple[str, ...]] = {
    "clean": ("sinkbasin", "bathtub"),
    "heat": ("microwave", "stoveburner"),
    "cool": ("fridge", "cellar"),
}
STATES = {"clean": "clean", "heat": "hot", "cool": "cold"}
CLASS_OF = {thing: kind for kind, things in THINGS.items() for thing in things}


@dataclass(frozen=True, slots=True)
class HouseholdSettings:
    """What a household stream is made of.

    Attributes:
        tasks_count: tasks of a stream.
        max_steps: actions of a task; the shortest solution of the longest task takes 8.
        stores_count: places where things may be, at most 10.
        things_count: things in the house.
        stray_probability: chance that a thing is not at its usual place in a given task.
        plain_probability: chance that a task asks for no processing.
        exception_probability: chance that a class of things wants the other appliance than most for a process.
    """

    tasks_count: int = 30
    max_steps: int = 20
    stores_count: int = 6
    things_count: int = 6
    stray_probability: float = 0.05
    plain_probability: float = 0.25
    exception_probability: float = 0.25

    def __post_init__(self) -> None:
        for name, most in (
            ("tasks_count", MOST_TASKS), ("max_steps", MOST_STEPS), ("stores_count", len(STORES)),
            ("things_count", len(CLASS_OF)),
        ):  # fmt: skip
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} is {getattr(self, name)}, not 1 to {most}")
        for name in ("stray_probability", "plain_probability", "exception_probability"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}, not 0 to 1")


@dataclass(frozen=True, slots=True)
class House:
    """The hidden regularities of one family.

    Attributes:
        stores: names of the places where things may be.
        usual: the usual place of each kind of thing.
        works: (process, class of thing) -> the appliance that does it.
        spoils: (appliance, class of thing) pairs that ruin the thing.
        switched: appliances that must be switched on before use.
    """

    stores: tuple[str, ...]
    usual: dict[str, str]
    works: dict[tuple[str, str], str]
    spoils: frozenset[tuple[str, str]]
    switched: frozenset[str]

    @classmethod
    def draw(cls, settings: HouseholdSettings, rng: np.random.Generator) -> House:
        stores = STORES[: settings.stores_count]
        things = sorted(map(str, rng.choice(sorted(CLASS_OF), settings.things_count, replace=False)))
        usual = {thing: str(rng.choice(stores)) for thing in things}
        works = {}
        for process, names in APPLIANCES.items():
            most = int(rng.integers(len(names)))
            for kind in THINGS:
                works[process, kind] = names[most ^ int(rng.random() < settings.exception_probability)]
        wrong = [
            (name, kind)
            for process, names in APPLIANCES.items()
            for name in names
            for kind in THINGS
            if works[process, kind] != name
        ]
        spoils = frozenset(pair for pair in wrong if rng.random() < 0.4)
        switched = frozenset(name for names in APPLIANCES.values() for name in names if rng.random() < 0.4)
        return cls(stores, usual, works, spoils, switched)

    @property
    def digest(self) -> str:
        """Names the family: equal houses, equal digests."""
        facts = [
            self.stores,
            sorted(self.usual.items()),
            sorted((*key, name) for key, name in self.works.items()),
            sorted(self.spoils),
            sorted(self.switched),
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


class HouseholdEnvironment:
    """One task in one house: bring a thing to a place, perhaps cleaned, heated or cooled before.

    Milestones share the reward equally: the thing in hand, the thing in the state asked for, the task done.
    """

    def __init__(self, house: House, payload: dict[str, Any]) -> None:
        self._house = house
        self._thing: str = payload["thing"]
        self._process: str | None = payload["process"]
        self._target: str = payload["target"]
        self._places: dict[str, str] = dict(payload["places"])
        self._appliances = tuple(name for names in APPLIANCES.values() for name in names)
        self._sites = (*house.stores, *self._appliances)
        self._acts: dict[str, Callable[[str], str]] = {
            "go": self._go,
            "open": self._open,
            "take": self._take,
            "put": self._put,
            "toggle": self._toggle,
            **{process: partial(self._work, process) for process in APPLIANCES},
        }

    def reset(self) -> Observation:
        self._at: str | None = None
        self._held: str | None = None
        self._where = dict(self._places)
        self._opened: set[str] = set()
        self._on: set[str] = set()
        self._state: dict[str, str] = {}
        self._earned: set[str] = set()
        self._done = False
        self._offered: tuple[str, ...] = ()
        return self._observe("You are in the middle of the house.")

    def step(self, command: str) -> Observation:
        verb, _, rest = command.partition(" ")
        if self._done or command not in self._offered:
            return self._observe("Nothing happens.")
        feedback = self._acts[verb](rest)
        return self._observe(feedback, self._milestones())

    def close(self) -> None:
        return None

    def _go(self, rest: str) -> str:
        self._at = rest.removeprefix("to ")
        return f"You arrive at {self._at}."

    def _open(self, site: str) -> str:
        self._opened.add(site)
        return f"You open {site}."

    def _take(self, rest: str) -> str:
        thing = rest.partition(" from ")[0]
        del self._where[thing]
        self._held = thing
        return f"You take the {thing}."

    def _put(self, rest: str) -> str:
        thing = rest.partition(" on ")[0]
        self._where[thing] = cast(str, self._at)
        self._held = None
        return f"You put the {thing} on {self._at}."

    def _toggle(self, site: str) -> str:
        self._on ^= {site}
        return f"You switch {site} {'on' if site in self._on else 'off'}."

    def _work(self, process: str, rest: str) -> str:
        thing, _, site = rest.partition(" with ")
        if site in self._house.switched and site not in self._on:
            return "Nothing happens."
        kind = CLASS_OF[thing]
        if (site, kind) in self._house.spoils:
            self._state[thing] = "ruined"
            self._done = thing == self._thing
            return f"The {thing} is ruined."
        if self._house.works[process, kind] != site:
            return "Nothing happens."
        self._state[thing] = STATES[process]
        return f"The {thing} is {STATES[process]} now."

    def _milestones(self) -> float:
        wanted = None if self._process is None else STATES[self._process]
        fit = wanted is None or self._state.get(self._thing) == wanted
        reached = {"held"} if self._held == self._thing else set()
        if wanted is not None and fit:
            reached.add("state")
        if fit and self._where.get(self._thing) == self._target and "held" in self._earned:
            reached.add("done")
            self._done = True
        fresh = reached - self._earned
        self._earned |= fresh
        return len(fresh) / (2 if wanted is None else 3)

    def _visible(self) -> list[str]:
        if self._at is None or (self._at in CLOSED and self._at not in self._opened):
            return []
        return sorted(thing for thing, site in self._where.items() if site == self._at)

    def _commands(self) -> tuple[str, ...]:
        found = [f"go to {site}" for site in self._sites if site != self._at]
        if self._at is not None:
            closed = self._at in CLOSED and self._at not in self._opened
            if closed:
                found.append(f"open {self._at}")
            if self._held is None:
                found += [f"take {thing} from {self._at}" for thing in self._visible()]
            elif not closed and self._at in self._house.stores:
                found.append(f"put {self._held} on {self._at}")
            if self._at in self._appliances:
                found.append(f"toggle {self._at}")
                process = next(p for p, names in APPLIANCES.items() if self._at in names)
                if self._held is not None:
                    found.append(f"{process} {self._held} with {self._at}")
        return tuple(sorted(found))

    def _observe(self, feedback: str, reward: float = 0.0) -> Observation:
        lines = []
        if self._at is not None:
            lines.append(f"You are at {self._at}.")
            if self._at in CLOSED:
                lines.append(f"{self._at} is {'open' if self._at in self._opened else 'closed'}.")
            if self._at in self._on:
                lines.append(f"{self._at} is running.")
            lines += [f"You see {thing}." for thing in self._visible()]
        held = [] if self._held is None else [f"{self._state.get(self._held, '')} {self._held}".strip()]
        self._offered = () if self._done else self._commands()
        return Observation(feedback, "\n".join(lines), "\n".join(held), self._offered, reward, self._done)


class HouseholdSource:
    """Streams of household tasks; each stream has a house of its own."""

    name = "household"

    def __init__(self, settings: HouseholdSettings | None = None) -> None:
        self.settings = settings or HouseholdSettings()
        text = json.dumps(asdict(self.settings), sort_keys=True)
        self._tag = hashlib.sha256(text.encode()).hexdigest()[:8]
        self._houses: dict[tuple[Split, int, int], House] = {}

    def house(self, split: Split, seed: int, index: int) -> House:
        """The hidden regularities of a stream; for tests and reports, never for a design."""
        key = (split, seed, index)
        if key not in self._houses:
            self._houses[key] = House.draw(self.settings, generator("house", self._tag, *key))
        return self._houses[key]

    def stream_name(self, split: Split, seed: int, index: int) -> str:
        return f"household:{self._tag}/{split}/{seed}/{index}"

    def stream(self, split: Split, seed: int, index: int) -> Stream:
        house = self.house(split, seed, index)
        rng = generator("household tasks", self._tag, split, seed, index)
        name = self.stream_name(split, seed, index)
        tasks = tuple(
            self._task(f"{name}/{i}", house, rng, (split, seed, index)) for i in range(self.settings.tasks_count)
        )
        return Stream(name, self.name, split, house.digest, tasks)

    def environment(self, task: Task) -> HouseholdEnvironment:
        payload = dict(task.payload)
        split, seed, index = payload.pop("house")
        return HouseholdEnvironment(self.house(split, seed, index), payload)

    def _task(self, name: str, house: House, rng: np.random.Generator, key: tuple[Split, int, int]) -> Task:
        places = {
            thing: str(rng.choice(house.stores)) if rng.random() < self.settings.stray_probability else usual
            for thing, usual in house.usual.items()
        }
        thing = str(rng.choice(sorted(places)))
        plain = rng.random() < self.settings.plain_probability
        process = None if plain else str(rng.choice(sorted(APPLIANCES)))
        target = str(rng.choice([site for site in house.stores if site != places[thing]]))
        goal = f"bring the {thing} to the {target}"
        if process is not None:
            goal += f"\nthe {thing} must be {STATES[process]}"
        payload = {"thing": thing, "process": process, "target": target, "places": places, "house": list(key)}
        return Task(name, goal, self.settings.max_steps, payload)
