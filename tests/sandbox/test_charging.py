"""Claims about what a call is charged: by which price, and for how many tokens."""

from __future__ import annotations

import pickle
from contextlib import suppress
from typing import Any

import pytest
from gateways import Open, call, reserved, script
from raw_servers import completion, raw_server, response

from sandbox.budget import Caps
from sandbox.calls import BudgetUsedUp, CallRefused, ModelSpec, ProviderDown, ProviderRefused, Role
from sandbox.gateway import Price
from sandbox.mock_llm import serve
from sandbox.mock_script import Fault
from sandbox.models import LiteLLMProvider


def test_a_price_is_the_specs_or_that_of_litellms_table(provider: LiteLLMProvider, gateway: Open) -> None:
    assert provider.price(ModelSpec("openai/gpt-4o-mini")) == Price(0.15, 0.6)
    assert provider.price(ModelSpec("openai/gpt-4o-mini", input_dollars=3.0, output_dollars=4.0)) == Price(3.0, 4.0)
    assert provider.price(ModelSpec("openai/text-embedding-3-small")) == Price(0.02, 0.0)
    assert provider.price(ModelSpec("openai/gpt-4o-mini", input_dollars=3.0)) == Price(3.0, 0.6)
    assert provider.price(ModelSpec("openai/some-model")) is None
    assert provider.price(ModelSpec("openai/some-model", input_dollars=3.0)) is None
    with serve(script()) as server:
        reply = gateway(server).ask(call())
        assert reply.dollars == pytest.approx((reply.input_tokens + 2 * reply.output_tokens) * 1e-6)
        unpriced = gateway(server, input_dollars=None, output_dollars=None)
        assert unpriced.ask(call()).dollars is None
        with pytest.raises(ProviderRefused, match="the price of openai/some-model is not known"):
            gateway(server, caps=Caps(dollars=1.0), input_dollars=None, output_dollars=None)


@pytest.mark.parametrize("model", ["dashscope/qwen3-max", "dashscope/qwen3-coder-plus"])
def test_a_price_that_litellms_table_has_in_another_form_is_not_known(provider: LiteLLMProvider, model: str) -> None:
    assert provider.price(ModelSpec(model)) is None
    assert provider.price(ModelSpec(model, input_dollars=1.0, output_dollars=2.0)) == Price(1.0, 2.0)


def row(**prices: float | None) -> dict[str, Any]:
    return {"litellm_provider": "openai", "mode": "chat", **prices}


ROWS = {
    "free": (row(input_cost_per_token=0, output_cost_per_token=0), Price(0.0, 0.0)),
    "by the second": (row(input_cost_per_second=1e-3, output_cost_per_token=1e-6), None),
    "no output": (row(input_cost_per_token=1e-6), None),
    "an embedder": (row(input_cost_per_token=1e-6) | {"mode": "embedding"}, Price(1.0, 0.0)),
    "dear thoughts": (
        row(input_cost_per_token=1e-6, output_cost_per_token=2e-6, output_cost_per_reasoning_token=4e-6),
        Price(1.0, 4.0),
    ),
    "dear length": (
        row(
            input_cost_per_token=1e-6, input_cost_per_token_above_200k_tokens=2e-6, input_cost_per_token_priority=8e-6,
            output_cost_per_token=2e-6, output_cost_per_token_above_200k_tokens=3e-6, output_cost_per_token_flex=8e-6,
        ),
        Price(2.0, 3.0),
    ),
    "dear length, otherwise": (
        row(input_cost_per_token=1e-6, output_cost_per_token=2e-6)
        | {"tiered_pricing": [{"input_cost_per_token": 2e-6, "output_cost_per_token": 4e-6, "range": [9, 99]}]},
        Price(2.0, 4.0),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("told", "price"), ROWS.values(), ids=ROWS.keys())
def test_of_several_prices_the_highest_is_taken_and_one_that_is_missing_is_not_zero(
    provider: LiteLLMProvider, monkeypatch: pytest.MonkeyPatch, told: dict[str, Any], price: Price | None
) -> None:
    import litellm

    monkeypatch.setitem(litellm.model_cost, "openai/some-model-with-a-row", told)
    assert provider.price(ModelSpec("openai/some-model-with-a-row")) == price


@pytest.mark.parametrize("role", ["agent", "embedding"])
def test_where_nobody_says_what_was_used_the_bound_is_charged(role: Role, gateway: Open) -> None:
    asked = call(role=role)
    with serve(script(Fault(kind="no_usage"))) as server:
        opened = gateway(server)
        assert opened.ask(asked).attempts == 1
        assert server.count() == 1
    assert opened.spent.tokens == reserved(asked)


@pytest.mark.parametrize("usage", [{"prompt_tokens": 10**30, "completion_tokens": 5}, {"prompt_tokens": -3}, 7])
def test_tokens_that_cannot_be_are_charged_at_the_bound(gateway: Open, usage: Any) -> None:
    with raw_server(response(completion(usage=usage))) as server:
        opened = gateway(server, attempts=1)
        with suppress(ProviderDown):
            opened.ask(call())
        assert opened.spent.tokens == reserved(call())


TOLD: dict[str, tuple[dict[str, Any], int]] = {
    "no answer's tokens": ({"prompt_tokens": 10}, 10 + 50),
    "null": ({"prompt_tokens": 10, "completion_tokens": None, "total_tokens": 10}, 10 + 50),
    "zero": ({"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 10}, 10 + 50),
    "thoughts in the total alone": ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 485}, 485),
    "a total that is too small": ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 5}, 15),
    "a total that cannot be": ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 10**30}, 15),
}


@pytest.mark.parametrize(("usage", "tokens"), TOLD.values(), ids=TOLD.keys())
def test_an_answer_that_says_something_is_charged_what_it_took(
    gateway: Open, usage: dict[str, Any], tokens: int
) -> None:
    with raw_server(response(completion("word " * 40, usage))) as server:
        opened = gateway(server)
        assert opened.ask(call()).attempts == 1
    assert opened.spent.tokens == tokens


def test_an_answer_that_the_filter_withheld_is_charged_and_the_cap_holds(gateway: Open) -> None:
    withheld = completion(None, {"prompt_tokens": 200, "completion_tokens": 40, "total_tokens": 240})
    withheld["choices"][0]["finish_reason"] = "content_filter"
    with raw_server(response(withheld)) as server:
        opened = gateway(server, caps=Caps(dollars=0.001))
        for position in range(3):
            with pytest.raises(CallRefused, match="withheld"):
                opened.ask(call(position=position))
        with pytest.raises(BudgetUsedUp):
            opened.ask(call(position=3))
        assert len(server.asked) == 3
    assert opened.spent.tokens == 3 * 240


def test_a_refusal_comes_through_a_pickle_as_it_was() -> None:
    """Workers are told of it in another process."""
    refused = pickle.loads(pickle.dumps(CallRefused("not this", (200, 40))))
    assert (str(refused), refused.used) == ("not this", (200, 40))
