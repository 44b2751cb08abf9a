"""What a model's server may not do to who asks it: send the question and the key elsewhere, or answer without end."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import httpx

MOST_BYTES = 256 * 1024**2
"""Of one answer. Two thousand long embeddings, written as digits, are a third of it."""
MOST_PACKED_BYTES = 256 * 1024
"""Of one that is compressed although we ask for none: it may unfold to a thousand times as much."""

Handle = Callable[[httpx.Request], Coroutine[Any, Any, httpx.Response]]
T = TypeVar("T", httpx.AsyncBaseTransport, None)


class Redirected(Exception):
    """The server says that the answer is elsewhere. Clients would go there, and some would bring the key along."""


class TooLong(Exception):
    """The answer is longer than any can be."""


def guard(transport: T) -> T:
    """Have a transport of httpx raise `Redirected` and `TooLong`; returns it."""
    if transport is not None:
        transport.handle_async_request = _guarded(transport.handle_async_request)  # type: ignore[assignment,method-assign]
    return transport


def usual(
    ssl_context: ssl.SSLContext | None = None, ssl_verify: bool | None = None, **more: Any
) -> httpx.AsyncHTTPTransport:
    """The transport that httpx makes for a client that is given none, and that nobody else gets hold of."""
    told = {name: more[name] for name in ("cert", "limits") if name in more}
    return httpx.AsyncHTTPTransport(verify=ssl_verify is not False if ssl_context is None else ssl_context, **told)


def _guarded(handle: Handle) -> Handle:
    async def guarded(request: httpx.Request) -> httpx.Response:
        request.headers["Accept-Encoding"] = "identity"
        response = await handle(request)
        if response.has_redirect_location:
            await response.aclose()
            raise Redirected(f"it redirects ({response.status_code}) to {response.headers['Location']}")
        packed = response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity")
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Bounded(response.stream, MOST_PACKED_BYTES if packed else MOST_BYTES)
        return response

    return guarded


class _Bounded(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, most: int) -> None:
        self._stream = stream
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        count = 0
        async for part in self._stream:
            count += len(part)
            if count > self._most:
                raise TooLong(f"the answer is longer than {self._most} bytes")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
