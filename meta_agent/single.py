"""One design of the user's own: is it valid, what does it earn?"""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console

from design_space import Design, DesignId, catalogue
from design_space.foreign import wrap
from design_space.validate import validate
from meta_agent.config import Config
from meta_agent.errors import BadInput
from meta_agent.evaluations import worker_spec
from meta_agent.pool import RayPool
from meta_agent.record import open_models
from meta_agent.session import Style
from meta_agent.terminal import say
from meta_agent.verdict import Final, compare
from meta_agent.worker import Job
from sandbox.backend import Labels, Limits
from sandbox.choose import Kind, choose
from sandbox.contract import check
from sandbox.session import KeyFreeBroker


def read_design(file: Path, style: Style = "mnemogen") -> Design:
    """A design from a file, or of the catalogue by its name.

    Args:
        style: a file of another system becomes the design that runs it as it is; see `design_space.foreign.wrap`.

    Raises:
        BadInput: no such file, or static validation finds something.
    """
    if style == "mnemogen" and not file.exists() and str(file) in catalogue.names():
        return catalogue.load(str(file))
    known = f", or one of: {', '.join(catalogue.names())}" if style == "mnemogen" else ""
    try:
        # Not as text where it is a foreign one: its line ends are to stay what they are.
        source = file.read_text(encoding="utf-8") if style == "mnemogen" else file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read the design {file}: {error}", f"name a Python file{known}") from error
    if style != "mnemogen":
        return _foreign(file, style, source)
    problems = validate(source)
    if problems:
        told = "\n".join(f"  line {problem.line}: {problem.message}" for problem in problems)
        foreign = [(other, wrap.SYSTEMS[other].title) for other in wrap.SYSTEMS if wrap.examine(other, source)[1]]
        hint = "mend these; README, 'A design of your own', shows one"
        hint = f"it looks like {foreign[0][1]}: add --from {foreign[0][0]}" if foreign else hint
        raise BadInput(f"{file} is no valid design:\n{told}", hint)
    return Design(source, {}, file.stem)


def _foreign(file: Path, style: wrap.Style, text: str) -> Design:
    hint = "mend these; docs/foreign.md says what runs"
    try:
        source = wrap.wrap(style, text)
    except ValueError as error:
        told = "\n".join(f"  {line}" for line in str(error).splitlines())
        raise BadInput(f"{file} is not {wrap.SYSTEMS[style].title}:\n{told}", hint) from error
    if problems := validate(source):
        told = "\n".join(f"  {problem.message}" for problem in problems)
        raise BadInput(f"{file} cannot be wrapped:\n{told}", hint)
    return Design(source, {}, file.stem)


def check_file(file: Path, backend: Kind, style: Style = "mnemogen") -> str:
    """Validate a design and put it through the contract test in the sandbox; says how it went.

    Args:
        style: see `read_design`.

    Raises:
        BadInput: it is invalid or breaks its contract.
        SandboxUnavailable: there is no sandbox.
    """
    design = read_design(file, style)
    broker = KeyFreeBroker()
    box = choose(backend, Limits(), "check", 1, extras=wrap.extras_of(design.source))
    try:
        with box.open(Labels("check", design.id)) as guest:
            checked = check(design, guest, box.folder, broker)
    finally:
        box.close()
    fault = checked.fault
    if fault is not None:
        hint = (
            "mend it and check again" if style == "mnemogen" else "docs/foreign.md says what runs, and what is refused"
        )
        raise BadInput(f"{file} breaks its contract ({fault.outcome.value}): {fault.detail}", hint)
    refused = f"\nit asked a language model {broker.refused} times; there was none, and it went on without"
    told = f"valid, and it holds its contract (sandbox: {box.name}). id {design.id}{_taken(design, style)}"
    told += "".join(f"\nbut: {flag}" for flag in checked.flags)
    return told + (refused if broker.refused else "")


def _taken(design: Design, style: Style) -> str:
    """Which class of a foreign file is used, if there are several."""
    found = wrap.unwrap(design.source)
    classes = () if style == "mnemogen" or found is None else wrap.examine(*found)[1]
    if len(classes) < 2:
        return ""
    return f"\nof its classes the alphabetically first is taken: {classes[0]}, not {', '.join(classes[1:])}"


def evaluate_file(file: Path, config: Config, streams: int, console: Console, style: Style = "mnemogen") -> Final:
    """Score a design and the controls on fresh validation streams, all in the same kind of sandbox.

    Args:
        style: see `read_design`.

    Raises:
        BadInput: it is invalid.
        SandboxUnavailable: there is no sandbox.
    """
    design = read_design(file, style)
    controls = {name: catalogue.load(name) for name in config.controls}
    everyone = {d.id: d for d in (design, *controls.values())}
    indices = tuple(range(streams))
    jobs = [
        Job(number, who, "validation", indices[start : start + 4])
        for number, (who, start) in enumerate((w, s) for w in everyone.values() for s in range(0, streams, 4))
    ]
    scores: dict[DesignId, dict[str, float]] = {name: {} for name in everyone}
    spec = worker_spec(config, wrap.extras_of(design.source))
    with (
        tempfile.TemporaryDirectory(prefix="mnemogen-") as scratch,
        open_models(config, Path(scratch) / "calls.sqlite") as models,
        RayPool(spec, config.workers.count, models=models) as pool,
        console.status("evaluating"),
    ):
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
