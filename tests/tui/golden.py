"""Pictures of screens as text. `VS_UPDATE_GOLDENS=1` writes them; look at the diff before you
commit it."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "goldens"


def assert_golden(name: str, text: str) -> None:
    """The screen looks as it does in goldens/NAME.txt."""
    path = FOLDER / f"{name}.txt"
    if os.environ.get("VS_UPDATE_GOLDENS") == "1":
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    assert path.is_file(), f"{path.name} is missing; run with VS_UPDATE_GOLDENS=1 and look at it"
    assert text == path.read_text("utf-8"), f"{path.name} differs; is the new look meant?"
