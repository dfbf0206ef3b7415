"""JMESPath expressions of mapped sources: compiled once, checked when compiled, and limited when
run.

The administrator writes the expressions, but anyone may send bodies. An expression that fails on a
body (a number instead of a text) gives null, so one odd field does not affect the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import jmespath
from jmespath.exceptions import ArityError, JMESPathError, ParseError
from jmespath.functions import Functions, signature
from jmespath.visitor import Options, TreeInterpreter

from vs_tui.model.application_commits import commit_in
from vs_tui.model.artifacts import environment_in, image_parts
from vs_tui.sources.base import Inbound

MAX_LENGTH: Final = 2_000
"""Most characters of one expression."""
MAX_DEPTH: Final = 50
"""Most levels of one expression; its evaluation recurses to this depth."""
MAX_STEPS: Final = 200_000
"""Most steps of all expressions on one body; takes some tenths of a second."""
_LETTERS_A_STEP: Final = 64
HEADER: Final = re.compile(r"\bheader\(\s*'([A-Za-z0-9-]+)'\s*\)")
"""Finds headers that an expression reads; they must be stored, so that a rebuild has them."""

_TEXT: Final[Any] = {"types": ["string", "number", "null"]}
_ANY: Final[Any] = {"types": []}


class WrongExpression(ValueError):
    """The expression is invalid; the message gives the reason and the column."""


class TooManySteps(Exception):
    """The expressions need more than MAX_STEPS on this body."""


class _Functions(Functions):
    """JMESPath's functions and vs-tui's own, which return null for null, so that they can be
    chained."""

    def __init__(self, run: Evaluation) -> None:
        self._run = run

    def call_function(self, function_name: str, resolved_args: Iterable[Any]) -> Any:
        given = list(resolved_args)
        for argument in given:
            self._run.pay(_cost(argument))
        return super().call_function(function_name, given)

    @signature()
    def _func_body(self) -> Any:
        return self._run.body

    @signature({"types": ["string"]})
    def _func_header(self, name: str) -> str | None:
        return self._run.inbound.header(name.lower()) or None

    @signature(_TEXT)
    def _func_lower(self, text: Any) -> str | None:
        return None if text is None else str(text).lower()

    @signature(_TEXT, {"types": ["string"]})
    def _func_split(self, text: Any, separator: str) -> list[str] | None:
        return None if text is None or not separator else str(text).split(separator)

    @signature(_TEXT, {"types": ["string"]})
    def _func_before(self, text: Any, separator: str) -> str | None:
        return None if text is None else str(text).partition(separator or "\0")[0]

    @signature(_TEXT, {"types": ["string"]})
    def _func_after(self, text: Any, separator: str) -> str | None:
        if text is None:
            return None
        before, found, after = str(text).partition(separator or "\0")
        return after if found else before

    @signature(_ANY, {"types": ["string"]})
    def _func_tag(self, tags: Any, name: str) -> str | None:
        """The value of a tag: `production` in `["env:production"]` or
        `"env:production,team:core"`."""
        return next(iter(self._func_tags(tags, name) or ()), None)

    @signature(_ANY, {"types": ["string"]})
    def _func_tags(self, tags: Any, name: str) -> list[str] | None:
        """The values of all tags of a name; null without any."""
        listed = tags.split(",") if isinstance(tags, str) else tags
        texts = [tag for tag in listed if isinstance(tag, str)] if isinstance(listed, list) else ()
        pairs = (text.strip().partition(":") for text in texts)
        return [
            value for key, colon, value in pairs if colon and key.lower() == name.lower()
        ] or None

    @signature(_TEXT)
    def _func_environment_in(self, text: Any) -> str | None:
        return environment_in(str(text)) or None

    @signature(_TEXT)
    def _func_image_tag(self, image: Any) -> str | None:
        return image_parts(str(image))[1] or None

    @signature(_TEXT)
    def _func_commit_in(self, version: Any) -> str | None:
        """The commit in a version such as `main-1a2b3c4`."""
        return commit_in(str(version)) or None


class _Interpreter(TreeInterpreter):
    """An interpreter that counts its steps."""

    def __init__(self, run: Evaluation) -> None:
        functions = _Functions(run)
        super().__init__(Options(custom_functions=functions))
        self._run = run

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self._run.pay(1)
        found = super().visit(node, *args, **kwargs)
        if type(found) is list:
            self._run.pay(len(found))
        return found


class Evaluation:
    """Evaluates expressions on one body."""

    def __init__(self, inbound: Inbound, body: Any) -> None:
        self.inbound = inbound
        self.body = body
        self.problems: list[str] = []
        """Expressions that failed and why, for `vs-tui source test`."""
        self._left = MAX_STEPS
        self._interpreter = _Interpreter(self)

    def value(self, expression: Expression | None, root: Any) -> Any:
        """The expression's value below `root`; None if it finds nothing or fails."""
        if expression is None:
            return None
        try:
            return self._interpreter.visit(expression.tree, root)
        except (JMESPathError, RecursionError, TypeError, ValueError, OverflowError) as error:
            why = str(error).replace("\n", " ")[:200] or type(error).__name__
            self.problems.append(f"{expression.text}: {why}")
            return None

    def pay(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise TooManySteps(
                f"its mapping takes more than {MAX_STEPS:,} steps; send less at once"
            )


class Expression:
    """A compiled expression."""

    __slots__ = ("text", "tree")

    def __init__(self, text: str, tree: Any) -> None:
        self.text = text
        self.tree = tree


@lru_cache(maxsize=4096)
def compiled(text: str) -> Expression:
    """The compiled expression. Raises WrongExpression with the reason and the column."""
    if len(text) > MAX_LENGTH:
        raise WrongExpression(f"is longer than {MAX_LENGTH:,} characters")
    try:
        tree = jmespath.compile(text).parsed
    except ParseError as error:
        raise WrongExpression(_explained(text, error)) from None
    except RecursionError:
        raise WrongExpression(f"is nested deeper than {MAX_DEPTH} levels") from None
    except (JMESPathError, ValueError) as error:
        raise WrongExpression(str(error).splitlines()[0]) from None
    for node, depth in _nodes(tree):
        if depth > MAX_DEPTH:
            raise WrongExpression(f"is nested deeper than {MAX_DEPTH} levels")
        if node["type"] == "function_expression":
            _check_call(text, node)
    return Expression(text, tree)


def _nodes(tree: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Every node of a syntax tree with its depth."""
    waiting: list[tuple[Mapping[str, Any], int]] = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        children = node.get("children", ())
        waiting += [(child, depth + 1) for child in children if isinstance(child, dict)]


def _check_call(text: str, node: Mapping[str, Any]) -> None:
    """Raise WrongExpression for an unknown function or a wrong number of arguments."""
    name, given = node["value"], len(node["children"])
    found = re.search(rf"\b{re.escape(name)}\s*\(", text)
    column = found.start() + 1 if found else 1
    spec = _Functions.FUNCTION_TABLE.get(name)
    if spec is None:
        known = ", ".join(sorted(_Functions.FUNCTION_TABLE))
        raise WrongExpression(f"column {column}: there is no function {name}(); there are {known}")
    wanted = spec["signature"]
    if name == "header" and not HEADER.search(text):
        raise WrongExpression(f"column {column}: write header('NAME') with the header's name in '")
    variadic = bool(wanted and wanted[-1].get("variadic"))
    if given < len(wanted) or (given > len(wanted) and not variadic):
        some = "at least " if variadic else ""
        raise WrongExpression(
            f"column {column}: {name}() takes {some}{len(wanted)} arguments, not {given}"
        )


def _explained(text: str, error: ParseError) -> str:
    if isinstance(error, ArityError):
        return str(error)
    position = getattr(error, "lex_position", None)
    if position is None or position >= len(text):
        return f"column {len(text) + 1}: it ends too early"
    shown = text[position : position + 20]
    return f"column {position + 1}: {shown!r} is not expected here"


def _cost(value: Any) -> int:
    if isinstance(value, str):
        return len(value) // _LETTERS_A_STEP
    return len(value) if isinstance(value, list | dict) else 0
