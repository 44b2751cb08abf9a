"""Proposes modular designs without a language model: mutation of one part or parameter, crossover of two parents.

The operators say what may be changed (what is kept, by what it is found, how it is credited and forgotten), never
what the answer of a task is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from archive.selection import Selection, make
from design_space import Design, DesignId
from design_space.compose import ENCODERS, PREFIX, RECALL_COUNT, SLOTS, Gene, Genome, Slot, read, space_of_part
from design_space.space import Choice, Int, Parameter, Value
from meta_agent.proposer import Draft, Parent
from meta_agent.steer import FURTHER, SELECTION, Operator, Part, Steer
from meta_agent.surrogate import PartWorth, best

T = TypeVar("T")

IDEAS = 16
"""Weighed for each proposal: with more, what is believed of the parts leaves too little to chance."""
LEAST_SCORES = 6
"""Below it, every idea is as good as another."""

FRESH_PROBABILITY = 0.25
"""Of a composition that no parent has a part in: what mutation would reach in many steps, most of them downhill."""
CROSSOVER_PROBABILITY = 0.3
DEFAULT_PROBABILITY = 0.7
"""Of a fresh gene having its part's default values, which were chosen with some thought, instead of random ones."""
FURTHER_MUTATION_PROBABILITY = 0.35
SWAP_PROBABILITY = 0.5
"""Of a mutation that is to fall on one part exchanging it, instead of changing one of its values."""
STEP_PROBABILITY = 0.3
"""Of a fresh composition being asked before each step, which costs several times as much as before each task."""
STEP = 0.2
"""Standard deviation of a numeric mutation, as a share of the parameter's range (of its logarithm where it is one)."""


@dataclass(frozen=True, slots=True)
class _Idea:
    """A genome that could be proposed, and what it was made of."""

    genome: Genome
    parents: tuple[DesignId, ...]
    operator: str
    note: str


class ComposeProposer:
    """Mutates and crosses over genomes, and now and then composes one afresh.

    Of several such ideas it proposes the one whose parts have done best so far, by one draw of `surrogate.PartWorth`.

    Args:
        ideas: that are weighed for each proposal; 1 is blind variation.
    """

    name = "compose"

    def __init__(self, ideas: int = IDEAS) -> None:
        self._ideas = ideas
        self._worth = PartWorth()
        self._known: set[DesignId] = set()

    def propose(self, parents: tuple[Parent, ...], rng: np.random.Generator, prompt: str = "") -> Draft:
        steer = Steer.from_text(prompt)
        genomes = [(parent, genome) for parent in parents if (genome := read(parent.design)) is not None]
        for parent, genome in genomes:
            self._learn(parent.design.id, genome, parent.score)
        known = [(parent.design.id, genome) for parent, genome in genomes]
        if self._worth.count < LEAST_SCORES:
            idea = _think(known, rng, steer)
        else:
            ideas = [_think(known, rng, steer) for _ in range(self._ideas)]
            idea = ideas[best([idea.genome for idea in ideas], self._worth.draw(rng))]
        return Draft(idea.genome.design(), idea.parents, self.name, idea.operator, idea.note)

    def selection(self, prompt: str) -> Selection | None:
        name = SELECTION[Steer.from_text(prompt).parent]
        return None if name is None else make(name)

    def observe(self, design: Design, score: float | None) -> None:
        genome = read(design)
        if genome is not None and score is not None:
            self._learn(design.id, genome, score)

    def _learn(self, design: DesignId, genome: Genome, score: float) -> None:
        if design not in self._known:
            self._known.add(design)
            self._worth.learn(genome, score)


def _think(parents: Sequence[tuple[DesignId, Genome]], rng: np.random.Generator, steer: Steer) -> _Idea:
    fresh, crossed = _CHANCES[steer.operator]
    if not parents or rng.random() < fresh:
        return _Idea(random_genome(rng), (), "random", "composed afresh")
    (a, first), *others = parents
    if others and rng.random() < crossed:
        b, second = others[0]
        child, told = crossover(first, second, rng)
        return _Idea(child, (a, b), "crossover", told)
    child, notes = first, list[str]()
    while not notes or rng.random() < FURTHER[steer.boldness]:
        child, note = mutate(child, rng, steer.part)
        notes.append(note)
    return _Idea(child, (a,), "mutation", "; ".join(notes))


def random_genome(rng: np.random.Generator) -> Genome:
    """One composition, every part equally likely."""
    chosen = [name for name in ENCODERS if rng.random() < 0.5] or [_pick(ENCODERS, rng)]
    return Genome(
        encoders=tuple(_random_gene(name, rng) for name in chosen),
        retrieve="step" if rng.random() < STEP_PROBABILITY else "task",
        recall_count=int(_sample(RECALL_COUNT, rng)),
        **{slot: _random_gene(_pick(names, rng), rng) for slot, names in SLOTS.items()},
    )


def crossover(a: Genome, b: Genome, rng: np.random.Generator) -> tuple[Genome, str]:
    """A child of `a` that takes each gene from `b` with a chance of one half, at least one that differs."""
    differing = [p for p, gene in b.genes.items() if a.genes.get(p) != gene]
    taken = [p for p in differing if rng.random() < 0.5]
    if differing and not taken:
        taken = [_pick(differing, rng)]
    child = a
    for prefix in taken:
        child = child.with_gene(prefix, b.genes[prefix])
    if rng.random() < 0.5:
        child = replace(child, retrieve=b.retrieve, recall_count=b.recall_count)
    return child, f"took {', '.join(taken) or 'nothing'} from the second parent"


def mutate(genome: Genome, rng: np.random.Generator, part: Part = "any") -> tuple[Genome, str]:
    """Change one thing, of one part if it is named; says what."""
    operators = _OPERATORS.get(part)
    if operators is None:
        slot = next(slot for slot in SLOTS if slot == part)
        return _swap(genome, slot, rng) if rng.random() < SWAP_PROBABILITY else _change_value(genome, rng, slot)
    return operators[int(rng.integers(len(operators)))](genome, rng)


def _swap_part(genome: Genome, rng: np.random.Generator) -> tuple[Genome, str]:
    return _swap(genome, _pick(tuple(SLOTS), rng), rng)


def _swap(genome: Genome, slot: Slot, rng: np.random.Generator) -> tuple[Genome, str]:
    old: Gene = getattr(genome, slot)
    new = _pick(tuple(name for name in SLOTS[slot] if name != old.part), rng)
    return genome.with_gene(slot, Gene.of(new)), f"{slot}: {old.part} -> {new}"


def _change_encoders(genome: Genome, rng: np.random.Generator) -> tuple[Genome, str]:
    present = [gene.part for gene in genome.encoders]
    name = _pick(ENCODERS, rng)
    if name not in present:
        return genome.with_gene(PREFIX[name], Gene.of(name)), f"also remembers by {name}"
    if len(present) > 1:
        return genome.without(PREFIX[name]), f"no longer remembers by {name}"
    return _change_value(genome, rng)


def _change_value(genome: Genome, rng: np.random.Generator, slot: Slot | None = None) -> tuple[Genome, str]:
    places = [
        (prefix, name) for prefix, gene in genome.genes.items() if slot in (None, prefix) for name, _ in gene.values
    ]
    if not places:
        return _change_asking(genome, rng) if slot is None else _swap(genome, slot, rng)
    prefix, name = places[int(rng.integers(len(places)))]
    gene = genome.genes[prefix]
    values = dict(gene.values)
    values[name] = _nudge(space_of_part(gene.part)[name], values[name], rng)
    note = f"{prefix}_{name}: {_short(dict(gene.values)[name])} -> {_short(values[name])}"
    return genome.with_gene(prefix, Gene.of(gene.part, values)), note


def _change_asking(genome: Genome, rng: np.random.Generator) -> tuple[Genome, str]:
    if rng.random() < 0.4:
        other = "step" if genome.retrieve == "task" else "task"
        return replace(genome, retrieve=other), f"asked before each {other}"
    count = int(_nudge(RECALL_COUNT, genome.recall_count, rng))
    return replace(genome, recall_count=count), f"recall_count: {genome.recall_count} -> {count}"


def _nudge(parameter: Parameter, value: Value, rng: np.random.Generator) -> Value:
    """Another value of the parameter, near the present one where nearness means anything."""
    if isinstance(parameter, Choice):
        others = tuple(option for option in parameter.options if option != value)
        return _pick(others, rng) if others else value
    low, high, now = float(parameter.low), float(parameter.high), float(value)
    if parameter.log:
        low, high, now = np.log(low), np.log(high), np.log(now)
    moved = _within(now + rng.normal(0.0, STEP) * (high - low), low, high)
    moved = float(np.exp(moved)) if parameter.log else moved
    if not isinstance(parameter, Int):
        # Three digits are as much as any score can tell apart, and keep the source readable.
        return parameter.check(_within(float(f"{moved:.3g}"), parameter.low, parameter.high))
    near = round(moved)
    if near == value:
        near += 1 if rng.random() < 0.5 else -1
    return int(_within(near, parameter.low, parameter.high))


def _random_gene(part: str, rng: np.random.Generator) -> Gene:
    if rng.random() < DEFAULT_PROBABILITY:
        return Gene.of(part)
    return Gene.of(part, {name: _sample(parameter, rng) for name, parameter in space_of_part(part).items()})


def _sample(parameter: Parameter, rng: np.random.Generator) -> Value:
    if isinstance(parameter, Choice):
        return _pick(parameter.options, rng)
    low, high = float(parameter.low), float(parameter.high)
    drawn = float(np.exp(rng.uniform(np.log(low), np.log(high)))) if parameter.log else float(rng.uniform(low, high))
    if isinstance(parameter, Int):
        return int(_within(round(drawn), parameter.low, parameter.high))
    return _within(float(f"{drawn:.3g}"), low, high)


def _within(value: float, low: float, high: float) -> float:
    return float(min(max(value, low), high))


def _pick(options: Sequence[T], rng: np.random.Generator) -> T:
    return options[int(rng.integers(len(options)))]


def _short(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


_Operator = Callable[[Genome, np.random.Generator], tuple[Genome, str]]
_OPERATORS: dict[Part, tuple[_Operator, ...]] = {
    "any": (
        *(_swap_part, _swap_part, _change_encoders, _change_encoders, _change_value, _change_value),
        _change_asking,
    ),
    "encoders": (_change_encoders,),
    "numbers": (_change_value,),
    "asking": (_change_asking,),
}
"""What a mutation draws from; a part that is not named is a slot."""
_CHANCES: dict[Operator, tuple[float, float]] = {
    "any": (FRESH_PROBABILITY, CROSSOVER_PROBABILITY),
    "mutation": (0.0, 0.0),
    "crossover": (0.0, 1.0),
    "random": (1.0, 0.0),
}
"""Of composing afresh, and else of crossing over where there are two."""
