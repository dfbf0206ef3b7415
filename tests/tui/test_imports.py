"""Arrows of the dashboard go one way: imports for types and within functions count as well."""

from __future__ import annotations

from graphlib import TopologicalSorter

from tests.test_tree import CODE, imported, modules

MODULES = modules(CODE / "tui")


def test_no_module_leads_back_to_itself() -> None:
    graph = {name: imported(path, MODULES) - {name} for name, path in MODULES.items()}
    assert "vs_tui.tui.session" in graph["vs_tui.tui.screens.base"]
    order = list(TopologicalSorter(graph).static_order())
    assert order.index("vs_tui.tui.session") < order.index("vs_tui.tui.app")


def test_files_are_short() -> None:
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: n for name, n in lengths.items() if n > 400} == {}
