"""Assign spans to teams by project glob and by user, names to people, and environments to classes
by glob."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
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


@dataclass(frozen=True)
class People:
    """The names that each person has in the tools: `[people] ana = ["Ana Lima"]`."""

    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Login -> other names of the same person."""

    def of(self, name: str) -> str:
        """The login of the person with a name; the name itself if nobody is known by it. Case,
        accents and separators do not matter, and of a mail address its name alone counts."""
        return self._logins.get(plain_name(name), name)

    def logins(self, names: Iterable[str]) -> tuple[str, ...]:
        """The logins of several people, each once."""
        return tuple(dict.fromkeys(map(self.of, names)))

    @cached_property
    def _logins(self) -> Mapping[str, str]:
        """ValueError if two people have one name."""
        found: dict[str, str] = {}
        for login, names in self.names.items():
            for name in (login, *names):
                other = found.setdefault(plain_name(name), login)
                if other != login:
                    raise ValueError(f"people: '{name}' is a name of {other} and of {login}")
        return found

    def named_in(self, team: Team) -> Team:
        """The team with all names of its people as users."""
        listed = {plain_name(user) for user in team.users}
        others = [
            name
            for login, names in self.names.items()
            if not listed.isdisjoint(map(plain_name, (login, *names)))
            for name in (login, *names)
        ]
        return replace(team, users=tuple(dict.fromkeys((*team.users, *others))))


@lru_cache(maxsize=4096)
def plain_name(name: str) -> str:
    """A name without case, accents, separators and the host of a mail address."""
    local = name.partition("@")[0] or name
    signs = unicodedata.normalize("NFKD", local).casefold()
    return "".join(sign for sign in signs if sign.isalnum()) or name.casefold()


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
