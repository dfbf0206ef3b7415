"""Sizes as people write and read them."""

import pytest

from vs_tui.model.limits import KIB, MIB, format_size, parse_size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1_023, "1023 B"),
        (KIB, "1.0 KiB"),
        (40_669_184, "38.8 MiB"),
        (740 * 1024 * MIB, "740 GiB"),
        (2**60, "1048576 TiB"),
    ],
)
def test_a_size_is_read_at_a_glance(size, text) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize("size", [1, 900, KIB, 37 * MIB, 512 * 1024 * MIB])
def test_what_is_shown_can_be_written(size) -> None:
    assert parse_size(format_size(size)) == size
