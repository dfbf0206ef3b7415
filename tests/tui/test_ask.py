"""The question over a screen: two lines at the bottom, no frame around the answer."""

from __future__ import annotations

from tests.tui.golden import assert_golden
from tests.tui.stage import NARROW, stage


async def resend(_detail: object, _target: str) -> str:
    return ""


async def test_looks() -> None:
    async with stage(size=NARROW, resend=resend) as on:
        await on.press("4", "u", *"http://jump:5000")
        assert_golden("ask-80x24", "\n".join(on.lines[-5:]) + "\n")
