"""Arrows of the dashboard go one way: imports for types and within functions count as well."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "vs_tui" / "tui").rglob("*.py")
}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                yield whole if whole in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_no_module_leads_back_to_itself() -> None:
    graph = {name: set(imported(path)) & MODULES.keys() - {name} for name, path in MODULES.items()}
    assert "vs_tui.tui.session" in graph["vs_tui.tui.screens.base"]
    order = list(TopologicalSorter(graph).static_order())
    assert order.index("vs_tui.tui.session") < order.index("vs_tui.tui.app")


def test_files_are_short() -> None:
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: n for name, n in lengths.items() if n > 400} == {}
