"""How much of the ideal throughput do many evaluations reach that wait for a slow model, on the cores of one machine?

    python benchmarks/in_flight.py --in-flight 64 --latency 2

Every evaluation asks its model one thing after the other, so that many of them make in-flight / latency calls a second
at best. Told is what part of that was reached: over the whole, in which sandboxes start and the last ones end alone,
and in the middle eight tenths of the calls. All of it shares the machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from rich.console import Console

from archive.ledger import Ledger
from design_space import catalogue
from meta_agent.config import load
from meta_agent.evaluations import worker_spec
from meta_agent.pool import RayPool
from meta_agent.record import open_models
from meta_agent.worker import Job
from sandbox.mock_llm import serve
from sandbox.mock_script import Rule, Script

PROJECT = Path(__file__).parents[1]
PICK = Rule(pick=r"^\* (.+)$", template='{"thought": "I try this.", "command": {json}}')


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
    with serve(script, remember=False) as server, tempfile.TemporaryDirectory() as scratch:
        config = load(
            PROJECT / "configs" / "quickstart.yaml",
            (
                "evaluation.agent=llm",
                f"stream.settings={{tasks_count: {options.tasks}, max_steps: {options.steps}}}",
                f"models.agent={{model: openai/agent, api_base: '{server.url}', timeout_seconds: 60}}",
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
            began, marks, calls = time.monotonic(), list[tuple[float, int]](), 0
            for done in pool.run(jobs):
                calls += 0 if done is None else sum(e.model_calls for e, _ in done.results)
                marks.append((time.monotonic() - began, server.stats()["requests"]))
            took = time.monotonic() - began
    total = server.stats()["requests"]
    middle = [(when, count) for when, count in marks if 0.1 * total <= count <= 0.9 * total]
    ideal = options.in_flight / options.latency
    console.print(f"{options.in_flight} evaluations of {total // options.in_flight} calls, {options.latency:g} s each")
    console.print(f"ideal {ideal:.1f} calls/s; the whole: {total / took:.1f}/s, {total / took / ideal:.3f} of it")
    if len(middle) > 1:
        rate = (middle[-1][1] - middle[0][1]) / (middle[-1][0] - middle[0][0])
        console.print(f"the middle eight tenths: {rate:.1f}/s, {rate / ideal:.3f} of it")


if __name__ == "__main__":
    main()
