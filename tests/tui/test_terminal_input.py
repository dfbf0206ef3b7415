"""Whatever a terminal sends, the dashboard ignores it or ends alone."""

from __future__ import annotations

import os
import random
import re
import sys
import urllib.request

import pytest
from textual import events

from tests.patience import PATIENCE
from tests.tui.stage import stage
from tests.tui.terminal import Terminal
from vs_tui.tui.driver import MAX_CELLS, PASTE_SECONDS, STRING_SECONDS, TerminalParser

KNOWN = (
    "\x1b[A", "\x1b[1;5C", "\x1bOP", "\x1b[15~", "\x1b[97;5:3u", "\x1b[97:65;2u",
    "\x1b[97;;1114112u", "\x1b[55296u", "\x1b[48;24;80;0;0t", "\x1b[48;0;0;0;0t",
    "\x1b[48;24:9;80;480;800t", "\x1b[<35;100;100M", "\x1b[<0;1;1M", "\x1b[<64;9;9M",
    "\x1b[M !!", "\x1b[200~pasted \x1b[31mtext\x1b[201~", "\x1b[I", "\x1b[O", "\x1b[?2026;2$y",
    "\x1b[?2048;1$y", "\x1b[12;40R", "\x1b[1;1R", "\x1b[?62;22c", "\x1b]11;rgb:0/0/0\x07",
    "\x1bP>|kitty\x1b\\", "\x1b", "\x1b\x1b[A", "\x1b[27;5;13~", "\x1b[57441;;u", "\x1b[;;u", "j",
    "日", "\x00", "\x1b[1;1:1:1u", "\x1b[99999999999999999999u", "\x1b[1::;5:2;97:98u",
    # Further forms of keys: no modifier, 256, 0, negative, flags pushed and asked for.
    "\x1b[97u", "\x1b[57363;1:1u", "\x1b[228::246;2u", "\x1b[97;256u", "\x1b[97;0u", "\x1b[0u",
    "\x1b[97;-5u", "\x1b[97;1;97:98:99u", "\x1b[97;5;1;2;3u", "\x1b[?31u", "\x1b[>1u", "\x1b[<u",
    "\x1b[27;999;999999~", "\x1b[1;99A", "\x1b[1;1:3A", "\x1b[3;5:3~",
    # Answers: modes, device attributes, status, cursor, size, and those in strings.
    "\x1b[?2026;4$y", "\x1b[?99999999999;1$y", "\x1b[?;$y", "\x1b[4;1$y", "\x1b[>41;354;0c",
    "\x1b[=1234c", "\x1b[0n", "\x1b[0;0R", "\x1b[99999999;99999R", "\x1b[8;0;0t", "\x1b[6;16;8t",
    "\x1b[48;-1;-1;-1;-1t", "\x1b[48;99999;99999;9;9t", "\x1bP1$r0m\x1b\\", "\x1bP!|00000000\x1b\\",
    "\x1bP1+r544e=7874\x1b\\", "\x1b]10;rgb:ffff/ffff/ffff\x1b\\", "\x1b]4;1;rgb:cd/0/0\x07",
    "\x1b]52;c;aGVsbG8=\x07", "\x1b]99;i=1:p=close;\x1b\\", "\x1b_Gi=1;OK\x1b\\",
    "\x1b]11;rgb:00/0",
    # Mouse: negative, huge, fractions, no end, pixels, urxvt's form.
    "\x1b[<0;-5;-5M", "\x1b[<64;99999999999999999999;1M", "\x1b[<-1;1;1M", "\x1b[<255;10;10M",
    "\x1b[<0;10M", "\x1b[<;;M", "\x1b[<0;1.5;2.5M", "\x1b[32;10;10M", "\x1b[M\xff\xff\xff",
    "\x1b[?1016;1$y\x1b[48;40;120;800;960t\x1b[<35;5000;5000M", "\x1b[200~no end",
)  # fmt: skip
ALPHABET = "\x1b[]<>?;:0123456789uMmtRIO~ABCDHFPQRS$y \x00\x7f\x9baZé日\U0001f600\ud800"


def parsed(*sequences: str) -> list[object]:
    parser = TerminalParser()
    return [message for sequence in sequences for message in parser.feed(sequence)]


def keys(*sequences: str) -> list[str]:
    return [m.key for m in parsed(*sequences) if isinstance(m, events.Key)]


def test_a_key_that_is_let_go_is_not_pressed_again() -> None:
    assert keys("\x1b[97;1:1u", "\x1b[97;1:3u", "\x1b[97;5:3u", "j") == ["a", "j"]


def test_an_alternate_key_is_the_key() -> None:
    assert keys("\x1b[97:65;5u") == keys("\x1b[97;5u") == ["ctrl+a"]
    assert keys("\x1b[97:65;2;65u") == keys("\x1b[97;2;65u") == ["A"]


def test_a_key_that_is_held_is_pressed_again() -> None:
    assert keys("\x1b[106;1:1;106u", "\x1b[106;1:2;106u") == ["j", "j"]


@pytest.mark.parametrize("beyond", ["\x1b[97;;1114112u", "\x1b[1114112u", "\x1b[97;;55296u"])
def test_a_code_point_beyond_unicode_is_no_key_and_what_follows_is_read(beyond) -> None:
    assert keys(beyond, "j") == ["j"]


def test_a_mouse_is_reported_in_cells_where_a_size_in_pixels_is_not_known() -> None:
    *_, moved = parsed("\x1b[48;24;80;0;0t", "\x1b[<35;71;11M")
    assert isinstance(moved, events.MouseMove) and (moved.x, moved.y) == (70, 10)


@pytest.mark.parametrize("size", ["0;0;0;0", "24;0;1;1", f"24;{MAX_CELLS + 1};1;1"])
def test_an_impossible_size_is_none(size) -> None:
    assert parsed(f"\x1b[48;{size}t") == []


@pytest.mark.parametrize(
    "answer",
    ["\x1b]11;rgb:1e1e/1e1e/1e1e\x1b\\", "\x1b]10;rgb:ffff/ffff/ffff\x07", "\x1b]52;c;cXE=\x07",
     "\x1bP>|XTerm(388)\x1b\\", "\x1bP1$r0m\x1b\\", "\x1b_Gi=31;OK\x1b\\", "\x1b]11;q\x18",
     "\x1b^q\x1b\\"],
    ids=["background", "foreground", "clipboard", "version", "setting", "image", "cut", "private"],
)  # fmt: skip
def test_an_answer_of_the_terminal_is_no_key(answer) -> None:
    """Such as one that another program asked for and did not wait for."""
    assert keys(answer, "j") == keys(*answer, "j") == ["j"]
    unfinished = answer.rstrip("\\\x1b\x07\x18")
    assert keys(unfinished, "\x1b[A", "j") == ["up", "j"], "another sequence ends it"


def test_a_string_and_a_paste_without_an_end_end_by_themselves() -> None:
    now = [0.0]
    parser = TerminalParser(clock=lambda: now[0])
    assert not list(parser.feed("\x1b]11;rgb:00"))
    assert parser.is_unfinished
    now[0] += STRING_SECONDS / 2
    assert not [*parser.tick(), *parser.feed("/00q")]
    now[0] += STRING_SECONDS + 0.1
    assert not list(parser.tick())
    assert [m.key for m in parser.feed("j") if isinstance(m, events.Key)] == ["j"]
    assert not list(parser.feed("\x1b[200~text \x1b]11;kept\x07"))
    now[0] += PASTE_SECONDS + 0.1
    pasted = [m.text for m in parser.tick() if isinstance(m, events.Paste)]
    assert pasted == ["text \x1b]11;kept\x07"], "and nothing of it is a key"
    assert [m.key for m in parser.feed("j") if isinstance(m, events.Key)] == ["j"]
    assert not parser.is_unfinished


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31mred",
        "\x1b]0;owned\x07q",
        "q\x1b",
        "\x1bq",
        "\x1b\x1b[A",
        "\x1b[200~q",
        "\x1b[<0;1;1M",
    ],
)
def test_no_part_of_a_paste_is_a_key(text) -> None:
    """Textual reads the characters of an escape sequence within a paste as keys."""
    made = list(TerminalParser().feed(f"\x1b[200~a{text}\n b\x1b[201~j"))
    assert [m.text for m in made if isinstance(m, events.Paste)] == [f"a{text}\n b"]
    assert [m.key for m in made if not isinstance(m, events.Paste)] == ["j"]


def mutated(random_: random.Random) -> str:
    """A sequence that a terminal could send, spoilt; or any characters."""
    if random_.random() < 0.3:
        return "".join(random_.choices(ALPHABET, k=random_.randrange(1, 40)))
    text = list(random_.choice(KNOWN))
    for _ in range(random_.randrange(4)):
        place = random_.randrange(len(text) + 1)
        text[place : place + random_.randrange(2)] = random_.choice(ALPHABET)
    if random_.random() < 0.2:
        return re.sub(
            r"\d+", lambda _: str(random_.choice((0, 1, 3, 2**31, 10**20))), "".join(text)
        )
    return "".join(text)


@pytest.mark.parametrize("count", [3_000, pytest.param(50_000, marks=pytest.mark.full)])
def test_mutated_sequences_are_read_or_ignored_and_the_next_key_is_read(count) -> None:
    random_ = random.Random(19)
    parser = TerminalParser()
    made = 0
    for number in range(count):
        made += len(list(parser.feed(mutated(random_))))
        if number % 50 == 0:
            # What ends a paste or a sequence that was only begun, then a key.
            list(parser.feed("\x1b[201~" * 2 + "\x1b\\" + " " * 40))
            assert [m.key for m in parser.feed("j") if isinstance(m, events.Key)] == ["j"], number
    assert made > count, "most of them mean something"


async def test_the_dashboard_takes_whatever_mouse_size_and_paste_come_of_them() -> None:
    random_ = random.Random(20)
    parser = TerminalParser()
    async with stage() as on:
        for _ in range(1_000):
            for message in parser.feed(mutated(random_)):
                if not isinstance(message, events.Key | events.Resize):
                    message.set_sender(on.app)
                    on.app.post_message(message)
        await on.settle()
        for size in ((1, 1), (3, 400), (400, 2), (120, 40)):
            await on.pilot.resize_terminal(*size)
            await on.settle()
        await on.press("1")
        await on.sees("Live")


def test_sequences_that_ended_the_receiver_leave_it_and_the_dashboard_running(tmp_path) -> None:
    env = {**os.environ, "VS_CONFIG_DIR": str(tmp_path), "VS_DATA_DIR": str(tmp_path)}
    # The environment's size is that of the terminal it was started from.
    env |= {"COLUMNS": "40", "LINES": "10"}
    command = ("dashboard", "--db", str(tmp_path / "t.db"), "--port", "0")
    on = Terminal(sys.executable, "-m", "vs_tui", *command, env=env)
    try:
        on.read_until(b"Live")
        on.read_until(b"hooks ")
        assert max(map(len, on.text.splitlines())) > 100, "as wide as the terminal"
        for sequence in ("\x1b[97;5:3u", "\x1b[97:65;2u", "\x1b[97;;1114112u"):
            on.press(sequence.encode())
        on.press(b"\x1b[48;40;120;0;0t\x1b[<35;100;100M")
        quiet = (s for s in KNOWN if s.startswith("\x1b") and not s.startswith("\x1b[200~"))
        on.press(
            "".join(quiet).encode() + b"\xe6\x97\xff\xc0\x80\xf0\x9f" + 3 * b"\x1b[I\x1b[O\x1b[I"
        )
        for size in ((1, 1), (0, 0), (1, 200), (200, 1), (40, 120)):
            on.resize(*size)
        on.press(b"1")
        on.press(b"?")
        on.read_until(b"In lists")
        on.press(b"\x1b")
        assert on.close() == 0
    finally:
        on.process.kill()


def test_a_fault_of_the_dashboard_leaves_a_report_and_the_receiver(tmp_path) -> None:
    """The reading of keys fails: the worst that a terminal could do."""
    env = {**os.environ, "VS_CONFIG_DIR": str(tmp_path), "VS_DATA_DIR": str(tmp_path)}
    script = (
        "import sys, vs_tui.tui.driver as d\n"
        "def feed(self, data): raise RuntimeError('unreadable')\n"
        "d.TerminalParser.feed = feed\n"
        "from vs_tui.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    command = ("dashboard", "--db", str(tmp_path / "t.db"), "--port", "0")
    on = Terminal(sys.executable, "-c", script, *command, env=env)
    try:
        on.read_until(b"hooks ")
        on.press(b"j")
        on.read_until(b"the receiver goes on at ")
        on.settle()
        found = re.search(r"goes on at (http://\S+?);", on.text.replace("\n", ""))
        assert found, on.text
        with urllib.request.urlopen(f"{found[1]}/healthz") as answer:
            assert answer.status == 200
        assert len(list((tmp_path / "crashes").glob("crash-*.txt"))) == 1
        on.process.terminate()
        assert on.process.wait(PATIENCE) == 1
    finally:
        on.process.kill()
