"""GitHub: webhooks of repositories and organisations, one module per kind of work.

`source` verifies the origin and chooses the reader of an event; `issues`, `changes`, `refs`,
`actions`, `checks` and `deploys` each read one family of events; `hook` has their common parts.
Gitea and Forgejo send bodies of the same shape and use the same readers.
"""

from vs_tui.sources.github.source import HOOK_EVENTS, SOURCE

__all__ = ["HOOK_EVENTS", "SOURCE"]
