"""vs-tui: delivery traces and DORA metrics, live in the terminal."""

__version__ = "0.2.0"
"""The only place that says it: the package's metadata is read from here."""
