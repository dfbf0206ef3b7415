"""Texts that a stranger may put into an event, and what must never reach a terminal."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Iterator

from rich.cells import cell_len

SEQUENCES = (
    "\x1b]0;PWNED\x07", "\x1b]52;c;UFdORUQ=\x07", "\x1b]8;;http://evil\x1b\\x\x1b]8;;\x1b\\",
    "\x1b[2J\x1b[H", "\x1b[31;5m", "\x1b[?1049l", "\x1bP+q544e\x1b\\", "\x1b_G\x1b\\", "\x1bc",
    "\x9b31m", "\x9d0;x\x9c", "\x90x\x9c", "\x85", "\x07", "\x08" * 9, "\r", "\n", "\t", "\v",
    "\x0c", "\0", "\x7f", "\x0e", "\u202e", "\u202d", "\u2066", "\u2069", "\u200e", "\u200f",
    "\u061c", "\u2028", "\u2029", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad",
    "\ufe0f", "\U000e0001", "\U000e0041", "\ufff9", "\ue000", "\uffff", "\U0010ffff", "\u0378",
    "[red]x[/red]", "[@click=app.quit]x[/]", "[/", "[bold", "{{x}}", "%s%n", "$(reboot)", "`x`",
    "<script>", "e\u0301" * 3, "Z" + "\u0300\u0316\u0334" * 40, "\u0300" * 30, "漢字", "한글",
    "😀", "👩\u200d👩\u200d👧\u200d👦", "🏳\ufe0f\u200d🌈", "🇩🇪", "ﷺ", "ｗｉｄｅ", "क्षि", "ไทย", "؀",
    "\u0600",
    "ab", " ", "─│┌", "=1+1", "-", "'\"", "\\", "x" * 3_000, "漢" * 500,
)  # fmt: skip


_MARKS = re.compile("[\u0300-\u036f\u0483-\u0489\u20d0-\u20ff\ufe00-\ufe0f]{5}")
"""Most of them; one is enough to look closer."""


def texts(count: int, seed: int = 11) -> list[str]:
    """Each sequence alone and inside a word, then random mixtures."""
    chance = random.Random(seed)
    found = [*SEQUENCES, *(f"before{s}after" for s in SEQUENCES)]
    while len(found) < count:
        parts = [chance.choice(SEQUENCES) for _ in range(chance.randrange(2, 6))]
        if chance.random() < 0.3:
            parts.append(
                chr(chance.choice((chance.randrange(0xD800), chance.randrange(0xE000, 0x110000))))
            )
        chance.shuffle(parts)
        found.append("".join(parts))
    return found[:count]


def faults(lines: list[str], width: int) -> Iterator[str]:
    """What is wrong with painted lines: unclean characters, piles of marks, wrong widths."""
    for number, line in enumerate(lines):
        if cell_len(line) != width:
            yield f"line {number} is {cell_len(line)} cells wide: {line!r}"
        if line.isprintable() and not _MARKS.search(line):
            continue
        marks = 0
        for character in line:
            marks = marks + 1 if unicodedata.combining(character) else 0
            if marks > 4:
                yield f"line {number}: a pile of marks: {line!r}"
            if not character.isprintable() and character not in "\u200d\ufe0f":
                yield f"line {number}: U+{ord(character):04X} in {line!r}"
