"""How parents are chosen: one strategy a file, behind one protocol."""

from collections.abc import Callable

from archive.selection.alma import Alma
from archive.selection.base import Candidates, Choice, Selection
from archive.selection.greedy import Greedy
from archive.selection.thompson import Thompson
from archive.selection.uniform import Uniform

__all__ = ["NAMES", "Alma", "Candidates", "Choice", "Greedy", "Selection", "Thompson", "Uniform", "make"]

_STRATEGIES: dict[str, Callable[[], Selection]] = {
    "thompson": Thompson,
    "alma": Alma,
    "greedy": Greedy,
    "random": Uniform,
}
NAMES = tuple(_STRATEGIES)


def make(name: str) -> Selection:
    """Return the strategy of this name, with its defaults.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in _STRATEGIES:
        raise ValueError(f"unknown selection {name!r}, wanted one of {', '.join(NAMES)}")
    return _STRATEGIES[name]()
