"""An encoder of what actions do to things, learned from what is seen of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from design_space.memory import Episode
from design_space.parts.encoders import common_run
from design_space.parts.entries import Entry, told_lines
from design_space.space import Choice, Float, Space
from design_space.text import VARIABLE, normal

_ANY = "{x}"
"""The form of every thing."""
_TRIED = ""
"""What happens to a thing whenever something is done to it."""


class EffectEncoder:
    """What actions do to things: "fry {x}" asks for "cook {x} with oven" if what was cooked there came out fried.

    Learned from every change that is seen, whether it was asked for, earned anything or lost the task: the effects of
    STRIPS' operators (Fikes & Nilsson 1971). A demand (a line of the goal or of a document) asks for an effect where
    the two share the stem of a word. An action speaks for itself where it has the effect more often than actions with
    effects have it on the average, and against itself where less often.

    Args:
        level: `abstract` rules hold for every thing, `kind` rules for things that end in the same word.
        doubt: votes for the wider class on each rule; more make single sights weaker.
    """

    SPACE: ClassVar[Space] = Space(
        level=Choice(("abstract", "kind", "both"), "abstract"), doubt=Float(0.1, 10.0, 1.0, log=True)
    )

    def __init__(self, level: str = "abstract", doubt: float = 1.0) -> None:
        self._levels = {"abstract": (True,), "kind": (False,), "both": (True, False)}[level]
        self._doubt = doubt
        self._demands: dict[str, list[str]] = {}  # by stem: what asks for it, the thing as {x}
        self._seen: dict[str, dict[str, dict[str, int]]] = {}  # by action, form of the thing, stem that came to it

    def encode(self, episode: Episode) -> list[Entry]:
        steps = episode.steps
        for i, (step, told) in enumerate(told_lines(episode)):
            if step.action:
                after = steps[i + 1].situation if i + 1 < len(steps) else step.observation
                self._see(normal(step.action), _lines(step.situation), _lines(after), map(normal, told))
        return [entry for stem in sorted(self._demands) for entry in self._entries(episode.goal, stem)]

    def state(self) -> Any:
        return [
            {stem: list(demands) for stem, demands in self._demands.items()},
            {action: {form: dict(counts) for form, counts in forms.items()} for action, forms in self._seen.items()},
        ]

    def set_state(self, state: Any) -> None:
        demands, seen = state
        self._demands = {stem: list(asked) for stem, asked in demands.items()}
        self._seen = {a: {form: dict(counts) for form, counts in forms.items()} for a, forms in seen.items()}

    def _see(self, action: str, before: Sequence[str], after: Sequence[str], told: Iterable[str]) -> None:
        """Count what an action did to the thing that it names, and note what is demanded of that thing."""
        thing = _thing(action, before)
        if not thing:
            return
        gone, fresh = ([line for line in a if line not in b] for a, b in ((before, after), (after, before)))
        gained = _said_of(thing, fresh) - _said_of(thing, gone) - set(map(stem_of, thing.split()))
        forms = self._seen.setdefault(_instead(action, thing, _ANY), {})
        for form in (_ANY, kind_of(thing)):
            counts = forms.setdefault(form, {})
            for stem in (_TRIED, *sorted(gained)):
                counts[stem] = counts.get(stem, 0) + 1
        for line in told:
            if _names(line, thing) and line != thing:
                demand = _instead(line, thing, _ANY)
                for stem in dict.fromkeys(stem_of(word) for word in demand.split() if word != _ANY):
                    asked = self._demands.setdefault(stem, [])
                    if demand not in asked:
                        asked.append(demand)

    def _entries(self, goal: str, stem: str) -> Iterator[Entry]:
        """What each action that changes things says to each demand for this effect."""
        known = self._demands.keys()
        processes = [
            (action, forms)
            for action, forms in sorted(self._seen.items())
            if not known.isdisjoint(forms[_ANY]) or stem in map(stem_of, action.split())
        ]
        hits = sum(forms[_ANY].get(stem, 0) for _, forms in processes)
        if not hits:
            return
        base = hits / sum(forms[_ANY][_TRIED] for _, forms in processes)
        for action, forms in processes:
            wider = self._chance(forms[_ANY], stem, base)
            for form, counts in sorted(forms.items()):
                if (form == _ANY) not in self._levels:
                    continue
                chance = wider if form == _ANY else self._chance(counts, stem, wider)
                done = _instead(action, _ANY, form)
                for demand in self._demands[stem]:
                    asked = _instead(demand, _ANY, form)
                    text = f"{asked}: {done} ({counts.get(stem, 0)} of {counts[_TRIED]} times)"
                    about = VARIABLE.sub(" ", asked)
                    yield Entry("", text, goal, about, asked, done, chance / (chance + base), count=0)

    def _chance(self, counts: dict[str, int], stem: str, wider: float) -> float:
        return (counts.get(stem, 0) + self._doubt * wider) / (counts[_TRIED] + self._doubt)


def kind_of(thing: str) -> str:
    """The form of all things that end in the same word: "{x} apple" of "red apple"; a single word is its own kind."""
    return f"{_ANY} {thing.rpartition(' ')[2]}" if " " in thing else thing


def stem_of(word: str) -> str:
    """A word without the endings that tell verbs from states: "fry" and "fried", "chop" and "chopped" are one.

    Fewer rules than Porter's (1980), and none that makes a word shorter than three letters.
    """
    endings = (end for end in ("ed", "d", "e") if word.endswith(end) and len(word) > 2 + len(end))
    bare = word.removesuffix(next(endings, ""))
    if len(bare) > 3 and bare[-1] == bare[-2]:
        bare = bare[:-1]
    return bare[:-1] + "i" if bare.endswith("y") else bare


def _lines(situation: str) -> list[str]:
    return [line for line in map(normal, situation.splitlines()) if line]


def _thing(action: str, before: Sequence[str]) -> str:
    """What an action is done to: the longest run of its words, up to three, in a line; rather of what is held."""
    done = action.split()
    lines = sorted(before, key=lambda line: not line.startswith("carrying "))
    shared = (common_run([done, line.split()]) or () for line in lines if not set(done).isdisjoint(line.split()))
    return max(map(" ".join, shared), key=lambda run: len(run.split()), default="")


def _said_of(thing: str, lines: Sequence[str]) -> set[str]:
    """The stems of all words in the lines that name the thing."""
    return {stem_of(word) for line in lines if _names(line, thing) for word in line.split()}


def _names(line: str, thing: str) -> bool:
    return f" {thing} " in f" {line} "


def _instead(line: str, words: str, by: str) -> str:
    return f" {line} ".replace(f" {words} ", f" {by} ").strip()
