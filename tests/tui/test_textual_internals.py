"""Private names of Textual and rich: all in one module, and known to be there."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import vs_tui.tui
from vs_tui.tui import textual_internals

ROOT = Path(vs_tui.tui.__file__).parent
MODULES = sorted(
    path.relative_to(ROOT.parent.parent) for path in ROOT.rglob("*.py") if path.stem != "__init__"
)
OUTSIDE = [path for path in MODULES if path.stem != "textual_internals"]
NAMED_TUPLES = {"_replace", "_asdict"}
"""Public methods of named tuples, whatever their names say."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@cache
def written_in(class_: type) -> set[str]:
    """The names of a class: what its body defines, and what its methods set on `self`."""
    found = set(vars(class_)) if class_.__module__.startswith("vs_tui") else set()
    tree = ast.parse(textwrap.dedent(inspect.getsource(class_)))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def foreign_names(class_: type) -> set[str]:
    """The private names that the classes of other projects below this one have."""
    bases = (c for c in class_.__mro__ if c.__module__.partition(".")[0] in ("textual", "rich"))
    return {name for base in bases for name in written_in(base) if is_private(name)}


def private_uses(path: Path) -> Iterator[str]:
    """Every use of another project's private name in a module, with its line."""
    module = importlib.import_module(".".join(path.with_suffix("").parts))
    tree = ast.parse((ROOT.parent.parent / path).read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            if any(map(is_private, names)):
                yield f"{path}:{node.lineno} imports {'.'.join(names)}"
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not own and node.attr not in NAMED_TUPLES:
                yield f"{path}:{node.lineno} {ast.unparse(node)}"
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from _uses_of_class(path, node, getattr(module, node.name))


def _uses_of_class(path: Path, node: ast.ClassDef, class_: type) -> Iterator[str]:
    foreign = foreign_names(class_)
    for inner in ast.walk(node):
        name, own = "", False
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            name, own = inner.name, True
        elif isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name):
            name, own = inner.attr, inner.value.id in ("self", "cls")
        if own and name in foreign:
            yield f"{path}:{inner.lineno} {class_.__name__}.{name}"  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", OUTSIDE, ids=str)
def test_no_other_module_uses_a_private_name_of_textual_or_rich(path) -> None:
    assert list(private_uses(path)) == []


def test_uses_are_found() -> None:
    """The module that may use them is full of what the test above looks for."""
    path = next(path for path in MODULES if path.stem == "textual_internals")
    found = "\n".join(private_uses(path))
    for use in ("imports textual._compositor", "._driver", "UpdatingApp._display", "._link_id",
                "Parser._tokens", "TextualDriver._writer_thread"):  # fmt: skip
        assert use in found, use


NAMES = {
    "App": "_batch_count _closed _display _driver _handle_exception _running _sync_available",
    "Screen": "_compositor",
    "Console": "_color_system",
    "Style": "_link_id",
    "LinuxDriver": "_app _debug _file _get_terminal_size _run_input_thread _writer_thread",
    "WriterThread": "_file _queue",
    "XTermParser": "_awaiting _gen _sequence_to_key_events _timeout_time _tokens",
}
USED = [(getattr(textual_internals, c), n) for c, names in NAMES.items() for n in names.split()]


@pytest.mark.parametrize(
    ("class_", "name"), USED, ids=[f"{class_.__name__}.{name}" for class_, name in USED]
)
def test_textual_and_rich_still_have_what_is_used(class_, name) -> None:
    has = {n for base in class_.__mro__[:-1] if inspect.isclass(base) for n in _all_names(base)}
    assert name in has, f"{class_.__module__} has no {name} any more"


def _all_names(class_: type) -> set[str]:
    try:
        return written_in(class_) | set(vars(class_))
    except (OSError, TypeError):  # a class of the interpreter
        return set(vars(class_))


def test_what_is_used_is_listed() -> None:
    """No use that the test above does not look for."""
    tree = ast.parse(inspect.getsource(textual_internals))
    listed = {name for _, name in USED}
    used = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and is_private(n.attr)}
    used |= {
        n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and is_private(n.name)
    }
    assert used == listed


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("App._display", ["self", "screen", "renderable"]),
        ("App._handle_exception", ["self", "error"]),
        ("LinuxDriver._get_terminal_size", ["self"]),
        ("LinuxDriver._run_input_thread", ["self"]),
        ("XTermParser._sequence_to_key_events", ["self", "sequence", "alt"]),
    ],
)
def test_what_is_replaced_or_called_takes_what_it_took(method, parameters) -> None:
    owner, _, name = method.partition(".")
    found = inspect.signature(getattr(getattr(textual_internals, owner), name))
    assert list(found.parameters) == parameters
