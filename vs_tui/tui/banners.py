"""What needs attention, in one line over every screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vs_tui.domain.model import Verdict

if TYPE_CHECKING:
    from vs_tui.tui.app import VsTuiApp


def banner(app: VsTuiApp) -> str:
    """The most urgent one, `` when all is well."""
    if app.trouble:
        return app.trouble
    if app.setup.open_mode:
        return "open: everyone who reaches the port can send (--no-auth)"
    quarantined = sum(h.counts.get(Verdict.QUARANTINED, 0) for h in app.health)
    if quarantined and app.navigation.current != "events":
        return f"{quarantined} deliveries could not be read: 4 shows why (verdict:quarantined)"
    return ""
