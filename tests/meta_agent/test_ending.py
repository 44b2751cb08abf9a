"""Claims about the exit code of what ends a command."""

from __future__ import annotations

import pytest
from gateways import DictLog, call

from meta_agent.ending import ending
from sandbox.budget import Caps
from sandbox.calls import ModelSpec, NotRecorded, PriceUnknown, ProviderRefused
from sandbox.gateway import Gateway
from sandbox.models import LiteLLMProvider

SPECS = {"agent": ModelSpec("openai/some-model", key_env="MNEMOGEN_ABSENT_KEY")}


def test_a_cap_in_dollars_on_a_model_without_a_price_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, ending():
        Gateway(SPECS, LiteLLMProvider(), DictLog, Caps(dollars=1.0))
    assert caught.value.code == 2
    assert isinstance(caught.value.__context__, PriceUnknown)
    assert "price of openai/some-model is not known" in capsys.readouterr().err


def test_a_repetition_of_a_run_without_its_calls_is_bad_input() -> None:
    with (
        Gateway(SPECS, LiteLLMProvider(), DictLog, Caps(), replay=DictLog) as gateway,
        pytest.raises(SystemExit) as caught,
        ending(),
    ):
        gateway.ask(call())
    assert caught.value.code == 2
    assert isinstance(caught.value.__context__, NotRecorded)


def test_what_a_provider_refuses_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MNEMOGEN_ABSENT_KEY", raising=False)
    with (
        Gateway(SPECS, LiteLLMProvider(), DictLog, Caps()) as gateway,
        pytest.raises(SystemExit) as caught,
        ending(),
    ):
        gateway.ask(call())
    assert caught.value.code == 6
    assert isinstance(caught.value.__context__, ProviderRefused)
