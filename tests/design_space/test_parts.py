"""Claims about the parts of modular memories, and about memories composed of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from design_space import Episode, Item, Query, Recall, Snapshot, Step
from design_space import parts as library
from design_space.kit import GuestKit
from design_space.parts import (
    Bm25,
    BothKey,
    CausalCredit,
    Cosine,
    EffectEncoder,
    Entry,
    FactEncoder,
    Fifo,
    GoalKey,
    ImmediateCredit,
    KeepAll,
    MergeSimilar,
    ModularMemory,
    NoteEncoder,
    NoValue,
    ObjectKey,
    Parts,
    QValue,
    RankFusion,
    Recency,
    RuleEncoder,
    SituationKey,
    StepEncoder,
    TrajectoryEncoder,
    Utility,
    UtilityPruning,
)
from design_space.parts.effects import kind_of, stem_of
from design_space.parts.encoders import generalise
from design_space.parts.entries import Baseline, Learner, returns
from design_space.space import Space

KIT = GuestKit(0, Path("unused"), None)
RETRIEVERS = (Recency, Bm25, Cosine, RankFusion)
RECIPE = "Directions:\nfry the carrot\nroast the egg"


def step(situation: str, action: str, observation: str = "done", reward: float = 0.0, recall: Any = ()) -> Step:
    return Step(situation, action, observation, reward, Recall(tuple(recall)))


def episode(*steps: Step, goal: str = "make a meal", reward: float | None = None) -> Episode:
    return Episode("e", goal, steps, sum(s.reward or 0.0 for s in steps) if reward is None else reward)


COOKING = episode(
    step("at kitchen\ncarrying raw carrot\ncarrying egg", "read book", RECIPE),
    step("at kitchen\ncarrying raw carrot\ncarrying egg", "cook carrot with stove", "fried", 1.0),
)


def entry(text: str = "t", situation: str = "s", action: str = "a", value: float = 0.5, **more: Any) -> Entry:
    return Entry(more.pop("id", text), text, "goal", "objects", situation, action, value, **more)


# Returns and values


def test_returns_discount_and_a_silent_environment_pays_at_the_end() -> None:
    assert returns(episode(step("", "a"), step("", "b", reward=1.0)), 0.5) == [0.5, 1.0]
    silent = Episode("e", "g", (Step("", "a", ""), Step("", "b", "")), 1.0)
    assert returns(silent, 0.5) == [0.5, 1.0]


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40))
def test_a_baseline_orders_by_return_around_one_half(earned: list[float]) -> None:
    baseline = Baseline()
    values = [baseline.take(e) for e in earned]
    assert all(0.0 <= value <= 1.0 for value in values)
    twin = Baseline()
    twin.set_state(json.loads(json.dumps(baseline.state())))
    low, high = Baseline(), Baseline()
    for copy in (low, high):
        copy.set_state(baseline.state())
    assert low.take(0.0) <= 0.5 <= high.take(1.0)
    assert twin.take(0.3) == baseline.take(0.3)


# Encoders


def test_a_trajectory_is_stored_whole_and_only_if_it_earned_enough() -> None:
    (stored,) = TrajectoryEncoder().encode(COOKING)
    assert "cook carrot with stove" in stored.text
    assert "Reward: 1.00" in stored.text
    assert stored.action == ""
    assert TrajectoryEncoder(admit="full").encode(episode(step("", "a"), reward=0.4)) == []


def test_steps_are_worth_what_they_led_to() -> None:
    read, cook = StepEncoder(discount=0.5).encode(COOKING)
    assert (read.action, cook.action) == ("read book", "cook carrot with stove")
    assert cook.value > 0.5
    assert [e.action for e in StepEncoder(discount=0.0, admit="gains").encode(COOKING)] == ["cook carrot with stove"]


def test_a_rule_puts_variables_for_what_demand_and_action_share() -> None:
    rule = RuleEncoder(state=False).encode(COOKING)[-1]
    assert (rule.situation, rule.action) == ("fry {x}", "cook {x} stove")
    assert rule.objects.split() == ["fry"]
    concrete = RuleEncoder(state=False, level="concrete").encode(COOKING)[-1]
    assert (concrete.situation, concrete.action) == ("fry carrot", "cook carrot stove")
    assert len(RuleEncoder(state=False, level="both").encode(COOKING)) == 2


def test_a_rule_may_ask_for_what_was_held_of_its_thing_and_for_nothing_else() -> None:
    assert RuleEncoder().encode(COOKING)[-1].situation == "fry {x}\ncarrying raw {x}"


def test_a_rule_follows_what_is_held_where_the_action_names_nothing_of_the_task() -> None:
    walk = episode(step("carrying cup", "go to oven", reward=1.0), goal="the cup must be hot")
    (rule,) = RuleEncoder(admit="all").encode(walk)
    assert (rule.situation, rule.action) == ("{x} must hot\ncarrying {x}", "go oven")


def test_no_rule_has_a_condition_that_always_holds() -> None:
    listed = episode(step("", "take egg from shelf", reward=1.0), goal="egg")
    assert RuleEncoder(admit="all").encode(listed) == []
    (said,) = RuleEncoder(admit="all").encode(episode(step("", "prepare meal", reward=1.0), goal="prepare meal"))
    assert (said.situation, said.action) == ("prepare meal", "prepare meal")


def test_a_fact_speaks_for_the_action_after_which_a_thing_came_into_view() -> None:
    encoder = FactEncoder(reach=1)
    walk = episode(step("nothing here", "go to desk"), step("cup", "go to bed"), step("pillow", "wait"), goal="g")
    facts = {(e.objects, e.action): e for e in encoder.encode(walk)}
    assert facts["cup", "go to desk"].value > 0.5
    assert facts["cup", "go to desk"].situation == "cup\n! cup"
    assert ("cup", "go to bed") not in facts
    again = {(e.objects, e.action): e for e in encoder.encode(walk)}
    assert again["cup", "go to desk"].value >= facts["cup", "go to desk"].value


def cooked(thing: str, tool: str, came_out: str, reward: float = 0.0) -> Episode:
    """A task in which the recipe is read, and then one thing is cooked: the last action of it all."""
    here = f"at kitchen\ncarrying raw {thing}\ncarrying knife"
    read = step(here, "read book", f"Directions:\nfry the {thing}\nroast the {thing}")
    return episode(read, step(here, f"cook {thing} with {tool}", f"You {came_out} the {thing}.", reward))


def spoken(entries: list[Entry]) -> dict[tuple[str, str], Entry]:
    return {(e.situation, e.action): e for e in entries}


def test_an_effect_is_learned_from_what_is_seen_though_nothing_was_earned() -> None:
    encoder = EffectEncoder()
    encoder.encode(cooked("carrot", "stove", "roasted"))
    said = spoken(encoder.encode(cooked("red apple", "oven", "fried")))
    assert said["fry {x}", "cook {x} oven"].value > 0.5 > said["fry {x}", "cook {x} stove"].value
    assert said["roast {x}", "cook {x} stove"].value > 0.5 > said["roast {x}", "cook {x} oven"].value
    assert said["fry {x}", "cook {x} oven"].text == "fry {x}: cook {x} oven (1 of 1 times)"
    assert said["fry {x}", "cook {x} oven"].objects.split() == ["fry"]
    assert len(said) == 4, "reading changes nothing, and says nothing"


def test_an_effect_that_failed_to_come_speaks_against_the_action() -> None:
    encoder = EffectEncoder()
    washed = episode(
        step("at sink\ncarrying cup", "clean cup with sink", "Nothing happens."),
        step("at sink\ncarrying cup", "go to bath"),
        step("at bath\ncarrying cup", "clean cup with bath", "It is clean."),
        step("at bath\ncarrying clean cup", "go to desk"),
        goal="bring the cup to the desk\nthe cup must be clean",
    )
    said = spoken(encoder.encode(washed))
    assert said["{x} must clean", "clean {x} bath"].value > 0.5 > said["{x} must clean", "clean {x} sink"].value
    assert {action for _, action in said} == {"clean {x} bath", "clean {x} sink"}


def test_what_holds_of_a_kind_of_things_is_told_apart_from_what_holds_of_all() -> None:
    encoder = EffectEncoder("both", doubt=0.5)
    for thing in ("carrot", "red onion", "white onion"):
        encoder.encode(cooked(thing, "oven", "fried"))
    said = spoken(encoder.encode(cooked("green apple", "oven", "roasted")))
    assert said["fry {x}", "cook {x} oven"].value > said["fry {x} apple", "cook {x} apple oven"].value
    assert said["roast {x} apple", "cook {x} apple oven"].value > said["roast {x}", "cook {x} oven"].value
    assert said["fry carrot", "cook carrot oven"].value > said["fry {x}", "cook {x} oven"].value
    assert {e.text for e in EffectEncoder("kind").encode(cooked("red onion", "oven", "fried"))} == {
        "fry {x} onion: cook {x} onion oven (1 of 1 times)"
    }


@pytest.mark.parametrize(
    ("word", "state"),
    [("fry", "fried"), ("roast", "roasted"), ("chop", "chopped"), ("dice", "diced"), ("grill", "grilled")],
)
def test_a_verb_and_the_state_that_it_brings_about_have_one_stem(word: str, state: str) -> None:
    assert stem_of(word) == stem_of(state)


def test_short_words_stay_apart() -> None:
    assert len({stem_of(word) for word in ("red", "hot", "bed", "cold", "clean", "ice")}) == 6
    assert (kind_of("red hot pepper"), kind_of("carrot")) == ("{x} pepper", "carrot")


WORDS = st.lists(st.sampled_from(["ab", "cd", "ef", "gh", "ij"]), min_size=1, max_size=5).map(" ".join)


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_generalising_keeps_the_lines_and_replaces_only_what_they_share(lines: list[str]) -> None:
    general = generalise(lines)
    assert len(general) == len(lines)
    for name in ("{x}", "{y}", "{z}"):
        holders = [line for line in general if name in line.split()]
        assert len(holders) != 1
    if len(lines) == 1:
        assert general == lines


# Keys


def test_keys_compare_like_with_like() -> None:
    stored = Entry("i", "text", "the goal", "cup", "the situation", "go", 0.5)
    query = Query("my goal", "my situation", 1, (("read book", RECIPE), ("look", "one line")))
    assert (GoalKey().of(stored), GoalKey().probe(query)) == ("the goal", "my goal")
    assert SituationKey(0).of(stored) == "the situation"
    assert SituationKey(0).probe(query).strip() == "my situation"
    assert "the goal" in BothKey().of(stored)
    assert "one line" in BothKey().probe(query)
    assert ObjectKey().of(stored) == "cup"


def test_an_object_key_looks_at_the_task_and_at_documents_only() -> None:
    query = Query("my goal", "my situation", 1, (("read book", RECIPE), ("look", "you see a cup")))
    assert ObjectKey().probe(query) == f"my goal\n{RECIPE}"
    assert ObjectKey(0).probe(query) == "my goal"


# Retrievers


@pytest.mark.parametrize("kind", RETRIEVERS)
@given(keys=st.lists(WORDS, max_size=8), probe=WORDS)
@settings(max_examples=30)
def test_scores_are_shares_and_do_not_depend_on_how_the_keys_came(kind: Any, keys: list[str], probe: str) -> None:
    grown, reset = kind(KIT), kind(KIT)
    for key in keys:
        grown.add(key)
    reset.reset(keys)
    scores = grown.scores(probe)
    assert scores.shape == (len(keys),)
    assert np.array_equal(scores, reset.scores(probe))
    assert np.all((scores >= 0.0) & (scores <= 1.0 + 1e-6))


@pytest.mark.parametrize("kind", [Bm25, Cosine, RankFusion])
def test_the_key_that_says_the_same_comes_first(kind: Any) -> None:
    retriever = kind(KIT)
    retriever.reset(["red cup desk", "blue pillow bed", "green lamp floor"])
    assert int(np.argmax(retriever.scores("blue pillow bed"))) == 1


def test_recency_prefers_the_latest() -> None:
    retriever = Recency(KIT, half_life=2.0)
    retriever.reset(["a", "b", "c"])
    assert retriever.scores("whatever").tolist() == pytest.approx([0.5, 2**-0.5, 1.0])


# Values and credit


@pytest.mark.parametrize("term", [QValue(), Utility()])
@given(earned=st.lists(st.floats(0.0, 1.0), max_size=30))
def test_values_stay_in_range_and_follow_credit(term: Any, earned: list[float]) -> None:
    used = entry()
    assert term.of(used) == 0.5
    for value in earned:
        term.credit(used, value)
        assert 0.0 <= term.of(used) <= 1.0
    good, bad = entry(), entry()
    for _ in range(10):
        term.credit(good, 1.0)
        term.credit(bad, 0.0)
    assert term.of(good) > 0.8
    assert term.of(bad) < 0.2


def test_no_value_forgets_use_and_keeps_what_was_observed() -> None:
    used = entry(value=0.7)
    NoValue().credit(used, 0.0)
    assert NoValue().of(used) == 0.7
    assert NoValue(weight=0.3).weight == 0.3


def test_immediate_credit_goes_to_all_that_was_recalled_once() -> None:
    a, b = Item("a", ""), Item("b", "")
    told = episode(step("", "go", recall=(a, b)), step("", "stay", recall=(a,)), reward=0.4)
    assert list(ImmediateCredit().assign(told)) == [("a", 0.4), ("b", 0.4)]


def test_causal_credit_goes_only_to_advice_that_was_followed() -> None:
    followed, other = Item("a", "", action="cook {x} with stove"), Item("b", "", action="go to bed")
    told = episode(step("", "wait", recall=(followed,)), step("", "cook egg with stove", "", 1.0, (followed, other)))
    ((name, value),) = CausalCredit().assign(told)
    assert name == "a"
    assert value > 0.5


# Managers


def test_managers_keep_what_they_say() -> None:
    entries = [entry(str(i), situation=f"place{i}") for i in range(30)]
    assert KeepAll().manage(entries, NoValue(), 1) == entries
    assert Fifo(10).manage(entries, NoValue(), 1) == entries[-10:]
    harmful = entry("bad", value=0.0, uses=9)
    assert UtilityPruning(period=1).manage([*entries, harmful], Utility(), 1) == entries
    assert harmful in UtilityPruning(period=5).manage([*entries, harmful], Utility(), 1)


def test_merging_pools_what_nearly_equal_entries_observed() -> None:
    early = entry("first", "red cup on desk", value=1.0)
    late = entry("second", "red cup on the desk", value=0.0, uses=2)
    (kept,) = MergeSimilar().manage([early, late], NoValue(), 1)
    assert (kept.id, kept.value, kept.count, kept.uses) == ("first", 0.5, 2, 2)
    apart = [entry("a", "red cup"), entry("b", "red cup", action="other")]
    assert MergeSimilar().manage(apart, NoValue(), 1) == apart


# Memories


@pytest.mark.parametrize("name", [n for n in library.__all__ if hasattr(getattr(library, n), "SPACE")])
def test_every_parameter_of_a_part_is_an_argument_of_its_constructor(name: str) -> None:
    kind = getattr(library, name)
    if getattr(kind, "_is_protocol", False) or kind is ModularMemory or not isinstance(kind.SPACE, Space):
        return
    values = kind.SPACE.fill({})
    kind(KIT, **values) if kind in RETRIEVERS else kind(**values)


class Composed(ModularMemory):
    """All parts that learn, and a manager that forgets."""

    RETRIEVE = "step"

    def compose(self, p: Mapping[str, Any]) -> Parts:
        learned = (RuleEncoder(level="both"), EffectEncoder("both"), FactEncoder())
        encoders = (TrajectoryEncoder(), StepEncoder(), NoteEncoder(tally=True), *learned)
        return Parts(encoders, BothKey(), RankFusion(self.kit), QValue(), CausalCredit(), MergeSimilar(0.6, 20))


class Tallying(ModularMemory):
    """Notes that are counted."""

    def compose(self, p: Mapping[str, Any]) -> Parts:
        encoders = (NoteEncoder(tally=True, least_words=3),)
        return Parts(encoders, ObjectKey(), Bm25(self.kit), NoValue(), ImmediateCredit(), KeepAll())


PLACES = st.sampled_from(["desk", "bed", "shelf"])
THINGS = st.sampled_from(["cup", "egg", "red lamp"])


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[str, list[tuple[str, str, float]]]]:
    """Tasks with what happened in them: situation, action and reward of each step."""
    happened = st.tuples(
        st.builds("at {}\nsee {}\ncarrying {}".format, PLACES, THINGS, THINGS),
        st.one_of(st.builds("go to {}".format, PLACES), st.builds("take {} from {}".format, THINGS, PLACES)),
        st.sampled_from([0.0, 0.0, 0.5]),
    )
    tasks = st.tuples(st.builds("bring the {} to the {}".format, THINGS, PLACES), st.lists(happened, max_size=5))
    return draw(st.lists(tasks, max_size=6))


def live(memory: Composed, goal: str, steps: list[tuple[str, str, float]]) -> list[Recall]:
    """One task with the memory; what it recalled."""
    recalls = [memory.retrieve(Query(goal, situation, i)) for i, (situation, _, _) in enumerate(steps)]
    done = [Step(s, a, "done", r, recall) for (s, a, r), recall in zip(steps, recalls, strict=True)]
    memory.update(Episode("e", goal, tuple(done), min(1.0, sum(r for _, _, r in steps))))
    return recalls


@given(past=lives(), future=lives())
@settings(max_examples=40, deadline=None)
def test_a_restored_memory_goes_on_exactly_as_the_original(past: Any, future: Any) -> None:
    original = Composed(KIT)
    for goal, steps in past:
        live(original, goal, steps)
    data = json.loads(json.dumps(original.snapshot().data, sort_keys=True))
    restored = Composed(KIT)
    restored.restore(Snapshot(data))
    for goal, steps in future:
        assert live(original, goal, steps) == live(restored, goal, steps)
    assert original.snapshot().data == restored.snapshot().data


def test_all_parts_that_keep_state_of_their_own_say_so() -> None:
    assert isinstance(CausalCredit(), Learner)
    assert isinstance(MergeSimilar(), Learner)
    assert all(
        isinstance(kind(), Learner) for kind in (StepEncoder, NoteEncoder, RuleEncoder, EffectEncoder, FactEncoder)
    )
    assert not isinstance(TrajectoryEncoder(), Learner)


def test_an_empty_memory_recalls_nothing_and_a_full_one_the_best_first() -> None:
    memory = Composed(KIT)
    assert memory.retrieve(Query("bring the cup to the bed")) == Recall()
    live(memory, "bring the cup to the bed", [("at desk", "take cup from desk", 0.5), ("at desk", "go to bed", 0.5)])
    recall = memory.retrieve(Query("bring the cup to the bed", "at desk"))
    assert 0 < len(recall.items) <= 10
    assert all(item.value is not None and 0.0 <= item.value <= 1.0 for item in recall.items)
    assert len({item.id for item in recall.items}) == len(recall.items)


TALK = Episode(
    "d1",
    "a conversation",
    (Step("", "", "user: Good day. My cat is called Tom."), Step("", "", "assistant: I see.")),
)


@pytest.mark.parametrize(
    ("unit", "texts"),
    [
        ("sentence", ["My cat is called Tom."]),
        ("turn", ["user: Good day. My cat is called Tom."]),
        ("session", ["user: Good day. My cat is called Tom.\nassistant: I see."]),
    ],
)
def test_notes_quote_a_dialogue_and_leave_small_talk_out(unit: str, texts: list[str]) -> None:
    notes = NoteEncoder(unit=unit, least_words=4).encode(TALK)
    assert [note.text for note in notes] == texts
    assert all(note.objects == note.text and not note.action for note in notes)


def test_notes_that_tally_say_how_often_and_are_stored_once() -> None:
    memory = Tallying(KIT)
    for day in range(3):
        talk = (Step("", "", "user: Good day. Ann went swimming today."), Step("", "", f"user: Day {day} is over."))
        memory.update(Episode(f"d{day}", "a conversation", talk))
    texts = [item.text for item in memory.retrieve(Query("How often has Ann been swimming?")).items]
    assert texts == ["3 times: Ann went swimming today."]
    restored = Tallying(KIT)
    restored.restore(Snapshot(json.loads(json.dumps(memory.snapshot().data))))
    restored.update(Episode("d3", "a conversation", talk[:1]))
    assert restored.retrieve(Query("Ann")).items[0].text == "4 times: Ann went swimming today."


def test_a_dialogue_teaches_no_rules_and_no_facts_of_actions() -> None:
    assert [entry.text for entry in StepEncoder(admit="gains").encode(TALK)] == [s.observation for s in TALK.steps]
    assert RuleEncoder().encode(TALK) == []
    assert EffectEncoder().encode(TALK) == []
    assert FactEncoder().encode(TALK) == []
