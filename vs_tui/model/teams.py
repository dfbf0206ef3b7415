"""Assign spans to teams by project glob and by user, and environments to classes by glob."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

PRODUCTION: Final = "production"
DEFAULT_ENVIRONMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    PRODUCTION: ("prod", "production", "live", "live-*", "prd", "prod/*", "production/*"),
}


@dataclass(frozen=True, slots=True)
class Team:
    """Globs of projects (`acme/api`, `infra-*`) and logins whose spans belong to this team."""

    name: str
    projects: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


@dataclass(frozen=True)
class Teams:
    """The configured teams. A span belongs to the first team that matches its project, else the
    first that matches its user, else the team with the project's name, else the only team with a
    repository named like its service."""

    teams: tuple[Team, ...] = ()
    _known: dict[tuple[str, str, str], str] = field(default_factory=dict, compare=False, repr=False)

    def of(self, project: str, service: str, actor: str) -> str:
        """The team of a span; empty if none matches."""
        if not self.teams:
            return ""
        wanted = (project, service, actor)
        if wanted not in self._known:
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[wanted] = self._find(project.lower(), service.lower(), actor.lower())
        return self._known[wanted]

    def all_of(self, project: str, service: str, actor: str) -> tuple[str, ...]:
        """Every team of a span: all that list its project, else the result of `of`."""
        wanted = (project.lower(), service.lower())
        listed = [
            team.name
            for team in self.teams
            if any(_matches(name, glob) for name in wanted for glob in team.projects)
        ]
        first = self.of(project, service, actor)
        return tuple(listed) if listed else ((first,) if first else ())

    def _find(self, project: str, service: str, actor: str) -> str:
        for team in self.teams:
            if any(_matches(project, glob) or _matches(service, glob) for glob in team.projects):
                return team.name
        for team in self.teams:
            if actor and actor in (user.lower() for user in team.users):
                return team.name
        if "/" in project:
            return ""
        return self._by_name(project) or self._by_service(service)

    def _by_name(self, project: str) -> str:
        """The team with the project's name: em-metrics' pull requests name their team."""
        return next((team.name for team in self.teams if team.name.lower() == project), "")

    def _by_service(self, service: str) -> str:
        """The only team with a repository named like the service: alerts name no repository."""
        found = [
            team.name
            for team in self.teams
            if any(_matches(service, tail) for glob in team.projects if (tail := _tail(glob)))
        ]
        return found[0] if len(found) == 1 else ""

    @property
    def names(self) -> Sequence[str]:
        return [team.name for team in self.teams]


def _tail(glob: str) -> str:
    """The name in `owner/name`; empty if it is a wildcard."""
    _, slash, name = glob.rpartition("/")
    return name if slash and name.strip("*") else ""


@lru_cache(maxsize=4096)
def _matches(name: str, glob: str) -> bool:
    glob = glob.lower()
    return bool(name) and (
        fnmatchcase(name, glob) or ("/" not in glob and fnmatchcase(name.rsplit("/", 1)[-1], glob))
    )


@dataclass(frozen=True, slots=True)
class Environments:
    """Names of environments by class; what counts for DORA is `production`."""

    globs: Mapping[str, Sequence[str]] = field(default_factory=lambda: DEFAULT_ENVIRONMENTS)

    def is_production(self, environment: str) -> bool:
        name = environment.lower()
        return any(fnmatchcase(name, glob.lower()) for glob in self.globs.get(PRODUCTION, ()))
