"""What a design's source says of itself: its class, its parameters; read from the syntax tree, never executed."""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import TypeVar, cast

from design_space.space import Choice, Float, Int, Parameter, Space, Value

MAX_CHARS = 200_000
MAX_LINE_CHARS = 10_000
MAX_CLASSES = 100
MAX_DEPTH = 100
"""Levels of the syntax tree: whoever prints or compares trees needs several frames of Python's stack for each."""
TEXT_CHARS = 200
"""Of an option of a parameter that is a text."""
LARGEST = 2**53
_NAME_CHARS = 80

ROOTS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = MappingProxyType(
    {
        "Memory": (frozenset({"retrieve", "update"}), frozenset()),
        "ModularMemory": (frozenset({"compose"}), frozenset({"retrieve", "update", "snapshot", "restore"})),
        "AlmaMemory": (frozenset(), frozenset({"retrieve", "update", "snapshot", "restore"})),
        "EvolveLabMemory": (frozenset(), frozenset({"retrieve", "update", "snapshot", "restore"})),
    }
)
"""For each base class: the methods that a design owes, and those that it is given."""

_KINDS: Mapping[str, tuple[Callable[..., Parameter], inspect.Signature]] = MappingProxyType(
    {kind.__name__: (kind, inspect.signature(kind)) for kind in (Int, Float, Choice)}
)
"""What a parameter may be, by name, and what it takes."""

_ENCODING = re.compile(r"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_LEAVES = frozenset({"ctx", "op", "ops", "id", "attr", "arg", "kind", "level", "module", "type_comment"})

Function = ast.FunctionDef | ast.AsyncFunctionDef
N = TypeVar("N", bound=ast.AST)


class Fields(dict[type[ast.AST], tuple[str, ...]]):
    """The fields of a kind of node, by the kind; `wanted` says of a field's name whether it is among them."""

    def __init__(self, wanted: Callable[[str], bool]) -> None:
        super().__init__()
        self._wanted = wanted

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        self[kind] = tuple(name for name in kind._fields if self._wanted(name))
        return self[kind]


_INNER = Fields(lambda name: name not in _LEAVES)
_INNER[ast.Constant] = ()  # its value is no node


@dataclass(frozen=True, slots=True)
class Problem:
    """Something to mend in a design.

    Attributes:
        line: where it is, from 1 on; 0 if it is about the whole source.
        message: what is wrong and what would be right, for the author.
    """

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message


@lru_cache(maxsize=1_024)
def space_of(source: str) -> Space | None:
    """Return the tunable parameters that a design declares, read from its literals.

    None where it declares none, or in a way that `validate` reports. Never raises, never executes any of it.
    """
    try:
        module = read(source)
        if isinstance(module, Problem):
            return None
        design = module.design()
        node = None if design is None else module.attribute(design, "SPACE")
        return None if node is None else read_space(node, module)
    except (ValueError, RecursionError):
        return None


def class_name(source: str) -> str | None:
    """Return the name of the design's class; None if there is not exactly one. Never raises."""
    try:
        module = read(source)
        design = None if isinstance(module, Problem) else module.design()
    except RecursionError:
        return None
    return None if design is None else design.name


@lru_cache(maxsize=8)  # few, as one may be large: a design is checked, read and told from others in one go
def parse(source: str) -> ast.Module | Problem:
    """The syntax tree, which nobody may change; what could overwhelm the parser is refused before."""
    if len(source) > MAX_CHARS:
        return Problem(0, f"the source has {len(source):,} characters, at most {MAX_CHARS:,} are taken")
    if (encoding := _other_encoding(source)) is not None:
        return Problem(encoding[0], f"the source says that it is encoded as {cut(encoding[1])}, wanted UTF-8")
    if "\0" in source:
        return Problem(source.count("\n", 0, source.index("\0")) + 1, "the source holds a NUL character")
    for number, line in enumerate(source.split("\n"), 1):
        if len(line) > MAX_LINE_CHARS:
            return Problem(number, f"a line of {len(line):,} characters, at most {MAX_LINE_CHARS:,} are taken")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except SyntaxError as error:
        line = (error.text or "").strip()
        shown = f" in {cut(line)!r}" if line else ""
        return Problem(error.lineno or 0, f"syntax error: {cut(error.msg)}{shown}")
    except (MemoryError, RecursionError):
        return Problem(0, "the code is nested too deeply for Python's parser; split it into functions")
    except ValueError as error:
        # A lone surrogate, which no file can hold.
        return Problem(0, f"the source is no text: {cut(str(error))}")
    return tree


def _other_encoding(source: str) -> tuple[int, str] | None:
    """The line that has Python read a file of this source as another text than this one, and what it names."""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", source, maxsplit=2)[:2], 1):
        if (found := _ENCODING.match(line)) and found[1].lower().replace("_", "-") not in ("utf-8", "utf8"):
            return number, found[1]
        if line.split("#")[0].strip():
            return None
    return None


@lru_cache(maxsize=8)
def read(source: str) -> Module | Problem:
    """What the checks need to know; raises RecursionError where the code is nested too deeply."""
    tree = parse(source)
    if isinstance(tree, Problem):
        return tree
    nodes, level, children = list[ast.AST](), list[ast.AST]([tree]), Children()
    for _ in range(MAX_DEPTH + 1):
        nodes += level
        level = [inner for node in level for inner in children[node]]
    if level:
        told = "an elif is a level, and so is a term of a long sum; split the code into functions"
        return Problem(_line_of(level), f"the code is nested more than {MAX_DEPTH} levels deep: {told}")
    module = Module.read(nodes, children)
    if (classes := len(module.all(ast.ClassDef))) > MAX_CLASSES:
        return Problem(0, f"{classes:,} classes, at most {MAX_CLASSES} are taken")
    return module


def _line_of(nodes: Iterable[ast.AST]) -> int:
    return next((node.lineno for node in nodes if isinstance(node, ast.expr | ast.stmt)), 0)


class Children(dict[ast.AST, Sequence[ast.AST]]):
    """The nodes right below one, found once; operators and contexts, which hold nothing, are left out."""

    def __missing__(self, node: ast.AST) -> Sequence[ast.AST]:
        names = _INNER[type(node)]
        if not names:
            return ()
        found = self[node] = list[ast.AST]()
        for name in names:
            value = getattr(node, name, None)
            if type(value) is list:
                found += [one for one in value if isinstance(one, ast.AST)]
            elif isinstance(value, ast.AST):
                found.append(value)
        return found


@dataclass(frozen=True, slots=True)
class Module:
    """What the checks need to know of a module.

    Attributes:
        nodes: of the tree, which is the first, outer ones first; kinds: the same by kind.
        children: of each node.
        origins: local name -> the full name of what it was imported as.
        classes: the classes that are visible at the module's top level.
        spaces: those that `read_space` has read already.
    """

    nodes: Sequence[ast.AST]
    kinds: Mapping[type[ast.AST], Sequence[ast.AST]]
    children: Children
    origins: Mapping[str, str]
    classes: Mapping[str, Class]
    spaces: dict[ast.expr, Space] = field(default_factory=dict)

    @classmethod
    def read(cls, nodes: Sequence[ast.AST], children: Children) -> Module:
        tree, origins, kinds = nodes[0], dict[str, str](), dict[type[ast.AST], list[ast.AST]]()
        assert isinstance(tree, ast.Module)
        for node in nodes:
            kinds.setdefault(type(node), []).append(node)
            if isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    origins[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    head = alias.name.partition(".")[0]
                    origins[alias.asname or head] = alias.name if alias.asname else head
        classes: dict[str, Class] = {}
        for statement in statements(tree.body, children):
            if isinstance(statement, ast.ClassDef):
                classes[statement.name] = Class.read(statement, children)
        return cls(nodes, kinds, children, origins, classes)

    def all(self, kind: type[N]) -> Sequence[N]:
        """The nodes of one kind."""
        return cast(Sequence[N], self.kinds.get(kind, ()))

    @property
    def functions(self) -> Iterator[Function]:
        """Those that are defined anywhere in it, methods too."""
        yield from self.all(ast.FunctionDef)
        yield from self.all(ast.AsyncFunctionDef)

    def name_of(self, node: ast.expr) -> str | None:
        """The last part of the name of what `node` refers to, as it was imported; None if it is no name."""
        if isinstance(node, ast.Subscript):
            return self.name_of(node.value)
        if isinstance(node, ast.Attribute):
            return node.attr
        if isinstance(node, ast.Name):
            return self.origins.get(node.id, node.id).rpartition(".")[2]
        return None

    def lineage(self, design: Class) -> tuple[list[Class], list[str]]:
        """The classes of this module that a class is made of, itself first, and the names of its foreign bases."""
        own, foreign, waiting = [design], [], deque(design.node.bases)
        while waiting:
            base = waiting.popleft()
            known = self.classes.get(base.id) if isinstance(base, ast.Name) else None
            if known is None:
                foreign.append(self.name_of(base) or "")
            elif known not in own:
                own.append(known)
                waiting.extend(known.node.bases)
        return own, foreign

    def memories(self) -> list[Class]:
        return [c for c in self.classes.values() if any(base in ROOTS for base in self.lineage(c)[1])]

    def owed(self, design: Class) -> list[str]:
        """The methods that a class lacks to be a memory."""
        own, foreign = self.lineage(design)
        if any(base not in ROOTS and base not in ("ABC", "Generic", "Protocol", "object", "") for base in foreign):
            return []  # a base that we cannot look into may define anything
        owes: set[str] = set()
        for base in foreign:
            owes |= ROOTS[base][0] if base in ROOTS else set()
        given = {name for base in foreign if base in ROOTS for name in ROOTS[base][1]}
        defined: set[str] = set()
        for part in reversed(own):
            owes |= part.abstract
            defined = (defined | part.names) - part.abstract
        return sorted(owes - given - defined)

    def design(self) -> Class | None:
        """The one class that the sandbox would take, None if there is none or more."""
        leaves = self.leaves()
        return leaves[0] if len(leaves) == 1 else None

    def attribute(self, design: Class, name: str) -> ast.expr | None:
        """What a class variable is set to, in the class or one of its bases in this module."""
        for part in self.lineage(design)[0]:
            if name in part.values:
                return part.values[name]
        return None

    def tips(self) -> list[Class]:
        """The memories of which no other is made."""
        memories = self.memories()
        inherited = {id(base) for c in memories for base in self.lineage(c)[0][1:]}
        return [c for c in memories if id(c) not in inherited]

    def leaves(self) -> list[Class]:
        """The memories that the sandbox could make an instance of; a design has one."""
        return [c for c in self.tips() if not self.owed(c)]


@dataclass(frozen=True, slots=True, eq=False)
class Class:
    """One class of the module.

    Attributes:
        names: everything that the body defines; values: its plain assignments.
        abstract: methods that it leaves to subclasses.
    """

    node: ast.ClassDef
    names: set[str] = field(default_factory=set)
    values: dict[str, ast.expr] = field(default_factory=dict)
    methods: dict[str, Function] = field(default_factory=dict)
    abstract: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        return self.node.name

    @classmethod
    def read(cls, node: ast.ClassDef, children: Children) -> Class:
        made = cls(node)
        for statement in statements(node.body, children):
            if isinstance(statement, Function):
                made.names.add(statement.name)
                made.methods[statement.name] = statement
                if any(isinstance(d, ast.Name) and d.id == "abstractmethod" for d in statement.decorator_list):
                    made.abstract.add(statement.name)
            elif isinstance(statement, ast.Assign):
                for target in statement.targets:
                    if isinstance(target, ast.Name):
                        made.names.add(target.id)
                        made.values[target.id] = statement.value
            elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
                made.names.add(statement.target.id)
                made.values[statement.target.id] = statement.value
        return made


def statements(body: Iterable[ast.stmt], children: Children) -> Iterator[ast.stmt]:
    """The statements of a body, with those under `if`, `try` and `with`, but not inside functions and classes."""
    waiting = deque(body)
    while waiting:
        statement = waiting.popleft()
        yield statement
        if not isinstance(statement, Function | ast.ClassDef):
            below = children[statement]
            inner = [node for node in below if isinstance(node, ast.stmt)]
            inner += [node for handler in below if isinstance(handler, ast.ExceptHandler) for node in handler.body]
            waiting.extendleft(reversed(inner))


def read_space(node: ast.expr, module: Module) -> Space:
    """Read `Space(k=Int(1, 20, 5), ...)`.

    Raises:
        ValueError: it is something else; the message is for the author.
    """
    if node in module.spaces:
        return module.spaces[node]
    wrong = "SPACE is not a Space(...) call with literal ranges, as in Space(k=Int(1, 20, 5), floor=Float(0, 1, 0.3))"
    if not isinstance(node, ast.Call) or module.name_of(node.func) != "Space" or node.args:
        raise ValueError(wrong)
    parameters: dict[str, Parameter] = {}
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg in parameters:
            raise ValueError(wrong)
        if keyword.arg in ("kit", "self"):
            raise ValueError(f"a parameter of SPACE cannot be named {keyword.arg!r}")
        parameters[keyword.arg] = _parameter(keyword.arg, keyword.value, module, wrong)
    try:
        space = module.spaces[node] = Space(**parameters)
    except ValueError as error:
        raise ValueError(f"SPACE: {cut(str(error), 300)}") from error
    return space


def _parameter(name: str, node: ast.expr, module: Module, wrong: str) -> Parameter:
    called = module.name_of(node.func) if isinstance(node, ast.Call) else None
    if (
        called is None
        or called not in _KINDS
        or not isinstance(node, ast.Call)
        or any(keyword.arg is None for keyword in node.keywords)
    ):
        raise ValueError(f"{wrong}; parameter {cut(name)!r} is no Int, Float or Choice")
    values = [_literal(argument, name) for argument in node.args]
    named = {keyword.arg: _literal(keyword.value, name) for keyword in node.keywords if keyword.arg}
    kind, signature = _KINDS[called]
    try:
        bound = signature.bind(*values, **named)
    except TypeError as error:
        raise ValueError(f"parameter {cut(name)!r} of SPACE: {error}; it takes {signature}") from error
    bound.apply_defaults()
    if kind is Choice:
        options, default = bound.args
        if not isinstance(options, tuple) or not options or isinstance(default, tuple):
            raise ValueError(f"parameter {cut(name)!r} of SPACE: options are to be a tuple of plain values")
        if not all(map(_is_small, (*options, default))):
            limits = f"numbers below 2**53 and texts of at most {TEXT_CHARS} whole characters"
            raise ValueError(f"parameter {cut(name)!r} of SPACE: options are to be {limits}")
        return Choice(options, default)
    low, high, default, log = bound.args
    types = int if kind is Int else (int, float)
    if any(isinstance(v, bool) or not isinstance(v, types) for v in (low, high, default)) or not isinstance(log, bool):
        wanted = "whole numbers" if kind is Int else "numbers"
        raise ValueError(f"parameter {cut(name)!r} of SPACE: low, high and default are to be {wanted}")
    if any(abs(number) > LARGEST for number in (low, high, default)):
        raise ValueError(f"parameter {cut(name)!r} of SPACE: low, high and default are to be below 2**53")
    if low > high or (log and low <= 0):
        raise ValueError(f"parameter {cut(name)!r} of SPACE: low is above high, or is not positive where log=True")
    return kind(low, high, default, log)


def _is_small(value: Value) -> bool:
    """Can it be written down wherever parameters are?"""
    if isinstance(value, str):
        return len(value) <= TEXT_CHARS and value == value.encode("utf-8", "replace").decode()
    return abs(value) <= LARGEST


def _literal(node: ast.expr, name: str) -> Value | tuple[Value, ...]:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        operand = node.operand
        if isinstance(operand, ast.Constant) and isinstance(operand.value, int | float):
            return -operand.value if isinstance(node.op, ast.USub) else +operand.value
    if isinstance(node, ast.Tuple | ast.List) and not any(isinstance(one, ast.Tuple | ast.List) for one in node.elts):
        values = [_literal(one, name) for one in node.elts]
        return tuple(value for value in values if not isinstance(value, tuple))
    raise ValueError(f"parameter {cut(name)!r} of SPACE is not literal: write its numbers or names out")


def cut(text: str, limit: int = _NAME_CHARS) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."
