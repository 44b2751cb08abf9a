"""Claims about the price of a job, told before its first call."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_runs import RULES, configured, drive
from small_runs import small_config

from archive.call_book import CallBook
from meta_agent.forecast import forecast, plan
from meta_agent.run import RunFolder
from sandbox.mock_llm import serve
from sandbox.mock_script import Script
from sandbox.models import LiteLLMProvider


def test_a_key_free_job_costs_nothing() -> None:
    told = forecast(small_config(), LiteLLMProvider())
    assert told.roles == ()
    assert told.dollars == 0.0


def test_what_is_told_is_near_what_is_spent_with_a_model_as_agent(tmp_path: Path) -> None:
    with serve(Script(rules=RULES)) as server:
        settings = "stream.settings={tasks_count: 3, max_steps: 8}"
        config = configured(
            server.url, "evaluation.agent=llm", settings, "budget.evaluations=32", "search.proposers.llm=0.5",
            "search.proposers.compose=0.5",
        )  # fmt: skip
        told = forecast(config, LiteLLMProvider())
        assert len(server.requests) == 0, "nobody is asked"
        drive(tmp_path / "run", config)
    with CallBook(RunFolder(tmp_path / "run").ledger, read_only=True) as book:
        spent = {cost.role: cost for cost in book.costs()}
    assert {role.role for role in told.roles} == {"agent", "meta"}
    agent = next(role for role in told.roles if role.role == "agent")
    assert agent.calls == pytest.approx(spent["agent"].calls, rel=0.2)
    assert agent.input_tokens + agent.output_tokens == pytest.approx(spent["agent"].tokens, rel=0.2)
    assert agent.dollars == pytest.approx(spent["agent"].dollars, rel=0.2)


def test_a_plan_spends_what_the_budget_allows() -> None:
    config = small_config()
    counted = plan(config)
    assert 0 < counted.evaluations <= config.budget.evaluations
    assert counted.proposals == counted.generations * config.search.generation_size


def test_a_price_that_nobody_knows_is_not_told_as_nothing() -> None:
    config = configured("http://127.0.0.1:1/v1", "models.meta={model: openai/nobody-knows-it}")
    assert forecast(config, LiteLLMProvider()).dollars is None
