"""What all commands share: where they write, and the arguments that several of them take."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

# Nothing that is printed is markup: a design may be called "[/]".
err = Console(stderr=True, markup=False)
out = Console(highlight=False, markup=False)

RUNS = Path("runs")
RunName = Annotated[str, typer.Argument(help="name or folder of a run")]
Who = Annotated[str, typer.Argument(help="a design: its id, the beginning of it, or its name; 'winner' is the winner")]
Runs = Annotated[Path, typer.Option("--runs", help="folder that holds the runs")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout")]
Overrides = Annotated[list[str], typer.Option("--set", help="KEY=VALUE, such as budget.evaluations=200; repeatable")]
From = Annotated[str, typer.Option("--from", help="the system it was written for: mnemogen, alma or evolvelab")]
RayAddress = Annotated[str | None, typer.Option("--ray-address", help="of a Ray cluster; default: this machine")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, max=10_000, help="processes; results do not depend on it")
]


# Messages may quote a design, a provider or a file: control characters, and those that turn the direction of a line.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")


def say(text: str, console: Console = err, style: str = "") -> None:
    """Write prose as it is: nothing in it is markup or steers the terminal, which wraps it better than we would."""
    console.print(_STEERING.sub("\ufffd", text), style=style, markup=False, highlight=False, soft_wrap=True)


def print_json(data: Any) -> None:
    """Write the data of a command; infinite bounds (one stream says nothing of the spread) are null."""
    text = json.dumps(_finite(data), indent=2, default=str)
    print(text)  # noqa: T201 - stdout is for data


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if abs(data) < float("inf") else None
    if isinstance(data, dict):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return data
