"""Claims about the project's own shape."""

from __future__ import annotations

import ast
import importlib.metadata
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PACKAGES = ("design_space", "sandbox", "archive", "meta_agent")


def imports(file: Path) -> set[str]:
    """The top-level packages that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("library", ["ray", "docker", "git", "optuna", "litellm", "xllamacpp"])
def test_each_large_library_is_imported_in_one_module(library: str) -> None:
    users = [f for p in PACKAGES for f in (PROJECT / p).rglob("*.py") if library in imports(f)]
    assert len(users) == 1, users


def test_the_design_space_needs_numpy_and_the_standard_library_only() -> None:
    import sys

    for file in (PROJECT / "design_space").rglob("*.py"):
        assert imports(file) <= {*sys.stdlib_module_names, "numpy", "design_space"}, file


def test_no_other_distribution_ships_one_of_our_package_names() -> None:
    for name, distributions in importlib.metadata.packages_distributions().items():
        if name in PACKAGES:
            assert set(distributions) == {"mnemogen"}, (name, distributions)


def test_every_package_is_in_the_list_that_is_installed() -> None:
    import tomllib

    listed = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {
        ".".join(file.parent.relative_to(PROJECT).parts)
        for package in PACKAGES
        for file in (PROJECT / package).rglob("__init__.py")
        if "templates" not in file.parts
    }
    assert set(listed) == there


def test_public_names_are_exactly_all() -> None:
    import design_space

    public = {name for name in vars(design_space) if not name.startswith("_")}
    modules = {name for name in public if type(getattr(design_space, name)).__name__ == "module"}
    assert public - modules == set(design_space.__all__)
