"""Tells whether a design was tried before, and how close two designs are, without ever running one."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from design_space import DesignId
from design_space.source import Children, Fields, Module, Problem, read
from design_space.space import Value

_SHINGLE = 5
_TOKEN = re.compile(r"#[^\n]*|(\w+|[^\w\s])")
_WORD = re.compile(r"\w+")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_FUNCTIONS = frozenset({ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda})
_COMPREHENSIONS = frozenset({ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp})
_BINDING = frozenset(
    {
        *_DEFINITIONS,
        *_COMPREHENSIONS,
        ast.Lambda,
        ast.ExceptHandler,
        ast.MatchAs,
        ast.MatchStar,
        ast.MatchMapping,
        ast.Global,
        ast.Nonlocal,
    }
)
"""Nodes that bind names, or have names of their own; a `Name` aside."""
_OUTER = frozenset({ast.Global, ast.Nonlocal})
_SILENT = {"type_comment", "kind", "ctx", "type_ignores"}
"""Fields that say nothing of what a node means."""
_TELLING, _NAMING = Fields(lambda name: name not in _SILENT), Fields(lambda name: name in ("id", "name", "rest"))
_REFLECTION = {"locals", "vars", "eval", "exec", "__doc__"}
_KNOWN_BASES = {"Memory", "ABC", "object", "Protocol", "NamedTuple", "Generic", "Enum", "StrEnum", "Exception"}


def fingerprint(source: str, params: Mapping[str, Value] | None = None) -> str:
    """Return a hash of what the source means, and of the parameters.

    Two sources that differ in formatting, comments, docstrings, annotations of functions, names of arguments and local
    variables, or names of their own private members (``_x``) have the same fingerprint. Constants and public names
    count. A name keeps counting where renaming it could be seen: arguments passed by keyword, arguments of
    ``__init__`` (they are the design's parameters), names that also stand in a string, private methods that may
    override those of an imported class.

    Raises:
        ValueError: the source is not Python.
    """
    try:
        module = read(source)
        if isinstance(module, Problem):
            raise ValueError(str(module))
        printer = _Printer(_Names(module), module.children)
        printer.print(module.nodes[0], {})
    except (RecursionError, MemoryError) as error:
        raise ValueError("the source is nested too deeply") from error
    values = json.dumps(dict(params or {}), sort_keys=True)
    return hashlib.sha256(f"{''.join(printer.out)}\n{values}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def similarity(a: str, b: str) -> float:
    """Return how much two sources have in common, in [0, 1]; 1 if they differ in blanks and comments only.

    It is the Dice coefficient of their runs of five tokens: linear in the length of the sources, symmetric.
    """
    left, right = _shingles(a), _shingles(b)
    total = left.total() + right.total()
    return 2.0 * (left & right).total() / total if total else 1.0


class Seen:
    """The fingerprints of all designs so far; adding and looking up take constant time."""

    def __init__(self, known: Iterable[tuple[str, DesignId]] = ()) -> None:
        self._first: dict[str, DesignId] = {}
        for fingerprint_, design in known:
            self.add(fingerprint_, design)

    def add(self, fingerprint: str, design: DesignId) -> DesignId:
        """Remember a design; return the first one of this fingerprint, which is `design` itself if it is new."""
        return self._first.setdefault(fingerprint, design)

    def lookup(self, fingerprint: str) -> DesignId | None:
        """Return the first design of this fingerprint, None if there was none."""
        return self._first.get(fingerprint)

    def __len__(self) -> int:
        return len(self._first)

    def __contains__(self, fingerprint: object) -> bool:
        return fingerprint in self._first


def _shingles(source: str) -> Counter[tuple[str, ...]]:
    tokens = [match[1] for match in _TOKEN.finditer(source) if match[1]]
    if not tokens:
        return Counter()
    return Counter(tuple(tokens[i : i + _SHINGLE]) for i in range(max(1, len(tokens) - _SHINGLE + 1)))


class _Names:
    """Which names of a module may be replaced without anyone noticing.

    Attributes:
        private: private names that the module itself binds and that nothing else can see.
        keywords: names by which some call passes an argument.
        outer: names that functions take from elsewhere: imported, or declared global.
        reflects: whether the module can see the names of its local variables, or its docstrings.
    """

    def __init__(self, module: Module) -> None:
        bound, seen = set[str](), set[str]()
        bare = {node.value for node in module.all(ast.Expr)}
        for text in module.all(ast.Constant):
            if isinstance(text.value, str) and text not in bare:
                seen.update(_WORD.findall(text.value))
        for match_ in module.all(ast.MatchClass):
            seen.update(match_.kwd_attrs)
        self.keywords = {node.arg for node in module.all(ast.keyword) if node.arg is not None}
        self.outer = {name for node in module.all(ast.Global) for name in node.names}
        for alias in module.all(ast.alias):
            self.outer.update((*alias.name.split("."), alias.asname or ""))
        self.reflects = False
        for name in module.all(ast.Name):
            self.reflects |= name.id in _REFLECTION
            if isinstance(name.ctx, ast.Store):
                bound.add(name.id)
        for attribute in module.all(ast.Attribute):
            self.reflects |= attribute.attr == "__doc__"
            if isinstance(attribute.ctx, ast.Store):
                bound.add(attribute.attr)
        classes = {node.name for node in module.all(ast.ClassDef)}
        bound.update(classes, (function.name for function in module.functions))
        known = classes | _KNOWN_BASES
        for node in module.all(ast.ClassDef):
            if any(_base_name(base) not in known for base in node.bases):
                seen.update(_bound_in(node.body, module.children))
        own = {name for name in bound if name.startswith("_") and "__" not in name and name != "_"}
        self.private = own - seen - self.keywords - self.outer


def _base_name(base: ast.expr) -> str:
    while isinstance(base, ast.Subscript):
        base = base.value
    return base.id if isinstance(base, ast.Name) else ""


def _bound_in(body: Iterable[ast.AST], children: Children) -> set[str]:
    """Return the names that these statements bind in their own scope."""
    names: set[str] = set()
    kept: set[str] = set()
    stack: list[ast.AST] = list(body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Load):
                names.add(node.id)
        elif type(node) not in _BINDING:
            stack += children[node]
        elif isinstance(node, _DEFINITIONS):
            names.add(node.name)
            stack += node.decorator_list
        elif type(node) in _COMPREHENSIONS:
            stack += [inner for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr)]
        elif isinstance(node, ast.Global | ast.Nonlocal):
            kept.update(node.names)
        elif not isinstance(node, ast.Lambda):
            name = getattr(node, "rest" if isinstance(node, ast.MatchMapping) else "name")
            names.update([name] if name else [])
            stack += children[node]
    return names - kept


class _Printer:
    """Prints a tree without positions, in one form for every version of Python, with canonical names.

    `scope` maps each visible local name to its canonical one: ``d.i`` for the i-th name of the function at depth d.

    Attributes:
        out: the pieces of what is printed.
    """

    def __init__(self, names: _Names, children: Children) -> None:
        self._names = names
        self._children = children
        self._private: dict[str, str] = {}
        self._depth = 0
        self.out: list[str] = []

    def print(self, node: Any, scope: Mapping[str, str]) -> None:
        kind = type(node)
        if kind is list:
            self.out.append("[")
            for part in node:
                self.print(part, scope)
            self.out.append("]")
        elif kind in _FUNCTIONS:
            self._function(node, scope, scope)
        elif kind is ast.ClassDef:
            self._class(node, scope)
        elif kind in _COMPREHENSIONS:
            targets = [generator.target for generator in node.generators]
            self._fields(node, self._inner(scope, self._bound(targets)))
            self._depth -= 1
        elif isinstance(node, ast.AST):
            self._fields(node, scope)
        else:
            self.out.append(f"{_told(node)};")

    def _fields(self, node: ast.AST, scope: Mapping[str, str]) -> None:
        out, kind = self.out, type(node)
        out.append(f"({kind.__name__} ")
        for name in _TELLING[kind]:
            value: Any = getattr(node, name, None)
            if kind is ast.Constant:
                out.append("value=None;" if value is None else f"value={_told(value)};")
            elif value is None or value == []:
                continue
            elif type(value) is str:
                out.append(f"{name}={self._name(value, node, scope)};")
            else:
                out.append(f"{name}=")
                if name == "names" and kind in _OUTER:
                    out.append("".join(f"{self._name(part, node, scope)};" for part in value))
                elif name == "body" and type(value) is list:
                    self.print(self._meaningful(value), scope)
                else:
                    self.print(value, scope)
        out.append(")")

    def _class(self, node: ast.ClassDef, scope: Mapping[str, str]) -> None:
        """Print a class; what its body binds are attributes, which its methods do not see as variables."""
        names = _bound_in(node.body, self._children)
        own = {name: canonical for name, canonical in scope.items() if name not in names}
        self.out.append(f"(ClassDef {self._name(node.name, node, scope)};")
        for part in (node.bases, node.keywords, node.decorator_list):
            self.print(part, scope)
        for statement in self._meaningful(node.body):
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                self._function(statement, own, scope)
            else:
                self.print(statement, own)
        self.out.append(")")

    def _function(
        self,
        node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda,
        scope: Mapping[str, str],
        closure: Mapping[str, str],
    ) -> None:
        """Print a function: name, defaults and decorators belong to `scope`, its body sees `closure`."""
        arguments = node.args
        listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        starred = [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
        fixed = self._names.keywords
        if isinstance(node, ast.Lambda):
            body: list[ast.stmt] = [ast.Expr(node.body)]
            self.out.append("(Lambda ")
        else:
            body = self._meaningful(node.body)
            self.out.append(f"({type(node).__name__} {self._name(node.name, node, scope)};")
            self.print(node.decorator_list, scope)
            if node.name == "__init__":  # the host passes the design's parameters by name
                fixed = fixed | {argument.arg for argument in listed[1:]}
        self.print(arguments.defaults, scope)
        self.print([default or ast.Pass() for default in arguments.kw_defaults], scope)
        passed = [argument.arg for argument in (*listed, *starred)]
        local = [name for name in self._bound(body) if name not in passed]
        inner = self._inner(closure, [name for name in (*passed, *local) if name in local or name not in fixed])
        for name in fixed.intersection(passed):
            inner.pop(name, None)
        counts = len(arguments.posonlyargs), len(arguments.args), bool(arguments.vararg), bool(arguments.kwarg)
        self.out.append(f"{counts}{[inner.get(name, name) for name in passed]}")
        self.print(body, inner)
        self.out.append(")")
        self._depth -= 1

    def _bound(self, body: Sequence[ast.AST]) -> list[str]:
        """The names that these bind in their own scope, in the order in which they first appear."""
        return _ordered(body, _bound_in(body, self._children), self._children)

    def _inner(self, scope: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
        """Return `scope` with the names of a function inside it; counts one level down."""
        self._depth += 1
        inner = dict(scope)
        for number, name in enumerate(names):
            inner.pop(name, None)
            if name not in self._names.outer and not self._names.reflects:
                inner[name] = f"{self._depth}.{number}"
        return inner

    def _name(self, name: str, node: ast.AST, scope: Mapping[str, str]) -> str:
        if name in scope and not isinstance(node, ast.Attribute | ast.keyword | ast.alias | ast.ImportFrom):
            return scope[name]
        if name in self._names.private and not self._names.reflects:
            return self._private.setdefault(name, f"_{len(self._private)}")
        return name

    def _meaningful(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """Return the statements without docstrings and other bare constants."""
        if self._names.reflects:
            return body
        return [s for s in body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]


def _told(value: object) -> str:
    return f"{type(value).__name__}:{hex(value) if type(value) is int else repr(value)}"


def _ordered(nodes: Iterable[ast.AST], names: set[str], children: Children) -> list[str]:
    """Return these names in the order in which they first appear below these nodes."""
    order: dict[str, None] = {}
    stack = list(nodes)[::-1]
    while stack:
        node = stack.pop()
        for field in _NAMING[type(node)]:
            if (found := getattr(node, field)) in names:
                order[found] = None
        stack += children[node][::-1]
    return list(order)
