"""From a run to a package: gathers what `archive.export` writes out, and has the memory learn first if asked."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

import numpy as np

from archive.export import Provenance, export
from archive.ledger import Ledger
from archive.repository import Repository
from archive.statistics import Interval
from archive.views import DesignView
from design_space import Design, Snapshot
from meta_agent.config import Config
from meta_agent.errors import BadInput
from meta_agent.evaluations import worker_spec
from meta_agent.record import open_models
from meta_agent.verdict import Final
from meta_agent.worker import Worker


def take_home(
    config: Config, view: DesignView, repository: Repository, ledger: Ledger, folder: Path, learned: bool
) -> Path:
    """Write a design of a run out as a package.

    Args:
        learned: have it work through one search stream first, in the sandbox, and ship what it then knows.

    Raises:
        BadInput: the folder is in use, or the design imports what a package cannot hold.
        SandboxUnavailable: `learned` is asked for, and there is no sandbox.
    """
    design = repository.load(view.id)
    split, score = view.trusted or ("search", None)
    gain, baseline = _gain(view, ledger)
    cards = {card.id: card for card in repository.cards()}
    lineage, open_ = [], list(view.parents)
    for name in open_:  # grows while it is walked
        if cards[name] not in lineage:
            lineage.append(cards[name])
            open_.extend(cards[name].parents)
    measured = (
        f"{split} streams of {config.stream.source}, {config.evaluation.protocol}, agent {config.evaluation.agent}"
    )
    versions = {
        "mnemogen": importlib.metadata.version("mnemogen"),
        "Python": platform.python_version(),
        "numpy": np.__version__,
    }
    try:
        return export(
            design,
            cards[view.id],
            folder,
            score=score,
            gain=gain,
            baseline=baseline,
            snapshot=_learn(config, design, ledger.path) if learned else None,
            provenance=Provenance(
                config.name, measured, tuple(sorted(lineage, key=lambda c: c.sequence)), versions, _embedder(config)
            ),
        )
    except FileExistsError as error:
        raise BadInput(str(error), "name a folder that is absent or empty") from error
    except ValueError as error:
        raise BadInput(f"{view.id} cannot be exported: {error}") from error


def _gain(view: DesignView, ledger: Ledger) -> tuple[Interval | None, str]:
    """The winner's gain over no memory on fresh streams, or what is known of another design."""
    text = ledger.meta("final")
    if text is not None:
        final = Final.from_json(text)
        if final.winner == view.id and final.over_nothing is not None:
            return final.over_nothing.gain, "no memory"
    return (None, "") if view.gain is None else (view.gain.interval, f"its parent {view.gain.over_name}")


def _embedder(config: Config) -> str:
    """What the design's texts were embedded with, in words that name the model where it is one."""
    spec = config.models.embedding if config.evaluation.embedder == "model" else None
    return config.evaluation.embedder if spec is None else spec.model


def _learn(config: Config, design: Design, ledger: Path) -> Snapshot:
    with open_models(config, ledger) as models:
        worker = Worker(worker_spec(config), models)
        try:
            return worker.learn(design)
        finally:
            worker.close()
