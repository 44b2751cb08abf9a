"""Claims about the search alone: no sandbox, a made-up landscape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from archive.selection import NAMES, make
from design_space import Design, DesignId, catalogue
from design_space.compose import read
from meta_agent.compose import ComposeProposer, random_genome
from meta_agent.generation import Generation
from meta_agent.policy import Request, next_rung, within
from meta_agent.proposer import BatchProposer, Draft, Order
from meta_agent.search import Search
from meta_agent.tune import TuneProposer

SEEDS = ("exprag", "memento", "trajectory_retrieval")


def new_search(seed: int = 0, selection: str = "thompson", tune: float = 0.2) -> Search:
    seeds = [catalogue.load(name) for name in SEEDS]
    controls = [catalogue.load("no_memory")]
    proposers = [(ComposeProposer(), 1.0 - tune), (TuneProposer(seed), tune)]
    return Search(seed, seeds, controls, 6, make(selection), proposers)


def landscape(design: Design, stream: int) -> float:
    """A score that depends on the design's parts and on the stream, without chance."""
    genome = read(design)
    worth = 0.2 if genome is None else 0.2 + 0.1 * len(genome.encoders) + 0.1 * (genome.key.part == "ObjectKey")
    return min(1.0, worth + 0.02 * (stream % 3) + int(design.id[:4], 16) / 65_536 * 0.05)


def play(search: Search, generations: int, backwards: bool = False) -> list[Generation]:
    asked = []
    for _ in range(generations):
        generation = search.ask()
        order: Sequence[DesignId] = generation.designs[::-1] if backwards else generation.designs
        for design in order:
            search.population.observe(
                design, {s: landscape(search.population.designs[design], s) for s in range(4)}, failed=False
            )
        search.tell(generation)
        asked.append(generation)
    return asked


@pytest.mark.parametrize("selection", NAMES)
def test_equal_seeds_give_equal_searches_whatever_the_order_of_arrival(selection: str) -> None:
    first, second = new_search(3, selection), new_search(3, selection)
    assert play(first, 5) == play(second, 5, backwards=True)
    assert first.population.ranked() == second.population.ranked()


def test_other_seeds_give_other_searches() -> None:
    assert play(new_search(1), 3)[1:] != play(new_search(2), 3)[1:]


def test_a_search_without_any_parent_composes_afresh() -> None:
    """Every seed failed, or is the same as a control: tuning has nothing to tune then."""
    search = new_search(tune=1.0)
    seeds = search.ask()
    for design in seeds.designs:
        search.population.observe(design, {}, failed=True)
    search.tell(seeds)
    assert {slot.draft.operator for slot in search.ask().slots} == {"random"}


def test_the_search_climbs_and_every_child_names_its_parent() -> None:
    search = new_search()
    play(search, 8)
    members = search.population.members
    best = search.population.ranked()[0]
    assert members[best].generation > 0
    seeds = [d for d, m in members.items() if m.generation == 0]
    assert search.population.believed(best).mean > max(search.population.believed(d).mean for d in seeds)
    for member in members.values():
        assert all(parent in members for parent in member.slot.draft.parents)


def test_no_design_is_asked_for_twice() -> None:
    search = new_search()
    prints = [s.fingerprint for g in play(search, 6) for s in g.slots if s.novel]
    assert len(prints) == len(set(prints))


def test_controls_are_never_parents_and_never_lead() -> None:
    search = new_search()
    play(search, 6)
    null = catalogue.load("no_memory").id
    assert null in search.population.members
    assert null not in search.population.ranked()
    assert all(null not in m.slot.draft.parents for m in search.population.members.values())


def test_a_failed_design_stays_but_is_no_parent() -> None:
    search = new_search()
    play(search, 2)
    generation = search.ask()
    lost = generation.designs[0]
    search.population.observe(lost, {0: 1.0, 1: 1.0}, failed=True)
    search.tell(generation)
    play(search, 3)
    assert lost in search.population.members
    assert lost not in search.population.ranked()
    assert all(lost not in m.slot.draft.parents for m in search.population.members.values())


def test_a_finalist_that_fails_while_it_is_confirmed_does_not_win() -> None:
    search = new_search()
    play(search, 3)
    population = search.population
    finalists = population.ranked()[:3]
    for lost in finalists:
        assert population.first_of(finalists) == lost
        population.observe(lost, {4: 0.0}, failed=True)
    assert population.first_of(finalists) == population.ranked()[0], "none of them works: the best one that does"
    for lost in population.ranked():
        population.observe(lost, {4: 0.0}, failed=True)
    assert population.first_of(finalists) is None


def test_without_a_parent_a_search_whose_drafts_are_all_written_by_models_proposes_nothing() -> None:
    class Writer(BatchProposer):
        name = "writer"

        def selection(self, prompt: str) -> None:
            return None

        def observe(self, design: Design, score: float | None) -> None:
            return None

        def propose_all(self, orders: Sequence[Order], search: Search) -> list[Draft]:
            raise AssertionError("there is no parent to write for")

    seeds, controls = [catalogue.load(SEEDS[0])], [catalogue.load("no_memory")]
    search = Search(0, seeds, controls, 6, make("thompson"), [(ComposeProposer(), 0.0), (Writer(), 1.0)])
    first = search.ask()
    for design in first.designs:
        search.population.observe(design, {0: 0.0}, failed=True)
    search.tell(first)
    assert search.ask().slots == ()


def test_one_lucky_stream_does_not_lead() -> None:
    """A single high score is drawn towards the parent's posterior."""
    search = new_search()
    play(search, 1)
    generation = search.ask()
    lucky, steady = generation.designs[:2]
    search.population.observe(lucky, {0: 0.6}, failed=False)
    search.population.observe(steady, dict.fromkeys(range(4), 0.58), failed=False)
    search.tell(generation)
    assert search.population.believed(lucky).sd >= search.population.believed(steady).sd
    assert search.population.believed(lucky).mean < 0.6


def test_the_comparison_is_with_the_parent_on_shared_streams() -> None:
    search = new_search()
    play(search, 3)
    child = next(d for d, m in search.population.members.items() if m.slot.draft.parents)
    compared = search.population.compared(child)
    assert compared is not None
    parent, gain = compared
    assert parent in search.population.members[child].slot.draft.parents
    assert gain.n == 4
    shared = [
        landscape(search.population.designs[child], s) - landscape(search.population.designs[parent], s)
        for s in range(4)
    ]
    assert gain.mean == pytest.approx(np.mean(shared))


def test_a_parent_that_was_lucky_where_its_child_was_seen_does_not_speak_against_the_child() -> None:
    search = new_search(tune=0.0)
    first = search.ask()
    for design in first.designs:
        search.population.observe(design, dict.fromkeys(range(8), 0.4), failed=False)
    search.tell(first)
    generation = search.ask()
    slot = next(slot for slot in generation.slots if slot.given is not None and slot.novel)
    assert slot.given is not None
    search.population.observe(slot.given, {0: 1.0}, failed=False)
    search.population.observe(slot.draft.design.id, {0: 0.4}, failed=False)
    gain = search.population.gain(slot)
    assert gain is not None
    assert gain > -0.2, "the paired difference is -.6, and nearly all of it the parent's luck on that stream"


def test_promotion_keeps_the_better_part_and_is_a_function_of_the_order_of_asking() -> None:
    a, b, c, d = (DesignId(name) for name in "abcd")
    standing = {a: 0.3, b: None, c: 0.5, d: 0.3}
    assert next_rung(standing, 1, (2, 4), keep=0.5) == [Request(a, (2, 3)), Request(c, (2, 3))]
    fifty = {DesignId(str(i)): i / 50 for i in range(50)}
    assert len(next_rung(fifty, 1, (2, 4), keep=0.14)) == 7


def test_an_allowance_is_never_passed() -> None:
    requests = [Request(DesignId(str(i)), (0, 1, 2)) for i in range(5)]
    assert within(requests, 8) == requests[:2]
    assert within(requests, 2) == []


def test_composed_designs_read_back_as_the_genome_they_were_written_from() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        genome = random_genome(rng)
        assert read(genome.design()) == genome


def test_tuning_proposes_values_inside_the_space_and_hears_of_them() -> None:
    search = new_search(tune=1.0)
    asked = play(search, 6)
    tuned = [s.draft for g in asked[1:] for s in g.slots if s.novel and s.draft.operator == "tuning"]
    assert tuned
    for draft in tuned:
        assert draft.design.source == search.population.designs[draft.parents[0]].source
        assert draft.design.params


def test_a_design_that_recalls_what_an_earlier_one_does_is_that_one() -> None:
    search = new_search()
    play(search, 2)
    generation = search.ask()
    first, copy, other = generation.designs[:3]
    for design, recalls in ((copy, "ab"), (other, "cd"), (first, "ab")):
        search.population.observe(design, {0: 0.9}, failed=False, recalls=recalls)
    assert search.population.pool(generation) == [(copy, first)], (
        "the one that was asked for first stays, not the one told first"
    )
    search.tell(generation)
    assert copy not in search.population.ranked()
    assert {first, other} <= set(search.population.ranked())
    later = search.ask()
    search.population.observe(later.designs[0], {0: 0.1}, failed=False, recalls="cd")
    assert search.population.pool(later) == [(later.designs[0], other)]
    search.tell(later)
    play(search, 2)
    assert all(copy not in m.slot.draft.parents for m in search.population.members.values())


def test_a_design_that_recalls_what_a_failed_one_did_is_no_copy_of_it() -> None:
    search = new_search()
    play(search, 2)
    generation = search.ask()
    crashing, mended = generation.designs[:2]
    search.population.observe(crashing, {0: 0.9}, failed=False, recalls="ab")
    assert search.population.pool(generation) == []
    search.population.observe(crashing, {1: 0.0}, failed=True)
    search.population.observe(mended, {0: 0.9}, failed=False, recalls="ab")
    assert search.population.pool(generation) == []
    assert mended in search.population.ranked()


def test_what_a_search_begins_with_stays_even_if_all_recall_the_same() -> None:
    search = new_search()
    first = search.ask()
    for design in first.designs:
        search.population.observe(design, {0: 0.1}, failed=False, recalls="ab")
    assert search.population.pool(first) == []
    search.tell(first)
    assert search.population.ranked()
    later = search.ask()
    search.population.observe(later.designs[0], {0: 0.1}, failed=False, recalls="ab")
    assert search.population.pool(later) == [(later.designs[0], first.designs[0])]
