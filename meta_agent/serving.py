"""The commands that serve a model here: `mock-llm` one that follows a script, `local-llm` one from a file."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meta_agent.errors import BadInput
from meta_agent.terminal import say

if TYPE_CHECKING:
    from sandbox.mock_script import Script

Port = Annotated[int, typer.Option("--port", min=0, max=65_535, help="to listen on; 0 takes a free one")]
PAGE = "docs/models.md"


def mock_llm(
    script: Annotated[Path, typer.Argument(help=f"a YAML file: its answers and its faults; see {PAGE}")],
    port: Port = 8808,
    host: Annotated[
        str, typer.Option("--host", help="to listen on; others than this machine cannot reach 127.0.0.1")
    ] = "127.0.0.1",
) -> None:
    """Serve a model that follows a script, as a provider would: a run can be rehearsed without one."""
    from sandbox.mock_llm import serve

    parsed = read_script(script)
    if parsed.answer is not None:
        sys.path.insert(0, str(script.resolve().parent))
    with _until_stopped() as wait:
        try:
            with serve(parsed, host=host, port=port, remember=False) as server:
                _told(f"{script} is served at", server.url, "openai/scripted")
                wait()
                stats = server.stats()
        except ValueError as error:
            raise BadInput(str(error), f"a module beside {script}, and a function in it; see {PAGE}") from error
        except OSError as error:
            raise BadInput(f"cannot listen on {host}:{port}: {error.strerror}", "--port 0 takes a free one") from error
    counted = ("requests", "prompt_tokens", "completion_tokens")
    say("stopped after " + ", ".join(f"{stats[name]} {name.replace('_', ' ')}" for name in counted))


def local_llm(
    gguf: Annotated[Path, typer.Option("--gguf", help="the file of a model, in the format of llama.cpp")],
    port: Port = 8809,
    threads: Annotated[
        int, typer.Option("--threads", min=1, help="that compute; on a busy machine one is fastest")
    ] = 1,
    context: Annotated[
        int, typer.Option("--context", min=256, help="tokens, of a prompt and its answer together")
    ] = 4096,
) -> None:
    """Serve a model of your own on this machine, from a GGUF file; wants the extra `local-llm`."""
    from sandbox.local_llm import CannotServe, serve

    with _until_stopped() as wait:
        try:
            with serve(gguf, port=port, threads=threads, context=context) as url:
                _told(f"{gguf} is served at", url, f"openai/{gguf.stem}")
                wait()
        except CannotServe as error:
            raise BadInput(str(error), error.hint) from error


def read_script(path: Path) -> Script:
    """Read what a scripted model does.

    Raises:
        BadInput: no such file, or something in it that cannot be meant.
    """
    from meta_agent.strict import read_yaml
    from sandbox.mock_script import Script

    return read_yaml(Script, path, (), f"the one in {PAGE}")


def _told(what: str, url: str, model: str) -> None:
    """Say where a model is, and how a config names it."""
    say(f"{what} {url}")
    say(f"in a config:\n  model: {model}\n  api_base: {url}")
    say("Ctrl-C ends it")


@contextmanager
def _until_stopped() -> Iterator[Callable[[], object]]:
    """Gives a function that waits for a signal to stop; until the block ends, such a signal ends nothing else."""
    stopped = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, lambda *_: stopped.set()) for number in numbers]
    try:
        yield stopped.wait
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
