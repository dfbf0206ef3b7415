"""GitHub: repository and organisation webhooks, one module for each kind of work.

`source` proves who sent a delivery and picks the reader of its event; `issues`, `changes`,
`refs`, `actions`, `checks` and `deploys` read one family of events each; `hook` holds what they
share. Gitea and Forgejo send bodies of the same shape and use the same readers.
"""

from vs_tui.sources.github.source import SOURCE

__all__ = ["SOURCE"]
