"""vs-tui: delivery traces and DORA metrics, live in the terminal."""

from typing import Final

__version__: Final = "0.2.0"
"""The only place that says it: the package's metadata is read from here."""
