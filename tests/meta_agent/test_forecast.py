"""Claims about the price of a job, told before its first call."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template

import pytest
from llm_answers import NOTEBOOK, written
from model_runs import RULES, configured, drive
from small_runs import small_config

from archive.call_book import CallBook
from design_space import catalogue
from design_space.validate import validate
from meta_agent.errors import BadInput
from meta_agent.forecast import forecast
from meta_agent.llm import Plan, Written, prompt
from meta_agent.run import RunFolder
from meta_agent.stand_in import StandIn
from meta_agent.untrusted import quoted
from sandbox import structured
from sandbox.agents.llm import Act, Say
from sandbox.calls import Call, Message
from sandbox.mock_llm import serve
from sandbox.mock_script import Rule, Script
from sandbox.models import LiteLLMProvider

pytestmark = pytest.mark.usefixtures("trusted")
PLAYED = (
    "evaluation.agent=llm", "stream.settings={tasks_count: 3, max_steps: 8}", "budget.evaluations=48",
    "search.proposers={compose: 0.5, tune: 0.0, llm: 0.5, repairs: 1}",
)  # fmt: skip


def spent(path: Path) -> CallBook:
    return CallBook(RunFolder(path).ledger, read_only=True)


def test_a_key_free_job_costs_nothing() -> None:
    told = forecast(small_config(), LiteLLMProvider())
    assert told.roles == ()
    assert told.dollars == 0.0


@pytest.mark.slow
def test_what_is_told_is_near_what_is_spent_with_a_model_as_agent(tmp_path: Path) -> None:
    with serve(Script(rules=RULES)) as server:
        config = configured(server.url, *PLAYED)
        told = forecast(config, LiteLLMProvider())
        assert len(server.requests) == 0, "nobody is asked"
        drive(tmp_path / "run", config)
    with spent(tmp_path / "run") as book:
        costs = {cost.role: cost for cost in book.costs()}
    assert {role.role for role in told.roles} == {"agent", "meta"}
    agent = next(role for role in told.roles if role.role == "agent")
    assert agent.calls == pytest.approx(costs["agent"].calls, rel=0.2)
    assert agent.input_tokens + agent.output_tokens == pytest.approx(costs["agent"].tokens, rel=0.2)
    assert agent.dollars == pytest.approx(costs["agent"].dollars, rel=0.2)


@pytest.mark.slow
def test_as_many_designs_are_told_as_a_model_is_asked_to_write_where_all_of_them_work(tmp_path: Path) -> None:
    """Also those of the last generation, which nothing is left to evaluate."""
    works = [json.dumps(written(NOTEBOOK.replace("episode.goal", f"episode.goal * {n}"))) for n in range(1, 60)]
    rules = (Rule(model="meta", when="(?m)^Write the design", replies=tuple(works)), *RULES[1:])
    with serve(Script(rules=rules)) as server:
        config = configured(server.url, *PLAYED, "budget.evaluations=24")
        told = forecast(config, LiteLLMProvider())
        drive(tmp_path / "run", config)
    with spent(tmp_path / "run") as book:
        meta = [call for call in book.calls() if call.role == "meta"]
    asked = {call.scope for call in meta}
    assert told.designs == len(asked) > 0
    role = next(role for role in told.roles if role.role == "meta")
    mended = role.calls - 2 * told.designs
    assert len(meta) == 2 * len(asked)
    assert mended == pytest.approx(0.5 * told.designs, abs=1.0), "the stand-in does not always succeed at once"
    asked_of = [call.input_tokens for call in meta if call.position == 0]
    assert role.input_tokens / role.calls == pytest.approx(sum(asked_of) / len(asked_of), rel=0.2)


def test_what_is_played_to_look_for_leaks_is_told_too() -> None:
    """One call a task of such a stream, where the agent is a model."""
    spared, played = (
        forecast(configured("http://127.0.0.1:1/v1", *PLAYED, "budget.evaluations=24", extra), LiteLLMProvider())
        for extra in ("seed=0", "final.impossible_streams=1")
    )
    assert played.evaluations <= 24
    calls = [next(role.calls for role in told.roles if role.role == "agent") for told in (spared, played)]
    streams = spared.evaluations - (played.evaluations - 1)  # of the search, given up for it
    assert calls[1] == pytest.approx(calls[0] * (1 - streams / spared.evaluations) + 40, rel=0.05)


def test_no_more_evaluations_are_told_than_the_budget_allows() -> None:
    config = small_config()
    assert 0 < forecast(config, LiteLLMProvider()).evaluations <= config.budget.evaluations


def test_a_budget_that_does_not_pay_for_a_run_is_told_as_the_run_would_tell_it() -> None:
    config = small_config()
    starved = config.model_copy(update={"budget": config.budget.model_copy(update={"evaluations": 5})})
    with pytest.raises(BadInput, match=r"budget\.evaluations is 5"):
        forecast(starved, LiteLLMProvider())


def test_a_price_that_nobody_knows_is_not_told_as_nothing() -> None:
    config = configured("http://127.0.0.1:1/v1", "models.meta={model: openai/nobody-knows-it}")
    assert forecast(config, LiteLLMProvider()).dollars is None


@pytest.mark.parametrize("kind", [Plan, Written, Act, Say])
def test_a_stand_in_answers_as_it_is_asked(kind: type[structured.Answer]) -> None:
    messages = (Message("user", "Commands:\n* open oven\n* wait"),)
    reply = StandIn().ask(Call("scope", "meta", 0, messages, 100, structured.schema_of(kind)))
    answer = structured.parse(kind, reply.text)
    assert not isinstance(answer, Act) or answer.command in ("open oven", "wait")


def test_the_designs_of_a_stand_in_are_those_it_was_shown_and_every_other_one_has_a_fault() -> None:
    source = catalogue.load("arcmemo").source
    messages = (Message("user", quoted("source", source, 10_000)), Message("user", "Write the design."))
    call = Call("scope", "meta", 0, messages, 100, structured.schema_of(Written))
    stand_in = StandIn()
    made = [structured.parse(Written, stand_in.ask(call).text).source for _ in range(4)]
    assert [bool(validate(one)) for one in made] == [False, True, False, True]
    assert len(set(made)) == 4
    assert all(one.startswith(source.rstrip("\n")) for one in made)
    asked = Template(prompt("repair")).substitute(problem="line 1: no")
    mending = Call("scope", "meta", 1, (*messages, Message("user", asked)), 100, call.schema)
    assert not any(validate(structured.parse(Written, stand_in.ask(mending).text).source) for _ in range(4))
