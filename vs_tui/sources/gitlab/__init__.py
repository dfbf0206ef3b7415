"""GitLab: issues, merge requests, pipelines and their jobs, deployments, pushes, releases."""

from vs_tui.sources.gitlab.source import SOURCE

__all__ = ["SOURCE"]
