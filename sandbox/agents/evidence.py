"""A player without a language model: it weighs the commands on offer by the evidence of the recall.

The same generic policy for every design and every world: it knows no verb and no object. What it reads of an item is
the item's situation (conditions, one a line), action and value. A condition with ``{x}`` is a pattern: it matches a
line word for word, ``{x}`` standing for one to three words that the action and the other conditions share. A condition
without variables is met in the measure in which the words of the line are known. A line that begins with ``!`` must
not be met by what is before the agent. Questions it answers by quoting: see `sandbox.agents.extract`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from design_space.memory import Item, Recall
from design_space.text import bind, normal
from sandbox.agents.base import situation
from sandbox.agents.conditions import Bindings, Known, bag, parse
from sandbox.agents.extract import read
from sandbox.streams.base import Observation

LOOKS_COUNT = 5_000
"""Ways to bind variables that are looked at for one choice, over all items; the first items come first."""


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
        freshness: the same for a command that the last action has brought on offer, the first of its kind.
        caution: the same for a unit of evidence against a command; boredom: for each earlier try.
        coverage: share of a question's words, the rarer the weightier, without which a sentence is no answer.
    """

    threshold: float = 0.12
    shown_value: float = 0.75
    mention_weight: float = 0.3
    sharpness: float = 4.0
    repeat_discount: float = 0.35
    curiosity: float = 6.0
    freshness: float = 4.0
    caution: float = 6.0
    boredom: float = 3.0
    coverage: float = 0.25


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
        offered: what could be typed before the last action.
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
        candidates = self._open_to(observation.commands, before)
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
        was, now = set(situation_lines(before)), situation_lines(after)
        effects = tuple(bag(line) for line in now if line not in was)
        earlier = self._tries(command)
        attempt.offered = frozenset(before.commands)
        attempt.tries[command] = _Try(frozenset(now), attempt.progress, effects, earlier + 1)
        if effects:
            attempt.served.update(bag(normal(command)))
        for line in after.feedback.splitlines():
            clean = normal(line)
            if clean and clean not in attempt.told:
                attempt.told.append(clean)
        attempt.progress += after.reward > 0.0

    def answer(self, question: str, recall: Recall) -> str:
        """The sentence of the recall that says most of what the question asks about."""
        return read(question, [item.text for item in recall.items], self._settings.coverage)

    def _tries(self, command: str) -> int:
        """How often it was tried since something was last earned."""
        tried = self._attempt.tries.get(command)
        return tried.count if tried is not None and tried.progress == self._attempt.progress else 0

    def _open_to(self, commands: Sequence[str], before: Sequence[str]) -> Sequence[str]:
        """The commands but those that had no effect in this very situation, or whose effect still holds."""
        tries, here = self._attempt.tries, frozenset(before)
        present = [bag(line) for line in before]

        def spent(command: str) -> bool:
            tried = tries.get(command)
            if tried is None:
                return False
            if not tried.effects:
                return tried.situation == here
            return any(effect <= line for effect in tried.effects for line in present)

        return [command for command in commands if not spent(command)] or commands

    def _weigh(self, commands: Sequence[str], recall: Recall, before: Sequence[str]) -> NDArray[np.float64]:
        """Evidence for each command in [-1, 1]: the weighted mean of 2 value - 1, shrunk by one neutral vote."""
        total, weight = np.zeros(len(commands)), np.zeros(len(commands))
        if not recall.items:
            return total
        known = Known((*self._attempt.goal, *before, *self._attempt.told), before, LOOKS_COUNT)
        position = {normal(command): i for i, command in enumerate(commands)}
        for item in recall.items:
            value = self._settings.shown_value if item.value is None else item.value
            for command, strength in self._read(item, known, position):
                total[position[command]] += strength * (2.0 * value - 1.0)
                weight[position[command]] += strength
        return total / (1.0 + weight)

    def _read(self, item: Item, known: Known, commands: Mapping[str, int]) -> Iterator[tuple[str, float]]:
        """The commands that an item speaks about, and how strongly, in (0, 1]."""
        if not item.action:
            for line in set(map(normal, item.text.splitlines())):
                if line in commands:
                    yield line, self._settings.mention_weight
            return
        action = normal(item.action)
        if action not in commands and "{" not in action:
            return
        wanted: dict[str, float] = {}
        for bindings, strength in self._satisfy(item.situation, known):
            command = bind(action, bindings)
            if command in commands:
                wanted[command] = max(strength, wanted.get(command, 0.0))
        yield from wanted.items()

    def _satisfy(self, conditions: str, known: Known) -> Iterator[tuple[Bindings, float]]:
        """All ways to bind the variables of the conditions, each with how well they are met, in (0, 1]."""
        ways: list[Bindings] = [{}]
        met = 1.0
        for condition in parse(conditions):
            if condition.negated:
                ways = [way for way in known.look(iter(ways)) if not known.before_meets(bind(condition.text, way))]
            elif condition.variable:
                # An item that can be read in very many ways says nothing, and would have us count them.
                found = ({**way, **more} for way in ways for more in known.bindings(bind(condition.text, way)))
                ways = known.look(found)
            else:
                met *= known.coverage(condition)
            if not ways or met == 0.0:
                return
        strength = met**self._settings.sharpness
        yield from ((way, strength) for way in ways)

    def _explore(self, commands: Sequence[str], evidence: NDArray[np.float64]) -> str:
        """Draw a command: rather one that names something of the task, is new, untried and not spoken against."""
        attempt, settings = self._attempt, self._settings
        bags = [bag(normal(command)) for command in commands]
        kinds = [command.partition(" ")[0].lower() for command in commands]
        task = {word for line in (*attempt.goal, *attempt.told) for word in line.split()}
        pull = {word: (1.0 + attempt.served[word]) ** -2.0 for word in task}
        fresh = [
            0.0 if command in attempt.offered else 1.0 / (1.0 + attempt.served[kind])
            for command, kind in zip(commands, kinds, strict=True)
        ]
        appeal = settings.curiosity * _relevance(bags, pull) + settings.freshness * np.array(fresh)
        appeal += settings.caution * np.minimum(0.0, evidence)
        appeal -= settings.boredom * np.array([self._tries(command) for command in commands])
        edges = np.cumsum(np.exp(appeal - appeal.max()))
        drawn = int(np.searchsorted(edges, self._rng.random() * edges[-1], side="right"))
        return commands[min(drawn, len(commands) - 1)]


def situation_lines(observation: Observation) -> list[str]:
    """What is before the agent, one normalised fact a line."""
    return [line for line in map(normal, situation(observation).splitlines()) if line]


def _relevance(bags: Sequence[frozenset[str]], pull: Mapping[str, float]) -> NDArray[np.float64]:
    """How telling the words are that each command shares with the task: 1 for a word that no other command has.

    Args:
        bags: the words of each command.
        pull: weight of each word of the task.
    """
    counts = Counter(word for bag in bags for word in bag)
    scale = math.log(len(bags)) or 1.0
    worth = {w: pull[w] * math.log(len(bags) / count) / scale for w, count in counts.items() if w in pull}
    return np.array([max((worth[word] for word in bag if word in worth), default=0.0) for bag in bags])
