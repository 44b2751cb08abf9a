"""Stand-ins for modules that a foreign design imports, put into the process that runs it and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType

Members = Mapping[str, object]

_OFFERED = "Python's standard library, numpy and, where a design imports it, networkx"
_WHY = {
    "networkx": "it is there only if `networkx` is installed beside mnemogen (pip install 'mnemogen[foreign]') and the"
    " design names it in an import statement",
    "sklearn": "of scikit-learn only metrics.pairwise.cosine_similarity and feature_extraction.text.TfidfVectorizer are"
    " offered, as look-alikes in numpy",
    "scipy": "it is not offered; networkx's pagerank and a few other functions want it",
    "openai": "a design asks the run's language model through the look-alikes of its own system",
}


def install(modules: Mapping[str, Members]) -> None:
    """Put modules into `sys.modules`, with the packages above them.

    Args:
        modules: full name of each module, and what it holds.
    """
    made: dict[str, ModuleType] = {}
    for name, members in modules.items():
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            full = ".".join(parts[:end])
            if full not in made:
                made[full] = ModuleType(full)
                made[full].__path__ = []
                if end > 1:
                    setattr(made[".".join(parts[: end - 1])], parts[end - 1], made[full])
        vars(made[name]).update(members)
    sys.modules.update(made)


def bound(kind: type, module: str, **values: object) -> type:
    """Return a subclass of a look-alike that knows its kit, under the module in which a design will look for it."""
    return type(kind.__name__, (kind,), {**values, "__module__": module, "__doc__": kind.__doc__})


@contextmanager
def explained() -> Iterator[None]:
    """Add to the message of a failed import what the sandbox offers; the exception itself goes on its way."""
    try:
        yield
    except ImportError as error:
        root = (error.name or "").partition(".")[0]
        why = _WHY.get(root, "it is not offered")
        error.msg = f"{error.msg}. Inside the sandbox there are {_OFFERED}; {root or 'this'}: {why}"
        raise
