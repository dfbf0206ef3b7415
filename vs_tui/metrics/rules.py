"""What a team may decide itself about its metrics: `[metrics]` of the configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from vs_tui.model.time import DAY, Duration

_ACCESS_TOKEN: Final = re.compile(r"(project|group)_\d+_bot(\d*|_\w+)\Z")
"""The user that GitLab makes for a project's or a group's access token."""


@dataclass(frozen=True, slots=True)
class MetricRules:
    """Verdicts are made anew when these change."""

    incident_window: Duration = DAY
    """An incident that names neither deployment nor version belongs to the last successful
    deployment that ended at most this long before it began; with 0 to none."""
    bots: tuple[str, ...] = ()
    """Globs of logins, in any case, that are no engineers besides those that say so themselves."""

    def is_bot(self, login: str, account: str = "") -> bool:
        """Whether an author is no engineer: by the account's type (`Bot` at GitHub), the login's
        end `[bot]`, the name of a GitLab access token's user, or a configured name."""
        name = login.lower()
        return (
            account.lower() == "bot"
            or name.endswith("[bot]")
            or _ACCESS_TOKEN.match(name) is not None
            or any(name == glob.lower() or fnmatchcase(name, glob.lower()) for glob in self.bots)
        )


DEFAULT_RULES: Final = MetricRules()
