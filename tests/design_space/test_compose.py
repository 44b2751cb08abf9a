"""Claims about what is read of a design without running it: what it has in common with others."""

from __future__ import annotations

import numpy as np
import pytest

from design_space import catalogue
from design_space.compose import SLOTS, read, traits
from meta_agent.compose import random_genome


@pytest.mark.parametrize("seed", range(20))
def test_the_traits_of_a_composition_are_its_parts_and_what_is_found_by_what(seed: int) -> None:
    genome = random_genome(np.random.default_rng(seed))
    wanted = {gene.part for gene in genome.genes.values()}
    wanted |= {f"{encoder.part} by {genome.key.part}" for encoder in genome.encoders}
    wanted |= {"asked before each step"} if genome.retrieve == "step" else set()
    assert sorted(traits(genome.design().source)) == sorted(wanted)


def test_a_design_of_the_catalogue_shares_traits_with_what_is_made_of_it() -> None:
    design = catalogue.load("arcmemo")
    genome = read(design)
    assert genome is not None
    assert traits(design.source) == traits(genome.design().source)
    other = next(name for name in SLOTS["retriever"] if name != genome.retriever.part)
    assert other not in traits(design.source)


def test_code_of_its_own_has_the_traits_of_what_it_imports_whatever_it_calls_it() -> None:
    source = '''
from design_space import Memory
from design_space.parts import Bm25 as Search, ObjectKey
from design_space.parts.encoders import FactEncoder
from elsewhere import Cosine


class Own(Memory):
    """Not a StepEncoder."""
    RETRIEVE = "step"
'''
    found = {"Bm25", "ObjectKey", "FactEncoder", "FactEncoder by ObjectKey"}
    assert set(traits(source)) == found, "what nobody can make an instance of is never asked"
    methods = "    def retrieve(self, query): ...\n    def update(self, episode): ...\n"
    methods += "    def snapshot(self): ...\n    def restore(self, snapshot): ...\n"
    assert set(traits(source + methods)) == found | {"asked before each step"}


@pytest.mark.parametrize("source", ["", "import", "\0", "x = 1", "if x:\n" + " " * 4 + "-" * 5_000 + "1", "(" * 300])
def test_what_is_no_design_has_none(source: str) -> None:
    assert traits(source) == ()
