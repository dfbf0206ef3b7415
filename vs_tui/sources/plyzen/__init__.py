"""plyzen: its basic and advanced ingest schema."""

from vs_tui.sources.plyzen.source import SOURCE

__all__ = ["SOURCE"]
