"""Modular designs as genes: read from a design's source, written out as source that people can read.

A `Genome` names a part for every place of `design_space.parts.Parts` and a value for every parameter of each part.
Reading is by AST; nothing is executed. What a genome cannot express (a design with methods of its own) reads as None.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, Literal

from design_space import parts, source
from design_space.design import Design, DesignId
from design_space.space import Choice, Int, Parameter, Space, Value

Slot = Literal["key", "retriever", "value", "credit", "manager"]

ENCODERS = ("TrajectoryEncoder", "StepEncoder", "NoteEncoder", "RuleEncoder", "EffectEncoder", "FactEncoder")
SLOTS: dict[Slot, tuple[str, ...]] = {
    "key": ("GoalKey", "SituationKey", "BothKey", "ObjectKey"),
    "retriever": ("Recency", "Bm25", "Cosine", "RankFusion"),
    "value": ("NoValue", "QValue", "Utility"),
    "credit": ("ImmediateCredit", "CausalCredit"),
    "manager": ("KeepAll", "Fifo", "UtilityPruning", "MergeSimilar"),
}
RECALL_COUNT = Int(1, 60, 20)
RETRIEVE = ("task", "step")
PREFIX = {name: name.removesuffix("Encoder").lower() for name in ENCODERS}


@dataclass(frozen=True, slots=True)
class Gene:
    """One part with values for all its parameters.

    Attributes:
        part: name of a class in `design_space.parts`.
    """

    part: str
    values: tuple[tuple[str, Value], ...] = ()

    @classmethod
    def of(cls, part: str, values: Mapping[str, object] | None = None) -> Gene:
        """Raises ValueError for a parameter that the part does not have, or a value out of range."""
        return cls(part, tuple(space_of_part(part).fill(values).items())) if values else _as_it_is(part)


@cache
def _as_it_is(part: str) -> Gene:
    return Gene(part, tuple(space_of_part(part).fill({}).items()))


def space_of_part(part: str) -> Space:
    """The parameters of a part."""
    space = getattr(parts, part).SPACE
    assert isinstance(space, Space)
    return space


@dataclass(frozen=True, slots=True)
class Genome:
    """A modular design.

    Attributes:
        encoders: at least one, each kind at most once, in the order of `ENCODERS`.
        retrieve: whether the memory is asked before each task or before each step.
        recall_count: items returned for a query.
    """

    encoders: tuple[Gene, ...]
    key: Gene
    retriever: Gene
    value: Gene
    credit: Gene
    manager: Gene
    retrieve: str
    recall_count: int

    def __post_init__(self) -> None:
        order = [ENCODERS.index(gene.part) for gene in self.encoders]
        if not order or order != sorted(set(order)):
            raise ValueError(f"encoders {[g.part for g in self.encoders]}, wanted at least one, each once, in order")
        for slot, names in SLOTS.items():
            gene: Gene = getattr(self, slot)
            if gene.part not in names:
                raise ValueError(f"{slot} {gene.part!r}, wanted one of {', '.join(names)}")

    @property
    def genes(self) -> dict[str, Gene]:
        """Every gene under the prefix that its parameters have in a composed design."""
        genes = {PREFIX[gene.part]: gene for gene in self.encoders}
        for slot in SLOTS:
            genes[slot] = getattr(self, slot)
        return genes

    def with_gene(self, prefix: str, gene: Gene) -> Genome:
        """The same design with one gene replaced, or an encoder added."""
        if prefix in SLOTS:
            return replace(self, **{prefix: gene})  # type: ignore[arg-type]
        encoders = {g.part: g for g in self.encoders} | {gene.part: gene}
        return replace(self, encoders=tuple(encoders[name] for name in ENCODERS if name in encoders))

    def without(self, prefix: str) -> Genome:
        """The same design without one encoder.

        Raises:
            ValueError: it is the last one.
        """
        return replace(self, encoders=tuple(g for g in self.encoders if PREFIX[g.part] != prefix))

    @property
    def title(self) -> str:
        """A name for people: what is remembered, found by what, valued and forgotten how."""
        encoders = "+".join(PREFIX[gene.part] for gene in self.encoders)
        found = self.retriever.part.lower() + "/" + self.key.part.removesuffix("Key").lower()
        worth = "" if self.value.part == "NoValue" else f" {self.value.part.lower()}"
        if worth:
            worth += "-" + self.credit.part.removesuffix("Credit").lower()
        kept = "" if self.manager.part == "KeepAll" else f" {self.manager.part.lower()}"
        return f"{encoders} by {found}{worth}{kept} @{self.retrieve}"

    def design(self) -> Design:
        """Write the design out; its parameters' defaults are the genome's values."""
        return Design(self._write(), {}, self.title)

    def _write(self) -> str:
        names = sorted({"ModularMemory", "Parts", *(gene.part for gene in self.genes.values())})
        spaces: dict[str, Parameter] = {"recall_count": _with_default(RECALL_COUNT, self.recall_count)}
        for prefix, gene in self.genes.items():
            for name, value in gene.values:
                spaces[f"{prefix}_{name}"] = _with_default(space_of_part(gene.part)[name], value)
        kinds = sorted({type(p).__name__ for p in spaces.values()} | {"Space"})
        lines = [
            f'"""Composed: {self.title}."""',
            "",
            f"from design_space import {', '.join(kinds)}",
            _import("design_space.parts", names),
            "",
            "",
            "class Composed(ModularMemory):",
            "    SPACE = Space(",
            *(f"        {name}={_literal(parameter)}," for name, parameter in spaces.items()),
            "    )",
            f'    RETRIEVE = "{self.retrieve}"',
            "",
            "    def compose(self, p):",
            "        return Parts(",
            "            encoders=(",
            *(f"                {self._call(PREFIX[gene.part], gene)}," for gene in self.encoders),
            "            ),",
            *(f"            {slot}={self._call(slot, getattr(self, slot))}," for slot in SLOTS),
            '            recall_count=p["recall_count"],',
            "        )",
            "",
        ]
        return "\n".join(lines)

    @staticmethod
    def _call(prefix: str, gene: Gene) -> str:
        kit = ["self.kit"] if prefix == "retriever" else []
        values = [f'{name}=p["{prefix}_{name}"]' for name, _ in gene.values]
        return f"{gene.part}({', '.join([*kit, *values])})"


def _with_default(parameter: Parameter, value: Value) -> Parameter:
    parameter.check(value)
    return replace(parameter, default=value)  # type: ignore[arg-type]


def _literal(parameter: Parameter) -> str:
    if isinstance(parameter, Choice):
        return f"Choice({parameter.options!r}, {parameter.default!r})"
    log = ", log=True" if parameter.log else ""
    return f"{type(parameter).__name__}({parameter.low!r}, {parameter.high!r}, {parameter.default!r}{log})"


def _import(module: str, names: list[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    return line if len(line) <= 118 else f"from {module} import (\n    " + ",\n    ".join(names) + ",\n)"


def read(design: Design) -> Genome | None:
    """The genome of a design; None where a genome cannot say all that the design is."""
    return _genome(design.id, design.source, tuple(design.params.items()))


@lru_cache(maxsize=1_024)  # a search reads its parents over and over
def _genome(id_: DesignId, text: str, params: tuple[tuple[str, Value], ...]) -> Genome | None:
    """Args: id_: tells 1 from 1.0, which are equal as values."""
    try:
        tree, space = source.parse(text), source.space_of(text) or Space()
        return None if isinstance(tree, source.Problem) else _read(tree, space.fill(dict(params)))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        # Whatever is not written in the form that `Genome` writes is no genome; there is nothing to repair.
        return None


def _read(tree: ast.Module, values: Mapping[str, Value]) -> Genome:
    (body,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    if [base.id for base in body.bases if isinstance(base, ast.Name)] != ["ModularMemory"]:
        raise ValueError("not a ModularMemory")
    retrieve = "task"
    call: ast.Call | None = None
    for node in body.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if node.targets[0].id == "RETRIEVE":
                retrieve = ast.literal_eval(node.value)
            elif node.targets[0].id != "SPACE":
                raise ValueError("an attribute of its own")
        elif isinstance(node, ast.FunctionDef) and node.name == "compose":
            (returned,) = (n for n in node.body if not _is_docstring(n))
            call = returned.value  # type: ignore[attr-defined]
        elif not _is_docstring(node):
            raise ValueError("a method of its own")
    if call is None or call.func.id != "Parts" or call.args:  # type: ignore[attr-defined]
        raise ValueError("no plain call of Parts")
    given = {k.arg: k.value for k in call.keywords}
    listed: Any = given["encoders"]
    encoders = {gene.part: gene for gene in (_gene(node, values) for node in listed.elts)}
    count = _value(given["recall_count"], values) if "recall_count" in given else 10
    return Genome(
        encoders=tuple(encoders[name] for name in ENCODERS if name in encoders),
        retrieve=str(retrieve),
        recall_count=int(RECALL_COUNT.check(min(int(count), RECALL_COUNT.high))),
        **{slot: _gene(given[slot], values) for slot in SLOTS},
    )


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _value(node: ast.expr, values: Mapping[str, Value]) -> Any:
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "p":
        return values[ast.literal_eval(node.slice)]
    return ast.literal_eval(node)


def _gene(node: ast.expr, values: Mapping[str, Value]) -> Gene:
    call: Any = node
    if any(ast.unparse(arg) != "self.kit" for arg in call.args):
        raise ValueError("a positional argument")
    return Gene.of(call.func.id, {k.arg: _value(k.value, values) for k in call.keywords})


def traits(text: str) -> tuple[str, ...]:
    """What a source may have in common with others: parts of the library, what is found by what, when it is asked.

    Parts are known by their imports, whatever is made of them; code that imports none has no traits. Never raises.
    """
    try:
        module = source.read(text)
        design = None if isinstance(module, source.Problem) else module.design()
    except RecursionError:
        return ()
    if isinstance(module, source.Problem):
        return ()
    names = {full.rpartition(".")[2] for full in module.origins.values() if full.startswith("design_space.parts.")}
    encoders = [name for name in ENCODERS if name in names]
    others = [name for slot in SLOTS.values() for name in slot if name in names]
    found = [f"{encoder} by {key}" for encoder in encoders for key in SLOTS["key"] if key in names]
    asked = module.attribute(design, "RETRIEVE") if design else None
    step = ["asked before each step"] if isinstance(asked, ast.Constant) and asked.value == "step" else []
    return (*encoders, *others, *found, *step)
