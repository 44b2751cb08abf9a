"""What a name means in a design, or in a module of `design_space`: what is to be copied, or what stays an import."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources

from archive.source_module import ROOT, Import, SourceModule

BUILTINS = frozenset(dir(builtins))


@dataclass(frozen=True, slots=True)
class Definition:
    """A name that one of the modules to be copied defines."""

    module: str
    name: str


@dataclass(frozen=True, slots=True)
class Package:
    """A module of `design_space` as an object; only its attributes can be copied."""

    name: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What stays an import. `wanted` is the name that a module calls it by."""

    module: str
    attr: str | None
    wanted: str
    plain: bool = False


Target = Definition | Package | Imported


class Meanings:
    """Follows imports through the modules of `design_space`, which are read as text and never imported.

    Attributes:
        modules: those that were read, by name.
    """

    def __init__(self, kept: Collection[str], core: str = ROOT) -> None:
        """
        Args:
            kept: modules that are not copied, but imported from.
            core: the module to import their names from, when it is not to be `design_space`.
        """
        self.modules: dict[str, SourceModule] = {}
        self._kept = kept
        self._core = core
        self._resolving: set[tuple[str, str]] = set()
        self._bindings: dict[str, dict[str, Target]] = {}

    def module(self, name: str) -> SourceModule | None:
        """The module of `design_space` of this name; None if there is none."""
        if name not in self.modules:
            rest = name.split(".")[1:]
            folder = resources.files(ROOT).joinpath(*rest)
            file, package = folder.joinpath("__init__.py"), name
            if not file.is_file() and rest:
                file = resources.files(ROOT).joinpath(*rest[:-1], f"{rest[-1]}.py")
                package = name.rpartition(".")[0]
            if not file.is_file():
                return None
            self.modules[name] = SourceModule(name, file.read_text("utf-8"), package=package)
        return self.modules[name]

    def look_up(self, module: str, name: str) -> Target | None:
        """What ``from module import name`` gives."""
        if module.partition(".")[0] != ROOT:
            return Imported(module, name, name)
        found = self.module(module)
        if found is None:
            raise ValueError(f"there is no module {module!r} to import {name!r} from")
        if name in found.binds:
            if module not in self._kept:
                return Definition(module, name)
            home = ROOT if name in self._public() else module
            return Imported(home if self._core == ROOT else self._core, name, name)
        if (module, name) not in self._resolving:
            self._resolving.add((module, name))
            try:
                for target in self._imported_as(found, name):
                    return target
            finally:
                self._resolving.discard((module, name))
        return Package(f"{module}.{name}") if self.module(f"{module}.{name}") else None

    def meant(self, bound: Import) -> Target:
        """What an import binds.

        Raises:
            ValueError: it imports from `design_space` what is not there.
        """
        if bound.module.partition(".")[0] != ROOT:
            return Imported(bound.module, bound.attr, bound.local, bound.plain)
        if bound.attr is None:
            if self.module(bound.module) is None:
                raise ValueError(f"there is no module {bound.module!r}")
            return Package(bound.module)
        target = self.look_up(bound.module, bound.attr)
        if target is None:
            raise ValueError(f"there is no {bound.attr!r} in {bound.module!r}")
        if isinstance(target, Imported):
            return Imported(target.module, target.attr, bound.local, target.plain)
        return target

    def bound_by(self, module: SourceModule) -> Mapping[str, Target]:
        """What the imports of a module of `design_space` bind."""
        if module.name not in self._bindings:
            self._bindings[module.name] = {bound.local: self.meant(bound) for bound in module.imports}
        return self._bindings[module.name]

    def bound_by_design(self, design: SourceModule) -> dict[str, Target]:
        """What the imports of the design bind; one name means one thing, wherever it stands.

        Raises:
            ValueError: one name is bound to two things, or means something else above its import, or `meant` raises.
        """
        bindings: dict[str, Target] = {}
        mentioned = {name for unit in design.units for name in unit.names}
        used: dict[str, tuple[int, int]] = {}
        for unit in design.units:
            stop = unit.nodes[0].end_lineno or 0, unit.nodes[0].end_col_offset or 0
            for name in sorted(unit.binds | (unit.names & BUILTINS)):
                used.setdefault(name, stop)
        starred: set[str] = set()
        for bound in sorted([*design.stars, *design.imports], key=lambda bound: bound.place):
            found = self._all_of(bound, mentioned) if bound.local == "*" else {bound.local: self.meant(bound)}
            outside = bound.local == "*" and bound.module.partition(".")[0] != ROOT
            for name in [*used][:1] if outside else found:
                if name in used and used[name] <= bound.place:
                    what = f"everything of {bound.module!r}" if outside else repr(name)
                    raise ValueError(
                        f"{design.name}: line {bound.place[0]} imports {what} where {name!r} means something already;"
                        " import it at the top or under another name"
                    )
            for name, target in found.items():
                before = bindings.get(name)
                hides = name not in design.inner and (bound.local == "*" or name in starred)
                if before not in (None, target) and not hides and not (bound.plain and _plain(before)):
                    raise ValueError(f"{design.name} imports two things under the name {name!r}")
                bindings[name] = target
            (starred.update if bound.local == "*" else starred.difference_update)(found)
        return bindings

    def _all_of(self, star: Import, mentioned: Collection[str]) -> dict[str, Target]:
        """What a star import binds, of these names; nothing where it is of something else than `design_space`."""
        module = self.module(star.module) if star.module.partition(".")[0] == ROOT else None
        names = [name for name in module.exports() if name in mentioned] if module else []
        return {name: target for name in names if (target := self.look_up(star.module, name))}

    def _imported_as(self, module: SourceModule, name: str) -> Iterator[Target]:
        for bound in reversed(module.imports):
            if bound.local == name:
                yield self.meant(bound)
        for star in module.stars:
            yield from self._all_of(star, [name]).values()

    def _public(self) -> Collection[str]:
        core = self.module(ROOT)
        return core.exports() if core else ()


def _plain(target: Target | None) -> bool:
    return isinstance(target, Imported) and target.plain
