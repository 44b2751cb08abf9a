"""Servers that answer with any bytes, on loopback."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

Answer = Callable[[socket.socket], object]


class RawServer:
    """Answers every request as it is told to.

    Attributes:
        url: where it is, as a provider's address.
        asked: the requests so far, as text.
    """

    def __init__(self, listener: socket.socket, answer: Answer) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        self.asked: list[str] = []
        self._listener = listener
        self._answer = answer

    def run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65_536) or b"\r\n\r\n"
            head, _, body = head.partition(b"\r\n\r\n")
            told = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            while told and len(body) < int(told[0]):
                body += connection.recv(65_536)
            self.asked.append(head.decode() + "\n" + body.decode(errors="replace"))
            self._answer(connection)


@contextmanager
def raw_server(answer: Answer | bytes) -> Iterator[RawServer]:
    """Serve until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        send: Answer = (lambda connection: connection.sendall(answer)) if isinstance(answer, bytes) else answer
        server = RawServer(listener, send)
        threading.Thread(target=server.run, daemon=True).start()
        try:
            yield server
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def response(body: Any, status: str = "200 OK", *headers: str) -> bytes:
    """An HTTP response; a body that is not bytes is sent as JSON."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", "Connection: close", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(sent)}", "", ""]).encode() + sent


def completion(content: Any = "hello", usage: Any = None) -> dict[str, Any]:
    """What a chat model of OpenAI's form answers."""
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    used = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15} if usage is None else usage
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": used}
