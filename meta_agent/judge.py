"""Judges one design: has it and its controls evaluated, and writes down what may be claimed of it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from archive.certificate import Certificate, Repeat, Subject
from archive.ledger import Ledger
from archive.records import Purpose
from archive.sheets import Evidence, make_sheet
from archive.statistics import by_stream
from design_space import Design, DesignId, Evaluation, catalogue
from meta_agent.evaluations import Evaluations
from meta_agent.panel import Stand, record_opening
from meta_agent.policy import Request
from meta_agent.progress import Progress
from sandbox.evaluate import Experience
from sandbox.registry import NEEDS
from sandbox.streams.base import Split

AGENT, OTHER_AGENT = "evidence", "literal"
RIVALS = {"no memory": "no_memory", "random recall": "random_recall", "full history": "full_history"}
LAST_K = (1, 2, 3, 5, 10)
"""The values of k among which the last-k control is tuned."""
ORDERS = (1, 2)
"""Orders of the tasks besides the generated one."""
EXPERIENCES: tuple[Experience, ...] = ("amnesia", "shuffled", "carried", "again", "interfered")


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be evaluated on one stand.

    Attributes:
        bench, swap: with the panel's agent, and with the other one.
        last_k: the tuned control; k is what it was tuned to, None where it could not be.
    """

    stand: Stand
    bench: int
    swap: int
    last_k: Design
    k: int | None

    @property
    def online(self) -> bool:
        return self.stand.protocol == "online"

    @property
    def streams(self) -> tuple[int, ...]:
        return tuple(range(self.stand.streams_count))

    def own(self, design: DesignId) -> Request:
        return Request(design, self.streams, self.bench)

    def swapped(self, design: DesignId) -> Request:
        return Request(design, self.streams, self.swap)

    def ordered(self, design: DesignId) -> list[Request]:
        """A frozen memory is asked without being told, so that the order of its tasks is of no account."""
        return [Request(design, self.streams, self.bench, order) for order in ORDERS] if self.online else []

    def lived(self, design: DesignId) -> dict[Experience, Request]:
        wanted = [e for e in EXPERIENCES if self.online or e != "again"]
        return {e: Request(design, self.streams, self.bench, 0, e) for e in wanted}

    @property
    def rivals(self) -> dict[str, Design]:
        told = "untuned" if self.k is None else f"k={self.k}, tuned"
        return {
            **{name: catalogue.load(file) for name, file in RIVALS.items()},
            f"last k ({told})": self.last_k,
        }


class Judge:
    """Judges designs on some stands of the panel.

    Args:
        stands: benches 2i and 2i + 1 of the evaluations are the i-th stand with `AGENT` and with `OTHER_AGENT`.
    """

    def __init__(self, stands: Sequence[Stand], evaluations: Evaluations, ledger: Ledger, progress: Progress) -> None:
        self._stands = stands
        self._progress = progress
        self._evaluations = evaluations
        self._ledger = ledger

    def judge(self, design: Design, repeat: Repeat) -> Certificate:
        """Have everything evaluated that is not in the ledger yet, and work the certificate out.

        Raises:
            Interrupted: a signal asked for a stop; what was finished is filed.
            SandboxUnavailable: the machine is at fault.
        """
        plans = [self._plan(place, stand) for place, stand in enumerate(self._stands)]
        found: dict[Request, list[Evaluation]] = {}
        for split in dict.fromkeys(stand.split for stand in self._stands):
            found.update(self._have(design, [plan for plan in plans if plan.stand.split == split], split))
        sheets = [make_sheet(self._subject(p, found, design), self._evidence(p, found, design)) for p in plans]
        return Certificate(
            name=design.name,
            design=design.id,
            source_sha256=hashlib.sha256(design.source.encode()).hexdigest(),
            params=dict(design.params),
            sheets=tuple(sheets),
            repeat=repeat,
        )

    def _plan(self, place: int, stand: Stand) -> _Plan:
        """Tune the last-k control on search streams, where the data has any."""
        bench, swap = 2 * place, 2 * place + 1
        base = catalogue.load("last_k")
        if stand.tuning_streams == 0:
            return _Plan(stand, bench, swap, base, None)
        tried = {k: Design(base.source, {**base.params, "k": k}, f"last_k k={k}") for k in LAST_K}
        requests = {k: Request(design.id, tuple(range(stand.tuning_streams)), bench) for k, design in tried.items()}
        self._progress.allowed += stand.tuning_streams * len(tried)
        told = self._evaluations.have(
            {d.id: d for d in tried.values()}, list(requests.values()), "search", Purpose.SEARCH
        )
        earned = {request: sum(by_stream(evaluations).values()) for request, evaluations in told}
        k = max(LAST_K, key=lambda k: earned[requests[k]])
        return _Plan(stand, bench, swap, tried[k], k)

    def _have(self, design: Design, plans: Sequence[_Plan], split: Split) -> dict[Request, list[Evaluation]]:
        requests: list[Request] = []
        designs = {design.id: design}
        for plan in plans:
            rivals = plan.rivals.values()
            designs.update({rival.id: rival for rival in rivals})
            requests += [plan.own(who) for who in (design.id, *(rival.id for rival in rivals))]
            requests += [*plan.ordered(design.id), *plan.lived(design.id).values()]
            requests += [plan.swapped(who) for who in (design.id, catalogue.load("no_memory").id)]
        requests = list(dict.fromkeys(requests))
        self._progress.allowed += sum(len(request.streams) for request in requests)
        if split == "sealed":
            for plan in plans:
                record_opening(self._evaluations, self._ledger, plan.stand, plan.bench, tuple(designs))
        purpose = Purpose.SEALED if split == "sealed" else Purpose.VALIDATION
        return dict(self._evaluations.have(designs, requests, split, purpose))

    def _subject(self, plan: _Plan, found: Mapping[Request, list[Evaluation]], design: Design) -> Subject:
        stand = plan.stand
        names = self._evaluations.stream_names(stand.split, stand.streams_count, plan.bench)
        return Subject(
            stream=stand.name,
            source=stand.source,
            settings=stand.settings,
            protocol=stand.protocol,
            agent=AGENT,
            split=stand.split,
            recall_chars=stand.recall_chars,
            streams=stand.streams_count,
            tasks=len(found[plan.own(design.id)][0].rewards),
            digest=hashlib.sha256("\n".join(names).encode()).hexdigest()[:16],
            note=stand.note,
        )

    def _evidence(self, plan: _Plan, found: Mapping[Request, list[Evaluation]], design: Design) -> Evidence:
        lived = {experience: found[request] for experience, request in plan.lived(design.id).items()}
        none = catalogue.load("no_memory").id
        return Evidence(
            own=found[plan.own(design.id)],
            rivals={name: found[plan.own(rival.id)] for name, rival in plan.rivals.items()},
            orders=[found[request] for request in plan.ordered(design.id)],
            amnesia=lived["amnesia"],
            shuffled=lived["shuffled"],
            carried=lived["carried"],
            again=lived.get("again", ()),
            interfered=lived["interfered"],
            swaps={OTHER_AGENT: (found[plan.swapped(design.id)], found[plan.swapped(none)])},
            competences=self._evaluations.competences(plan.stand.split, plan.stand.streams_count, plan.bench),
        )


def versions(stands: Sequence[Stand]) -> dict[str, str]:
    """Of what a score depends on."""
    names = ["mnemogen", "numpy", *(NEEDS[stand.source] for stand in stands if stand.source in NEEDS)]
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        **{name: importlib.metadata.version(name) for name in dict.fromkeys(names)},
    }
