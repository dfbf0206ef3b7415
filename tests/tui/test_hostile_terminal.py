"""Hostile texts in a real terminal: what the dashboard writes holds none of their sequences."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from tests.tui.hostile import SEQUENCES, texts
from tests.tui.terminal import Terminal
from vs_tui.cli.common import now
from vs_tui.cli.runtime import Runtime
from vs_tui.config import Config
from vs_tui.model.display import clean
from vs_tui.model.time import SECOND

ESCAPE = "\x1b[27u"
"""As terminals write it that tell it from the beginning of another key."""


def filtering(text: str) -> list[tuple[str, str]]:
    """The keys of a filter, once its box is open and offers what it knows."""
    return [("/", "source:"), *((key, "") for key in text)]


PALETTE = "a command, a view or a team"
WALK = (
    ("2", "[2 Traces]"),
    ("3", "[3 DORA]"),
    ("4", "accepted"),
    ("\r", "Events › "),
    ("]", ""),
    (ESCAPE, "[4 Events]"),
    ("5", "[5 Sources]"),
    ("1", "[1 Live]"),
    ("\r", "Live › "),
    (ESCAPE, "[1 Live]"),
    *filtering("team:"),
    *((ESCAPE, ""), (ESCAPE, ""), (":", PALETTE), (ESCAPE, f"-{PALETTE}")),
    *(("?", "Live › Help"), (ESCAPE, "[1 Live]")),
)
"""Keys, and what is on the screen when the next one may be pressed; `-` and what is not."""
SHOP = "acme/shop"
CHILDREN = 250
"""Of each trace in the long form; four of them show all texts."""


def shown(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def single(number: int, text: str) -> dict[str, Any]:
    """A span of which every text is hostile."""
    return {
        "type": ("deploy", "build", "incident")[number % 3], "id": f"h-{number}",
        "action": "start" if number % 2 else "end", "name": f"PWN{text}PWN", "error": text,
        "namespace": f"p{text}"[:190], "timestamp": now() - number * SECOND,
        "tags": {f"k{text}": text, "environment": text, "service": text, "user": text},
    }  # fmt: skip


def families(found: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Traces of many spans each."""
    for first in range(0, len(found), CHILDREN):
        root = f"T{first}"
        family = {"type": "pipeline", "namespace": SHOP}
        yield {**family, "id": root, "action": "start", "name": f"family {root}"}
        for number, text in enumerate(found[first : first + CHILDREN]):
            yield {
                "type": "step", "id": f"{root}-{number}", "action": "end", "name": text,
                "namespace": SHOP, "parentid": f"vstrace-customhttp-pipeline-{SHOP}-{root}",
                "tags": {f"k{text}": text}, "error": text if number % 2 else False,
            }  # fmt: skip


async def fill(path: Path, bodies: Sequence[dict[str, Any]]) -> int:
    """How many were taken; some texts make no valid name."""
    runtime = Runtime(Config(db=path), now)
    await runtime.open_store()
    sent = [runtime.ingest("/customhttp", {}, json.dumps(body).encode()) for body in bodies]
    outcomes = await asyncio.gather(*sent)
    await runtime.close()
    return sum(outcome is not None for outcome in outcomes)


def configure(folder: Path, found: Sequence[str]) -> None:
    """Names of teams and views that steer a terminal."""
    words = [json.dumps(shown(text) or "x", ensure_ascii=False) for text in found]
    lines = ["[views]", *(f'{word} = "build"' for word in dict.fromkeys(words))]
    for word in dict.fromkeys(words):
        lines += [f"[teams.{word}]", f"users = [{word}]"]
    (folder / "config.toml").write_text("\n".join(lines).replace("\x7f", "\\u007f"))


def opened(folder: Path, path: Path, rows: int = 40) -> Terminal:
    env = {
        **os.environ,
        "VS_CONFIG_DIR": str(folder),
        "VS_DATA_DIR": str(folder),
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
    }
    env.pop("NO_COLOR", None)
    command = (sys.executable, "-m", "vs_tui", "view", str(path), "--theme", "dark")
    return Terminal(*command, env=env, rows=rows)


def steering(written: bytes) -> list[str]:
    """What reached the terminal and is not the dashboard's own."""
    text = written.decode("utf-8", "replace")
    # Textual itself sends CSI and the shape of the pointer (OSC 22); nothing else is expected.
    text = re.sub("\x1b\\]22;[a-z-]*\x07", "", text)
    marks = "[\x80-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c\ufeff\x07]"
    return [found[0] for found in re.finditer(f"\x1b[^\\[]|{marks}", text)]


def painted(text: str) -> str:
    """How it begins on the screen; `Terminal` keeps no marks."""
    return "".join(character for character in clean(text) if cell_len(character))[:12].strip()


def left_clean(written: bytes) -> bool:
    """Whether the terminal was given back, once, at the end."""
    return written.count(b"\x1b[?1049l") == 1 and b"\x1b[?1049l" in written[-400:]


def press(terminal: Terminal, key: str, words: str) -> None:
    """A key, and what it leads to."""
    terminal.press(key.encode())
    if words.startswith("-"):
        terminal.read_until_gone(words[1:])
    elif words:
        terminal.read_until(words.encode())


def hover(terminal: Terminal, rows: int) -> None:
    """The mouse over everything: what it shows of a cell that is cut is event text, too."""
    for row in range(1, rows, 3):
        for column in (2, 20, 45, 70, 100):
            terminal.press(b"\x1b[<35;%d;%dM" % (column, row))


def test_no_sequence_of_an_event_reaches_the_terminal(tmp_path) -> None:
    folder = tmp_path / "data \x1b]0;PWNED\x07 \u202e\x9b31m"
    folder.mkdir()
    configure(folder, SEQUENCES[:30])
    bodies = [single(number, shown(text)) for number, text in enumerate(SEQUENCES)]
    assert asyncio.run(fill(folder / "t.db", bodies)) > 0.8 * len(bodies)
    terminal = opened(folder, folder / "t.db")
    terminal.read_until(b"PWN")
    for key, words in WALK:
        press(terminal, key, words)
    hover(terminal, 40)
    assert terminal.close() == 0
    assert steering(terminal.written) == []
    assert left_clean(terminal.written)


@pytest.mark.full
@pytest.mark.timeout(0)
def test_a_thousand_texts_on_every_screen(tmp_path) -> None:
    """On a terminal that is tall enough to show five hundred at once."""
    found = [shown(text) for text in texts(1_000)]
    rows = 600
    configure(tmp_path, found[:300])
    bodies = [single(number, text) for number, text in enumerate(found)]
    bodies += [
        {"type": "note", "id": f"b{first}", "action": "end", "name": "many",
         "tags": {f"{n}{text}": text for n, text in enumerate(found[first : first + 25])}}
        for first in range(0, 1_000, 25)
    ]  # fmt: skip
    taken = asyncio.run(fill(tmp_path / "t.db", [*bodies, *families(found)]))
    assert taken > 1_800
    terminal = opened(tmp_path, tmp_path / "t.db", rows)
    terminal.read_until(b"PWN")

    def walk(*steps: tuple[str, str]) -> None:
        for key, words in steps:
            press(terminal, key, words)
            terminal.settle()
            seen.update(terminal.text.splitlines())

    seen: set[str] = set()
    for number, name in (("1", "Live"), ("2", "Traces"), ("4", "Events")):
        walk((number, f"[{number} {name}]" if number > "1" else ""), ("G", ""), ("g", ""))
        hover(terminal, rows)
        for _ in range(4):
            walk(("\x04", ""))
    walk(("3", "[3 DORA]"), *[("\x1b[B", "")] * 40, ("\r", ""), (ESCAPE, ""))
    for first in range(0, 1_000, CHILDREN):
        search = [*filtering(f'name:"family T{first}"'), ("\r", f'T{first}"  1 trace')]
        walk(
            ("5", "[5 Sources]"),
            ("2", "[2 Traces]"),
            *search,
            ("\r", " step "),
            ("i", ""),
            ("j", ""),
            ("]", ""),
        )
        hover(terminal, rows)
        walk((ESCAPE, "[2 Traces]"), ("c", ""), (ESCAPE, ""), (ESCAPE, ""))
    walk(
        ("4", "[4 Events]"), *filtering("kind:note.end"), ("\r", "note.end  "), ("\r", "Events › ")
    )
    walk(*[("]", "")] * 3, (ESCAPE, "[4 Events]"))
    for _ in range(40):
        walk(("\r", "Events › "), ("]", ""), (ESCAPE, "[4 Events]"), ("j", ""))
    walk((":", PALETTE), (ESCAPE, f"-{PALETTE}"), ("?", " › Help"), (ESCAPE, "[4 Events]"))
    walk(("1", "[1 Live]"))
    assert terminal.close() == 0
    assert steering(terminal.written) == []
    assert left_clean(terminal.written)
    everything = "\n".join(seen)
    were_there = [text for text in found if painted(text) in everything]
    print(f"{len(terminal.written)} bytes, {len(seen)} lines, {len(were_there)} texts were there")
    assert len(were_there) > 930, "the others are cut, or laid out as `painted` does not know"
