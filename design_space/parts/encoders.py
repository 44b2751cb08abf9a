"""Encoders: from a finished episode to entries. What one remembers of an experience."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from design_space.memory import Episode
from design_space.parts.entries import Baseline, Entry, returns, told_lines
from design_space.space import Choice, Float, Int, Space
from design_space.text import VARIABLE, normal, words

UNTOLD = frozenset({"carrying", "nothing"})
"""Words of a line about what is held that name nothing."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


class Encoder(Protocol):
    """Owes: fresh entries (ids are given by the store) in an order that depends on the episode alone."""

    SPACE: ClassVar[Space]

    def encode(self, episode: Episode) -> list[Entry]: ...


class TrajectoryEncoder:
    """The raw trajectory, whole: goal, actions, observations. ExpRAG (Evo-Memory), trajectory retrieval (ALMA).

    Args:
        lines: actions kept, the last ones; observations are cut at 160 characters.
        admit: which episodes are stored, by reward.
    """

    SPACE: ClassVar[Space] = Space(lines=Int(4, 60, 30), admit=Choice(("all", "half", "full"), "all"))

    def __init__(self, lines: int = 30, admit: str = "all") -> None:
        self._lines = lines
        self._least = {"all": 0.0, "half": 0.5, "full": 1.0}[admit]

    def encode(self, episode: Episode) -> list[Entry]:
        reward = 0.5 if episode.reward is None else episode.reward
        if reward < self._least:
            return []
        told = [f"{step.action}\n  {step.observation[:160]}" for step in episode.steps[-self._lines :]]
        text = "\n".join([f"Task: {episode.goal}", *told, f"Reward: {reward:.2f}"])
        return [Entry("", text, episode.goal, episode.goal, episode.goal, "", value=reward)]


class StepEncoder:
    """One case a step: in this situation this action had this return-to-go. In a dialogue, one turn a step.

    Args:
        discount: per step, on what was earned later.
        admit: `gains` keeps only steps better than average.
    """

    SPACE: ClassVar[Space] = Space(discount=Float(0.0, 1.0, 0.8), admit=Choice(("all", "gains"), "all"))

    def __init__(self, discount: float = 0.8, admit: str = "all") -> None:
        self._discount = discount
        self._gains = admit == "gains"
        self._baseline = Baseline()

    def encode(self, episode: Episode) -> list[Entry]:
        entries = []
        for step, earned in zip(episode.steps, returns(episode, self._discount), strict=True):
            if not step.action:
                entries.append(said(episode.goal, step.observation))
                continue
            value = self._baseline.take(earned)
            if self._gains and value <= 0.5:
                continue
            situation = f"{episode.goal}\n{step.situation}"
            text = f"Task: {episode.goal}\nSeen: {step.situation}\nDone: {step.action}\nWorth: {value:.2f}"
            entries.append(
                Entry("", text, episode.goal, shared(episode.goal, step.action), situation, step.action, value)
            )
        return entries

    def state(self) -> Any:
        return self._baseline.state()

    def set_state(self, state: Any) -> None:
        self._baseline.set_state(state)


class RuleEncoder:
    """Abstracted rules: the words that an action shares with a told line become variables.

    From "fry the carrot" and "cook carrot with stove" it makes "fry the {x}" -> "cook {x} with stove".

    Args:
        discount: per step, on what was earned later.
        state: also require what the agent held of the things that the rule is about.
        level: `concrete` keeps the words instead of variables, `both` stores either form.
        lines_count: demands (lines of the goal or of a document) per step of which a rule is made, the latest first.
        admit: `gains` makes rules only of steps better than average.
    """

    SPACE: ClassVar[Space] = Space(
        discount=Float(0.0, 1.0, 0.6),
        state=Choice((False, True), True),
        level=Choice(("abstract", "concrete", "both"), "abstract"),
        lines_count=Int(1, 6, 3),
        admit=Choice(("all", "gains"), "gains"),
    )

    def __init__(
        self,
        discount: float = 0.6,
        state: bool = True,
        level: str = "abstract",
        lines_count: int = 3,
        admit: str = "gains",
    ) -> None:
        self._discount = discount
        self._state = state
        self._levels = {"abstract": (True,), "concrete": (False,), "both": (True, False)}[level]
        self._lines_count = lines_count
        self._gains = admit == "gains"
        self._baseline = Baseline()

    def encode(self, episode: Episode) -> list[Entry]:
        entries = []
        earned = returns(episode, self._discount)
        for (step, told), gain in zip(told_lines(episode), earned, strict=True):
            if not step.action:
                continue
            value = self._baseline.take(gain)
            if self._gains and value <= 0.5:
                continue
            action, held = normal(step.action), held_lines(step.situation)
            for line in self._demands(told, action, held):
                state = held_of(line, action, held) if self._state else []
                entries += self._entries(episode.goal, [line, *state, action], value)
        return entries

    def state(self) -> Any:
        return self._baseline.state()

    def set_state(self, state: Any) -> None:
        self._baseline.set_state(state)

    def _demands(self, told: Sequence[str], action: str, held: Sequence[str]) -> list[str]:
        """The demands that share most words with the action (or, where none does, with what is held), latest first."""
        lines = [normal(line) for line in reversed(told)]
        for topic in (set(action.split()), {word for line in held for word in line.split()} - UNTOLD):
            shares = [len(topic.intersection(line.split())) for line in lines]
            if any(shares):
                return [line for line, share in zip(lines, shares, strict=True) if share == max(shares)][
                    : self._lines_count
                ]
        return []

    def _entries(self, goal: str, concrete: list[str], value: float) -> list[Entry]:
        """The rule in each form wanted.

        Args:
            concrete: the demand, what else was the case, the action.
        """
        abstract = generalise(concrete)
        if not VARIABLE.sub("", abstract[0]).strip():  # a condition without a word of its own would always hold
            if concrete[0] != concrete[-1]:
                return []
            abstract = concrete
        entries: dict[tuple[str, ...], Entry] = {}
        for form in (abstract if level else concrete for level in self._levels):
            *conditions, action = form
            text = f"When {'; '.join(conditions)}: {action}"
            # An abstract rule is about the words that are left, a concrete one about those that would be replaced.
            objects = VARIABLE.sub(" ", form[0]) if form is abstract else shared(" ".join(form[1:]), form[0])
            entries[tuple(form)] = Entry("", text, goal, objects, "\n".join(conditions), action, value)
        return list(entries.values())


class FactEncoder:
    """Facts of the form "this action shows that thing": the words that come into view, and after which action.

    A fact speaks for its action the more, the likelier than chance the sight is; none speaks against.

    Args:
        reach: actions back to which a sight is attributed.
        doubt: votes for chance on each fact; more make single sights weaker.
    """

    SPACE: ClassVar[Space] = Space(reach=Int(1, 3, 2), doubt=Float(0.2, 5.0, 1.0, log=True))

    def __init__(self, reach: int = 2, doubt: float = 1.0) -> None:
        self._reach = reach
        self._doubt = doubt
        self._tries: dict[str, int] = {}
        self._hits: dict[str, dict[str, int]] = {}
        self._words: set[str] = set()
        self._sights = 0

    def encode(self, episode: Episode) -> list[Entry]:
        touched: dict[str, None] = {}
        steps = episode.steps
        for i, step in enumerate(steps):
            if not step.action:
                continue
            now = set(words(steps[i + 1].situation if i + 1 < len(steps) else step.observation))
            fresh = now - set(words(step.situation)) - set(words(step.action))
            for past in steps[max(0, i + 1 - self._reach) : i + 1]:
                for word in sorted(fresh - set(words(past.action))):
                    self._hits.setdefault(past.action, {}).setdefault(word, 0)
                    self._hits[past.action][word] += 1
                    self._sights += 1
            self._tries[step.action] = self._tries.get(step.action, 0) + 1
            self._words |= fresh
            touched[step.action] = None
        base = self._sights / max(1, sum(self._tries.values()) * len(self._words))
        return [
            self._entry(episode.goal, action, word, base)
            for action in touched
            for word in sorted(self._hits.get(action, ()))
        ]

    def state(self) -> Any:
        hits = {action: dict(counts) for action, counts in self._hits.items()}
        return [dict(self._tries), hits, sorted(self._words), self._sights]

    def set_state(self, state: Any) -> None:
        tries, hits, found, self._sights = state
        self._tries, self._words = dict(tries), set(found)
        self._hits = {action: dict(counts) for action, counts in hits.items()}

    def _entry(self, goal: str, action: str, word: str, base: float) -> Entry:
        hits, tries = self._hits[action][word], self._tries[action]
        chance = (hits + self._doubt * base) / (tries + self._doubt)
        text = f"{word}: seen after {action} ({hits} of {tries} times)"
        return Entry("", text, goal, word, f"{word}\n! {word}", action, max(0.5, chance / (chance + base)), count=0)


class NoteEncoder:
    """What was said in a dialogue, in its own words; of a task that is played, each action with its answer.

    The chunks of retrieval-augmented generation, as MemoryAgentBench's simple agents keep them (arXiv 2507.05257).

    Args:
        unit: what a note holds.
        least_words: words, without the commonest, that a note has at least; less is small talk.
        tally: a note says how often its words were said so far.
    """

    SPACE: ClassVar[Space] = Space(
        unit=Choice(("sentence", "turn", "session"), "sentence"),
        least_words=Int(1, 6, 2),
        tally=Choice((False, True), False),
    )

    def __init__(self, unit: str = "sentence", least_words: int = 2, tally: bool = False) -> None:
        self._unit = unit
        self._least_words = least_words
        self._tally = tally
        self._times: dict[str, int] = {}

    def encode(self, episode: Episode) -> list[Entry]:
        turns = [f"{step.action}: {step.observation}" if step.action else step.observation for step in episode.steps]
        if self._unit == "session":
            turns = ["\n".join(turns)]
        pieces = [
            piece for turn in turns for piece in (_SENTENCE_END.split(turn) if self._unit == "sentence" else [turn])
        ]
        notes = [said(episode.goal, piece) for piece in pieces if len(words(piece)) >= self._least_words]
        return [self._counted(note) for note in notes] if self._tally else notes

    def state(self) -> Any:
        return dict(self._times)

    def set_state(self, state: Any) -> None:
        self._times = dict(state)

    def _counted(self, note: Entry) -> Entry:
        times = self._times[note.text] = self._times.get(note.text, 0) + 1
        note.quote, note.text = note.text, f"{times} time{'s' if times > 1 else ''}: {note.text}"
        return note


def said(goal: str, text: str) -> Entry:
    """An entry that quotes; it is about all of its words."""
    return Entry("", text, goal, text, text, "", value=0.5)


def held_lines(situation: str) -> list[str]:
    """What the agent holds, normalised."""
    return [normal(line) for line in situation.splitlines() if line.startswith("carrying ")]


def held_of(line: str, action: str, held: Sequence[str]) -> list[str]:
    """What is held of the things that a rule is about: best named by the demand, or by the action alone; or nothing."""
    demanded, used = set(line.split()), set(action.split()) - set(line.split())
    shares = [len(demanded.intersection(text.split())) for text in held]
    best = max([1, *shares])
    return [
        text
        for text, share in zip(held, shares, strict=True)
        if share == best or used.intersection(text.split()) or text == "carrying nothing"
    ]


def shared(a: str, b: str) -> str:
    """The words of `b` that `a` has too, in order."""
    known = set(words(a))
    return " ".join(word for word in words(b) if word in known)


def generalise(lines: Sequence[str]) -> list[str]:
    """Replace each longest run of up to three words that two or more of the lines share by a variable.

    Args:
        lines: normalised.
    """
    split = [line.split() for line in lines]
    for name in "xyz":
        run = common_run(split)
        if run is None:
            break
        split = [_replace(parts, run, f"{{{name}}}") for parts in split]
    return [" ".join(parts) for parts in split]


def common_run(split: Sequence[Sequence[str]]) -> tuple[str, ...] | None:
    """The longest run of up to three words that two or more of the lines share, the earliest of these; None if none."""
    for length in (3, 2, 1):
        counts: dict[tuple[str, ...], set[int]] = {}
        for i, parts in enumerate(split):
            for j in range(len(parts) - length + 1):
                run = tuple(parts[j : j + length])
                if not any(part.startswith("{") or part == "carrying" for part in run):
                    counts.setdefault(run, set()).add(i)
        common = [run for run, where in counts.items() if len(where) > 1]
        if common:
            return common[0]
    return None


def _replace(parts: Sequence[str], run: tuple[str, ...], by: str) -> list[str]:
    out: list[str] = []
    i = 0
    while i < len(parts):
        if tuple(parts[i : i + len(run)]) == run:
            out.append(by)
            i += len(run)
        else:
            out.append(parts[i])
            i += 1
    return out
