"""Jenkins: the bodies of the statistics-gatherer plugin and of the Notification plugin."""

from vs_tui.sources.jenkins.source import SOURCE

__all__ = ["SOURCE"]
