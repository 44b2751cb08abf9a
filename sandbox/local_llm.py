"""A model from a GGUF file, served on this machine through xllamacpp (llama.cpp), which is imported here only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MAGIC = b"GGUF"
HOST = "127.0.0.1"
_ERRORS_ONLY = 1


class CannotServe(Exception):
    """A model cannot be served.

    Args:
        hint: what to do about it.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@contextmanager
def serve(file: Path, *, port: int = 0, threads: int = 1, context: int = 4096) -> Iterator[str]:
    """Serve a model on loopback until the block ends, as OpenAI's are; gives the `api_base`. Any name is taken for it.

    Requests are answered one after the other: with the few threads that there are, several at once gain nothing, and
    each would have a part of the context only.

    Args:
        port: 0 takes a free one.
        threads: that compute. On a machine with other work, more than one are slower than one.
        context: tokens, of a prompt and its answer together.

    Raises:
        CannotServe: no such file, no GGUF file, no xllamacpp; or llama.cpp fails with it.
    """
    check(file)
    server = _start(file, port, threads, context)
    try:
        yield f"{server.listening_address}/v1"
    finally:
        # It has no other way to be stopped; this returns once the port is free.
        del server


def check(file: Path) -> None:
    """Raises CannotServe if this is not a GGUF file that can be read."""
    try:
        with file.open("rb") as stream:
            magic = stream.read(len(MAGIC))
    except OSError as error:
        raise CannotServe(f"cannot read {file}: {error.strerror}", "--gguf wants the file of a model") from error
    if magic != MAGIC:
        hint = f"such a file begins with {MAGIC.decode()}; models for llama.cpp are published in this format"
        raise CannotServe(f"{file} is no GGUF file", hint)


def _start(file: Path, port: int, threads: int, context: int) -> Any:
    try:
        import xllamacpp
    except ImportError as error:
        raise CannotServe(f"xllamacpp is missing: {error}", "pip install 'mnemogen[local-llm]'") from error
    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.hostnames = [HOST]
    params.port = port
    params.cors_origins = ""  # no page in a browser of this machine may ask it
    params.ui = False
    params.n_ctx = context
    params.n_parallel = 1
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.cache_ram_mib = 0  # prompts of the past would take gigabytes
    params.verbosity = _ERRORS_ONLY
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        where = f"at {HOST}:{port}" if port else ""
        hint = "what llama.cpp said is above; is the port free, the memory enough, the file whole?"
        raise CannotServe(f"llama.cpp cannot serve {file} {where}".strip(), hint) from error
