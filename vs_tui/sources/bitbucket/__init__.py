"""Bitbucket: Cloud and Server (Data Center), which share headers and signature, not bodies."""

from vs_tui.sources.bitbucket.source import SOURCE

__all__ = ["SOURCE"]
