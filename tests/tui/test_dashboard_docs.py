"""docs/dashboard.md says what the code does. VS_UPDATE_GOLDENS=1 writes its tables."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from vs_tui.model import filters
from vs_tui.store.queries.delivery_search import delivery_where
from vs_tui.tui import actions, theme
from vs_tui.tui.actions import ACTIONS, PLACES, VIEWS, Action, display_key

PAGE = Path(__file__).parents[2] / "docs" / "dashboard.md"


def block(name: str) -> str:
    """What stands between the marks of a table."""
    found = re.search(rf"<!-- {name}: .*? -->\n(.*?)<!-- /{name} -->", PAGE.read_text(), re.DOTALL)
    assert found is not None, name
    return found[1]


def compare(name: str, wanted: str) -> None:
    if os.environ.get("VS_UPDATE_GOLDENS") == "1":
        text = PAGE.read_text()
        PAGE.write_text(
            re.sub(
                rf"(<!-- {name}: .*? -->\n).*?(<!-- /{name} -->)",
                lambda m: m[1] + wanted + m[2],
                text,
                flags=re.DOTALL,
            )
        )
    assert block(name) == wanted, "docs/dashboard.md is old; run with VS_UPDATE_GOLDENS=1"


def keys_of(action: Action) -> str:
    shown = [display_key(key) for key in action.keys.split(",")]
    return " ".join(f"`` {key} ``" if "`" in key else f"`{key}`" for key in shown)


def test_keys() -> None:
    lines = ["| Keys | Id | Where | Does |", "| --- | --- | --- | --- |"]
    for place, heading in PLACES.items():
        lines += [
            f"| {keys_of(a)} | `{a.id}` | {heading.lower()} | {a.help} |"
            for a in ACTIONS
            if a.where == place
        ]
    compare("keys", "\n" + "\n".join(lines) + "\n\n")
    assert len(lines) == len(ACTIONS) + 2, "an action has a place that help does not show"


def test_terms() -> None:
    rows = [
        ("text", " ".join(f"`{key}:`" for key in filters.TEXT_KEYS)),
        ("`kind:` also", ", ".join(f"`{a}` = {b}" for a, b in filters.KINDS.items())),
        ("`state:`", ", ".join(filters.STATES)),
        ("`is:`", ", ".join(filters.FLAGS)),
        ("lengths", " ".join(f"`{key}>10m` `{key}<7d`" for key in filters.COMPARED)),
        ("moments", " ".join(f"`{key}:2026-11-01`" for key in filters.MOMENTS)),
        ("other names", ", ".join(f"`{a}:` = `{b}:`" for a, b in filters.ALIASES.items())),
    ]
    lines = ["| Terms | |", "| --- | --- |", *(f"| {a} | {b} |" for a, b in rows)]
    compare("terms", "\n" + "\n".join(lines) + "\n\n")


def examples(fence: str) -> list[str]:
    found = re.findall(rf"^```{fence}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [line for text in found for line in text.splitlines()]


@pytest.mark.parametrize("text", examples("text"))
def test_examples_of_filters_are_understood(text) -> None:
    assert filters.parse(text).terms


@pytest.mark.parametrize("text", examples("text events"))
def test_examples_of_filters_of_events_are_understood(text) -> None:
    assert delivery_where(text)[1]


def test_screens_and_themes() -> None:
    text = PAGE.read_text()
    for name in VIEWS:
        assert f"| `{actions.BY_ID[name].key}` | {actions.BY_ID[name].label} |" in text
    themes = re.findall(r"^\| `(\w+)` \| ", text.partition("## Looks")[2], re.MULTILINE)
    assert themes == ["auto", *theme.PALETTES]


def test_the_example_of_binding_a_key() -> None:
    name, keys = re.findall(r'`(\w+) = "([^"]+)"`', PAGE.read_text())[0]
    bound = {a.id: a.keys for a in actions.with_keys({name: keys})}[name]
    assert ",".join(map(display_key, bound.split(","))) == keys


def test_limits_that_the_page_names() -> None:
    from vs_tui.api.remote import LONGEST_WAIT
    from vs_tui.cli.web import MAX_TABS
    from vs_tui.model.time import DAY, MINUTE, SECOND
    from vs_tui.tui import source_status, span_format
    from vs_tui.tui.feed import BLURRED_POLL_SECONDS
    from vs_tui.tui.screens.first_page import SHOW_SECRET

    text = PAGE.read_text()
    assert f"at most {MAX_TABS}." in text
    assert LONGEST_WAIT == 5 and "within five seconds" in text
    days = f"{source_status.SILENT_AFTER // DAY} to {source_status.RETIRED_AFTER // DAY} days"
    assert days in text
    assert span_format.SKEW == 2 * MINUTE and "more than two minutes" in text
    assert SHOW_SECRET == 30 * SECOND and "30 seconds" in text
    assert f"every {BLURRED_POLL_SECONDS:.0f} s" in text
