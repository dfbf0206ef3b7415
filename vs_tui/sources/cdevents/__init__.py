"""CDEvents, the vendor-neutral format of the CD Foundation."""

from vs_tui.sources.cdevents.source import SOURCE

__all__ = ["SOURCE"]
