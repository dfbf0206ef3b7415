"""Azure DevOps: service hooks of repositories, pipelines, releases and boards."""

from vs_tui.sources.azure.source import SOURCE

__all__ = ["SOURCE"]
