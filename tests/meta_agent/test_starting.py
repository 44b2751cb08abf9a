"""Claims about workers that do not start, in real processes under a private Ray cluster."""

from __future__ import annotations

import pytest
from gateways import DictLog
from raw_servers import raw_server, response
from small_runs import small_config

from meta_agent.evaluations import worker_spec
from meta_agent.pool import RayPool
from sandbox.budget import Caps
from sandbox.calls import BudgetUsedUp, ModelFault, ProviderDown, ProviderRefused
from sandbox.gateway import Gateway
from sandbox.models import LiteLLMProvider

REFUSED = response({"error": {"message": "bad key", "code": "invalid_api_key"}}, "401 Unauthorized")
BROKEN = response({"error": {"message": "oops"}}, "500 Internal Server Error")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "caps", "fault"),
    [(REFUSED, Caps(), ProviderRefused), (BROKEN, Caps(), ProviderDown), (BROKEN, Caps(calls=0), BudgetUsedUp)],
)
def test_workers_that_an_embedder_keeps_from_starting_say_so(
    answer: bytes, caps: Caps, fault: type[ModelFault]
) -> None:
    with raw_server(answer) as server:
        embedder = f"{{model: openai/e, api_base: '{server.url}', attempts: 1, input_dollars: 1, output_dollars: 1}}"
        config = small_config(f"models.embedding={embedder}", "evaluation.embedder=model")
        with (
            Gateway(config.models.specs, LiteLLMProvider(), DictLog, caps) as gateway,
            RayPool(worker_spec(config), 1, models=gateway) as pool,
            pytest.raises(fault),
        ):
            pool.facts()
