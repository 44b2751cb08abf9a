"""Memory-R1's operations by rule: one fact per entity and attribute, added, updated, deleted or left as it is.

Memory-R1: Enhancing Large Language Model Agents to Manage and Utilize Memories via Reinforcement Learning, 2025,
arXiv 2508.19828. There a trained model reads facts out of a dialogue and picks ADD, UPDATE, DELETE or NOOP for each.

Departures: no model, so facts are found and operations chosen by rule, as no code was published to follow. In text, a
fact is a sentence "<entity> is|has|likes|... <value>". In a task, it is what an action did: which action brought a
word into view, and which earned something for the words that it shares with the goal. Same entity and attribute with
another value: UPDATE. A negation, or an action that did not do it again: DELETE. Nearly the same words (Jaccard above
0.9) as one of the 5 most similar facts: NOOP. Else: ADD. The answering model's distillation is left to the agent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from design_space import Episode, Float, Int, Item, Kit, Memory, Query, Recall, Snapshot, Space, Step
from design_space.parts import Cosine
from design_space.text import overlap, words

VERB = "is|are|was|were|am|has|have|had|likes?|loves?|hates?|prefers?|wants?|works?|lives?|owns?|uses?|plays?|moved"
SENTENCE = re.compile(rf"^(.{{1,80}}?)\s+((?:{VERB})(?:n't)?(?:\s+(?:in|at|to|for|as))?)\s+(.+)$", re.IGNORECASE)
OWNED = re.compile(r"^(my|your|his|her|our|their|\S+'s)\s+(.+)$", re.IGNORECASE)
SPEAKER = re.compile(r"^(\w+):\s+(.+)$")
NEGATION = re.compile(r"\b(?:not|never|no longer|no more|\w+n't)\b\s*", re.IGNORECASE)


@dataclass(slots=True)
class _Fact:
    """`entity` has `attribute` `value`; where the value is an action, `situation` says when it applies."""

    id: str
    entity: str
    attribute: str
    value: str
    text: str
    situation: str = ""
    action: str = ""
    worth: float | None = None

    @property
    def key(self) -> tuple[str, str]:
        return (self.entity, self.attribute)


class MemoryR1(Memory):
    """A table of facts under four operations.

    Args:
        same: Jaccard similarity of words above which a fact is already known.
        rivals_count: the most similar facts that a new one is compared with.
    """

    SPACE = Space(recall_count=Int(1, 60, 30), same=Float(0.5, 1.0, 0.9), rivals_count=Int(1, 20, 5))
    RETRIEVE = "step"

    def __init__(self, kit: Kit, **params: Any) -> None:
        super().__init__(kit, **params)
        self._index = Cosine(kit, floor=0.0)
        self._facts: dict[tuple[str, str], _Fact] = {}
        self._listed: list[_Fact] = []
        self._named = 0

    def retrieve(self, query: Query) -> Recall:
        recent = "\n".join(observation for _, observation in query.history[-3:])
        chosen = self._nearest(f"{query.goal}\n{query.situation}\n{recent}", self.params["recall_count"])
        return Recall(tuple(Item(f.id, f.text, f.situation, f.action, f.worth) for f in chosen))

    def update(self, episode: Episode) -> None:
        for i, step in enumerate(episode.steps):
            if step.action:
                after = episode.steps[i + 1].situation if i + 1 < len(episode.steps) else step.observation
                self._learn_action(episode, step, after)
            else:
                for fact, holds in _said(step.observation):
                    self._operate(fact, holds)
        self._listed = list(self._facts.values())
        self._index.reset([fact.text for fact in self._listed])

    def snapshot(self) -> Snapshot:
        return Snapshot({"facts": [asdict(fact) for fact in self._facts.values()], "named": self._named})

    def restore(self, snapshot: Snapshot) -> None:
        self._listed = [_Fact(**row) for row in snapshot.data["facts"]]
        self._facts = {fact.key: fact for fact in self._listed}
        self._named = snapshot.data["named"]
        self._index.reset([fact.text for fact in self._listed])

    def _learn_action(self, episode: Episode, step: Step, after: str) -> None:
        """What an action brought into view, and whether it earned something in this task."""
        now = set(words(after))
        for fact in [f for f in self._facts.values() if f.action == step.action]:
            earned = any(_earned(episode, other) > 0.0 for other in episode.steps if other.action == step.action)
            if fact.entity not in now if fact.attribute == "seen" else not earned:
                self._operate(fact, holds=False)
        for word in sorted(now - set(words(step.situation)) - set(words(step.action))):
            text = f"{word}: seen after {step.action}"
            self._operate(_Fact("", word, "seen", step.action, text, f"{word}\n! {word}", step.action))
        about = " ".join(word for word in words(step.action) if word in words(episode.goal))
        if about and (earned_now := _earned(episode, step)) > 0.0:
            text = f"{about}: {step.action} earned {earned_now:.2f} in: {episode.goal}"
            worth = min(1.0, 0.5 + earned_now)
            verb = step.action.split()[0].lower()
            self._operate(_Fact("", about, verb, step.action, text, episode.goal, step.action, worth))

    def _operate(self, fact: _Fact, holds: bool = True) -> None:
        """Carry out the operation that the rules choose."""
        known = self._facts.get(fact.key)
        if not holds:  # DELETE
            self._facts.pop(fact.key, None)
        elif known is not None:  # UPDATE; the same value again is a NOOP
            if known.value != fact.value:
                fact.id = known.id
                self._facts[fact.key] = fact
        elif all(overlap(fact.text, f.text) <= self.params["same"] for f in self._rivals(fact)):  # ADD, else NOOP
            self._named += 1
            fact.id = f"m{self._named}"
            self._facts[fact.key] = fact

    def _rivals(self, fact: _Fact) -> list[_Fact]:
        """The most similar of the facts that were known before this episode and are still."""
        nearest = self._nearest(fact.text, self.params["rivals_count"])
        return [rival for rival in nearest if self._facts.get(rival.key) is rival]

    def _nearest(self, text: str, count: int) -> list[_Fact]:
        scores = self._index.scores(text)
        best = [i for i in np.argsort(-scores, kind="stable")[:count] if scores[i] > 0.0]
        return [self._listed[i] for i in best]


def _earned(episode: Episode, step: Step) -> float:
    return (episode.reward or 0.0) if step.reward is None else step.reward


def _said(text: str) -> Iterator[tuple[_Fact, bool]]:
    """The facts of a text, and whether it says that they hold."""
    for sentence in re.split(r"(?<=[.!?])\s+|\n", text):
        speaker = SPEAKER.match(sentence)
        who, rest = (speaker[1], speaker[2]) if speaker else ("", sentence)
        bare = NEGATION.sub("", rest.strip(" .!?")) or rest
        found = SENTENCE.match(bare)
        if not words(sentence):
            continue
        if found is None:
            yield _Fact("", sentence.lower(), "said", sentence, sentence), True
            continue
        subject, verb, value = (part.lower() for part in found.groups())
        owned = OWNED.match(subject)
        entity, attribute = (owned[1], owned[2]) if owned else (subject, verb)
        if who and entity in ("i", "my", "we", "our"):
            entity = who.lower()
        yield _Fact("", entity.removesuffix("'s"), attribute, value, sentence), bare == rest.strip(" .!?")
