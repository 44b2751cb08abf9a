"""Claims about what is believed of designs: it is the exact posterior, and choosing by it is not choosing by luck."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from archive.beliefs import GROWTH, Beliefs, Scales

SCALES = Scales(0.4, level_sd=0.2, step_sd=0.07, drift=-0.02, noise_sd=0.12, ease_sd=0.06, trait_sd=0.05)


def lineage(rng: np.random.Generator, count: int) -> list[int | None]:
    return [None if i < 3 else int(rng.integers(i)) for i in range(count)]


def dense(
    parents: list[int | None], traits: list[str], told: list[dict[int, float]], scales: Scales
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of all designs by the textbook: one multivariate normal, conditioned.

    Args:
        traits: one letter each.
    """
    n, streams = len(parents), 1 + max(s for scores in told for s in scores)
    prior, mean = np.zeros((n, n)), np.zeros(n)
    for i, parent in enumerate(parents):
        if parent is None:
            prior[i, i], mean[i] = scales.level_sd**2, scales.level
        else:
            prior[i, :i] = prior[:i, i] = prior[parent, :i]
            prior[i, i] = prior[parent, parent] + scales.step_sd**2
            mean[i] = mean[parent] + scales.drift
    has = np.array([[float(letter in own) for letter in "abcd"] for own in traits])
    prior += scales.trait_sd**2 * has @ has.T
    seen = [(i, s, score) for i, scores in enumerate(told) for s, score in scores.items()]
    design = np.array([[float(i == j) for j in range(n)] for i, _, _ in seen])
    stream = np.array([[float(s == j) for j in range(streams)] for _, s, _ in seen])
    spread = design @ prior @ design.T + scales.ease_sd**2 * stream @ stream.T + scales.noise_sd**2 * np.eye(len(seen))
    gain = prior @ design.T @ np.linalg.inv(spread)
    found = np.array([score for *_, score in seen])
    return mean + gain @ (found - design @ mean), np.sqrt(np.diag(prior - gain @ design @ prior))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 25))
def test_it_is_the_exact_posterior(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    parents = lineage(rng, count)
    told = [{s: float(rng.normal(0.4, 0.2)) for s in range(int(rng.integers(0, 5)))} for _ in parents]
    told[0] = {0: 0.5}
    traits = ["".join(letter for letter in "abcd" if rng.random() < 0.4) for _ in parents]
    beliefs = Beliefs(SCALES)
    for i, (parent, scores) in enumerate(zip(parents, told, strict=True)):
        beliefs.add(parent, traits[i])
        beliefs.tell(i, scores)
    mean, sd = beliefs.all()
    wanted_mean, wanted_sd = dense(parents, traits, told, SCALES)
    assert mean == pytest.approx(wanted_mean, abs=1e-9)
    assert sd == pytest.approx(wanted_sd, abs=1e-9)
    assert beliefs.of(count - 1) == pytest.approx((mean[-1], sd[-1]))


def test_a_new_design_is_believed_in_by_its_parent_until_all_are_solved_anew() -> None:
    rng = np.random.default_rng(0)
    beliefs = Beliefs(SCALES)
    count = round(2 / GROWTH)
    for i in range(count):
        beliefs.add(None if i < 3 else int(rng.integers(i)))
        beliefs.tell(i, {0: float(rng.normal(0.4, 0.1)), 1: float(rng.normal(0.4, 0.1))})
    before, parent = beliefs.of(5), 7
    child = beliefs.add(parent)
    assert beliefs.of(child) == pytest.approx(
        (beliefs.of(parent).mean + SCALES.drift, math.hypot(beliefs.of(parent).sd, SCALES.step_sd))
    )
    beliefs.tell(child, {0: 0.9, 1: 0.9})
    assert beliefs.of(parent).mean < beliefs.of(child).mean < 0.9
    assert beliefs.of(5) == before
    alone = beliefs.of(parent)
    for _ in range(round(3 * GROWTH * count)):
        beliefs.add(parent)
    assert beliefs.of(parent).mean > alone.mean, "a good child speaks for its parent"


def test_what_is_told_of_a_new_design_reaches_its_children_and_a_new_stream_counts_at_once() -> None:
    rng = np.random.default_rng(0)
    beliefs = Beliefs(SCALES)
    for i in range(round(4 / GROWTH)):
        beliefs.add(None if i < 3 else int(rng.integers(i)))
        beliefs.tell(i, {0: float(rng.normal(0.4, 0.1)), 1: float(rng.normal(0.4, 0.1))})
    beliefs.all()
    child = beliefs.add(5)
    grandchild = beliefs.add(child)
    before = beliefs.of(child).mean, beliefs.of(grandchild).mean
    beliefs.tell(child, {0: 0.9, 1: 0.9})
    after = beliefs.of(child).mean, beliefs.of(grandchild).mean
    assert after[0] > before[0]
    assert after[1] - before[1] == pytest.approx(after[0] - before[0]), (
        "a child begins where its parent is believed to be"
    )
    beliefs.tell(child, {2: 0.0})
    assert beliefs.of(child).mean < after[0], "nobody was seen on this stream before"


def test_designs_that_have_something_in_common_speak_for_each_other() -> None:
    rng = np.random.default_rng(0)
    beliefs, count = Beliefs(), 60
    for i in range(count):
        beliefs.add(None, ["good"] if i % 2 else ["bad", "alone"] if i == 0 else ["bad"])
        beliefs.tell(i, {s: float(rng.normal(0.5 if i % 2 else 0.3, 0.1)) for s in range(2)})
    beliefs.learn(10)
    unseen = {trait: beliefs.of(beliefs.add(0, [trait])).mean for trait in ("good", "bad", "never seen")}
    assert unseen["good"] - unseen["bad"] > 0.08
    assert unseen["bad"] < unseen["never seen"] < unseen["good"]
    doubt = {trait: beliefs.of(beliefs.add(0, [trait])).sd for trait in ("bad", "never seen")}
    assert doubt["bad"] < doubt["never seen"], "what a new trait does is not known"
    before = beliefs.of(count)
    for _ in range(count):
        beliefs.add(1, ["good"])
    assert beliefs.of(count) == pytest.approx(before, abs=0.02), "solved with the others it is believed in as before"


def test_the_order_of_telling_changes_nothing_and_what_failed_says_nothing() -> None:
    def told(order: list[int]) -> Beliefs:
        beliefs = Beliefs(SCALES)
        for parent in (None, 0, 0):
            beliefs.add(parent)
        for i in order:
            beliefs.tell(i, {0: 0.1 * i, 1: 0.3})
        return beliefs

    first, second = told([0, 1, 2]), told([2, 0, 1])
    assert (first.all()[0] == second.all()[0]).all()
    second.forget(2)
    third = told([0, 1])
    assert (second.all()[0] == third.all()[0]).all()


def test_the_scales_are_learned_and_the_chosen_design_is_not_overrated() -> None:
    rng = np.random.default_rng(1)
    errors, naive, covered = [], [], []
    for _ in range(60):
        beliefs, true = Beliefs(), []
        ease = rng.normal(0.0, 0.05, 4)
        for i, parent in enumerate(lineage(rng, 150)):
            true.append(
                float(rng.normal(0.4, 0.1)) if parent is None else true[parent] + float(rng.normal(-0.02, 0.04))
            )
            beliefs.add(parent)
            beliefs.tell(i, {s: true[i] + ease[s] + float(rng.normal(0.0, 0.15)) for s in range(2 + 2 * (i % 2))})
        beliefs.learn(30)
        mean, sd = beliefs.all()
        best = int(np.argmax(mean))
        errors.append(mean[best] - true[best])
        covered.append(abs(mean[best] - true[best]) < 1.96 * sd[best])
        raw = [np.nanmean(beliefs._table[i, :4]) for i in range(150)]
        naive.append(raw[int(np.argmax(raw))] - true[int(np.argmax(raw))])
    assert float(np.mean(naive)) > 0.15, "the highest mean is luck"
    assert abs(float(np.mean(errors))) < 0.03
    assert float(np.mean(covered)) > 0.85
    assert beliefs.scales.noise_sd == pytest.approx(0.15, abs=0.03)
    assert beliefs.scales.step_sd == pytest.approx(0.04, abs=0.03)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    beliefs = Beliefs()
    with pytest.raises(ValueError, match="parent is 0"):
        beliefs.add(0)
    beliefs.add()
    with pytest.raises(ValueError, match="stream 3"):
        beliefs.tell(0, {3: bad})


@pytest.mark.parametrize("seed", range(5))
def test_a_stream_that_all_saw_is_not_taken_for_the_average_one(seed: int) -> None:
    """Where the better tenth alone sees further streams, all designs and all streams could slide against each other."""
    rng = np.random.default_rng(seed)
    worth, ease = rng.normal(0.25, 0.05, 400), rng.normal(0.0, 0.04, 6)
    beliefs = Beliefs()
    first = worth + ease[0] + rng.normal(0.0, 0.05, 400)
    best = set(np.argsort(-first)[:40].tolist())
    for i in range(400):
        beliefs.add()
        streams = range(6) if i in best else range(1)
        beliefs.tell(i, {s: float(first[i] if s == 0 else rng.normal(worth[i] + ease[s], 0.05)) for s in streams})
    beliefs.learn(30)
    mean, _ = beliefs.all()
    assert np.mean([beliefs.ease(s) for s in range(6)]) == pytest.approx(0.0, abs=0.005)
    assert float(mean.mean()) == pytest.approx(float(worth.mean() + ease.mean()), abs=0.04)
