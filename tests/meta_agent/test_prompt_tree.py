"""Claims about the prompts of a search: their values are fair, their choice adds up, nothing hangs on the order."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_agent.prompt_tree import POLICIES, Constants, Policy, PromptId, Prompts, Trial
from meta_agent.prompt_values import PromptValues, Scale
from meta_agent.steer import OPTIONS, Steer, likeness, revisions


def prompts(policy: Policy = "tree", **constants: float) -> Prompts:
    return Prompts(Steer().to_text(), policy, np.random.default_rng(0), likeness, Constants(**constants))  # type: ignore[arg-type]


def grown(seed: int, generations: int, policy: Policy = "tree", shuffled: int | None = None) -> Prompts:
    """A tree after some generations of a world in which one option is good; told in another order if wished."""
    rng, tree, sequence = np.random.default_rng(seed), prompts(policy), 0
    for generation in range(1, generations + 1):
        trials = []
        for block in range(4):
            first = tree.choose()
            for prompt in (first, tree.choose(first)):
                sequence += 1
                good = Steer.from_text(tree.nodes[prompt].content).part == "key"
                gain = None if rng.random() < 0.2 else float(rng.normal(0.08 if good else 0.0, 0.03))
                trials.append(Trial(prompt, f"{generation}/{block}", sequence, gain))
        if shuffled is not None:
            random.Random(shuffled).shuffle(trials)
        tree.tell(trials)
        for wide in tree.widest(1):
            ideas = [idea.to_text() for idea in revisions(Steer.from_text(tree.nodes[wide].content))]
            tree.add(wide, ideas[int(rng.integers(len(ideas)))], generation, "")
    return tree


def state(tree: Prompts) -> list[object]:
    return [(node.id, node.parent, node.visits, node.failures, tree.worth(name)) for name, node in tree.nodes.items()]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), generations=st.integers(0, 8), policy=st.sampled_from(POLICIES))
def test_visits_add_up_along_the_tree_and_nothing_stays_under_way(seed: int, generations: int, policy: Policy) -> None:
    tree = grown(seed, generations, policy)
    for node in tree.nodes.values():
        assert node.beneath == node.visits + sum(tree.nodes[child].beneath for child in node.children)
        assert (node.flying, node.flying_own) == (0, 0)
        assert node.failures <= node.visits
    assert tree.nodes[tree.root].beneath == generations * 8


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), generations=st.integers(1, 6), order=st.integers(0, 999))
def test_the_order_of_arrival_within_a_generation_changes_nothing(seed: int, generations: int, order: int) -> None:
    assert state(grown(seed, generations)) == state(grown(seed, generations, shuffled=order))


def test_the_prompt_that_earns_more_is_chosen_more_often_and_a_tie_goes_to_the_preferred_one() -> None:
    tree = grown(3, 40)
    keyed = [n for n in tree.nodes.values() if Steer.from_text(n.content).part == "key"]
    assert keyed
    assert Steer.from_text(tree.nodes[tree.best()].content).part == "key"
    assert sum(n.visits for n in keyed) / len(keyed) > 320 / len(tree.nodes)
    fresh = prompts()
    ids = [fresh.add(fresh.root, idea.to_text(), 0, "").id for idea in revisions(Steer())[:2]]  # type: ignore[union-attr]
    assert fresh.best() == fresh.root
    fresh.prefer({ids[1]: 2.0, ids[0]: 1.0})
    assert fresh.best() == ids[1]


def test_preferences_never_outweigh_what_was_measured() -> None:
    tree = grown(3, 20)
    before = tree.best()
    tree.prefer({name: float(place) for place, name in enumerate(tree.nodes)})
    assert tree.best() == before
    tree.prefer({name: -float(place) for place, name in enumerate(tree.nodes)})
    assert tree.best() == before


def test_what_a_block_has_in_common_is_not_its_prompts_doing() -> None:
    values, chance = PromptValues(Scale(), lambda a, b: float(a == b)), np.random.default_rng(0)
    values.add("a")
    values.add("b")
    for _ in range(200):
        common = float(chance.uniform(0.0, 0.3))
        values.learn((0, 1), (common + 0.04, common))
    means, sds = values.estimate()
    assert means[0] - means[1] == pytest.approx(0.04, abs=0.005)
    assert all(sds > 0.0)


def test_little_evidence_is_shrunk_and_old_evidence_fades() -> None:
    once, often = (PromptValues(Scale(fading=0.5), lambda a, b: float(a == b)) for _ in range(2))
    for values, count in ((once, 1), (often, 50)):
        values.add("a")
        values.add("b")
        for _ in range(count):
            values.learn((0, 1), (0.1, 0.0))
    gaps = [values.estimate()[0][0] - values.estimate()[0][1] for values in (once, often)]
    assert 0.0 < gaps[0] < 0.3 * gaps[1]
    assert gaps[1] < 0.1
    for _ in range(8):
        often.fade()
    assert often.estimate()[0][0] - often.estimate()[0][1] < 0.5 * gaps[1]


def test_a_prompt_like_a_good_one_is_expected_to_be_good() -> None:
    tree = grown(3, 40)
    good = Steer(part="key", boldness="many things").to_text()
    assert tree.foresee(good).mean > tree.foresee(Steer(part="asking", boldness="many things").to_text()).mean
    assert tree.foresee(good).n == 0


def test_designs_asked_for_at_once_spread_and_partners_differ() -> None:
    tree = grown(5, 12)
    chosen: list[PromptId] = []
    for _ in range(6):
        chosen.append(tree.choose())
        chosen.append(tree.choose(chosen[-1]))
    assert all(a != b for a, b in zip(chosen[::2], chosen[1::2], strict=True))
    assert len(set(chosen)) >= 3


def test_a_prompt_makes_room_for_children_as_it_is_used() -> None:
    tree = prompts()
    assert tree.widest(3) == []
    tree.tell([Trial(tree.choose(), "1/0", 0, 0.1)])
    assert tree.widest(3) == [tree.root]
    assert tree.add(tree.root, Steer(part="key").to_text(), 1, "") is not None
    assert tree.add(tree.root, Steer(part="key").to_text(), 1, "") is None
    assert tree.widest(3) == []
    assert prompts("fixed").widest(3) == []


def test_a_failure_counts_and_what_was_never_measured_does_not() -> None:
    tree = prompts(failure_cost=0.05)
    tree.tell([Trial(tree.choose(), "1/0", 0, None), Trial(tree.choose(), "1/1", 1, None, measured=False)])
    root = tree.nodes[tree.root]
    assert (root.visits, root.failures) == (1, 1)
    assert tree.worth(tree.root).mean < 0.0


def test_a_structured_prompt_is_read_back_and_its_revisions_differ_in_one_field() -> None:
    steer = Steer(part="numbers", parent="best")
    assert Steer.from_text(steer.to_text()) == steer
    ideas = revisions(steer, Steer(part="key", parent="best"))
    assert all(likeness(steer.to_text(), idea.to_text()) == 1 - 1 / len(OPTIONS) for idea in ideas)
    assert "key" not in {idea.part for idea in ideas}
    with pytest.raises(ValueError, match="part is 'wheels', wanted one of any"):
        Steer.from_text('{"operator": "any", "part": "wheels", "boldness": "usual", "parent": "usual"}')


def test_prompts_do_not_become_more_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meta_agent.prompt_tree.MOST_PROMPTS", 20)
    assert len(grown(0, 60, "flat").nodes) == 20
