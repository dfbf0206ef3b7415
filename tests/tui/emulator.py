"""A terminal as small as can be: it knows the sequences that the dashboard paints with."""

from __future__ import annotations

import re

from rich.cells import cell_len

_TOKEN = re.compile(
    r"\x1b\[(?P<args>[0-9;:<=>?]*)(?P<kind>[@-~])|\x1b\].*?(?:\x07|\x1b\\)"
    r"|\x1b[^\[\]]|(?P<sign>[^\x1b])",
    re.DOTALL,
)

Style = tuple[frozenset[int], tuple[int, ...], tuple[int, ...]]
_PLAIN: Style = (frozenset(), (), ())


class Emulator:
    """Cells of (character, style); the second cell of a wide character holds ``."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.cells = [[(" ", _PLAIN)] * width for _ in range(height)]
        self.received = 0
        self._x = self._y = 0
        self._rest = ""
        """A sequence of which the end is missing yet."""
        self._style: Style = _PLAIN

    def feed(self, text: str) -> None:
        """What a program wrote."""
        self.received += len(text)
        text = self._rest + text
        begun = text.rfind("\x1b")
        cut = begun if begun >= 0 and _TOKEN.match(text, begun) is None else len(text)
        text, self._rest = text[:cut], text[cut:]
        for token in _TOKEN.finditer(text):
            if token["sign"] is not None:
                self._put(token["sign"])
            elif token["kind"] == "H":
                y, _, x = token["args"].partition(";")
                self._y, self._x = int(y or 1) - 1, int(x or 1) - 1
            elif token["kind"] == "G":
                self._x = int(token["args"] or 1) - 1
            elif token["kind"] == "m":
                self._set_style(token["args"])

    def _set_style(self, args: str) -> None:
        codes = [int(code or 0) for code in args.split(";")]
        attributes, front, back = self._style
        while codes:
            code = codes.pop(0)
            if code == 0:
                attributes, front, back = frozenset[int](), (), ()
            elif code in range(1, 30):
                attributes |= {code}
            else:
                more = {2: 4, 5: 2}[codes[0]] if code in (38, 48) else 0
                colour = (code, *codes[:more])
                del codes[:more]
                is_front = code < 40 or 90 <= code < 100
                front, back = (colour, back) if is_front else (front, colour)
        self._style = (attributes, front, back)

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
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def text(self) -> str:
        """What is on the screen, right-trimmed lines."""
        return "".join("".join(sign for sign, _ in line).rstrip() + "\n" for line in self.cells)
