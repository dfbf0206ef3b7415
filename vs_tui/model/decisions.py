"""What people decide about a span's links, kept as attributes of the span."""

from __future__ import annotations

from typing import Final

from vs_tui.model.vocabulary import Attributes

PIN_ATTRIBUTE: Final = "vs.pin"
"""Attribute with the key of the parent that a person chose."""
CUT_PREFIX: Final = "vs.cut:"
"""Prefix of attributes that cut a link: the rest is the key of the other span, the value the
instant of the decision, or 0 once it was undone."""
CLEARED_ATTRIBUTE: Final = "vs.cleared"
"""Attribute with an instant; cuts made before it no longer count."""


def cuts(attributes: Attributes) -> list[str]:
    """Keys of the spans that a person separated from the span with these attributes."""
    cleared = attributes.get(CLEARED_ATTRIBUTE)
    since = cleared if isinstance(cleared, int) else 0
    return [
        name.removeprefix(CUT_PREFIX)
        for name, at in attributes.items()
        # A sender's tag may have the name, but not an instant.
        if name.startswith(CUT_PREFIX) and isinstance(at, int) and at > since
    ]
