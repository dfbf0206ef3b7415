"""What a PromQL expression asks for, as far as a test must know."""

from __future__ import annotations

import re
from collections.abc import Iterator

FUNCTIONS = {"sum", "increase", "rate", "histogram_quantile", "topk", "label_values"}


def selectors(expression: str) -> Iterator[tuple[str, dict[str, tuple[str, str]]]]:
    """(metric, {label: (operator, value)}) of each selector of a PromQL expression."""
    bare = re.sub(r"\b(?:by|without) \([^)]*\)", "", expression)
    pattern = r"([a-zA-Z_:][\w:]*)(?:\{([^}]*)\})?(?!\w)(?!\s*\()"
    for name, labels in re.findall(pattern, re.sub(r'"[^"]*"(?![^{]*\})', "", bare)):
        if name in FUNCTIONS or not re.search(r"[a-z]_", name):
            continue
        yield (
            name,
            {
                label: (operator, value)
                for label, operator, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', labels)
            },
        )


def matches(labels: dict[str, str], wanted: dict[str, tuple[str, str]]) -> bool:
    tests = {
        "=": lambda value, given: value == given,
        "!=": lambda value, given: value != given,
        "=~": lambda value, given: (
            re.fullmatch(given.replace("$team", ".*").replace("$project", ".*"), value) is not None
        ),
    }
    return all(
        tests[operator](labels.get(name, ""), value) for name, (operator, value) in wanted.items()
    )
