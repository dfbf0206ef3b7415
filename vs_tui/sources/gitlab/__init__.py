"""GitLab: issues, merge requests, pipelines and their jobs, deployments, pushes, releases."""

from vs_tui.sources.gitlab.source import HOOK_EVENTS, SOURCE

__all__ = ["HOOK_EVENTS", "SOURCE"]
