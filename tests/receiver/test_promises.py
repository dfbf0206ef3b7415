"""docs/promises.md names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("promises.md", "threat-model.md", "operations.md")
NODE = re.compile(r"`(tests/[\w/.]+\.py)::(\w+)`")


def named(page: str) -> list[tuple[str, str]]:
    return NODE.findall((ROOT / "docs" / page).read_text("utf-8"))


@pytest.mark.parametrize("page", PAGES)
def test_every_named_test_exists(page) -> None:
    missing = []
    for file, function in named(page):
        path = ROOT / file
        found = path.is_file() and {
            node.name
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        if not found or function not in found:
            missing.append(f"{file}::{function}")
    assert missing == []


def test_each_row_of_the_promises_has_its_test() -> None:
    lines = (ROOT / "docs" / "promises.md").read_text("utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and "---" not in line]
    without = [row for row in rows if not NODE.search(row) and not row.endswith("| Test |")]
    assert without == []
    assert len(named("promises.md")) > 40
