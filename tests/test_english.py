"""Words that readers had to decode do not come back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(path for path in (ROOT / "vs_tui").rglob("*.py") if "demo" not in path.parts),
]
AVOID = {
    r"(?<!`)``(?!`)": "the empty string is called empty",
    r"\btalk to stderr": "messages go to stderr",
    r"\bword of yours\b": "any other word",
    r"\bnobody heard\b|\bhears nothing\b": "a program receives; it hears nothing",
    r"\blaid at\b": "say what causes it",
    r"\bmade anew\b|\bmake anew\b": "made again, rebuilt, recomputed",
}


@pytest.mark.parametrize("pattern", AVOID)
def test_a_plain_word_is_used_instead(pattern: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in PAGES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert found == [], AVOID[pattern]
