"""The panel: kinds of tasks on which any memory can be judged, each with all that a score on them depends on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from archive.ledger import Ledger
from design_space import DesignId
from meta_agent.config import StreamConfig
from meta_agent.errors import BadInput
from meta_agent.evaluations import Evaluations
from meta_agent.strict import nearest
from meta_agent.worker import Bench
from sandbox import registry
from sandbox.backend import Limits
from sandbox.evaluate import Protocol, Setting
from sandbox.registry import make_source
from sandbox.streams.base import Finite, Split

ASKED: Mapping[str, Any] = {"protocol": "inject", "recall_chars": 1_000}
"""How questions are asked: with little room for the recall, so that selecting matters."""
COOKING: Mapping[str, Any] = {
    "ingredients_count": 2,
    "take_count": 2,
    "cut": False,
    "tasks_count": 12,
    "max_steps": 20,
}
FILES = ("jsonl", "locomo", "longmemeval", "memoryagentbench")
"""Sources that read a file; `SOURCE:PATH` makes a stand of one."""


class Stand(StreamConfig):
    """One kind of tasks on the panel.

    Attributes:
        name: for people, and for `--streams`.
        recall_chars: characters of recall that the agent is shown at once.
        split: `sealed` for data that is never searched on.
        streams_count: streams that a memory is judged on; each is one n.
        tuning_streams: search streams on which the last-k control is tuned; 0: it is not.
        note: what is to be known of these tasks.
    """

    name: str
    protocol: Protocol = "online"
    recall_chars: int = Field(default=6_000, ge=0, le=1_000_000)
    split: Split = "validation"
    streams_count: int = Field(default=12, ge=2)
    tuning_streams: int = Field(default=4, ge=0)
    note: str = ""

    @model_validator(mode="after")
    def _enough(self) -> Stand:
        source = make_source(self.source, self.settings, str(Path.cwd()))
        if isinstance(source, Finite):
            wanted: dict[Split, int] = {"search": self.tuning_streams, self.split: self.streams_count}
            for split, count in wanted.items():
                if count > source.stream_count(split):
                    raise ValueError(f"{count} {split} streams are wanted, there are {source.stream_count(split)}")
        return self

    def bench(self, agent: str, seed: int, limits: Limits) -> Bench:
        """These tasks with an agent."""
        config = f"{limits.digest}/{self.recall_chars}/hashed-256/key-free"
        setting = Setting(self.protocol, agent, self.recall_chars, seed, config)
        return Bench(self.source, self.settings, setting, seed)


PANEL: Mapping[str, Mapping[str, Any]] = {
    "household": {"source": "household"},
    "facts": {"source": "facts", **ASKED},
    "cooking": {
        "source": "textworld",
        "streams_count": 12,
        "settings": {**COOKING, "permuted": True},
        "note": "Each family has a hidden table of which command does what to which food.",
    },
    "cooking-plain": {
        "source": "textworld",
        "streams_count": 6,
        "settings": COOKING,
        "note": "All families share one table of rules: what is measured is how knowledge carries over between games.",
    },
    "coin": {
        "source": "textworld",
        "streams_count": 12,
        "settings": {"challenge": "coin collector"},
        "note": "Each family has a hidden meaning of the signs in the rooms.",
    },
    "treasure": {
        "source": "textworld",
        "streams_count": 8,
        "settings": {"challenge": "treasure hunter"},
        "note": "Each family has a hidden meaning of the signs in the rooms.",
    },
    "bfcl": {
        "source": "bfcl-memory",
        **ASKED,
        "split": "sealed",
        "streams_count": 5,
        "tuning_streams": 0,
        "note": "Real data: 155 questions over 5 users, from BFCL-v4. No design is ever searched on it; n is 5.",
    },
}
"""What each stand is made of, by name. Made when asked for: to make one may fetch its data."""


def find(name: str) -> Stand:
    """The stand of this name, or of a file: ``SOURCE:PATH``, or the path of a ``.jsonl``.

    Raises:
        BadInput: there is none, or what it needs is not to be had.
    """
    if name.endswith(".jsonl") and ":" not in name:
        name = f"jsonl:{name}"
    source, colon, path = name.partition(":")
    if colon and source in FILES:
        return _of_file(source, path)
    if name not in PANEL:
        known = ", ".join(PANEL)
        hint = f"the panel has {known}; a file of your own is {', '.join(f'{file}:PATH' for file in FILES)}"
        raise BadInput(f"unknown stream {name!r}{nearest(name, PANEL)}", hint)
    if (lack := lacking(name)) is not None:
        raise BadInput(f"the stream {name!r} needs {lack}", f"pip install 'mnemogen[{lack}]'")
    return _make({"name": name, **PANEL[name]})


def lacking(name: str) -> str | None:
    """The package that a stand of the panel needs and that is not installed."""
    return registry.lacking(PANEL[name]["source"])


def choose(names: str) -> tuple[Stand, ...]:
    """The stands of these names, separated by commas; `all` is all of the panel for which packages are installed.

    Raises:
        BadInput: as `find`.
    """
    if names == "all":
        return tuple(find(name) for name in PANEL if lacking(name) is None)
    wanted = dict.fromkeys(part.strip() for part in names.split(",") if part.strip())
    if not wanted:
        raise BadInput("no stream is named", f"the panel has {', '.join(PANEL)}")
    return tuple(map(find, wanted))


def _of_file(source: str, path: str) -> Stand:
    """All histories of a file, to judge on."""
    settings = {"path": path, "shares": [0, 1, 0]}
    try:
        found = make_source(source, settings, str(Path.cwd()))
    except ValueError as error:
        raise BadInput(str(error), "docs/streams.md says what such a file looks like") from error
    count = found.stream_count("validation") if isinstance(found, Finite) else 0
    if count < 2:
        raise BadInput(f"{path} holds {count} history, and nothing can be said of n = {count}", "two are the least")
    name = Path(path).stem
    return _make(
        {"name": name, "source": source, "settings": settings, **ASKED, "streams_count": count, "tuning_streams": 0}
    )


def _make(values: Mapping[str, Any]) -> Stand:
    try:
        return Stand.model_validate(dict(values))
    except ValidationError as error:
        told = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise BadInput(f"the stream {values['name']!r}: {told}") from error


def record_opening(
    evaluations: Evaluations, ledger: Ledger, stand: Stand, bench: int, designs: tuple[DesignId, ...]
) -> None:
    """Record that a stand's sealed streams are opened, and for whom, before any of it is evaluated."""
    names = evaluations.stream_names("sealed", stand.streams_count, bench)
    if not any(o.designs == designs and o.streams == names for o in ledger.openings()):
        ledger.record_opening(designs, names, decided_at=0)
