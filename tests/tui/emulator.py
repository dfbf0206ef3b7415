"""A terminal as small as can be: it knows the sequences that the dashboard paints with."""

from __future__ import annotations

import re

from rich.cells import cell_len

_TOKEN = re.compile(
    r"\x1b\[(?P<args>[0-9;:<=>?]*)(?P<kind>[@-~])|\x1b\].*?(?:\x07|\x1b\\)|(?P<sign>[^\x1b])",
    re.DOTALL,
)


class Emulator:
    """Cells of (character, SGR codes); the second cell of a wide character holds ``."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.cells = [[(" ", "")] * width for _ in range(height)]
        self.received = 0
        self._x = self._y = 0
        self._style = ""

    def feed(self, text: str) -> None:
        """What a program wrote."""
        self.received += len(text)
        for token in _TOKEN.finditer(text):
            if token["sign"] is not None:
                self._put(token["sign"])
            elif token["kind"] == "H":
                y, _, x = token["args"].partition(";")
                self._y, self._x = int(y or 1) - 1, int(x or 1) - 1
            elif token["kind"] == "m":
                self._style = "" if token["args"] in ("", "0") else token["args"]

    def _put(self, sign: str) -> None:
        if sign == "\n":
            self._x, self._y = 0, min(self._y + 1, self.height - 1)
            return
        cells = cell_len(sign)
        if cells == 0 or self._x + cells > self.width:
            return
        self.cells[self._y][self._x] = (sign, self._style)
        if cells == 2:
            self.cells[self._y][self._x + 1] = ("", self._style)
        self._x += cells

    @property
    def text(self) -> str:
        """What is on the screen, right-trimmed lines."""
        return "".join("".join(sign for sign, _ in line).rstrip() + "\n" for line in self.cells)
