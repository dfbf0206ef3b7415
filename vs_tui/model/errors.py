"""The error that a person can mend."""

from __future__ import annotations


class Explained(Exception):
    """An error whose message tells a person what is wrong and what to do next. A command that ends
    with one prints the message; any other exception is a bug."""


class ConfigError(Explained):
    """The configuration cannot be used; the message names the file, the setting and the fix."""
