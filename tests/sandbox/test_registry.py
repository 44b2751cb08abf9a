"""Claims about sources and agents of one's own: whatever their modules do, it is one message with the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.registry import find_agent, make_source

ZERO, EXIT = "ZeroDivisionError: division by zero .*line 2", "SystemExit: 7 .*line 2"


@pytest.mark.parametrize(
    ("place", "text", "told"),
    [
        ("module", "1 / 0", ZERO),
        ("module", "raise SystemExit(7)", EXIT),
        ("module", "def (", "SyntaxError"),
        ("call", "1 / 0", ZERO),
        ("call", "raise SystemExit(7)", EXIT),
    ],
)
def test_what_ones_own_module_raises_is_told_with_its_place(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, place: str, text: str, told: str
) -> None:
    name = f"own_{abs(hash(request.node.name))}"
    body = f"\n{text}\ndef make(): ...\n" if place == "module" else f"def make():\n    {text}\n"
    (tmp_path / f"{name}.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=told):
        make_source(f"{name}:make", {}, str(tmp_path))
    if place == "module":
        with pytest.raises(ValueError, match=told):
            find_agent(f"{name}:make", str(tmp_path))
