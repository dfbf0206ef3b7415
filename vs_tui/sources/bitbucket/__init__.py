"""Bitbucket: Cloud and Server (Data Center), with the same headers and signature but different
bodies."""

from vs_tui.sources.bitbucket.source import SOURCE

__all__ = ["SOURCE"]
