"""What a team may decide itself about its metrics: `[metrics]` of the configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from vs_tui.model import filters
from vs_tui.model.teams import Environments
from vs_tui.model.time import DAY, Duration
from vs_tui.model.vocabulary import Span

_ACCESS_TOKEN: Final = re.compile(r"(project|group)_\d+_bot(\d*|_\w+)\Z")
"""The user that GitLab makes for a project's or a group's access token."""


_INCIDENT_TYPES: Final = frozenset({"incident", "[system] incident"})


@dataclass(frozen=True, slots=True)
class DeploymentRule:
    """Spans that count as deployments besides `deploy` spans: `[[metrics.deployments]]`."""

    filter: str
    environment: str = ""
    """Empty: the span's own."""
    service: str = ""
    """Empty: the span's own; `{project}` is the name of its repository."""


@dataclass(frozen=True, slots=True)
class Service:
    """A part of a repository: `[services.NAME] paths`."""

    name: str
    paths: tuple[str, ...] = ()

    def holds(self, path: str) -> bool:
        """Whether a file belongs to it; `*` is a commit with too many files to list."""
        return path == "*" or any(fnmatchcase(path, glob) for glob in self.paths)


_parsed: Final = lru_cache(maxsize=256)(filters.parse)

Place = tuple[str, str, str]
"""Project, service and environment that a span counts for."""


def is_production(span: Span, environments: Environments) -> bool:
    """Whether a span is about production: by what its tool states, else by the name."""
    name = span.environment.lower()
    excluded = environments.globs.get("not_production", ())
    if any(fnmatchcase(name, glob.lower()) for glob in excluded):
        return False
    tier = str(span.attributes.get("vs.environment.tier", "")).lower()
    if tier:
        return tier == "production"
    stated = span.attributes.get("vs.environment.production")
    return stated is True or environments.is_production(span.environment)


def _name_of(project: str) -> str:
    return project.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class MetricRules:
    """All verdicts are computed again when these change."""

    incident_window: Duration = DAY
    """An incident that names neither deployment nor version belongs to the last successful
    deployment that ended at most this long before it began; with 0 to none."""
    bots: tuple[str, ...] = ()
    """Globs of logins, in any case, that are no engineers besides those that say so themselves."""

    failed_deploys: str = "count"
    """`ignore`: a deploy job that failed never reached production and is no deployment."""
    deployments: tuple[DeploymentRule, ...] = ()
    incidents: tuple[str, ...] = ()
    """Filters of spans that are incidents besides `incident` spans."""
    services: tuple[Service, ...] = ()

    def deployment_at(self, span: Span, environments: Environments) -> Place | None:
        """What a span deployed to as a production deployment; None when it is none."""
        for rule in self.deployments:
            if _parsed(rule.filter).matches(span, 0):
                environment = rule.environment or span.environment
                service = rule.service.replace("{project}", _name_of(span.project)) or span.service
                if environments.is_production(environment) or (
                    not rule.environment and is_production(span, environments)
                ):
                    return (span.project, service or _name_of(span.project), environment)
        if span.operation == "deploy" and is_production(span, environments):
            return (span.project, span.service, span.environment)
        return None

    def incident_at(self, span: Span) -> Place | None:
        """Where a span is an incident; None when it is none."""
        names = span.attributes
        kind = str(names.get("vs.issue.type", names.get("type", ""))).lower()
        listed = str(names.get("vs.issue.labels", "")).lower().split(",")
        if (
            span.operation == "incident"
            or (span.operation == "issue" and (kind in _INCIDENT_TYPES or "incident" in listed))
            or any(_parsed(text).matches(span, 0) for text in self.incidents)
        ):
            return (span.project, span.service, span.environment)
        return None

    def paths_of(self, service: str) -> Service | None:
        """The paths of a service, if it has any of its own."""
        return next((s for s in self.services if s.name == service and s.paths), None)

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
