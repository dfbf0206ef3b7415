"""The error of settings that cannot be used."""

from __future__ import annotations

from vs_tui.model.errors import Explained


class ConfigError(Explained):
    """The configuration cannot be used; the message names the file, the setting and the fix."""
