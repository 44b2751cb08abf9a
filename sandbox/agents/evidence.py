"""A player without a language model: it weighs the commands on offer by the evidence of the recall.

The same generic policy for every design and every world: it knows no verb and no object. What it reads of an item is
the item's situation (conditions, one a line), action and value. A condition with ``{x}`` is a pattern: it matches a
line word for word, ``{x}`` standing for one to three words that the action and the other conditions share. A condition
without variables is met in the measure in which the words of the line are known. A line that begins with ``!`` must
not be met by what is before the agent.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from design_space.memory import Item, Recall
from design_space.text import VARIABLE, bind, match, normal
from sandbox.agents.base import situation
from sandbox.streams.base import Observation

Bindings = Mapping[str, str]

@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """The policy's constants.

    Attributes:
        threshold: evidence above it is acted on.
        shown_value: the value that an item without one is taken to have.
        mention_weight: what a command's mere mention in an item's text counts, against 1 for a stated action.
        sharpness: exponent on the share of a condition's words that are known.
        repeat_discount: factor on the evidence per earlier try since something was last earned.
        curiosity: log of how much likelier an exploring agent picks a command that names something of the task.
        caution: the same for a unit of evidence against a command; boredom: for each earlier try.
        freshness: the same for a command that the last action has brought on offer.
    """

    threshold: float = 0.08
    shown_value: float = 0.75
    mention_weight: float = 0.3
    sharpness: float = 4.0
    repeat_discount: float = 0.1
    curiosity: float = 6.0
    freshness: float = 0.7
    caution: float = 6.0
    boredom: float = 3.0


@dataclass(slots=True)
class _Try:
    """What came of a command in this episode."""

    situation: frozenset[str]
    progress: int
    effects: tuple[frozenset[str], ...] = ()
    count: int = 1


@dataclass(slots=True)
class _Attempt:
    """What the agent knows of the task it is at.

    Attributes:
        told: lines that the environment answered.
        served: in how many commands that had an effect each word came up; what was served pulls less.
        progress: actions that earned something.
    """

    goal: tuple[str, ...]
    told: list[str] = field(default_factory=list)
    tries: dict[str, _Try] = field(default_factory=dict)
    offered: frozenset[str] = frozenset()
    served: Counter[str] = field(default_factory=Counter)
    progress: int = 0


class EvidenceAgent:
    """Deterministic by its seed.

    Args:
        rng: owned by the agent from here on.
    """

    name = "evidence"

    def __init__(self, rng: np.random.Generator, settings: EvidenceSettings | None = None) -> None:
        self._rng = rng
        self._settings = settings or EvidenceSettings()
        self._attempt = _Attempt(())

    def begin(self, goal: str) -> None:
        """Start a task; what was seen in the last one is forgotten."""
        self._attempt = _Attempt(tuple(normal(line) for line in goal.splitlines()))

    def choose(self, observation: Observation, recall: Recall) -> str:
        """Pick one of the commands on offer."""
        before = situation_lines(observation)
        open_to = [command for command in observation.commands if not self._spent(command, observation, before)]
        candidates = open_to or list(observation.commands)
        evidence = self._weigh(candidates, recall, before)
        for i, command in enumerate(candidates):
            evidence[i] *= self._settings.repeat_discount ** self._tries(command)
        best = float(evidence.max())
        if best > self._settings.threshold:
            ties = [c for c, e in zip(candidates, evidence, strict=True) if e >= best - 1e-9]
            return ties[int(self._rng.integers(len(ties)))]
        return self._explore(candidates, evidence)

    def learn(self, command: str, before: Observation, after: Observation) -> None:
        """Take note of what a command did."""
        attempt = self._attempt
        was, now = situation_lines(before), situation_lines(after)
        effects = tuple(frozenset(line.split()) for line in now if line not in was)
        earlier = self._tries(command)
        attempt.offered = frozenset(before.commands)
        attempt.tries[command] = _Try(frozenset(now), attempt.progress, effects, earlier + 1)
        if effects:
            attempt.served.update(set(normal(command).split()))
        for line in after.feedback.splitlines():
            clean = normal(line)
            if clean and clean not in attempt.told:
                attempt.told.append(clean)
        attempt.progress += after.reward > 0.0

    def _tries(self, command: str) -> int:
        """How often it was tried since something was last earned."""
        tried = self._attempt.tries.get(command)
        return tried.count if tried is not None and tried.progress == self._attempt.progress else 0

    def _spent(self, command: str, observation: Observation, before: Sequence[str]) -> bool:
        """Whether it had no effect in this very situation, or its effect still holds."""
        tried = self._attempt.tries.get(command)
        if tried is None:
            return False
        if not tried.effects:
            return tried.situation == frozenset(before)
        present = [frozenset(line.split()) for line in before]
        return any(effect <= line for effect in tried.effects for line in present)

    def _weigh(self, commands: Sequence[str], recall: Recall, before: Sequence[str]) -> NDArray[np.float64]:
        """Evidence for each command in [-1, 1]: the weighted mean of 2 value - 1, shrunk by one neutral vote."""
        known = (*self._attempt.goal, *before, *self._attempt.told)
        position = {normal(command): i for i, command in enumerate(commands)}
        total, weight = np.zeros(len(commands)), np.zeros(len(commands))
        for item in recall.items:
            value = self._settings.shown_value if item.value is None else item.value
            for command, strength in self._read(item, known, before, position):
                total[position[command]] += strength * (2.0 * value - 1.0)
                weight[position[command]] += strength
        return total / (1.0 + weight)

    def _read(
        self, item: Item, known: Sequence[str], before: Sequence[str], commands: Mapping[str, int]
    ) -> Iterator[tuple[str, float]]:
        if not item.action:
            for line in set(map(normal, item.text.splitlines())):
                if line in commands:
                    yield line, self._settings.mention_weight
            return
        wanted = {}
        for bindings, strength in self._satisfy(item.situation, known, before):
            command = bind(normal(item.action), bindings)
            if command in commands:
                wanted[command] = max(strength, wanted.get(command, 0.0))
        yield from wanted.items()

    def _satisfy(
        self, conditions: str, known: Sequence[str], before: Sequence[str]
    ) -> Iterator[tuple[Bindings, float]]:
        """All ways to bind the variables of the conditions, each with how well they are met, in (0, 1]."""
        ways: list[Bindings] = [{}]
        plain: list[str] = []
        for condition in conditions.splitlines():
            pattern = normal(condition)
            if condition.startswith("!"):
                ways = [way for way in ways if not _met(bind(pattern, way), before)]
            elif VARIABLE.search(pattern):
                ways = [{**way, **more} for way in ways for more in _bindings(bind(pattern, way), known)]
            elif pattern:
                plain.append(pattern)
        strength = 1.0
        if plain and ways:
            lines = tuple(known)
            strength = math.prod(coverage(pattern, lines) for pattern in plain) ** self._settings.sharpness
        if strength > 0.0:
            yield from ((way, strength) for way in ways)

    def _explore(self, commands: Sequence[str], evidence: NDArray[np.float64]) -> str:
        tries = np.array([self._tries(command) for command in commands])
        task = {word for line in (*self._attempt.goal, *self._attempt.told) for word in line.split()}
        pull = {word: 1.0 / (1.0 + self._attempt.served.get(word, 0)) for word in task}
        fresh = np.array([command not in self._attempt.offered for command in commands])
        appeal = self._settings.curiosity * _relevance(commands, pull) + self._settings.freshness * fresh
        appeal += self._settings.caution * np.minimum(0.0, evidence) - self._settings.boredom * tries
        odds = np.exp(appeal - appeal.max())
        return commands[int(self._rng.choice(len(commands), p=odds / odds.sum()))]


def situation_lines(observation: Observation) -> list[str]:
    """What is before the agent, one normalised fact a line."""
    return [line for line in map(normal, situation(observation).splitlines()) if line]


def _bindings(pattern: str, lines: Sequence[str]) -> Iterator[Bindings]:
    for line in lines:
        found = match(pattern, line)
        if found is not None:
            yield found


def _met(pattern: str, lines: Sequence[str]) -> bool:
    """Whether a line holds all words of a condition (or, where variables are left, is the pattern)."""
    if VARIABLE.search(pattern):
        return any(match(pattern, line) is not None for line in lines)
    return coverage(pattern, tuple(lines)) == 1.0


@lru_cache(maxsize=262_144)
def coverage(condition: str, lines: tuple[str, ...]) -> float:
    """The largest share of the condition's words that one line holds, in [0, 1]."""
    wanted = set(condition.split())
    return max((len(wanted.intersection(line.split())) / len(wanted) for line in lines), default=0.0)


def _relevance(commands: Sequence[str], pull: Mapping[str, float]) -> NDArray[np.float64]:
    """How telling the words are that each command shares with the task: 1 for a word that no other command has.

    Args:
        pull: weight of each word of the task.
    """
    bags = [frozenset(normal(command).split()) for command in commands]
    counts = Counter(word for bag in bags for word in bag)
    scale = math.log(len(commands)) or 1.0
    telling = {word: math.log(len(commands) / count) / scale for word, count in counts.items()}
    return np.array([max((telling[word] * pull[word] for word in bag & pull.keys()), default=0.0) for bag in bags])
