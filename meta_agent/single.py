"""One design of the user's own: is it valid, what does it earn?"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from design_space import Design, DesignId, catalogue
from design_space.validate import validate
from meta_agent.config import Config
from meta_agent.errors import BadInput
from meta_agent.evaluations import worker_spec
from meta_agent.pool import RayPool
from meta_agent.terminal import say
from meta_agent.verdict import Final, compare
from meta_agent.worker import Job
from sandbox.backend import Labels, Limits
from sandbox.choose import Kind, choose
from sandbox.contract import check


def read_design(file: Path) -> Design:
    """A design from a file, or of the catalogue by its name.

    Raises:
        BadInput: no such file, or static validation finds something.
    """
    if not file.exists() and str(file) in catalogue.names():
        return catalogue.load(str(file))
    try:
        source = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(catalogue.names())
        raise BadInput(f"cannot read the design {file}: {error}", f"name a Python file, or one of: {known}") from error
    problems = validate(source)
    if problems:
        told = "\n".join(f"  line {problem.line}: {problem.message}" for problem in problems)
        raise BadInput(f"{file} is no valid design:\n{told}", "mend these; README, 'A design of your own', shows one")
    return Design(source, {}, file.stem)


def check_file(file: Path, backend: Kind) -> str:
    """Validate a design and put it through the contract test in the sandbox; says how it went.

    Raises:
        BadInput: it is invalid or breaks its contract.
        SandboxUnavailable: there is no sandbox.
    """
    design = read_design(file)
    box = choose(backend, Limits(), "check", 1)
    try:
        with box.open(Labels("check", design.id)) as guest:
            fault = check(design, guest, box.folder)
    finally:
        box.close()
    if fault is not None:
        raise BadInput(f"{file} breaks its contract ({fault.outcome.value}): {fault.detail}", "mend it and check again")
    return f"valid, and it holds its contract (sandbox: {box.name}). id {design.id}"


def evaluate_file(file: Path, config: Config, streams: int, console: Console) -> Final:
    """Score a design and the controls on fresh validation streams.

    Raises:
        BadInput: it is invalid.
        SandboxUnavailable: there is no sandbox.
    """
    design = read_design(file)
    controls = {name: catalogue.load(name) for name in config.controls}
    everyone = {d.id: d for d in (design, *controls.values())}
    indices = tuple(range(streams))
    jobs = [
        Job(number, who, "validation", indices[start : start + 4])
        for number, (who, start) in enumerate((w, s) for w in everyone.values() for s in range(0, streams, 4))
    ]
    scores: dict[DesignId, dict[str, float]] = {name: {} for name in everyone}
    with RayPool(worker_spec(config), config.workers.count) as pool, console.status("evaluating"):
        facts = pool.facts()
        say(f"sandbox: {facts.backend}. {facts.caveat}", console)
        for done in pool.run(jobs):
            for evaluation, _ in () if done is None else done.results:
                if evaluation.detail:
                    say(f"{evaluation.outcome.value}: {evaluation.detail}", console)
                if evaluation.score is not None:
                    scores[evaluation.key.design][evaluation.key.stream] = evaluation.score
    names = {name: control.id for name, control in controls.items() if control.id != design.id}
    return compare(design.id, everyone, [], names, scores)
