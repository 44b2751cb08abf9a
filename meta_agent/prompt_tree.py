"""The prompts of a search, and which of them the next designs are made by.

tree     Monte Carlo tree search (Empirical-MCTS, arXiv 2602.04248): PUCT from the root down
flat     all prompts are arms of one bandit, whatever they were made of
uniform  all prompts equally often; a yardstick
fixed    the first prompt, always

A prompt is a text to whoever is steered by it, and nothing but a text here. Equal seeds, equal histories, equal trees:
what is told of a generation is sorted first, so that the order of arrival changes nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NewType

import numpy as np

from meta_agent.prompt_values import Likeness, PromptValues, Scale

PromptId = NewType("PromptId", str)
Policy = Literal["tree", "flat", "uniform", "fixed"]
POLICIES: tuple[Policy, ...] = ("tree", "flat", "uniform", "fixed")
PRIOR_STEPS = 2.0
"""How far what is expected beforehand may raise or lower the odds, in steps of `Scale.prompt_sd` on a log scale."""


MOST_PROMPTS = 128
"""More are tried too seldom to be told apart, and what they cost a generation is cubic in their number."""


@dataclass(frozen=True, slots=True)
class Constants:
    """Of the choice of prompts.

    Attributes:
        exploration: the constant of PUCT, values scaled to [0, 1]; 1.25 as in MuZero (arXiv 1911.08265, appendix B).
        widening, widening_exponent: a prompt that has made n designs may have ``widening * n ** widening_exponent``
            children (Couetoux et al. 2011).
        virtual_loss: a design under way counts as one that gained this much less, in scaled units, so that designs
            asked for at once spread (Chaslot et al. 2008).
        failure_cost: taken off for a design that never worked or repeats another, in reward units.
        scale: see `Scale`.
    """

    exploration: float = 1.25
    widening: float = 1.0
    widening_exponent: float = 0.5
    virtual_loss: float = 0.25
    failure_cost: float = 0.01
    scale: Scale = field(default_factory=Scale)

    def __post_init__(self) -> None:
        for name in ("exploration", "widening", "widening_exponent", "virtual_loss", "failure_cost"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}, wanted at least 0")


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one design that a prompt produced.

    Attributes:
        block: names the designs that were given the same parent in the same generation.
        sequence: place in the order of asking; no two trials share one.
        gain: over that parent, see `Search.gain`; None if there is no working design.
        measured: False if nobody got as far as to see what it is worth: it counts nowhere.
    """

    prompt: PromptId
    block: str
    sequence: int
    gain: float | None
    measured: bool = True


@dataclass(slots=True)
class Node:
    """One prompt.

    Attributes:
        generation: after which it was made.
        origin: how it was made, in a sentence.
        visits: designs that it made itself; failures: of these, those that never worked or repeat another.
        beneath: visits of all that was made of it, its own included.
        prior: what is expected of it beforehand, in reward units, from insights.
        flying: designs under way, beneath it, its own included; flying_own: its own.
    """

    id: PromptId
    parent: PromptId | None
    content: str
    generation: int
    origin: str
    place: int
    prior: float = 0.0
    children: list[PromptId] = field(default_factory=list)
    visits: int = 0
    failures: int = 0
    beneath: int = 0
    flying: int = 0
    flying_own: int = 0


@dataclass(frozen=True, slots=True)
class Worth:
    """What is known of a prompt's value: posterior mean and standard deviation in reward units, over n designs."""

    mean: float
    sd: float
    n: int


class Prompts:
    """The prompts, their values, and the choice among them.

    Args:
        root: the first prompt.
        rng: for `uniform`; the other policies leave nothing to chance.
    """

    def __init__(
        self,
        root: str,
        policy: Policy,
        rng: np.random.Generator,
        likeness: Likeness,
        constants: Constants | None = None,
    ) -> None:
        self.policy = policy
        self._constants = constants or Constants()
        self._rng = rng
        self._values = PromptValues(self._constants.scale, likeness)
        self._nodes: dict[PromptId, Node] = {}
        self._ranks: Mapping[PromptId, float] = {}
        self._root = self._enter(root, None, 0, "the first prompt", 0.0).id

    @property
    def root(self) -> PromptId:
        return self._root

    @property
    def nodes(self) -> Mapping[PromptId, Node]:
        """All prompts, in the order of being made."""
        return self._nodes

    def worth(self, prompt: PromptId) -> Worth:
        """What a prompt is worth: the shrunk mean of its designs' rewards, see `prompt_values`."""
        node = self._nodes[prompt]
        mean, sd = self._values.estimate()
        return Worth(float(mean[node.place]), float(sd[node.place]), node.visits)

    def foresee(self, content: str) -> Worth:
        """What a prompt that nothing was made by yet is expected to be worth, going by those that are like it."""
        return Worth(*self._values.foresee(content), 0)

    def best(self) -> PromptId:
        """The prompt of the highest value; of equals the preferred one, then the first."""
        return max(self._nodes, key=lambda prompt: (self.worth(prompt).mean, self._ranks.get(prompt, 0.0)))

    def prefer(self, ranks: Mapping[PromptId, float]) -> None:
        """Take a judge's preferences, higher is better: they decide between prompts of equal value, nowhere else."""
        self._ranks = ranks

    def add(self, parent: PromptId, content: str, generation: int, origin: str, prior: float = 0.0) -> Node | None:
        """A new prompt, made of another; None if there is one already that says the same."""
        if _id(content) in self._nodes or not content.strip():
            return None
        return self._enter(content, parent, generation, origin, prior)

    def choose(self, apart_from: PromptId | None = None) -> PromptId:
        """The prompt of the next design, which is under way from now on.

        Args:
            apart_from: not this one, if there is another: whoever shares its parent is to be compared with it.
        """
        others = [prompt for prompt in self._nodes if prompt != apart_from] or list(self._nodes)
        if self.policy == "fixed":
            chosen = self._root
        elif self.policy == "uniform":
            chosen = others[int(self._rng.integers(len(others)))]
        elif self.policy == "flat":
            chosen = self._best_of({prompt: self._own(prompt) for prompt in others}, self._nodes[self._root].beneath)
        else:
            chosen = self._descend(apart_from if len(self._nodes) > 1 else None)
        self._fly(chosen, 1)
        return chosen

    def release(self, prompt: PromptId) -> None:
        """Nothing was made by a prompt that was chosen."""
        self._fly(prompt, -1)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Take what became of a generation's designs, which are under way no more."""
        blocks: dict[str, list[Trial]] = {}
        for trial in sorted(trials, key=lambda trial: trial.sequence):
            self.release(trial.prompt)
            if trial.measured:
                for node in self._path(trial.prompt):
                    node.beneath += 1
                node = self._nodes[trial.prompt]
                node.visits += 1
                node.failures += trial.gain is None
                blocks.setdefault(trial.block, []).append(trial)
        self._values.fade()
        for told in blocks.values():
            self._values.learn([self._nodes[t.prompt].place for t in told], [self._reward(t) for t in told])

    def widest(self, count: int) -> list[PromptId]:
        """Prompts that may have another child, the most promising first, `count` at most."""
        if self.policy == "fixed" or len(self._nodes) >= MOST_PROMPTS:
            return []
        open_ = [prompt for prompt, node in self._nodes.items() if len(node.children) < self._room(node)]
        return sorted(open_, key=lambda prompt: -self.worth(prompt).mean)[:count]

    def _enter(self, content: str, parent: PromptId | None, generation: int, origin: str, prior: float) -> Node:
        above = None if parent is None else self._nodes[parent]
        place = self._values.add(content)
        node = Node(_id(content), parent, content, generation, origin, place, prior)
        self._nodes[node.id] = node
        if above is not None:
            above.children.append(node.id)
        return node

    def _room(self, node: Node) -> int:
        constants = self._constants
        return int(constants.widening * float(node.visits) ** constants.widening_exponent)

    def _reward(self, trial: Trial) -> float:
        if trial.gain is None:
            return -self._constants.failure_cost
        return max(trial.gain, 0.0)

    def _fly(self, prompt: PromptId, count: int) -> None:
        self._nodes[prompt].flying_own += count
        for node in self._path(prompt):
            node.flying += count

    def _path(self, prompt: PromptId) -> Iterator[Node]:
        """From a prompt up to the root."""
        at: PromptId | None = prompt
        while at is not None:
            yield self._nodes[at]
            at = self._nodes[at].parent

    def _descend(self, banned: PromptId | None) -> PromptId:
        at = self._root
        while True:
            node = self._nodes[at]
            actions = {child: self._under(child) for child in node.children if self._open(child, banned)}
            if at != banned:
                actions[at] = self._own(at)
            chosen = self._best_of(actions, node.beneath + node.flying)
            if chosen == at:
                return at
            at = chosen

    def _open(self, prompt: PromptId, banned: PromptId | None) -> bool:
        """Whether anything but what is banned is to be had there."""
        return prompt != banned or bool(self._nodes[prompt].children)

    def _own(self, prompt: PromptId) -> _Action:
        node = self._nodes[prompt]
        return _Action(self.worth(prompt).mean, node.visits, node.flying_own, node.prior)

    def _under(self, prompt: PromptId) -> _Action:
        """A subtree, at the mean of its designs' values."""
        node = self._nodes[prompt]
        nodes = self._beneath(prompt)
        weights = np.array([1e-9 + one.visits for one in nodes])
        means = np.array([self.worth(one.id).mean for one in nodes])
        return _Action(float(weights @ means / weights.sum()), node.beneath, node.flying, node.prior)

    def _beneath(self, prompt: PromptId) -> list[Node]:
        node = self._nodes[prompt]
        return [node, *(one for child in node.children for one in self._beneath(child))]

    def _best_of(self, actions: Mapping[PromptId, _Action], visits: int) -> PromptId:
        """PUCT: the scaled value, and what is owed to what was seldom tried; of equals the preferred one."""
        constants, step = self._constants, self._constants.scale.prompt_sd
        means, _ = self._values.estimate()
        low, spread = float(means.min()), max(float(means.max() - means.min()), step)
        priors = np.exp(np.clip([action.prior / step for action in actions.values()], -PRIOR_STEPS, PRIOR_STEPS))
        scores = {}
        for (prompt, action), prior in zip(actions.items(), priors / priors.sum(), strict=True):
            value = (action.value - low) / spread
            value -= constants.virtual_loss * action.flying / (action.visits + action.flying + 1)
            tried = 1 + action.visits + action.flying
            scores[prompt] = value + constants.exploration * float(prior) * math.sqrt(visits + 1) / tried
        return max(scores, key=lambda name: (scores[name], self._ranks.get(name, 0.0), -self._nodes[name].place))


@dataclass(frozen=True, slots=True)
class _Action:
    value: float
    visits: int
    flying: int
    prior: float


def _id(content: str) -> PromptId:
    return PromptId(hashlib.sha256(content.encode()).hexdigest()[:12])
