"""Claims about the contract test: honest memories raise no flag, those that do nothing do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from design_space import Design, catalogue
from sandbox.backend import Labels, Limits
from sandbox.contract import Checked, check
from sandbox.inprocess import InProcessBackend

SAME = """
from design_space import Item, Memory, Recall
class Same(Memory):
    def retrieve(self, query):
        return Recall((Item("1", "look everywhere"),))
    def update(self, episode):
        pass
"""


@pytest.fixture(scope="module")
def checked() -> Iterator[Callable[[Design], Checked]]:
    backend = InProcessBackend(Limits())

    def run(design: Design) -> Checked:
        with backend.open(Labels("test", design.id)) as guest:
            return check(design, guest, backend.folder)

    yield run
    backend.close()


@pytest.mark.parametrize("name", catalogue.names())
def test_only_the_memory_that_is_none_is_flagged(name: str, checked: Callable[[Design], Checked]) -> None:
    found = checked(catalogue.load(name))
    assert found.fault is None
    assert bool(found.flags) == (name == "no_memory"), found.flags


def test_what_says_the_same_whatever_it_was_told_is_flagged(checked: Callable[[Design], Checked]) -> None:
    (flag,) = checked(Design(SAME)).flags
    assert "does not depend on what it was told" in flag
