"""How the last word of a filter may go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vs_tui.model.filters import ALIASES, ATTRIBUTE_KEYS, FLAGS, MOMENTS, STATES, TEXT_KEYS, quoted


def completions(text: str, known: Mapping[str, Sequence[str]]) -> list[str]:
    """Possible completions of a filter's last word. `known` gives the values of keys such as team
    and service."""
    head, _, last = text.rpartition(" ")
    bare = last.removeprefix("-")
    sign = "-" if last.startswith("-") else ""
    key, colon, begun = bare.partition(":")
    if not colon:
        names = [f"{name}:" for name in (*TEXT_KEYS, *ATTRIBUTE_KEYS, "state", "is", *MOMENTS)]
        options = [*names, "dur>", "dur<", "age>", "age<"]
        found = [option for option in options if option.startswith(bare.lower())]
    else:
        fixed: Mapping[str, Sequence[str]] = {"state": STATES, "is": FLAGS}
        name = ALIASES.get(key, key)
        values = fixed.get(name) or known.get(name, ())
        *before, begun = begun.split(",")
        prefix = "".join(f"{value}," for value in before)
        found = [
            f"{key}:{prefix}{quoted(value)}"
            for value in values
            if value.lower().startswith(begun.lower())
        ]
    return [f"{head} {sign}{option}".lstrip() for option in found]
