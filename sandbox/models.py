"""Language models and embedders through litellm, which is imported here only, and only once a run has a model."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import math
import os
import re
import time
import warnings
from collections.abc import Iterable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, quote_plus

import numpy as np

from sandbox.calls import Call, CallRefused, ModelSpec, ProviderRefused, Reply, plain
from sandbox.gateway import AttemptFailed, Price
from sandbox.guarded import Redirected, TooLong, guard, usual

_CALL_CODES = ("context_length_exceeded", "content_policy_violation", "content_filter", "string_above_max_length")
"""Errors that are about one call's content."""
_QUOTA_CODES = ("insufficient_quota", "billing_hard_limit_reached")
_QUOTA = ("insufficient_quota", "billing_hard_limit", "exceeded your current quota", "credit balance is too low")
_PASSING = (408, 409, 425)
"""Errors of a request that may be gone the next time; 429 has a branch of its own."""
_GATEWAY_TIMEOUTS = (408, 504, 524)
_MESSAGE_CHARS = 500
_SECRETS = re.compile(r"\b(sk|pk|key|tok|xai|gsk|AIza)[-_][A-Za-z0-9_\-*]{6,}|(?<=Bearer )\S+")
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
_SECRET_CHARS = 8
_INPUT_PRICE = re.compile(r"input_cost_per_token(_above_\w+_tokens)?")
_OUTPUT_PRICE = re.compile(r"output_cost_per_(reasoning_)?token(_above_\w+_tokens)?")
"""In litellm's table; not those of batches and of other tiers of service, whose names go on."""
_MOST_TOKENS = 1_000_000_000
"""What a server may say that a call has used; beyond that it says nothing."""


def _guard_all(handler: Any) -> None:
    """Have every client that litellm makes from now on keep to what `sandbox.guarded` says, once and for all."""
    make, mount = handler.create_async_transport, handler.create_httpx_proxy_mounts
    if not getattr(make, "guards", False):

        def guarded(*args: Any, **more: Any) -> Any:
            made = make(*args, **more)
            return guard(usual(**more) if made is None else made)

        def mounted(*args: Any, **more: Any) -> Any:
            return {place: guard(proxy) for place, proxy in (mount(*args, **more) or {}).items()}

        guarded.guards = True  # type: ignore[attr-defined]
        handler.create_async_transport = staticmethod(guarded)
        handler.create_httpx_proxy_mounts = staticmethod(mounted)


class LiteLLMProvider:
    """Any model that litellm knows, and any OpenAI-compatible server (``openai/NAME`` with an `api_base`)."""

    def __init__(self) -> None:
        # Otherwise the import asks the network for a table of prices.
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        import litellm
        from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

        self._litellm: Any = litellm
        _guard_all(AsyncHTTPHandler)
        # It would quote answers of the wrong form on stderr; whatever they hold, and whether or not they can be used.
        warnings.filterwarnings("ignore", "Pydantic serializer warnings", UserWarning)
        self._litellm.suppress_debug_info = True
        self._litellm.telemetry = False
        # Embeddings take "no retries" for "nothing said", and would be asked for three times where we count one.
        self._litellm.DEFAULT_MAX_RETRIES = 0
        logging.getLogger("LiteLLM").setLevel(logging.ERROR)

    def price(self, spec: ModelSpec) -> Price | None:
        """The price that the spec states; what it leaves open is litellm's."""
        asked, answered = spec.input_dollars, spec.output_dollars
        if asked is None or answered is None:
            known = self._known_price(spec.model)
            asked = known[0] if asked is None else asked
            answered = known[1] if answered is None else answered
        return None if asked is None or answered is None else Price(asked, answered)

    def _known_price(self, model: str) -> tuple[float | None, float | None]:
        """Dollars per million tokens in and out, in litellm's table; None is unknown. Of several prices the highest."""
        try:
            # The row itself: what litellm makes of it takes a price that is not there for 0.
            row = self._litellm.model_cost[self._litellm.get_model_info(model)["key"]]
        except Exception:  # noqa: BLE001 - litellm raises a bare Exception for a model that it does not know
            return None, None
        if row.get("input_cost_per_token") is None:
            return None, None
        answered = _highest(row, _OUTPUT_PRICE)
        return _highest(row, _INPUT_PRICE), 0.0 if answered is None and row.get("mode") == "embedding" else answered

    async def attempt(self, spec: ModelSpec, call: Call) -> Reply:
        """Ask once; see `sandbox.gateway.Provider`."""
        key = os.environ.get(spec.key_env, "").strip() if spec.key_env else None
        if key == "":
            raise ProviderRefused(f"{spec.key_env} is not set; it is to hold the key for {spec.model}", "export it")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise ProviderRefused(
                f"what {spec.key_env} holds is no key: it has line breaks or odd characters", "mend it"
            )
        # A server of one's own rarely wants a key, but the client that talks to it does.
        place = {"api_base": spec.api_base, "api_key": key or ("none" if spec.api_base else None)}
        ask = self._embed if call.role == "embedding" else self._complete
        try:
            return await asyncio.wait_for(ask(spec, call, place), spec.timeout_seconds)
        except (AttemptFailed, CallRefused, ProviderRefused):
            raise
        except TimeoutError:
            meaning: Exception = AttemptFailed(f"no whole answer within {spec.timeout_seconds:g} s", used=None)
        except Exception as error:  # noqa: BLE001 - litellm lets through what its parsers raise
            meaning = _meaning(self._litellm, spec, error, key)
        # Not in the handler: what was raised there may quote the key, and would hang on to this one as its context.
        raise meaning

    async def _complete(self, spec: ModelSpec, call: Call, place: dict[str, Any]) -> Reply:
        options: dict[str, Any] = dict(spec.options)
        if call.schema and "response_format" in (self._litellm.get_supported_openai_params(spec.model) or ()):
            schema = {"name": "answer", "schema": json.loads(call.schema), "strict": True}
            options["response_format"] = {"type": "json_schema", "json_schema": schema}
        if spec.temperature is not None:
            options["temperature"] = spec.temperature
        answer = await self._litellm.acompletion(
            model=spec.model,
            messages=plain(call),
            max_tokens=call.max_tokens,
            timeout=spec.timeout_seconds,
            num_retries=0,
            max_retries=0,
            **place,
            **options,
        )
        choices = getattr(answer, "choices", None)
        if not choices:
            raise AttemptFailed("the answer has no choices", used=_used(answer, call, said=False))
        message = choices[0].message
        text = message.content
        used = _used(answer, call, said=bool(text or getattr(message, "reasoning_content", None)))
        cut = choices[0].finish_reason == "length"
        if choices[0].finish_reason == "content_filter":
            raise CallRefused("the provider's filter withheld the answer", used)
        if not isinstance(text, str) or not text.strip():
            raise AttemptFailed("the answer is empty", used=used, answered=True)
        if cut and call.whole:
            raise AttemptFailed(f"the answer was cut off at {call.max_tokens} tokens", used=used, answered=True)
        return Reply(text, *used, None, cut)

    async def _embed(self, spec: ModelSpec, call: Call, place: dict[str, Any]) -> Reply:
        texts = [message.content or " " for message in call.messages]
        answer = await self._litellm.aembedding(
            model=spec.model,
            input=texts,
            timeout=spec.timeout_seconds,
            num_retries=0,
            max_retries=0,
            **place,
            **spec.options,
        )
        rows = sorted(answer.data, key=lambda row: row["index"])
        used = _used(answer, call, said=False)[0], 0
        try:
            with np.errstate(over="ignore"):  # what is too large is not finite, see below
                vectors = np.array([row["embedding"] for row in rows], dtype="<f4")
        except (TypeError, ValueError) as error:
            raise AttemptFailed(f"the vectors are malformed: {error}", used=used) from error
        if vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.size or not np.isfinite(vectors).all():
            raise AttemptFailed(
                f"wanted {len(texts)} vectors of finite numbers, got an array of shape {vectors.shape}", used=used
            )
        return Reply("", *used, None, vectors=vectors.tobytes())


def _highest(row: dict[str, Any], name: re.Pattern[str]) -> float | None:
    """Of a model's prices of this name, for long prompts and for reasoning too; dollars per million tokens."""
    tables = (row, *(row.get("tiered_pricing") or ()))
    found = [price for table in tables for key, price in table.items() if name.fullmatch(key) and price is not None]
    return float(max(found)) * 1e6 if found else None


def _used(answer: Any, call: Call, said: bool) -> tuple[int, int]:
    """Input and output tokens; at their bounds where the server does not say, which litellm takes for none at all.

    Args:
        said: the answer says something, so it was not for nothing.
    """
    usage = getattr(answer, "usage", None)
    asked, answered, total = (_count(usage, f"{name}_tokens") for name in ("prompt", "completion", "total"))
    if not asked:
        return call.input_bytes, call.max_tokens
    if answered is None:
        return asked, call.max_tokens
    # Some servers count what a model thinks in the total alone.
    answered = max(answered, (total or 0) - asked)
    return asked, call.max_tokens if said and not answered else answered


def _count(usage: Any, name: str) -> int | None:
    """What a server says that it has counted; None if that cannot be."""
    told = getattr(usage, name, None)
    return told if isinstance(told, int) and 0 <= told <= _MOST_TOKENS else None


def _meaning(litellm: Any, spec: ModelSpec, error: Exception, key: str | None) -> Exception:
    """What an exception of litellm is to us: try again, give this call up, or stop.

    Its classes alone do not tell: they are guessed from words in messages, its connection errors call themselves status
    500, and codes are dropped. So the provider's own response decides, if one came.
    """
    for one in _history(error):
        if isinstance(one, Redirected):
            hint = "keys do not follow; if that is where it is served, say so in api_base"
            return ProviderRefused(f"{spec.model}: {_redacted(str(one), _secrets(key))}", hint)
        if isinstance(one, TooLong):
            return AttemptFailed(str(one), used=None)
    response = _response(error)
    status = getattr(error, "status_code", None) if response is None else response.status_code
    code = "" if response is None else _code(response)
    told = _redacted(str(error).partition("Traceback (most recent call last)")[0], _secrets(key))
    kinds = litellm.exceptions
    about_content = isinstance(error, kinds.ContextWindowExceededError | kinds.ContentPolicyViolationError)
    if status == 413 or (status in (400, 403, 422) and (about_content or code in _CALL_CODES)):
        return CallRefused(told)
    if isinstance(error, kinds.Timeout | kinds.APIConnectionError) and response is None:
        return AttemptFailed(told, used=(0, 0) if _unconnected(error) else None)
    if status == 429:
        after = _retry_after(response)
        if code in _QUOTA_CODES or (after is None and _quota_used_up(told)):
            return ProviderRefused(f"{spec.model}: the quota is used up: {told}", "raise it, then `mnemogen resume`")
        return AttemptFailed(told, after)
    if isinstance(status, int) and 400 <= status < 500 and status not in _PASSING:
        hint = "is the key right?" if status in (401, 403) else "see the message; `mnemogen resume` goes on after it"
        return ProviderRefused(f"{spec.model} refused the call ({status}): {told}", hint)
    # Of an answer that cannot be parsed, or that a gateway did not wait for, nobody knows what it has cost.
    billed = response is None or response.status_code < 400 or status in _GATEWAY_TIMEOUTS
    return AttemptFailed(told, _retry_after(response), None if billed else (0, 0))


def _history(error: BaseException) -> list[BaseException]:
    """What led to an exception, the first of it first."""
    found: list[BaseException] = [error]
    for one in found:
        found += [e for e in (one.__cause__, one.__context__) if e is not None and e not in found]
    return found[::-1]


def _response(error: Exception) -> Any | None:
    """The provider's response. Where none came litellm makes up one, without headers."""
    for one in _history(error):
        response = getattr(one, "response", None)
        if getattr(response, "headers", None) and isinstance(getattr(response, "status_code", None), int):
            return response
    return None


def _code(response: Any) -> str:
    """The provider's name for an error, empty if it has none."""
    try:
        told = response.json()["error"]
        return str(told.get("code") or told.get("type") or "")
    except Exception:  # noqa: BLE001 - no JSON, JSON of another shape, a body that was not read
        return ""


def _unconnected(error: Exception) -> bool:
    """Was the provider never reached?"""
    import httpx

    return any(isinstance(one, httpx.ConnectError | httpx.ConnectTimeout) for one in _history(error))


def _quota_used_up(told: str) -> bool:
    """Does a status 429 mean that waiting does not help? Some providers say the same of a minute's quota."""
    lower = told.lower()
    return any(phrase in lower for phrase in _QUOTA) and "retry in" not in lower and "retrydelay" not in lower


def _retry_after(response: Any | None) -> float | None:
    """Seconds that the provider asks to wait."""
    told = None if response is None else response.headers.get("retry-after")
    if told is None:
        return None
    try:
        seconds = float(told)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(told).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _secrets(key: str | None) -> list[str]:
    """What must not be quoted: the key, and whatever the environment holds that litellm may have taken for one."""
    found = [value for name, value in os.environ.items() if _SECRET_NAME.search(name) and len(value) >= _SECRET_CHARS]
    forms = {form for secret in (*found, *([key] if key else [])) for form in _forms(secret)}
    return sorted(forms - {""}, key=len, reverse=True)


def _forms(secret: str) -> Iterator[str]:
    """A secret as it may stand in JSON, in a URL, in an exception, in a header."""
    for bare in (secret, secret.strip()):
        encoded = bare.encode(errors="surrogateescape")
        yield from (bare, " ".join(bare.split()), json.dumps(bare)[1:-1], repr(bare)[1:-1])
        yield from (quote(encoded), quote(encoded, safe=""), quote_plus(encoded))
        yield from (base64.b64encode(encoded).decode(), base64.urlsafe_b64encode(encoded).decode())


def _redacted(text: str, secrets: Iterable[str]) -> str:
    """The text without keys: providers like to quote them."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return _SECRETS.sub("***", " ".join(text.split()))[:_MESSAGE_CHARS]
