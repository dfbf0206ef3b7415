"""What is raised for settings that cannot be used."""

from __future__ import annotations


class ConfigError(Exception):
    """The configuration cannot be used; the message names the file, the setting and the fix."""
