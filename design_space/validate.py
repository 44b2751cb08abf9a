"""Static checks of a design's source: by its syntax tree alone, nothing is executed.

They are advice and hygiene. A model that wrote a design learns, before anything is spent on it, what would fail and
what to write instead. The boundary against harm is the sandbox: code that hides an import from these checks gains
nothing by it, so no check tries to out-guess obfuscation.
"""

from __future__ import annotations

import ast
import difflib
import importlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType, ModuleType

from design_space.foreign import wrap
from design_space.source import ROOTS, Class, Function, Module, Problem, class_name, cut, read, read_space, space_of
from design_space.space import Space

__all__ = ["Problem", "class_name", "space_of", "validate"]

MAX_PROBLEMS = 30

_PARTS = "encoders entries keys managers modular retrievers values"
_LIBRARY = (
    "__future__ abc array base64 binascii bisect cmath collections collections.abc contextlib copy csv dataclasses"
    " datetime decimal difflib enum fractions functools graphlib hashlib heapq io itertools json keyword logging math"
    " numbers operator pathlib pprint queue re reprlib statistics string struct textwrap traceback types typing"
    " unicodedata warnings weakref zlib numpy numpy.linalg numpy.typing"
)
DESIGN_MODULES = frozenset(
    {"design_space", "design_space.memory", "design_space.space", "design_space.text", "design_space.parts"}
    | {f"design_space.parts.{name}" for name in _PARTS.split()}
    | {f"design_space.foreign.{style}" for style in wrap.SYSTEMS}
)
ALLOWED_MODULES = DESIGN_MODULES | frozenset(_LIBRARY.split())
_OPEN = "the standard library's data modules (re, json, math, collections, dataclasses, ...), numpy and design_space"
_CLOCK = "there is no clock: what a memory does must depend on what it was told; count episodes or steps instead"
_CHANCE = "chance comes from `self.kit.rng` only, so that a run can be repeated"
_NETWORK = "there is no network; a language model is asked by `self.kit.ask`, vectors come from `self.kit.embed`"
_SYSTEM = "there are no processes, no environment and no files but those under `self.kit.folder` (a pathlib.Path)"
_THREADS = "a memory is called by one thread, and answers at once"
_MACHINE = "a design has no business with the interpreter's machinery"
_STATE = "state travels by `snapshot` and `restore`, as JSON and numpy arrays"
_MISSING = "it is not installed in the sandbox, only numpy is"
REFUSED_MODULES: Mapping[str, str] = MappingProxyType(
    {
        name: reason
        for names, reason in (
            ("time sched calendar zoneinfo timeit", _CLOCK),
            ("random secrets uuid numpy.random", _CHANCE),
            ("socket ssl http urllib requests httpx aiohttp ftplib smtplib openai anthropic litellm", _NETWORK),
            ("os sys subprocess shutil glob tempfile platform resource signal pty fcntl mmap posix posixpath", _SYSTEM),
            ("threading multiprocessing concurrent asyncio _thread select selectors", _THREADS),
            ("ctypes cffi gc inspect importlib builtins runpy pkgutil code codeop ast dis marshal", _MACHINE),
            ("pickle shelve dbm sqlite3 dill joblib", _STATE),
            ("scipy sklearn torch tensorflow transformers sentence_transformers networkx pandas nltk spacy", _MISSING),
            ("faiss chromadb langchain langchain_chroma rank_bm25 pydantic yaml tiktoken", _MISSING),
            ("design_space.catalogue", "the sandbox does not hold other designs; copy what you need"),
            ("sandbox archive meta_agent", "a design sees design_space only"),
        )
        for name in names.split()
    }
)
REFUSED_CALLS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("exec", "eval", "compile", "__import__"), "write the code itself, it is read before it runs"),
        **dict.fromkeys(("input", "breakpoint"), "nobody answers inside the sandbox"),
        **dict.fromkeys(("exit", "quit"), "raise an exception; the evaluation ends with it"),
    }
)
_TAKES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "retrieve": ("query",),
        "update": ("episode",),
        "compose": ("p",),
        "observe": ("step",),
        "tools": (),
        "snapshot": (),
        "restore": ("snapshot",),
    }
)
"""What each method is called with, besides `self`."""


def validate(source: str) -> tuple[Problem, ...]:
    """Return what is wrong with the source of a design, in order of lines; empty if nothing was found.

    Never raises, never executes any of it. At most thirty problems are told.
    """
    try:
        module = read(source)
        if isinstance(module, Problem):
            return (module,)
        found = {*_imports(module), *_calls(module), *_design_problems(module)}
    except RecursionError:
        return (Problem(0, "the code is nested too deeply; split it into functions"),)
    return tuple(sorted(found, key=lambda problem: (problem.line, problem.message))[:MAX_PROBLEMS])


def _design_problems(module: Module) -> Iterator[Problem]:
    memories, leaves = module.memories(), module.leaves()
    for design in memories:
        for base in design.node.bases:
            if isinstance(base, ast.Name) and base.id in ROOTS and base.id not in module.origins:
                foreign = f"design_space.foreign.{wrap.ADAPTERS.get(base.id)}" if base.id in wrap.ADAPTERS else ""
                package = foreign or ("design_space" if base.id == "Memory" else "design_space.parts")
                if "*" not in module.origins:
                    yield Problem(base.lineno, f"`{base.id}` is not imported: `from {package} import {base.id}`")
    if len(leaves) > 1:
        names = ", ".join(cut(c.name) for c in leaves)
        yield Problem(
            leaves[1].node.lineno,
            f"more than one concrete subclass of Memory ({names}); a design defines exactly one",
        )
        return
    if not leaves:
        for design in module.tips():
            for name in module.owed(design):
                takes = ", ".join(("self", *_TAKES.get(name, ("...",))))
                yield Problem(design.node.lineno, f"class {cut(design.name)} does not define {name}({takes})")
        if not memories:
            wanted = "`class MyDesign(Memory):` with retrieve(self, query) and update(self, episode)"
            yield Problem(0, f"no concrete subclass of Memory; a design defines exactly one: {wanted}")
        return
    yield from _class_problems(leaves[0], module)


def _class_problems(design: Class, module: Module) -> Iterator[Problem]:
    own = module.lineage(design)[0]
    methods: dict[str, Function] = {}
    for part in reversed(own):
        methods.update(part.methods)
    for name in _TAKES.keys() & methods.keys():
        yield from _signature(methods[name], _TAKES[name])
    names = {name for part in own for name in part.names}
    for one, other in (("snapshot", "restore"), ("restore", "snapshot")):
        if one in names and other not in names:
            takes = ", ".join(("self", *_TAKES[other]))
            yield Problem(
                design.node.lineno,
                f"class {cut(design.name)} defines {one} but not {other}({takes}); what one gives the other takes",
            )
    space: Space | None = Space()
    node = module.attribute(design, "SPACE")
    if node is not None:
        try:
            space = read_space(node, module)
        except ValueError as error:
            space = None
            yield Problem(node.lineno, str(error))
    if "__init__" in methods:
        yield from _constructor(methods["__init__"], space)
    yield from _foreign_problems(design, module)
    mode = module.attribute(design, "RETRIEVE")
    if mode is not None and not (isinstance(mode, ast.Constant) and mode.value in ("task", "step")):
        yield Problem(mode.lineno, 'RETRIEVE is not a literal: "task" (asked before each task) or "step"')


def _foreign_problems(design: Class, module: Module) -> Iterator[Problem]:
    """What is wrong with the text that an adapter of another system is given."""
    style = next((wrap.ADAPTERS[base] for base in module.lineage(design)[1] if base in wrap.ADAPTERS), None)
    if style is None:
        return
    node = module.attribute(design, "SOURCE")
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        yield Problem(design.node.lineno, "SOURCE is not a literal text; `mnemogen check FILE --from` wraps a file")
        return
    for problem in wrap.examine(style, node.value)[0]:
        place = f"line {problem.line} of SOURCE: " if problem.line else "SOURCE: "
        yield Problem(node.lineno, f"{place}{problem.message}")


def _imports(module: Module) -> Iterator[Problem]:
    for node in module.all(ast.Import):
        for alias in node.names:
            yield from _import(node.lineno, alias.name, f"import {alias.name}")
    for member in module.all(ast.ImportFrom):
        if member.level:
            told = "a relative import; a design is one module, import from design_space by name"
            yield Problem(member.lineno, told)
            continue
        origin = member.module or ""
        for alias in member.names:
            whole = f"{origin}.{alias.name}"
            looked_up = whole if whole in REFUSED_MODULES else origin
            refused = list(_import(member.lineno, looked_up, f"from {origin} import {alias.name}"))
            yield from refused or _member(member.lineno, origin, alias.name)


def _import(line: int, module: str, text: str) -> Iterator[Problem]:
    if module in ALLOWED_MODULES:
        return
    parts = module.split(".")
    prefixes = [".".join(parts[:i]) for i in range(len(parts), 0, -1)]
    reason = next((REFUSED_MODULES[prefix] for prefix in prefixes if prefix in REFUSED_MODULES), None)
    why = f"; {reason}" if reason else ""
    yield Problem(line, f"`{cut(text)}` is not allowed{why}. A design may import {_OPEN}")


def _member(line: int, module: str, name: str) -> Iterator[Problem]:
    """Whether a module of ours holds what is imported from it; other modules are not looked into."""
    if module not in DESIGN_MODULES or name == "*" or f"{module}.{name}" in DESIGN_MODULES:
        return
    ours = importlib.import_module(module)
    if isinstance(getattr(ours, name, ours), ModuleType):
        public = [importlib.import_module(other) for other in ("design_space", "design_space.parts")]
        elsewhere = next((other.__name__ for other in public if name in other.__all__), "")
        near = difflib.get_close_matches(cut(name), getattr(ours, "__all__", dir(ours)), 1, 0.5)
        hint = f"; it is in {elsewhere}" if elsewhere else f"; did you mean `{near[0]}`?" if near else ""
        yield Problem(line, f"{module} has no `{cut(name)}`{hint}")


def _calls(module: Module) -> Iterator[Problem]:
    own = {function.name for function in module.functions} | set(module.origins)
    for node in module.all(ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in REFUSED_CALLS and name not in own:
            yield Problem(node.lineno, f"`{name}()` is not allowed; {REFUSED_CALLS[name]}")
    for attribute in module.all(ast.Attribute):
        yield from _attribute(attribute, module)


def _attribute(node: ast.Attribute, module: Module) -> Iterator[Problem]:
    """The clocks and the generators that hide in modules which are otherwise welcome."""
    base = node.value
    if node.attr in ("now", "utcnow", "today") and module.name_of(base) in ("datetime", "date"):
        yield Problem(node.lineno, f"`{node.attr}` of datetime is not allowed; {_CLOCK}")
    if isinstance(base, ast.Attribute) and base.attr == "random" and isinstance(base.value, ast.Name):
        name = base.value.id
        if module.origins.get(name) == "numpy" and node.attr != "Generator":
            yield Problem(node.lineno, f"`{cut(name)}.random.{cut(node.attr)}` is not allowed; {_CHANCE}")


def _signature(method: Function, takes: tuple[str, ...]) -> Iterator[Problem]:
    wanted = ", ".join(("self", *takes))
    if isinstance(method, ast.AsyncFunctionDef):
        yield Problem(method.lineno, f"{method.name} is async, nobody awaits it: write def {method.name}({wanted})")
        return
    decorators = {d.id if isinstance(d, ast.Name) else "" for d in method.decorator_list}
    if decorators - {"abstractmethod", "override"}:
        if decorators & {"property", "staticmethod", "classmethod"}:
            yield Problem(method.lineno, f"{method.name} is to be a plain method: def {method.name}({wanted})")
        return
    arguments = method.args
    plain = [*arguments.posonlyargs, *arguments.args]
    least = len(plain) - len(arguments.defaults)
    most = len(plain) if arguments.vararg is None else len(takes) + 1
    keyed = any(default is None for default in arguments.kw_defaults)
    if keyed or not least <= len(takes) + 1 <= max(most, least):
        names = [a.arg for a in plain]
        names += [f"*{arguments.vararg.arg}"] if arguments.vararg else ["*"] if arguments.kwonlyargs else []
        names += [a.arg for a in arguments.kwonlyargs]
        yield Problem(method.lineno, f"{method.name} takes ({wanted}), this one takes ({', '.join(map(cut, names))})")


def _constructor(method: Function, space: Space | None) -> Iterator[Problem]:
    """`__init__(self, kit, **params)`; parameters may also be named one by one."""
    arguments = method.args
    plain = [*arguments.posonlyargs, *arguments.args]
    names = [a.arg for a in plain]
    right = "write `def __init__(self, kit, **params)` and call `super().__init__(kit, **params)`"
    if len(plain) < 2 and arguments.vararg is None:
        yield Problem(method.lineno, f"__init__ cannot be called with a kit and the parameters; {right}")
        return
    required = names[2 : len(names) - len(arguments.defaults)]
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    required += [a.arg for a, default in pairs if default is None]
    if required:
        why = "only parameters that differ from their defaults are passed"
        yield Problem(method.lineno, f"__init__ wants {cut(required[0])!r}, but {why}; {right}")
    taken = {*names[2:], *(a.arg for a in arguments.kwonlyargs)}
    missing = [name for name in space or () if name not in taken]
    if missing and arguments.kwarg is None:
        yield Problem(method.lineno, f"__init__ does not take the parameter {cut(missing[0])!r} of SPACE; {right}")
