"""Makes a design of a foreign file: a small module that holds the file's text, byte for byte, beside its adapter.

Stays outside the sandbox. The text is parsed, never executed; what it imports is found out where it runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from design_space.source import Class, Function, Module, Problem, cut, parse, read

Style = Literal["alma", "evolvelab"]


@dataclass(frozen=True, slots=True)
class _System:
    """What the files of one system hold.

    Attributes:
        title: for people.
        adapter: its class, in ``design_space.foreign.<style>``.
        base: the class that a design is a subclass of.
        methods: what a subclass defines, and how each is called.
        given: names of the arguments that the constructor is called with.
    """

    title: str
    adapter: str
    base: str
    methods: Mapping[str, str]
    given: tuple[str, ...]


SYSTEMS: Mapping[Style, _System] = MappingProxyType(
    {
        "alma": _System(
            "a memory structure of ALMA (arXiv 2602.07755)",
            "AlmaMemory",
            "MemoStructure",
            {
                "general_retrieve": "async def general_retrieve(self, recorder)",
                "general_update": "async def general_update(self, recorder)",
            },
            (),
        ),
        "evolvelab": _System(
            "a memory provider of EvolveLab (arXiv 2512.18746)",
            "EvolveLabMemory",
            "BaseMemoryProvider",
            {
                "provide_memory": "def provide_memory(self, request)",
                "take_in_memory": "def take_in_memory(self, trajectory_data)",
                "initialize": "def initialize(self)",
            },
            ("config",),
        ),
    }
)
ADAPTERS: Mapping[str, Style] = MappingProxyType({system.adapter: style for style, system in SYSTEMS.items()})


def wrap(style: Style, text: str) -> str:
    """Return the module of a design that runs `text` by the adapter of its system.

    Raises:
        ValueError: the text holds no design of that system; the message lists what is wrong, a line each.
    """
    problems, fitting = examine(style, text)
    if problems:
        raise ValueError("\n".join(str(problem) for problem in problems))
    system = SYSTEMS[style]
    chosen, *others = fitting
    rest = (
        f"\n\nOf its classes the alphabetically first is taken; there are also {', '.join(others)}." if others else ""
    )
    return (
        f'"""{chosen}: {system.title}, run as it is by its adapter.{rest}\n"""\n\n'
        f"from design_space.foreign.{style} import {system.adapter}\n\n\n"
        f"class Foreign({system.adapter}):\n"
        f'    """See SOURCE."""\n\n'
        f"    SOURCE = {_literal(text)}\n"
    )


def _literal(text: str) -> str:
    """A literal of the text that reads as the text does, where Python allows it."""
    safe = text.isprintable() or all(c.isprintable() or c in "\n\t" for c in text)
    for quote in ("'''", '"""'):
        raw = f"r{quote}{text}{quote}"
        if safe and quote not in text and not text.endswith((quote[0], "\\")):
            return raw
    lines = text.splitlines(keepends=True) or [""]
    return "(\n" + "".join(f"        {line!a}\n" for line in lines) + "    )"


def unwrap(source: str) -> tuple[Style, str] | None:
    """Return the system and the text of a wrapped design; None if the source is something else. Never raises."""
    try:
        module = read(source)
        if isinstance(module, Problem):
            return None
        design = module.design()
        if design is None:
            return None
        style = next((ADAPTERS[base] for base in module.lineage(design)[1] if base in ADAPTERS), None)
        node = module.attribute(design, "SOURCE")
    except RecursionError:
        return None
    if style is None or not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return None
    return style, node.value


def extras_of(source: str) -> tuple[str, ...]:
    """Return what the sandbox must hold for a design besides what it holds for all; see `sandbox.bundle`."""
    found = unwrap(source)
    if found is None:
        return ()
    tree = parse(found[1])
    names: set[str] = set()
    for node in ast.walk(tree) if isinstance(tree, ast.Module) else ():
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").partition(".")[0])
    return ("foreign", "networkx") if "networkx" in names else ("foreign",)


def examine(style: Style, text: str) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    """Return what is wrong with a foreign file, and its fitting classes in alphabetical order. Never raises."""
    system = SYSTEMS[style]
    try:
        module = read(text.removeprefix("\ufeff"))
        if isinstance(module, Problem):
            return (module,), ()
        meant = [c for c in module.classes.values() if system.base in module.lineage(c)[1]]
        fitting = sorted(c.name for c in meant if not _lacks(c, module, system))
        problems = () if fitting else tuple(_no_class(meant, module, system))
        if fitting:
            problems = tuple(_constructor(module.classes[fitting[0]], module, system))
    except RecursionError:
        return (Problem(0, "the code is nested too deeply; split it into functions"),), ()
    return problems, tuple(fitting)


def _lacks(design: Class, module: Module, system: _System) -> list[str]:
    own, foreign = module.lineage(design)
    if any(base not in (system.base, "ABC", "Generic", "Protocol", "object", "") for base in foreign):
        return []  # a base that we cannot look into may define anything
    defined = {name for part in own for name in part.names - part.abstract}
    return [name for name in system.methods if name not in defined]


def _no_class(meant: list[Class], module: Module, system: _System) -> Iterator[Problem]:
    wanted = f"`class X({system.base}):` with {', '.join(f'`{call}`' for call in system.methods.values())}"
    if not meant:
        yield Problem(0, f"no subclass of {system.base}, so this is not {system.title}; wanted {wanted}")
    for design in meant:
        for name in _lacks(design, module, system):
            told = f"class {cut(design.name)} does not define {name}; write `{system.methods[name]}`"
            yield Problem(design.node.lineno, told)


def _constructor(design: Class, module: Module, system: _System) -> Iterator[Problem]:
    """Whether the class can be made with the arguments that its own system gives it."""
    methods: dict[str, Function] = {}
    for part in reversed(module.lineage(design)[0]):
        methods.update(part.methods)
    if (method := methods.get("__init__")) is None:
        return
    arguments = method.args
    plain = [a.arg for a in (*arguments.posonlyargs, *arguments.args)][1:]
    needed = plain[: max(0, len(plain) - len(arguments.defaults))]
    needed += [a.arg for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is None]
    taken = {*plain, *(a.arg for a in arguments.kwonlyargs)}
    call = f"{cut(design.name)}({', '.join(f'{name}={name}' for name in system.given)})"
    for name in needed:
        if name not in system.given:
            yield Problem(method.lineno, f"__init__ wants {cut(name)!r}, but an instance is made by {call}")
    for name in system.given:
        if name not in taken and arguments.kwarg is None:
            yield Problem(method.lineno, f"__init__ does not take {name!r}, but an instance is made by {call}")
