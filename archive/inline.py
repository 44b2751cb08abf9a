"""Makes a design one module: what it imports from `design_space` is copied in, as text, and nothing is executed."""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping

from archive.meanings import BUILTINS, Definition, Imported, Meanings, Package, Target
from archive.source_module import ROOT, Import, Mention, SourceModule, Unit

KEPT = frozenset(f"{ROOT}.{name}" for name in ("memory", "space", "kit", "design", "evaluation"))
"""The core: modules that an inlined design still imports from."""

_WIDTH = 120
_OWN = object()
_FUTURE = "from __future__ import annotations"  # whether the design says so or not: `sandbox.guest.host` compiles it so


def inline(source: str, core: str = ROOT) -> str:
    """Return the design as one module that imports nothing but the standard library, numpy and the core.

    Of `design_space` it copies what the design needs, in the order of dependency, with docstrings and comments. The
    design's own text stays, but for its imports. A definition whose name the design itself uses otherwise is copied
    under another name. The result is a design in its own right, which behaves as the original does.

    Args:
        source: a design; it is parsed, never executed.
        core: the module to import the core's names from, when it is not to be `design_space`.

    Raises:
        ValueError: the source is not Python, imports what is not there, or uses names in a way that a single module
            cannot reproduce (a module of `design_space` as an object, a star import of something else, an import
            where its name means something already, globals()), or is nested too deeply.
    """
    try:
        return _Inliner(source, KEPT, core, "the design").text()
    except RecursionError as error:
        raise ValueError("the design is nested too deeply") from error


def flatten(source: str, title: str) -> str:
    """Return a module of ours with all that it needs of `design_space` copied in, the core included.

    Args:
        title: names the module's own part in the result.

    Raises:
        ValueError: as for `inline`.
    """
    return _Inliner(source, frozenset(), ROOT, title).text()


class _Inliner:
    """One use of `inline`: finds what is needed, gives it names, writes it down."""

    def __init__(self, source: str, kept: frozenset[str], core: str, title: str) -> None:
        self._core = core
        self._title = title
        self._meanings = Meanings(kept, core)
        self._modules = self._meanings.modules
        self._own = SourceModule(title, source)
        self._own_names = self._own.binds
        self._check_own()
        self._own_bindings = self._meanings.bound_by_design(self._own)
        self._needed: dict[str, list[Unit]] = {}
        self._replacements: dict[int, list[tuple[ast.expr, Mention, Target]]] = {}
        self._copied: dict[Imported, None] = {}
        self._collect()
        self._order = [name for name in self._by_dependency() if name in self._needed]
        self._names: dict[Definition | Imported, str] = {}
        self._taken: dict[str, object] = dict.fromkeys(self._own_names, _OWN)
        self._aliases: dict[str, str] = {}
        self._choose_names()

    def _check_own(self) -> None:
        for name in sorted(self._own.inner & (self._own_names | BUILTINS)):
            raise ValueError(f"{self._title} imports {name!r} inside a function, and outside it means something else")
        for node in (mention.node for unit in self._own.units for mention in unit.mentions):
            if node.id == "globals" and node.id not in self._own_names:
                raise ValueError(
                    f"{self._title}: line {node.lineno} looks names up in globals(), where copies may have others"
                )

    # -- what is needed

    def _collect(self) -> None:
        """Find the units that the design needs, and what each of their names means."""
        waiting = [(self._own, unit) for unit in self._own.units]
        seen: set[int] = set()
        while waiting:
            module, unit = waiting.pop()
            if id(unit) in seen:
                continue
            seen.add(id(unit))
            if module is not self._own:
                self._needed.setdefault(module.name, []).append(unit)
            for target in self._targets(module, unit):
                if isinstance(target, Imported):
                    self._copied[target] = None
                elif isinstance(target, Definition):
                    source = self._modules[target.module]
                    waiting += [(source, other) for other in source.units if target.name in other.binds]
            for name in self._needed:
                waiting += [(self._modules[name], other) for other in self._effects(self._modules[name])]

    def _effects(self, module: SourceModule) -> list[Unit]:
        """Statements that bind nothing but act on what was copied, such as ``TABLE["x"] = 1``."""
        copied = {name for unit in self._needed[module.name] for name in unit.binds}
        return [u for u in module.units if not u.binds and u.names.intersection(module.binds) <= copied]

    def _targets(self, module: SourceModule, unit: Unit) -> Iterator[Target]:
        """What the names of a unit mean; notes which nodes are to be replaced by them."""
        bindings = self._own_bindings if module is self._own else self._meanings.bound_by(module)
        parents = {child: node for top in unit.nodes for node in ast.walk(top) for child in ast.iter_child_nodes(node)}
        noted = self._replacements.setdefault(id(unit), [])
        for mention in unit.mentions:
            name = mention.node.id
            target = bindings.get(name)
            if name in module.binds:
                if module is not self._own:
                    own = Definition(module.name, name)
                    noted.append((mention.node, mention, own))
                    yield own
                    continue
                if target is None:
                    continue
            if isinstance(target, Package):
                node, target = self._attribute(module, mention.node, target, parents)
                noted.append((node, mention, target))
            elif target is not None and module is not self._own:
                noted.append((mention.node, mention, target))
            if target is not None:
                yield target
        yield from (bindings[name] for name in unit.listed if name in bindings)

    def _attribute(
        self, module: SourceModule, name: ast.Name, package: Package, parents: Mapping[ast.AST, ast.AST]
    ) -> tuple[ast.expr, Target]:
        """Follow ``package.module.thing`` to the thing."""
        node: ast.expr = name
        target: Target = package
        while isinstance(target, Package):
            outer = parents.get(node)
            if not isinstance(outer, ast.Attribute) or not isinstance(outer.ctx, ast.Load):
                raise ValueError(
                    f"{module.name}: line {node.lineno} uses the module {target.name!r} as an object; import the names"
                    " that are needed of it"
                )
            found = self._meanings.look_up(target.name, outer.attr)
            if found is None:
                raise ValueError(f"{module.name}: line {node.lineno}: there is no {outer.attr!r} in {target.name!r}")
            node, target = outer, found
        return node, target

    def _by_dependency(self) -> list[str]:
        """The modules, each after those that it imports."""
        order: dict[str, None] = {}
        entered: set[str] = set()

        def visit(module: SourceModule) -> None:
            used = [*(bound.module for bound in module.imports), *(star.module for star in module.stars)]
            used += [f"{bound.module}.{bound.attr}" for bound in module.imports]
            for name in used:
                if name in self._modules and name not in entered:
                    entered.add(name)
                    visit(self._modules[name])
                    order[name] = None

        visit(self._own)
        return [*order, *(name for name in self._needed if name not in order)]

    # -- what it is called

    def _choose_names(self) -> None:
        """Give every copied definition and import a name that means nothing else; the design's own names stay."""
        if self._needed:
            self._check_hiding()
        for local, target in self._own_bindings.items():
            if isinstance(target, Package) or not self._mentions(local):
                continue
            if local not in self._own_names:
                self._taken[local] = target
                if isinstance(target, Imported) or target.name == local:
                    self._names[target] = local
        for name in self._order:
            for unit in (u for u in self._modules[name].units if u in self._needed[name]):
                for bound in sorted(unit.binds):
                    self._name(Definition(name, bound), bound, name)
        for target in self._copied:
            self._name(target, target.wanted, target.module)

    def _mentions(self, name: str) -> bool:
        return any(name in unit.names for unit in self._own.units)

    def _check_hiding(self) -> None:
        for star in self._outside_stars():
            raise ValueError(f"{self._title} imports everything of {star.module!r}, which may hide what is copied")
        hidden = BUILTINS.intersection((*self._own_names, *(n for n in self._own_bindings if self._mentions(n))))
        for name, units in self._needed.items():
            module = self._modules[name]
            bound = module.binds.union(self._meanings.bound_by(module))
            for builtin in sorted(hidden.intersection(n for unit in units for n in unit.names) - bound):
                raise ValueError(f"{self._title} defines {builtin!r}, which {name} needs as Python's own")

    def _outside_stars(self) -> list[Import]:
        return [star for star in self._own.stars if star.module.partition(".")[0] != ROOT]

    def _name(self, target: Definition | Imported, wanted: str, module: str) -> None:
        if target not in self._names:
            name = wanted if self._free(wanted, target) else self._fresh(wanted, module)
            self._taken[name] = target
            self._names[target] = name

    def _free(self, name: str, target: object) -> bool:
        holder = self._taken.get(name, target)
        if name in BUILTINS:
            return False
        if isinstance(holder, Imported) and isinstance(target, Imported):
            return (holder.module, holder.attr) == (target.module, target.attr) or (holder.plain and target.plain)
        return holder == target

    def _fresh(self, wanted: str, module: str) -> str:
        """A name that occurs nowhere: that of the module and `wanted`."""
        used = {name for source in (self._own, *self._modules.values()) for name in source.identifiers}
        private = "_" if wanted.startswith("_") else ""
        base = name = f"{private}{module.rpartition('.')[2].strip('_')}_{wanted.strip('_')}"
        number = 1
        while name in used or name in self._taken or name in BUILTINS:
            number += 1
            name = f"{base}_{number}"
        return name

    # -- what is written

    def text(self) -> str:
        """The module."""
        sections = [self._section(self._modules[name], self._needed[name]) for name in self._order]
        own = self._units(self._own, self._own.units)
        aliases = [f"{local} = {self._names[target]}" for local, target in self._renamed()]
        aliases += [f"{alias} = {name}" for alias, name in self._aliases.items()]
        own = "\n\n\n".join(filter(None, ["\n".join(aliases), own]))
        sections.append(f"{_rule(self._title)}\n\n{own}" if self._order else own)
        head = [self._own.docstring, _FUTURE, self._imports()]
        return "\n\n".join(filter(None, [*head, "\n\n\n".join(sections)])) + "\n"

    def _renamed(self) -> Iterator[tuple[str, Definition]]:
        """Copied definitions that the design calls otherwise, or whose names it later gives to something else."""
        for local, target in self._own_bindings.items():
            if isinstance(target, Definition) and self._mentions(local) and self._names[target] != local:
                yield local, target

    def _section(self, module: SourceModule, needed: Collection[Unit]) -> str:
        first = module.docstring.strip("\"'").strip().partition("\n")[0]
        head = [_rule(module.name.replace(".", "/") + ".py"), f"# {first}" if first else ""]
        units = [unit for unit in module.units if unit in needed]
        return "\n".join(filter(None, head)) + "\n\n" + self._units(module, units)

    def _units(self, module: SourceModule, units: Iterable[Unit]) -> str:
        """Their texts, as far apart as they were."""
        text, was_long = "", False
        for unit in units:
            long = isinstance(unit.nodes[0], ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            blank = 2 if long or was_long else min(2, module.blank_lines(unit))
            text += ("\n" * (1 + blank) if text else "") + self._render(module, unit)
            was_long = long
        return text

    def _render(self, module: SourceModule, unit: Unit) -> str:
        replaced: dict[ast.AST, str] = {}
        renamed: dict[str, str] = {}
        for node, mention, target in self._replacements[id(unit)]:
            assert not isinstance(target, Package)
            name = self._names[target]
            if isinstance(node, ast.Name) and node.id == name:
                continue
            if name in mention.hidden:
                name = self._alias(name, target.module)
            replaced[node] = name
        if module is not self._own:
            for bound in unit.binds:
                name = self._names[Definition(module.name, bound)]
                if name != bound:
                    renamed[bound] = name
            declared = {
                n for top in unit.nodes for node in ast.walk(top) if isinstance(node, ast.Global) for n in node.names
            }
            for bound in sorted(declared.intersection(renamed)):
                raise ValueError(f"{self._title} defines {bound!r}, which {module.name} declares global")
        return module.render(unit, replaced, renamed)

    def _alias(self, name: str, module: str) -> str:
        """Another name for something whose own means a local variable in a function of the design."""
        for alias, meant in self._aliases.items():
            if meant == name:
                return alias
        alias = self._fresh(name, module)
        self._aliases[alias] = name
        self._taken[alias] = _OWN
        return alias

    def _imports(self) -> str:
        """All imports: the standard library's, then others', then the core's."""
        wanted = {(t.module, t.attr, self._names[t], t.plain) for t in self._copied}
        for local, target in self._own_bindings.items():
            if not isinstance(target, Imported):
                continue
            idle = not self._is_core(target.module) and self._free(local, target)  # whatever it is imported for
            if idle or self._mentions(local):
                wanted.add((target.module, target.attr, local, target.plain))
        if self._outside_stars():
            return self._as_they_stood(wanted)
        groups: list[list[str]] = [[], [], []]
        whole = {(m, name, plain) for m, attr, name, plain in wanted if attr is None}
        for module, name, plain in sorted(whole):
            groups[self._group(module)].append(_import(module, name, plain))
        for module in sorted({m for m, attr, _, _ in wanted if attr is not None}):
            pairs = sorted((a, n) for m, a, n, _ in wanted if m == module and a is not None)
            groups[self._group(module)].append(_from_import(module, [a if a == n else f"{a} as {n}" for a, n in pairs]))
        return "\n\n".join("\n".join(group) for group in groups if group)

    def _as_they_stood(self, wanted: Iterable[tuple[str, str | None, str, bool]]) -> str:
        """The imports in the design's order, on which depends what a star import of something else hides."""
        places = {bound.local: bound.place for bound in self._own.imports}
        for star in self._own.stars:
            module = self._modules.get(star.module)
            for name in module.exports() if module else ():
                places[name] = max(star.place, places.get(name, star.place))
        lines = [(star.place, _from_import(star.module, ["*"])) for star in self._outside_stars()]
        for module_name, attr, name, plain in wanted:
            shown = f"{attr} as {name}" if attr != name else name
            line = _import(module_name, name, plain) if attr is None else _from_import(module_name, [shown])
            lines.append((places.get(name, (0, 0)), line))
        return "\n".join(line for _, line in sorted(lines))

    def _is_core(self, module: str) -> bool:
        return module == self._core or module.partition(".")[0] == ROOT

    def _group(self, module: str) -> int:
        if self._is_core(module):
            return 2
        return 0 if module.partition(".")[0] in sys.stdlib_module_names else 1


def _rule(title: str) -> str:
    return f"# ---- {title} ".ljust(_WIDTH, "-")


def _import(module: str, name: str, plain: bool) -> str:
    return f"import {module}" if plain or module == name else f"import {module} as {name}"


def _from_import(module: str, names: Iterable[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= _WIDTH:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")"
