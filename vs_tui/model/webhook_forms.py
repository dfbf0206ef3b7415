"""The webhook forms of tools, which their sources fill in (`sources.base.Source.form`)."""

from __future__ import annotations

from typing import Final, NamedTuple


class Form(NamedTuple):
    """What to enter in a tool's webhook form, for people who set it up by hand."""

    where: str
    """The menus that lead to the form."""
    events: str
    """The events to tick."""
    field: str = "secret"
    """The tool's name for the secret's field; empty if the URL carries the token."""
    content_type: str = "application/json"


USUAL: Final = ("github", "gitlab", "jenkins", "jira", "linear", "argocd")
"""The tools that people connect first, in the order of the dashboard's first page."""
