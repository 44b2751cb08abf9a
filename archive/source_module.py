"""One Python module as text: its top-level statements, what each binds, and which of its names mean the module's own.

Nothing here executes or imports what it reads.
"""

from __future__ import annotations

import ast
import itertools
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

ROOT = "design_space"
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True, slots=True)
class Import:
    """A name that an import binds: ``import module as local`` (no attr) or ``from module import attr as local``.

    Attributes:
        plain: ``import a.b``, which binds ``a``.
        place: line and column of the statement.
    """

    local: str
    module: str
    attr: str | None = None
    plain: bool = False
    place: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Mention:
    """A name in the text that means a global one, and the local names of the functions around it."""

    node: ast.Name
    hidden: frozenset[str]


@dataclass
class Unit:
    """A top-level statement with the comments before it and the docstring after it.

    Attributes:
        start, end: where it is in the module's bytes; `body` is where its comments end.
        binds: names of the module that it gives a value.
        mentions: names of the module that it reads or binds.
        dropped: imports inside functions that are to become imports of the module.
        listed: names in an ``__all__``, or in annotations that are text.
    """

    nodes: list[ast.stmt]
    start: int
    body: int
    end: int
    binds: frozenset[str] = frozenset()
    mentions: list[Mention] = field(default_factory=list)
    dropped: list[ast.Import | ast.ImportFrom] = field(default_factory=list)
    listed: tuple[str, ...] = ()

    @property
    def names(self) -> set[str]:
        return {mention.node.id for mention in self.mentions} | set(self.listed)


class SourceModule:
    """A parsed module.

    Attributes:
        units: its statements in order, without its docstring and its imports.
        imports: what its imports bind, later ones last; those of `design_space` inside functions are among them.
        stars: imports of all that a module has; their names are ``*``.
        inner: names that imports of `design_space` inside functions bind.

    Raises:
        ValueError: it is not Python, or imports in a way that cannot be followed.
    """

    def __init__(self, name: str, text: str, *, package: str | None = None) -> None:
        self.name = name
        self._package = package
        try:
            self._bytes = text.replace("\r\n", "\n").replace("\r", "\n").encode()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._tree = ast.parse(self._bytes.decode())
        except SyntaxError as error:
            raise ValueError(f"{name}: line {error.lineno or 0} is not Python: {error.msg}") from error
        except (RecursionError, MemoryError) as error:
            raise ValueError(f"{name} is nested too deeply") from error
        self._lines = [0, *itertools.accumulate(len(line) + 1 for line in self._bytes.split(b"\n"))]
        self.docstring = ""
        self.units: list[Unit] = []
        self.imports: list[Import] = []
        self.stars: list[Import] = []
        self.inner: set[str] = set()
        self._read()

    @cached_property
    def binds(self) -> frozenset[str]:
        """Names that its own statements define."""
        return frozenset(name for unit in self.units for name in unit.binds)

    def exports(self) -> tuple[str, ...]:
        """What ``import *`` takes of it."""
        for unit in self.units:
            if "__all__" in unit.binds:
                return unit.listed
        names = [*(name for unit in self.units for name in sorted(unit.binds)), *(i.local for i in self.imports)]
        return tuple(dict.fromkeys(name for name in names if not name.startswith("_")))

    @cached_property
    def identifiers(self) -> frozenset[str]:
        """Every name that occurs anywhere in it as a variable or an argument."""
        names = {node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name)}
        return frozenset(names | {node.arg for node in ast.walk(self._tree) if isinstance(node, ast.arg)})

    def blank_lines(self, unit: Unit) -> int:
        """How many lines before a unit are empty."""
        text = self._bytes[unit.start : unit.end]
        return len(text) - len(text.lstrip(b"\n"))

    def render(self, unit: Unit, replaced: Mapping[ast.AST, str], renamed: Mapping[str, str]) -> str:
        """Return a unit's text with some nodes replaced by names, and definitions renamed.

        The text is trusted only if it parses to what the same replacement makes of the tree; else the tree is printed,
        which loses the comments inside the unit. A unit is rendered once.

        Args:
            replaced: an ``ast.Name`` or ``ast.Attribute`` of the unit, and the name that stands for it.
            renamed: names of functions and classes that the unit defines.
        """
        edits = [(*self._span(node), name) for node, name in replaced.items()]
        edits += [(*self._span(node), "pass") for node in unit.dropped]
        first = unit.nodes[0]
        if isinstance(first, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and first.name in renamed:
            keyword = self._offset(first.lineno, first.col_offset)
            at = self._bytes.index(first.name.encode(), keyword + len(b"def "))
            edits.append((at, at + len(first.name.encode()), renamed[first.name]))
            first.name = renamed[first.name]
        text = self._bytes[unit.start : unit.end]
        for start, end, name in sorted(edits, reverse=True):
            text = text[: start - unit.start] + name.encode() + text[end - unit.start :]
        shown = text.decode().strip("\n")
        if not edits:
            return shown
        replace = _Replace(replaced, unit.dropped)
        tree = ast.Module([cast(ast.stmt, replace.visit(node)) for node in unit.nodes], [])
        if not _same(shown, tree):
            comments = self._bytes[unit.start : unit.body].decode().strip()
            shown = "\n".join(filter(None, [comments, ast.unparse(ast.fix_missing_locations(tree))]))
        return shown

    # -- reading

    def _read(self) -> None:
        body = self._tree.body
        if body and _text_of(body[0]) is not None:
            self.docstring = self._bytes[slice(*self._span(body[0]))].decode()
        last: Unit | None = None
        for node, start, begin, end in self._places():
            if node is self._tree.body[0] and self.docstring:
                continue
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node)
                last = None
            elif _for_types(node):
                for inner in ast.iter_child_nodes(node):
                    self._import(inner)
                last = None
            elif last is not None and _text_of(node) is not None:
                last.nodes.append(node)
                last.end = end
            else:
                last = Unit([node], start, begin, end)
                self.units.append(last)
        for unit in self.units:
            self._study(unit)

    def _places(self) -> Iterator[tuple[ast.stmt, int, int, int]]:
        """Each top-level statement, where its comments begin, where it begins, and where its last line ends.

        One that shares a line with another keeps to its own part of it.
        """
        spans = [self._whole(node) for node in self._tree.body]
        for i, (node, (begin, stop)) in enumerate(zip(self._tree.body, spans, strict=True)):
            start = self._line_end(spans[i - 1][1]) if i else 0
            end = self._line_end(stop) if i + 1 < len(spans) else len(self._bytes)
            shared = i + 1 < len(spans) and end > spans[i + 1][0]
            yield node, min(start, begin), begin, stop if shared else end

    def _study(self, unit: Unit) -> None:
        unit.binds = frozenset(bound_in(unit.nodes) | _declared_global(_everything(unit.nodes)))
        scope = _Scope(self.name)
        for node in unit.nodes:
            scope.visit(node)
        unit.mentions, unit.dropped = scope.mentions, scope.imports
        self.inner |= scope.inner
        for node in unit.dropped:
            self._import(node)
        if "__all__" in unit.binds:
            constants = [n.value for node in unit.nodes for n in ast.walk(node) if isinstance(n, ast.Constant)]
            unit.listed = tuple(value for value in constants if isinstance(value, str))
        else:
            unit.listed = tuple(_quoted(unit.nodes))

    def _import(self, node: ast.AST) -> None:
        place = (getattr(node, "lineno", 0), getattr(node, "col_offset", 0))
        if isinstance(node, ast.Import):
            for alias in node.names:
                local = alias.name.partition(".")[0]
                if alias.asname:
                    self.imports.append(Import(alias.asname, alias.name, place=place))
                else:
                    self.imports.append(Import(local, ROOT if local == ROOT else alias.name, plain=True, place=place))
        elif isinstance(node, ast.ImportFrom):
            module = self._absolute(node)
            if module == "__future__":
                return
            for alias in node.names:
                found = self.stars if alias.name == "*" else self.imports
                found.append(Import(alias.asname or alias.name, module, alias.name, place=place))

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        if self._package is None:
            raise ValueError(f"{self.name}: line {node.lineno} imports relatively, but a design is in no package")
        base = self._package.split(".")[: len(self._package.split(".")) - node.level + 1]
        return ".".join([*base, *filter(None, [node.module])])

    # -- places

    def _offset(self, line: int, column: int) -> int:
        return self._lines[line - 1] + column

    def _span(self, node: ast.AST) -> tuple[int, int]:
        start = self._offset(node.lineno, node.col_offset)  # type: ignore[attr-defined]
        return start, self._offset(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def _whole(self, node: ast.stmt) -> tuple[int, int]:
        """Where a statement is, decorators included."""
        start, stop = self._span(node)
        for decorator in getattr(node, "decorator_list", ()):
            start = min(start, self._bytes.rindex(b"@", 0, self._span(decorator)[0]))
        return start, stop

    def _line_end(self, offset: int) -> int:
        found = self._bytes.find(b"\n", offset)
        return len(self._bytes) if found < 0 else found + 1


class _Scope(ast.NodeVisitor):
    """Collects, below a top-level statement, the names that mean the module's and the imports of `design_space`."""

    def __init__(self, module: str) -> None:
        self.mentions: list[Mention] = []
        self.imports: list[ast.Import | ast.ImportFrom] = []
        self._module = module
        self._hidden: frozenset[str] = frozenset()  # names that are not the module's, here
        self._outer: frozenset[str] = frozenset()  # ... and in a function that is defined here
        self._in_class = False
        self._unbound: set[str] = set()  # what the class here binds further down, and still reads of the module
        self.inner: set[str] = set()
        self._depth = 0

    def visit_Name(self, node: ast.Name) -> None:
        early = node.id in self._unbound and node.id not in self._outer and isinstance(node.ctx, ast.Load)
        if early or node.id not in self._hidden:
            self.mentions.append(Mention(node, self._hidden))

    def visit_Import(self, node: ast.Import) -> None:
        self._note(node, [alias.asname or alias.name.partition(".")[0] for alias in node.names])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self._note(node, [alias.asname or alias.name for alias in node.names])

    def _note(self, node: ast.Import | ast.ImportFrom, names: list[str]) -> None:
        if not _is_ours(node):
            return
        if self._in_class or self._hidden.intersection(names) or "*" in names:
            raise ValueError(
                f"{self._module}: line {node.lineno} imports {', '.join(names)} where the name also means something"
                " else; import it at the top of the module"
            )
        self.imports.append(node)
        if self._depth:
            self.inner.update(names)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node, node.body)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node, node.body)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._function(node, [node.body])

    def _function(self, node: _Function, body: Iterable[ast.AST]) -> None:
        """Defaults, annotations and decorators belong to the scope outside, the body to its own."""
        for part in ast.iter_child_nodes(node):
            if part not in body:
                self.visit(part)
        a = node.args
        listed = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, [a.vararg, a.kwarg])]
        self._inside(bound_in(body) | {argument.arg for argument in listed}, body, in_class=False)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in ast.iter_child_nodes(node):
            if part not in node.body:
                self.visit(part)
        self._inside(bound_in(node.body), node.body, in_class=True)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._comprehension(node)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self._comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehension(node)

    def _comprehension(self, node: _Comprehension) -> None:
        first = node.generators[0]
        self.visit(first.iter)
        inner: list[ast.AST] = [first.target, *first.ifs, *node.generators[1:]]
        inner += [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self._inside(bound_in(g.target for g in node.generators), inner, in_class=False)

    def _inside(self, bound: set[str], parts: Iterable[ast.AST], in_class: bool) -> None:
        """Visit a scope; a name that a class binds means the module's in the statements before."""
        before = (self._hidden, self._outer, self._in_class, self._unbound)
        declared = _declared_global(_own_scope(parts))
        self._hidden = (self._outer | bound) - declared
        self._unbound = bound - declared if in_class else set()
        if not in_class:
            self._outer = self._hidden
        self._in_class = in_class
        self._depth += 1
        for part in parts:
            self.visit(part)
            if in_class:
                self._unbound -= bound_in([part])
        self._depth -= 1
        self._hidden, self._outer, self._in_class, self._unbound = before


class _Replace(ast.NodeTransformer):
    """Puts names in the place of nodes, and ``pass`` in that of statements."""

    def __init__(self, names: Mapping[ast.AST, str], dropped: Iterable[ast.AST]) -> None:
        self._names = names
        self._dropped = set(dropped)

    def visit(self, node: ast.AST) -> ast.AST:
        if node in self._dropped:
            return ast.Pass()
        if node in self._names:
            return ast.Name(self._names[node], getattr(node, "ctx", ast.Load()))
        return self.generic_visit(node)


def bound_in(body: Iterable[ast.AST]) -> set[str]:
    """Names that these statements bind in their own scope; imports of `design_space` do not count."""
    names: set[str] = set()
    elsewhere: set[str] = set()
    for node in _own_scope(body):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                names.add(name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                names.add(name)
            case ast.MatchMapping(rest=str(name)):
                names.add(name)
            case ast.Global(names=listed) | ast.Nonlocal(names=listed):
                elsewhere.update(listed)
            case ast.Import() | ast.ImportFrom() if not _is_ours(node):
                names.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
    return names - elsewhere


def _own_scope(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The nodes below `body` that are in its own scope, heads of inner definitions included."""
    stack = list(body)
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, _Comprehension):
            stack.extend(n for n in ast.walk(node) if isinstance(n, ast.NamedExpr))
            continue
        inside = node.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else ()
        stack.extend(part for part in ast.iter_child_nodes(node) if part not in inside)


def _everything(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    return (node for part in body for node in ast.walk(part))


def _declared_global(nodes: Iterable[ast.AST]) -> set[str]:
    return {name for node in nodes if isinstance(node, ast.Global) for name in node.names}


def _quoted(body: Iterable[ast.AST]) -> Iterator[str]:
    """Names within annotations that are text, in whole or in part."""
    for node in _everything(body):
        for part in _everything(filter(None, (getattr(node, "annotation", None), getattr(node, "returns", None)))):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield from re.findall(r"\w+", part.value)


def _is_ours(node: ast.Import | ast.ImportFrom) -> bool:
    """Does it import of `design_space` (or relatively, which only its own modules do)?"""
    if isinstance(node, ast.ImportFrom):
        return node.level > 0 or (node.module or "").partition(".")[0] == ROOT
    return any(alias.name.partition(".")[0] == ROOT for alias in node.names)


def _for_types(node: ast.stmt) -> bool:
    """Is it an ``if TYPE_CHECKING:`` with nothing but imports that can as well be carried out?"""
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"), orelse=[]):
            return all(isinstance(inner, ast.Import | ast.ImportFrom) and _is_ours(inner) for inner in node.body)
    return False


def _text_of(node: ast.stmt) -> str | None:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return node.value.value
    return None


def _same(text: str, tree: ast.Module) -> bool:
    try:
        return ast.dump(ast.parse(text)) == ast.dump(tree)
    except SyntaxError:
        return False
