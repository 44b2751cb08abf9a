"""Small experiments with models: a scripted server over real sockets, a real sandbox, a real ledger."""

from __future__ import annotations

import json
from pathlib import Path

from llm_answers import NOTEBOOK, PLAN, written
from small_runs import PROJECT, SMALL, Silence

from archive.ledger import Ledger
from archive.repository import Repository
from meta_agent.config import Config, load
from meta_agent.driver import Driver
from meta_agent.evaluations import worker_spec
from meta_agent.pool import SerialPool
from meta_agent.record import open_models
from meta_agent.run import RunFolder, create
from meta_agent.verdict import Final
from sandbox.mock_script import Rule

VARIANTS = [NOTEBOOK.replace("episode.goal", f"episode.goal * {n}") for n in (1, 2, 3)]
ANSWERS = [
    *(json.dumps(written(source)) for source in VARIANTS),
    json.dumps(written("def broken(:\n")),
    "I would rather not write JSON.",
    "```python\nprint('prose with a fence')\n```",
    json.dumps(written("import socket\n" + NOTEBOOK)),
    json.dumps(written(NOTEBOOK.replace("self.notes.append", "self.nots.append"))),
]
THOUGHT = "I have read what is recalled of this place, and try what has helped there before."
RULES = (
    Rule(model="meta", when="(?m)^Write the design", replies=tuple(ANSWERS), by="request"),
    Rule(model="meta", when="(?m)^Look at the design", reply=json.dumps(PLAN)),
    Rule(model="agent", pick=r"^\* (.+)$", template=f'{{"thought": "{THOUGHT}", "command": {{json}}}}'),
)
TINY = (
    "stream.settings={tasks_count: 2, max_steps: 6}",
    "search.seeds=[exprag]",
    "search.generation_size=4",
    "search.rungs=[1]",
    "controls=[no_memory]",
    "final={candidates: 1, confirm_streams: 0, validation_streams: 2, line: 0, impossible_streams: 0}",
    "budget={evaluations: 20, wall_seconds: null}",
)
FLOOD = (Rule(model="meta", when="(?m)^Write the design", size_bytes=5_000_000, unlimited=True), *RULES[1:])


def configured(url: str, *overrides: str) -> Config:
    """A small run whose designs a model writes."""
    meta = f"{{model: openai/meta, api_base: '{url}', max_tokens: 2000, timeout_seconds: 5, attempts: 4"
    prices = "backoff_seconds: 0.01, input_dollars: 1.0, output_dollars: 4.0}"
    models = (f"models.meta={meta}, {prices}", f"models.agent={meta.replace('openai/meta', 'openai/agent')}, {prices}")
    shares = "search.proposers={compose: 0.0, tune: 0.0, llm: 1.0, repairs: 1}"
    return load(PROJECT / "configs" / "quickstart.yaml", (*SMALL, *TINY, shares, *models, *overrides))


def drive(path: Path, config: Config, replay: Path | None = None) -> Final:
    """Run, or go on with, an experiment in this process."""
    folder = RunFolder(path)
    with folder.held():
        create(folder, config)
        with (
            Ledger(folder.ledger) as ledger,
            open_models(config, folder.ledger, replay) as models,
            SerialPool(worker_spec(config), models) as pool,
        ):
            return Driver(
                config, ledger, Repository(folder.repository), pool, Silence(), lambda: False, models=models
            ).run()
