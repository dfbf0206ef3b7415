"""The shape of the tree: tests beside what they test, and files that can be read in one go."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE, TESTS = ROOT / "vs_tui", ROOT / "tests"

LONGEST = 420


def lines(path: Path) -> int:
    return path.read_text("utf-8").count("\n")


def test_every_package_has_its_tests_and_the_other_way_round() -> None:
    packages = {path.parent.name for path in CODE.glob("*/__init__.py")}
    tested = {path.parent.name for path in TESTS.glob("*/__init__.py")}
    assert packages - tested == set()
    assert tested - packages == {"benchmarks"}
    for name in packages:
        assert list((TESTS / name).rglob("test_*.py")), f"tests/{name} is empty"


def test_no_file_is_too_long_to_be_read_in_one_go() -> None:
    sizes = {str(path.relative_to(CODE)): lines(path) for path in CODE.rglob("*.py")}
    too_long = {n: size for n, size in sizes.items() if size > LONGEST}
    assert too_long == {}, "split them by what they are about"


def test_no_folder_is_too_full_to_be_looked_through() -> None:
    full = {
        str(folder.relative_to(CODE)): len(list(folder.glob("*.py")))
        for folder in (CODE, *CODE.rglob("*/"))
        if folder.is_dir() and len(list(folder.glob("*.py"))) > 72
    }
    assert full == {}, "make packages of what belongs together"


def modules(folder: Path) -> dict[str, Path]:
    """The modules in a folder, by their dotted names."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in folder.rglob("*.py")
    }


def imported(path: Path, modules: dict[str, Path]) -> set[str]:
    """Our modules that a file imports, anywhere in it: in functions and for types as well."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {
                name if (name := f"{node.module}.{alias.name}") in modules else node.module
                for alias in node.names
            }
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & modules.keys()


def test_no_import_goes_in_a_circle() -> None:
    found = modules(CODE)
    graph = {name: imported(path, found) - {name} for name, path in found.items()}
    TopologicalSorter(graph).prepare()  # CycleError names the modules of a circle
