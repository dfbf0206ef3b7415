"""The rules that a team can configure for its metrics: `[metrics]` of the configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from vs_tui.metrics.facts import Target, one_spelling
from vs_tui.model import filters
from vs_tui.model.artifacts import environment_in, without_environment
from vs_tui.model.teams import Environments
from vs_tui.model.time import DAY, Duration
from vs_tui.model.vocabulary import SERVICES_ATTRIBUTE, Span

_ACCESS_TOKEN: Final = re.compile(r"(project|group)_\d+_bot(\d*|_\w+)\Z")
"""Login of the user that GitLab creates for the access token of a project or group."""


_PRODUCTION: Final = frozenset({"prod", "production"})
_INCIDENT_TYPES: Final = frozenset({"incident", "[system] incident"})


@dataclass(frozen=True, slots=True)
class DeploymentRule:
    """Spans that count as deployments besides `deploy` spans: `[[metrics.deployments]]`."""

    filter: str
    environment: str = ""
    """Empty: the span's environment."""
    service: str = ""
    """Empty: the span's service; `{project}` is the repository's name."""


@dataclass(frozen=True, slots=True)
class Service:
    """A part of a repository: `[services.NAME] paths`."""

    name: str
    paths: tuple[str, ...] = ()

    def holds(self, path: str) -> bool:
        """Whether a file belongs to it; `*` stands for a commit with too many files to list."""
        return path == "*" or any(fnmatchcase(path, glob) for glob in self.paths)


_parsed: Final = lru_cache(maxsize=256)(filters.parse)


def is_production(span: Span, environments: Environments) -> bool:
    """Whether a span is about production, by what its tool states, or else by the environment's
    name."""
    name = span.environment.lower()
    excluded = environments.globs.get("not_production", ())
    if any(fnmatchcase(name, glob.lower()) for glob in excluded):
        return False
    tier = str(span.attributes.get("vs.environment.tier", "")).lower()
    if tier:
        return tier == "production"
    if span.attributes.get("vs.environment.production") is True:
        return True
    is_passing = span.attributes.get("vs.environment.transient") is True  # of one pull request
    return not is_passing and environments.is_production(span.environment)


def name_of(project: str) -> str:
    """The default name of the service that is deployed from a project."""
    return project.rpartition("/")[2].lower()


def broken_places(span: Span) -> Sequence[tuple[str, str]]:
    """(project, service) of each service that an incident names; `cart-prod` stands for `cart`,
    too, because alerting tools often have the environment in the name of the service. The service
    is empty for a ticket of a repository and for an alert about its path: they are about all
    deployed there."""
    named = str(span.attributes.get(SERVICES_ATTRIBUTE) or span.service).lower().split("\n")
    if one_spelling(span.environment) in ("", "production"):
        named += [without_environment(n) for n in named if environment_in(n) in _PRODUCTION]
    is_ticket = span.operation == "issue" or "vs.issue.number" in span.attributes

    def place(service: str) -> tuple[str, str]:
        # An alert that knows no repository has its service as its project.
        is_alone = span.project.lower() == span.service != service
        project = service if is_alone else span.project
        is_path = "/" in service and service == project.lower()
        is_repository = is_ticket and service == name_of(project)
        return project, "" if is_path or is_repository else service

    return tuple(dict.fromkeys(map(place, named)))


def ticket_type(span: Span) -> str:
    """The type of a ticket in lower case, empty if it has none."""
    return str(span.attributes.get("vs.issue.type") or span.attributes.get("type") or "").lower()


@dataclass(frozen=True, slots=True)
class MetricRules:
    """The rules of all metrics. A change of them recomputes all verdicts."""

    incident_window: Duration = DAY
    """How long after a deployment's end an incident can still be linked to it, if the incident
    names no deployment and one of the two names no version. 0: never."""
    bots: tuple[str, ...] = ()
    """Globs of logins, in any case, that count as bots in addition to accounts marked as bots."""

    failed_deploys: str = "count"
    """`count`, or `ignore`: a failed deploy job never reached production and does not count."""
    deployments: tuple[DeploymentRule, ...] = ()
    incidents: tuple[str, ...] = ()
    """Filters of spans that are incidents besides `incident` spans."""
    services: tuple[Service, ...] = ()

    def deployment_at(self, span: Span, environments: Environments) -> Target | None:
        """The target of a span that is a production deployment; None if it is not one."""
        for rule in self.deployments:
            if _parsed(rule.filter).matches(span, 0):
                environment = rule.environment or span.environment
                named = rule.service.replace("{project}", name_of(span.project)).lower()
                if environments.is_production(environment) or (
                    not rule.environment and is_production(span, environments)
                ):
                    service = named or span.service or name_of(span.project)
                    return Target(span.project, service, one_spelling(environment))
        if span.operation == "deploy" and is_production(span, environments):
            return Target(span.project, span.service, one_spelling(span.environment))
        return None

    def incident_at(self, span: Span) -> Sequence[Target]:
        """The targets of a span that is an incident; none if it is not one."""
        kind = ticket_type(span)
        listed = str(span.attributes.get("vs.issue.labels", "")).lower().split(",")
        if (
            span.operation == "incident"
            or (span.operation == "issue" and (kind in _INCIDENT_TYPES or "incident" in listed))
            or any(_parsed(text).matches(span, 0) for text in self.incidents)
        ):
            return [Target(*place, span.environment) for place in broken_places(span)]
        return ()

    def is_bot(self, login: str, account: str = "") -> bool:
        """Whether an author is a bot: by the account's type (`Bot` in GitHub), a login that ends in
        `[bot]`, the name of a GitLab access token's user, or a configured name."""
        name = login.lower()
        return (
            account.lower() == "bot"
            or name.endswith("[bot]")
            or _ACCESS_TOKEN.match(name) is not None
            or any(name == glob.lower() or fnmatchcase(name, glob.lower()) for glob in self.bots)
        )


DEFAULT_RULES: Final = MetricRules()
