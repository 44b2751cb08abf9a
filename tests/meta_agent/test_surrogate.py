"""Claims about what is learned of parts, on scores that are made up."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from design_space import Design
from design_space.compose import Genome
from meta_agent.compose import ComposeProposer, random_genome
from meta_agent.proposer import Parent
from meta_agent.surrogate import PARTS, PartWorth, features


def made_up(genome: Genome, rng: np.random.Generator) -> float:
    """One key is worth .2 and one manager costs .1, whatever goes with them."""
    worth = 0.3 + 0.2 * (genome.key.part == "ObjectKey") - 0.1 * (genome.manager.part == "Fifo")
    return float(worth + rng.normal(0.0, 0.05))


def test_what_parts_are_worth_is_learned_from_a_few_dozen_scores() -> None:
    rng = np.random.default_rng(0)
    worth = PartWorth()
    for _ in range(60):
        genome = random_genome(rng)
        worth.learn(genome, made_up(genome, rng))
    drawn = dict(zip(PARTS, np.mean([worth.draw(rng) for _ in range(200)], axis=0), strict=False))
    keys = {name: value for name, value in drawn.items() if name.endswith("Key")}
    assert max(keys, key=lambda name: keys[name]) == "ObjectKey"
    assert keys["ObjectKey"] - np.mean([v for k, v in keys.items() if k != "ObjectKey"]) == pytest.approx(0.2, abs=0.06)
    assert drawn["Fifo"] < min(drawn["KeepAll"], drawn["UtilityPruning"])


def test_scores_make_draws_narrower_and_their_order_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    told = [(genome, made_up(genome, rng)) for genome in (random_genome(rng) for _ in range(40))]
    forth, back = PartWorth(), PartWorth()
    for genome, score in told:
        forth.learn(genome, score)
    for genome, score in reversed(told):
        back.learn(genome, score)
    one, other, fresh = (
        np.array([w.draw(np.random.default_rng(i)) for i in range(200)]) for w in (forth, back, PartWorth())
    )
    assert np.allclose(one, other)
    assert (one.std(axis=0) < fresh.std(axis=0)).all()


def test_a_genome_has_one_feature_for_each_of_its_parts_and_one_for_the_level() -> None:
    genome = random_genome(np.random.default_rng(2))
    row = features(genome)
    assert row.shape == (len(PARTS) + 1,)
    assert row.sum() == len(genome.genes) + 2


def test_proposals_turn_to_the_parts_that_did_well_but_not_to_them_alone() -> None:
    rng = np.random.default_rng(3)
    proposer = ComposeProposer()
    parent = random_genome(rng).design()
    keys: Counter[str] = Counter()
    for number in range(120):
        design: Design = proposer.propose((Parent(parent, 0.3),), rng).design
        key = next(
            name for name in ("GoalKey", "SituationKey", "BothKey", "ObjectKey") if f"key={name}(" in design.source
        )
        if number >= 60:
            keys[key] += 1
        proposer.observe(design, 0.5 if key == "SituationKey" else 0.3)
    assert keys["SituationKey"] > 30
    assert len(keys) > 1
