"""Is what a job will cost, told before its first call, near what it then costs?

    python benchmarks/dry_run.py [configs/textworld-llm.yaml] [--set KEY=VALUE ...] [--runs FOLDER]

Prices the job as `mnemogen run CONFIG --dry-run` does, and then runs it, by `mnemogen run`, against a scripted server
in a process of its own: sandboxes, workers, HTTP and the record of calls are the real ones, the prices are those of the
config's models. The scripted agent gives a reason and takes one of the commands on offer; the scripted writer answers
with modules of the catalogue's, changed in a constant. Every fourth of them has a fault, which is mended when told.
Exits with 1 if calls, tokens or dollars are, all roles together, off by more than a fifth.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from archive.call_book import CallBook
from design_space import catalogue
from meta_agent.config import Config, load
from meta_agent.ending import ending
from meta_agent.forecast import Forecast, forecast
from meta_agent.run import RunFolder
from sandbox.mock_script import Rule, Script
from sandbox.models import LiteLLMProvider

PROJECT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-m", "meta_agent.cli"]
MOST_OFF = 0.2
"""Of what is spent."""

REASON = "I have read the recipe, but do not hold the pepper yet, so I take it before I turn to the stove."
PLAN = {
    "finding": "In both of the worst episodes the design recalled what had been done in other kitchens, but not which"
    " tool the food before the agent wanted: the step that lost the game is a tool that failed on the same food twice"
    " before. What it stores is found by the goal, and all goals are alike.",
    "plan": "Store one fact for each food and tool, with how often it helped and how often it spoiled the food. Before"
    " a step, find the facts by the foods that are in view or carried, best first, and recall at most a dozen, with the"
    " tool as their action. Facts that were contradicted twice are dropped.",
    "name": "facts by food and tool",
}
NOTE = "It keeps facts of foods and tools, and finds them by what is in view, in the place of whole trajectories."
WRITTEN = ("memory_r1", "mia", "memrl", "superlocalmemory", "trajectory_retrieval")
"""Designs of the catalogue that are modules of their own, as models write them, rather than compositions."""
MARKED = """
from dataclasses import replace as _replace

_found = {made}.retrieve


def _marked(self, query):
    recall = _found(self, query)
    return _replace(recall, items=tuple(_replace(item, text=f"{{item.text}} ({number})") for item in recall.items))


{made}.retrieve = _marked
"""
"""What makes each of them recall something of its own: designs that recall the same are one design to the search."""
ANSWERS_COUNT = 400
BROKEN_EVERY = 4


@dataclass(frozen=True, slots=True)
class Cost:
    """What a role takes; tokens are those asked and answered."""

    calls: int
    tokens: int
    dollars: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.calls + other.calls, self.tokens + other.tokens, self.dollars + other.dollars)


def modules() -> Iterator[str]:
    """Answers to the order of a design, no two of them the same."""
    for number, name in enumerate(cycle(WRITTEN)):
        source = catalogue.load(name).source
        (made,) = re.findall(r"^class (\w+)\(\w*Memory\)", source, re.MULTILINE)
        yield source + MARKED.format(made=made, number=number)


def answer(source: str) -> str:
    return json.dumps({"note": NOTE, "source": source, "edits": []})


def broken(source: str, way: int) -> str:
    """An answer as models spoil it: cut off, a method under another name, a forbidden import, no JSON."""
    ways = (
        answer(source[: len(source) // 2]),
        answer(source.replace("def update(", "def learn(").replace("def compose(", "def composed(")),
        answer(source.replace("from typing import Any\n", "import os\nfrom typing import Any\n")),
        f"Here is the design:\n```python\n{source}```\nIt keeps facts instead of trajectories.",
    )
    return ways[way % len(ways)]


def script(latency_seconds: float) -> Script:
    """Models as a job meets them."""
    sources = list(islice(modules(), 2 * ANSWERS_COUNT))
    first, mended = sources[:ANSWERS_COUNT], sources[ANSWERS_COUNT:]
    written = [
        answer(source) if (place + 1) % BROKEN_EVERY else broken(source, place // BROKEN_EVERY)
        for place, source in enumerate(first)
    ]
    picked = f'{{"thought": {json.dumps(REASON)}, "command": {{json}}}}'
    return Script(
        latency_seconds=latency_seconds,
        rules=(
            Rule(when="(?m)^The design does not work yet", replies=tuple(map(answer, mended))),
            Rule(when="(?m)^Write the design", replies=tuple(written)),
            Rule(when="(?m)^Look at the design", reply=json.dumps(PLAN)),
            Rule(when="(?m)^Commands:$", pick=r"^\* (.+)$", template=picked),
            Rule(reply=json.dumps({"thought": REASON, "answer": "not known"})),
        ),
    )


@contextmanager
def served(script: Script, folder: Path) -> Iterator[str]:
    """Serve a script in a process of its own; gives its address."""
    file = folder / "script.yaml"
    file.write_text(yaml.safe_dump(script.model_dump(mode="json", exclude_unset=True)), encoding="utf-8")
    command = [*COMMAND, "mock-llm", str(file), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as process:
        try:
            said = ""
            while process.stderr is not None and (line := process.stderr.readline()):
                said += line
                if (base := re.search(r"api_base: (\S+)", said)) is not None:
                    yield base[1]
                    return
            raise SystemExit(f"the scripted server does not start: {said}")
        finally:
            process.terminate()


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PROJECT)}


def routed(config: Config, provider: LiteLLMProvider, url: str) -> list[str]:
    """What has every model of a config served at `url`, at its own price."""
    told = []
    for role, spec in config.models.specs.items():
        price = provider.price(spec)
        if price is None:
            raise SystemExit(f"the price of {spec.model} is not known: say its input_dollars and output_dollars")
        name = f"openai/{spec.model.rpartition('/')[2]}"
        place = {"model": name, "api_base": url, "key_env": "null"}
        prices = {"input_dollars": price.input, "output_dollars": price.output}
        told += [f"models.{role}.{key}={value}" for key, value in (place | prices).items()]
    return told


def run(config: Path, overrides: Sequence[str], runs: Path) -> float:
    """Run a job to its end; returns the seconds that it took."""
    began = time.monotonic()
    settings = [part for override in overrides for part in ("--set", override)]
    command = [*COMMAND, "run", str(config), *settings, "--runs", str(runs)]
    done = subprocess.run(command, env=environment(), check=False)
    if done.returncode != 0:
        raise SystemExit(f"the run ended with code {done.returncode}")
    return time.monotonic() - began


def told(forecast: Forecast) -> dict[str, Cost]:
    return {
        role.role: Cost(role.calls, role.input_tokens + role.output_tokens, role.dollars or 0.0)
        for role in forecast.roles
    }


def spent(book: CallBook) -> dict[str, Cost]:
    return {cost.role: Cost(cost.calls, cost.tokens, cost.dollars or 0.0) for cost in book.costs()}


def ratios(before: Cost, after: Cost) -> list[float]:
    """What was told, as shares of what was spent: calls, tokens, dollars."""
    pairs = ((before.calls, after.calls), (before.tokens, after.tokens), (before.dollars, after.dollars))
    return [float(a / b) if b else 1.0 if not a else float("inf") for a, b in pairs]


def table(before: Mapping[str, Cost], after: Mapping[str, Cost]) -> Table:
    shown = Table(title="told, spent, and the one as a share of the other")
    shown.add_column("role")
    for name in ("calls", "tokens", "dollars"):
        for heading in (f"{name} told", "spent", "share"):
            shown.add_column(heading, justify="right")
    for role in before:
        a, b = before[role], after.get(role, Cost(0, 0, 0.0))
        calls, tokens, dollars = (f"{ratio:.3f}" for ratio in ratios(a, b))
        shown.add_row(
            role, f"{a.calls:,}", f"{b.calls:,}", calls, f"{a.tokens:,}", f"{b.tokens:,}", tokens,
            f"{a.dollars:.3f}", f"{b.dollars:.3f}", dollars,
        )  # fmt: skip
    return shown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("config", type=Path, nargs="?", default=PROJECT / "configs" / "textworld-llm.yaml")
    parser.add_argument("--set", action="append", default=[], dest="overrides", help="KEY=VALUE of the config")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--runs", type=Path, help="where the run's folder stays; it is removed if nothing is said")
    options = parser.parse_args()
    console, provider = Console(width=160), LiteLLMProvider()
    config = load(options.config, tuple(options.overrides))
    before = forecast(config, provider)
    with tempfile.TemporaryDirectory() as scratch:
        runs = options.runs or Path(scratch) / "runs"
        with served(script(options.latency), Path(scratch)) as url:
            took = run(options.config, [*options.overrides, *routed(config, provider, url)], runs)
        folder = RunFolder(runs / config.name)
        with CallBook(folder.ledger, read_only=True) as book, folder.open_ledger() as ledger:
            after = spent(book)
            evaluations = sum(1 for _ in ledger.evaluations())
            designs = len({call.scope for call in book.calls() if call.role == "meta"})
    roles = dict.fromkeys((*told(before), *after))
    rows = {role: told(before).get(role, Cost(0, 0, 0.0)) for role in roles}
    rows["in all"] = sum(rows.values(), Cost(0, 0, 0.0))
    after["in all"] = sum(after.values(), Cost(0, 0, 0.0))
    console.print(table(rows, after))
    console.print(f"evaluations: {before.evaluations} told, {evaluations} made")
    console.print(f"designs by a model: {before.designs} told, {designs} made")
    console.print(f"the run took {took:.0f} s")
    return int(any(abs(ratio - 1.0) > MOST_OFF for ratio in ratios(rows["in all"], after["in all"])))


if __name__ == "__main__":
    with ending():
        sys.exit(main())
