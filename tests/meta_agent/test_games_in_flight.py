"""Claims about games that several evaluations of one worker play at once, each in a thread."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_runs import RULES
from small_runs import PROJECT

from archive.ledger import Ledger
from design_space import catalogue
from meta_agent.config import load
from meta_agent.evaluations import worker_spec
from meta_agent.pool import RayPool, SerialPool
from meta_agent.record import open_models
from meta_agent.worker import Job
from sandbox.mock_llm import serve
from sandbox.mock_script import Script


@pytest.mark.slow
def test_games_played_at_once_in_one_worker_earn_what_they_earn_one_after_the_other(tmp_path: Path) -> None:
    """All four begin with the engine's first game in a new process; while they wait for their model, others play."""
    games = [Job(number, catalogue.load("exprag"), "search", (number,)) for number in range(4)]
    with serve(Script(rules=RULES, latency_seconds=0.05)) as server:
        agent = f"{{model: openai/agent, api_base: '{server.url}', input_dollars: 1.0, output_dollars: 1.0}}"
        config = load(
            PROJECT / "configs" / "textworld-llm.yaml",
            (
                "sandbox.backend=embedded",
                "stream.settings={permuted: true, ingredients_count: 2, take_count: 2, tasks_count: 2, max_steps: 8}",
                f"models={{agent: {agent}, in_flight: 4}}",
                "search.proposers={compose: 1.0}",
            ),
        )
        told = []
        for place in ("at once", "one by one"):
            file = tmp_path / f"{place}.sqlite"
            Ledger(file).close()
            with open_models(config, file) as models:
                spec = worker_spec(config)
                with RayPool(spec, 1, models=models) if place == "at once" else SerialPool(spec, models) as pool:
                    pool.facts()
                    told.append(
                        {done.number: done.results[0][0].rewards for done in pool.run(games) if done is not None}
                    )
            if place == "at once":
                assert server.stats()["most_at_once"] == 4
    assert told[0] == told[1]
    assert len(set(told[0].values())) > 1, "they earn something, and not all the same"
