"""docs/promises.md and its neighbours name tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("promises.md", "threat-model.md", "operations.md")
NODE = re.compile(r"`(tests/[\w/.]+\.py)::(\w+)`")


def named(page: str) -> list[tuple[str, str]]:
    return NODE.findall((ROOT / "docs" / page).read_text("utf-8"))


@cache
def functions(file: str) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """By their names; none of a file that is not there."""
    path = ROOT / file
    nodes = ast.walk(ast.parse(path.read_text("utf-8"))) if path.is_file() else ()
    return {
        node.name: node
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("page", PAGES)
def test_every_named_test_exists(page) -> None:
    missing = [f"{file}::{name}" for file, name in named(page) if name not in functions(file)]
    assert missing == []


@pytest.mark.parametrize(("page", "least"), [("promises.md", 60), ("threat-model.md", 10)])
def test_each_row_has_its_test(page, least) -> None:
    lines = (ROOT / "docs" / page).read_text("utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and "---" not in line]
    without = [row for row in rows if not NODE.search(row) and not row.endswith("| Test |")]
    assert without == []
    assert len(rows) >= least


def test_what_is_called_full_is_the_long_form_and_nothing_else() -> None:
    """A long form by its marker; the short form of a promise is in the gate."""
    text = (ROOT / "docs" / "promises.md").read_text("utf-8")
    long = set(re.findall(r"full: " + NODE.pattern, text))
    marked = {(file, name) for file, name in named("promises.md") if _is_full(file, name)}
    assert marked == long


def _is_full(file: str, name: str) -> bool:
    found = functions(file).get(name)
    decorators = found.decorator_list if found else ()
    return any(ast.unparse(each) == "pytest.mark.full" for each in decorators)
