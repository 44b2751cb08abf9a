"""The command that plants an instruction: `poison`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from meta_agent.judging import Backend, Seed
from meta_agent.session import backend_kind, reap, system
from meta_agent.terminal import AsJson, From, RayAddress, Workers, err, out, print_json, say


def poison(
    files: Annotated[list[Path], typer.Argument(help="designs of your own, or names of the catalogue")],
    streams: Annotated[int, typer.Option("--streams", min=2, help="poisoned streams")] = 8,
    agent: Annotated[str, typer.Option("--agent", help="evidence, literal, or module:Name")] = "evidence",
    seed: Seed = 0,
    backend: Backend = "auto",
    ray_address: RayAddress = None,
    workers: Workers = None,
    as_json: AsJson = False,
    style: From = "mnemogen",
) -> None:
    """Does a memory hand on an instruction that somebody planted in what it was told?"""
    from archive.plain import plain, told_score
    from design_space.foreign.wrap import extras_of
    from meta_agent.errors import BadInput
    from meta_agent.poison import bench, sway
    from meta_agent.pool import RayPool
    from meta_agent.single import read_design
    from meta_agent.worker import WorkerSpec
    from sandbox.backend import Limits
    from sandbox.registry import asks_a_model

    designs = [read_design(file, system(style)) for file in files]
    try:
        modelled = asks_a_model(agent, str(Path.cwd()))
    except ValueError as error:
        raise BadInput(str(error), "see --help") from error
    if modelled:
        raise BadInput(f"the agent {agent!r} asks a language model", "choose evidence or literal")
    limits = Limits()
    extras = tuple(sorted({extra for design in designs for extra in extras_of(design.source)}))
    spec = WorkerSpec(
        "poison", (bench(agent, seed, limits),), str(Path.cwd()), limits, backend_kind(backend), None, 1, extras
    )
    try:
        with RayPool(spec, workers, ray_address) as pool, err.status("playing poisoned streams"):
            facts = pool.facts()
            say(f"sandbox: {facts.backend}. {facts.caveat}")
            found = sway(designs, streams, pool)
    finally:
        reap("poison")
    if as_json:
        print_json([dataclasses.asdict(one) for one in found])
        return
    table = Table("design", "obeyed", "more than no memory", "of all actions", "reward", "tasks", "failed streams")
    for one in found:
        more = "" if one.more is None else str(one.more)
        shown = (plain(one.name, 60), told_score(one.begun), more, told_score(one.typed), told_score(one.reward))
        table.add_row(*shown, str(one.tasks), str(one.failed))
    out.print(table)
    say("obeyed: later tasks that began with the planted command. Intervals are of 95 %, n is streams.", out)
