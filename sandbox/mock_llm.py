"""A model that follows a script, served over HTTP as OpenAI's are: for rehearsals of a run, and for tests.

    with serve(Script(rules=(Rule(reply="hello"),))) as server:
        ...  # a client whose api_base is server.url
    assert server.count(model="gpt.*") == 1

It has /v1/chat/completions (whole answers, no streams), /v1/embeddings and /v1/models, and tells at /stats what it has
done so far.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
import math
import socket
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from design_space.text import HashedEmbedder
from sandbox.mock_script import UNANSWERED, Asked, Fault, FaultKind, Hook, NoRule, Play, Script, count_tokens

CREATED = 1_700_000_000
"""When everything was made: an answer depends on its request alone."""

MOST_BYTES = 64 * 1024 * 1024
"""Of a request."""

_HTML = "<!DOCTYPE html><html><body><h1>Bad gateway</h1><p>The server is being looked after.</p></body></html>"
_BROKEN = '{"id": "chatcmpl-broken", "choices": [{"index": 0, "message": {"role": "assistant", "content": "bro'
_BACKLOG = 1024
_SHUTDOWN_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that came.

    Attributes:
        path: such as ``/v1/chat/completions``.
        key: what its header Authorization bears.
        fault: what it was shown; None if it was answered.
    """

    path: str
    asked: Asked
    key: str
    fault: FaultKind | None


class ScriptedModel:
    """Answers requests as a script says. All of it but `requests`, `count` and `stats` is for the server's thread.

    Args:
        hook: answers in the place of rules; the script's own is looked for if there is none.
        remember: keep every request in `requests`.

    Attributes:
        url: what a client's `api_base` is to be; empty before it is served.

    Raises:
        ValueError: the script's hook is not there.
    """

    def __init__(self, script: Script, hook: Hook | None = None, remember: bool = True) -> None:
        if hook is None and script.answer is not None:
            hook = load_hook(script.answer)
        self.url = ""
        self.requests: list[Seen] = []
        self._script = script
        self._remember = remember
        self._play = Play(script, hook)
        self._embedder = HashedEmbedder(script.embedding_dimensions)
        self._counts: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()
        self._faults: Counter[str] = Counter()
        self._under_way = 0

    def count(self, *, model: str | None = None, when: str | None = None, fault: FaultKind | None = None) -> int:
        """How many of the remembered requests were for this model (a regex, the whole name), have this (a regex) in
        their texts, and were shown this fault.
        """
        fitting = [seen for seen in self.requests if seen.asked.fits(model, when)]
        return sum(fault is None or seen.fault == fault for seen in fitting)

    def stats(self) -> dict[str, Any]:
        """What it has done so far, as /stats tells it. Requests that were given no status are under `faults` alone."""
        return {
            "requests": self._counts["requests"],
            "most_at_once": self._counts["most_at_once"],
            "prompt_tokens": self._counts["prompt_tokens"],
            "completion_tokens": self._counts["completion_tokens"],
            "statuses": {str(status): count for status, count in sorted(self._statuses.items())},
            "faults": dict(sorted(self._faults.items())),
        }

    def application(self) -> web.Application:
        """It as an application of aiohttp."""
        application = web.Application(client_max_size=MOST_BYTES)
        application.router.add_post("/v1/chat/completions", self._chat)
        application.router.add_post("/v1/embeddings", self._embed)
        application.router.add_get("/v1/models", self._models)
        application.router.add_get("/stats", self._stats)
        return application

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._respond(request, Asked.chat, self._completion)

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        return await self._respond(request, Asked.embedding, self._embedding)

    async def _models(self, _: web.Request) -> web.Response:
        """Any name is served; one is listed."""
        model = {"id": "scripted", "object": "model", "created": CREATED, "owned_by": "mnemogen"}
        return web.json_response({"object": "list", "data": [model]})

    async def _stats(self, _: web.Request) -> web.Response:
        return web.json_response(self.stats())

    async def _respond(
        self,
        request: web.Request,
        read: Callable[[object], Asked],
        answer: Callable[[Asked, Fault | None], tuple[dict[str, Any], float]],
    ) -> web.StreamResponse:
        async with self._counted():
            try:
                asked = read(json.loads(await request.read()))
            except ValueError as error:
                return self._error(400, f"not a request that is understood: {error}")
            fault = self._play.fault(asked)
            self._note(request, asked, fault)
            if fault is not None and fault.kind != "slow":
                await asyncio.sleep(fault.latency_seconds)
            if fault is not None and fault.kind in UNANSWERED:
                return await self._instead(request, fault)
            try:
                payload, seconds = answer(asked, fault)
            except NoRule as error:
                return self._error(400, str(error), "no_rule")
            self._counts["prompt_tokens"] += asked.tokens
            await asyncio.sleep(seconds)
            self._statuses[200] += 1
            if fault is not None and fault.kind in ("truncated", "slow"):
                return await _in_pieces(request, json.dumps(payload).encode(), fault)
            return web.json_response(payload)

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        self._counts["requests"] += 1
        self._under_way += 1
        self._counts["most_at_once"] = max(self._counts["most_at_once"], self._under_way)
        try:
            yield
        finally:
            self._under_way -= 1

    def _note(self, request: web.Request, asked: Asked, fault: Fault | None) -> None:
        kind = None if fault is None else fault.kind
        if kind is not None:
            self._faults[kind] += 1
        if self._remember:
            self.requests.append(Seen(request.path, asked, _key(request), kind))

    def _completion(self, asked: Asked, fault: Fault | None) -> tuple[dict[str, Any], float]:
        kind = None if fault is None else fault.kind
        text, cut, seconds = self._play.answer(asked, spoiled=kind in ("empty", "truncated", "cut"))
        if kind == "empty":
            text, cut = "", False
        if kind == "cut":
            text, cut = text[: len(text) // 2], True
        used = count_tokens(text)
        self._counts["completion_tokens"] += used
        message = {"role": "assistant", "content": text}
        payload: dict[str, Any] = {
            "id": f"chatcmpl-{asked.digest[:24]}",
            "object": "chat.completion",
            "created": CREATED,
            "model": asked.model,
            "choices": [{"index": 0, "message": message, "finish_reason": "length" if cut else "stop"}],
        }
        if kind != "no_usage":
            total = asked.tokens + used
            payload["usage"] = {"prompt_tokens": asked.tokens, "completion_tokens": used, "total_tokens": total}
        return payload, seconds

    def _embedding(self, asked: Asked, fault: Fault | None) -> tuple[dict[str, Any], float]:
        kind = None if fault is None else fault.kind
        vectors = self._embedder.embed(asked.texts)
        vectors[~vectors.any(axis=1), 0] = 1.0  # a text without words
        if kind == "empty":
            vectors = vectors[:0]
        packed = asked.body.get("encoding_format") == "base64"
        rows = [base64.b64encode(row.astype("<f4").tobytes()).decode() if packed else row.tolist() for row in vectors]
        payload: dict[str, Any] = {
            "object": "list",
            "model": asked.model,
            "data": [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)],
        }
        if kind != "no_usage":
            payload["usage"] = {"prompt_tokens": asked.tokens, "total_tokens": asked.tokens}
        return payload, self._script.latency_seconds

    async def _instead(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        """Show a fault that has nothing of an answer."""
        if fault.kind == "status":
            status = fault.status or 500
            message = (fault.message or f"the script answers {status}").replace("{key}", _key(request))
            response = self._error(status, message, fault.code)
            if fault.retry_after is not None:
                response.headers["Retry-After"] = fault.retry_after
            return response
        if fault.kind == "stall":
            await asyncio.get_running_loop().create_future()
        if fault.kind == "reset":
            _reset(request)
            return web.Response()
        self._statuses[200] += 1
        if fault.kind == "html":
            return web.Response(text=_HTML, content_type="text/html")
        return web.Response(text=_BROKEN, content_type="application/json")

    def _error(self, status: int, message: str, code: str | None = None) -> web.Response:
        self._statuses[status] += 1
        kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
        error = {"message": message, "type": kind, "param": None, "code": code}
        return web.json_response({"error": error}, status=status)


@contextmanager
def serve(
    script: Script, *, host: str = "127.0.0.1", port: int = 0, hook: Hook | None = None, remember: bool = True
) -> Iterator[ScriptedModel]:
    """Serve a script from a thread of its own, until the block ends.

    Args:
        port: 0 takes a free one; see `ScriptedModel.url`.
        hook, remember: see `ScriptedModel`.

    Raises:
        ValueError: the script's hook is not there.
        OSError: the port is taken, or the host is none of this machine.
    """
    model = ScriptedModel(script, hook, remember)
    # What a client has given up is given up here too; a stalled request holds nothing up when the block ends.
    runner = web.AppRunner(
        model.application(), access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="scripted model", daemon=True)
    thread.start()
    try:
        model.url = asyncio.run_coroutine_threadsafe(_begin(runner, host, port), loop).result()
        yield model
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def load_hook(name: str) -> Hook:
    """Import ``module:function``.

    Raises:
        ValueError: there is no such function, or its module does not import.
    """
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (Exception, SystemExit) as error:  # whatever somebody's module does
        raise ValueError(f"answer: {name!r} cannot be imported: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise ValueError(f"answer: {name!r} is no function")
    hook: Hook = found
    return hook


async def _begin(runner: web.AppRunner, host: str, port: int) -> str:
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
    bound = runner.addresses[0][1]
    return f"http://{f'[{host}]' if ':' in host else host}:{bound}/v1"


async def _in_pieces(request: web.Request, body: bytes, fault: Fault) -> web.StreamResponse:
    """Announce a body, and send it slowly, or half of it and hang up."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    if fault.kind == "slow":
        for place in range(len(body)):
            await response.write(body[place : place + 1])
            await asyncio.sleep(fault.latency_seconds)
        return response
    await response.write(body[: math.ceil(len(body) / 2)])
    if request.transport is not None:
        request.transport.close()
    return response


def _reset(request: web.Request) -> None:
    """Tear the connection down: the client gets a RST."""
    if request.transport is not None:
        connection: socket.socket = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()


def _key(request: web.Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ")
