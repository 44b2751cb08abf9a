"""How much of the ideal throughput do many evaluations reach that wait for a slow model, on the cores of one machine?

    python benchmarks/in_flight.py --in-flight 64 --latency 2

Every evaluation asks its model one thing after the other, so that many of them make in-flight / latency calls a second
at best. Told is what part of that was reached: over the whole, in which sandboxes start and the last ones end alone,
and in the middle eight tenths of the calls. All of it shares the machine; the server is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from dry_run import served
from rich.console import Console

from archive.ledger import Ledger
from design_space import catalogue
from meta_agent.config import load
from meta_agent.ending import ending
from meta_agent.evaluations import worker_spec
from meta_agent.pool import RayPool
from meta_agent.record import open_models
from meta_agent.worker import Job
from sandbox.mock_script import Rule, Script

PROJECT = Path(__file__).parents[1]
PICK = Rule(pick=r"^\* (.+)$", template='{"thought": "I try this.", "command": {json}}')


def requests(url: str) -> int:
    """How many the server has answered or is answering."""
    with urllib.request.urlopen(f"{url.removesuffix('/v1')}/stats") as told:
        return int(json.load(told)["requests"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--latency", type=float, default=2.0, help="seconds")
    parser.add_argument("--steps", type=int, default=12, help="calls per task")
    parser.add_argument("--tasks", type=int, default=10, help="per evaluation")
    parser.add_argument("--backend", default="auto")
    options = parser.parse_args()
    console = Console(width=160)
    script = Script(rules=(PICK,), latency_seconds=options.latency)
    with tempfile.TemporaryDirectory() as scratch, served(script, Path(scratch)) as url:
        config = load(
            PROJECT / "configs" / "quickstart.yaml",
            (
                "evaluation.agent=llm",
                f"stream.settings={{tasks_count: {options.tasks}, max_steps: {options.steps}}}",
                f"models.agent={{model: openai/agent, api_base: '{url}', timeout_seconds: 60}}",
                f"models.in_flight={options.in_flight}",
                f"sandbox.backend={options.backend}",
            ),
        )
        design = catalogue.load("exprag")
        jobs = [Job(number, design, "search", (number,)) for number in range(options.in_flight)]
        file = Path(scratch) / "ledger.sqlite"
        Ledger(file).close()
        with open_models(config, file) as models, RayPool(worker_spec(config), None, models=models) as pool:
            pool.facts()
            assert models is not None
            began, marks, over = time.monotonic(), list[tuple[float, int]](), threading.Event()

            def watch() -> None:
                while not over.wait(1.0):
                    marks.append((time.monotonic() - began, requests(url)))

            watcher = threading.Thread(target=watch)
            watcher.start()
            ended = [done for done in pool.run(jobs) if done is not None]
            took = time.monotonic() - began
            over.set()
            watcher.join()
        total = requests(url)
    middle = [(when, count) for when, count in marks if 0.1 * total <= count <= 0.9 * total]
    ideal = options.in_flight / options.latency
    failed = sum(evaluation.score is None for done in ended for evaluation, _ in done.results)
    count = f"{len(ended)} evaluations, {failed} failed, of {total // options.in_flight} calls"
    console.print(f"{count}, {options.latency:g} s each")
    console.print(f"ideal {ideal:.1f} calls/s; the whole: {total / took:.1f}/s, {total / took / ideal:.3f} of it")
    if len(middle) > 1:
        rate = (middle[-1][1] - middle[0][1]) / (middle[-1][0] - middle[0][0])
        console.print(f"the middle eight tenths: {rate:.1f}/s, {rate / ideal:.3f} of it")


if __name__ == "__main__":
    with ending():
        main()
