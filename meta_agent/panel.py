"""The panel: kinds of tasks on which any memory can be judged, each with all that a score on them depends on."""

from __future__ import annotations

import importlib.util
from typing import Any

from pydantic import Field

from archive.ledger import Ledger
from design_space import DesignId
from meta_agent.config import StreamConfig
from meta_agent.errors import BadInput
from meta_agent.evaluations import Evaluations
from meta_agent.strict import nearest
from meta_agent.worker import Bench
from sandbox.backend import Limits
from sandbox.evaluate import Protocol, Setting
from sandbox.streams.base import Split


class Stand(StreamConfig):
    """One kind of tasks on the panel.

    Attributes:
        name: for people, and for `--streams`.
        recall_chars: characters of recall that the agent is shown at once.
        split: `sealed` for data that is never searched on.
        streams_count: streams that a memory is judged on; each is one n.
        needs: a Python package without which it is not to be had; empty if none.
        note: what is to be known of these tasks.
    """

    name: str
    protocol: Protocol = "online"
    recall_chars: int = Field(default=6_000, ge=0, le=1_000_000)
    split: Split = "validation"
    streams_count: int = Field(default=12, ge=2)
    needs: str = ""
    note: str = ""

    @property
    def available(self) -> bool:
        return not self.needs or importlib.util.find_spec(self.needs) is not None

    def bench(self, agent: str, seed: int, limits: Limits) -> Bench:
        """These tasks with an agent."""
        config = f"{limits.digest}/{self.recall_chars}/hashed-256/key-free"
        setting = Setting(self.protocol, agent, self.recall_chars, seed, config)
        return Bench(self.source, self.settings, setting, seed)


def _stand(name: str, source: str, **rest: Any) -> Stand:
    return Stand(name=name, source=source, **rest)


PANEL: tuple[Stand, ...] = (
    _stand("household", "household"),
    _stand("facts", "facts", protocol="inject", recall_chars=1_000),
    _stand(
        "bfcl",
        "bfcl-memory",
        protocol="inject",
        recall_chars=1_000,
        split="sealed",
        streams_count=5,
        note="Real data: 155 questions over 5 users, from BFCL-v4. Nothing is ever searched or tuned on it; n is 5.",
    ),
)


def find(name: str) -> Stand:
    """The stand of this name.

    Raises:
        BadInput: there is none, or what it needs is not installed.
    """
    known = {stand.name: stand for stand in PANEL}
    if name not in known:
        raise BadInput(f"unknown stream {name!r}{nearest(name, known)}", f"the panel has {', '.join(known)}")
    if not known[name].available:
        raise BadInput(f"the stream {name!r} needs {known[name].needs}", f"pip install 'mnemogen[{known[name].needs}]'")
    return known[name]


def choose(names: str) -> tuple[Stand, ...]:
    """The stands of these names, separated by commas; `all` is every one that can be had here.

    Raises:
        BadInput: there is none of a name, or what it needs is not installed.
    """
    if names == "all":
        return tuple(stand for stand in PANEL if stand.available)
    wanted = dict.fromkeys(part.strip() for part in names.split(",") if part.strip())
    if not wanted:
        raise BadInput("no stream is named", f"the panel has {', '.join(stand.name for stand in PANEL)}")
    return tuple(map(find, wanted))


def record_opening(
    evaluations: Evaluations, ledger: Ledger, stand: Stand, bench: int, designs: tuple[DesignId, ...]
) -> None:
    """Record that a stand's sealed streams are opened, and for whom, before any of it is evaluated."""
    names = evaluations.stream_names("sealed", stand.streams_count, bench)
    if not any(o.designs == designs and o.streams == names for o in ledger.openings()):
        ledger.record_opening(designs, names, decided_at=0)
