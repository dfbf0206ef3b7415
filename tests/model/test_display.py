"""No event text reaches a terminal raw."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vs_tui.model.display import Count, clean, clean_block, counted


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("\x1b]0;pwned\x07", "␛]0;pwned␇"),
        ("\x1b[31mred", "␛[31mred"),
        ("a\u202eb", "a\ufffdb"),
        ("\x9b31m", "\ufffd31m"),
        ("del\x7f", "del␡"),
        ("two\nlines\tand", "two lines and"),
        ("nul\0", "nul␀"),
        ("👩\u200d💻 works", "👩\u200d💻 works"),
        ("❤\ufe0f", "❤\ufe0f"),
        ("x\u200dy", "x\ufffdy"),
        ("👩\u200d", "👩\ufffd"),
        ("👩\u200d x", "👩\ufffd x"),
        ("\ufffd\u200d💻", "\ufffd\ufffd💻"),
        ("🏳\ufe0f\u200d🌈", "🏳\ufe0f\u200d🌈"),
        ("\ufe0fstart", "start"),
        ("क्षि", "क्षि"),
        ("日本語 title", "日本語 title"),
        ("\ufeffbom", "\ufffdbom"),
        ("[@click=app.quit]x[/]", "[@click=app.quit]x[/]"),
    ],
)
def test_what_is_shown(raw, shown) -> None:
    assert clean(raw) == shown


def test_zalgo_is_cut_short() -> None:
    assert len(clean("a" + "\u0301" * 500 + "b")) == 6


def test_a_pile_of_marks_without_a_combining_class_is_cut_short() -> None:
    assert len(clean("a" + "\ufe0f" * 500 + "\u0d41" * 500 + "b")) == 6


@given(st.text(max_size=200))
def test_nothing_dangerous_is_left(text) -> None:
    for character in clean(text):
        code = ord(character)
        assert code >= 0x20
        assert not 0x7F <= code < 0xA0
        assert unicodedata.bidirectional(character) not in {
            "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI",
        }  # fmt: skip
        assert character not in "\u2028\u2029"


@given(st.text(max_size=200))
def test_cleaning_twice_changes_nothing(text) -> None:
    assert clean(clean(text)) == clean(text)


def test_blocks_keep_their_lines() -> None:
    assert clean_block("a\tb\n\x1bc") == ["a   b", "␛c"]


def test_a_number_stands_before_its_noun_in_the_right_form() -> None:
    assert counted(1, "event") == "1 event"
    assert counted(0, "event") == "0 events"
    assert counted(2, "delivery", "deliveries") == "2 deliveries"
    assert f"{Count(3)} in {Count(1):deploy}" == "3 in 1 deploy"
