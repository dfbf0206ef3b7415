"""What every event of a repository has in common: whose it is, its keys, its attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Scalar, State
from vs_tui.sources.base import Unreadable, items, number, obj, text, time_of, web_url
from vs_tui.sources.repository import Repository, unreadable

OUTCOMES: Final[Mapping[str, tuple[State, str, str]]] = {
    "success": (State.OK, "", "success"),
    "neutral": (State.OK, "", "success"),
    # Nothing failed: newer commits made the check pointless, so it has no result.
    "stale": (State.OK, "", ""),
    "skipped": (State.CANCELLED, "", "skip"),
    "cancelled": (State.CANCELLED, "", "cancellation"),
    "failure": (State.ERROR, "failure", "failure"),
    "timed_out": (State.ERROR, "timeout", "timeout"),
    "startup_failure": (State.ERROR, "startup_failure", "error"),
    "action_required": (State.WAITING, "", ""),
    # Completed, and no verdict yet: an end until one is told.
    "": (State.CANCELLED, "", ""),
}
"""A run's `conclusion` as state, `error.type` and OpenTelemetry's result (may be none)."""

PHASES: Final[Mapping[str, tuple[State, str]]] = {
    "requested": (State.QUEUED, "queued"),
    "queued": (State.QUEUED, "queued"),
    "pending": (State.QUEUED, "queued"),
    "waiting": (State.WAITING, "waiting"),
    "in_progress": (State.RUNNING, "running"),
}
"""A run's `status` before it completes, as state and as the phase it is in."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a host's bodies differ from GitHub's."""

    source: str
    """The source's name; also `vcs.provider.name`."""
    global_ids: bool = True
    """Whether a change's `id` is never another one's number (Gitea counts both from 1)."""
    reruns_in_place: bool = False
    """Whether a re-run keeps its id and attempt, so that its end replaces the first one."""


GITHUB: Final = Dialect("github")


class Hook(Repository):
    """One webhook body of a repository."""

    __slots__ = ("action", "body", "default_branch", "dialect", "event", "received_at")

    def __init__(
        self,
        dialect: Dialect,
        event: str,
        body: Mapping[str, Any],
        path: str,
        received_at: Instant,
    ) -> None:
        repository = obj(body, "repository")
        web = web_url(text(repository, "html_url"))
        super().__init__(dialect.source, path, web, number(repository, "id"))
        self.dialect = dialect
        self.event = event
        self.action = text(body, "action", limit=60)
        self.body = body
        self.default_branch = text(repository, "default_branch")
        self.received_at = received_at

    @property
    def sender(self) -> str:
        return login(self.body, "sender")

    def time(self, container: object, *names: str) -> Instant:
        """The first of the named fields that is a time, else the time of receipt."""
        return time_of(container, *names) or self.received_at

    def required(self, container: object, field: str) -> int:
        """An id without which the event cannot be told from others."""
        value = number(container, field)
        if value is None:
            raise self.unreadable(f"{field} is missing or no number")
        return value

    def unreadable(self, what: str) -> Unreadable:
        return unreadable(self.event, what)


def hook_of(dialect: Dialect, event: str, body: Mapping[str, Any], received_at: Instant) -> Hook:
    """The hook of a body; Unreadable when it names no repository."""
    repo = _full_name(obj(body, "repository"))
    if "/" not in repo:
        raise unreadable(event, "repository.full_name is missing")
    return Hook(dialect, event, body, repo, received_at)


def _full_name(repository: dict[str, Any]) -> str:
    """`owner/name`, which is put together where a host leaves it out."""
    if full := text(repository, "full_name", limit=200).strip("/ "):
        return full
    owner = login(repository, "owner") or text(repository, "owner", "name")
    return f"{owner}/{text(repository, 'name', limit=100)}".strip("/ ")


def login(container: object, *path: str) -> str:
    """The name of the account at a path; Gitea has `username` beside `login`."""
    return text(container, *path, "login") or text(container, *path, "username")


def logins(container: object, *path: str) -> str:
    """The names of a list of accounts or teams, comma separated."""
    names = (login(entry) or text(entry, "slug") for entry in items(container, *path)[:100])
    return ",".join(name for name in names if name)


def edited_at(hook: Hook, thing: dict[str, Any]) -> Instant:
    """When the snapshot of an issue or a change was taken.

    Hosts tell whole seconds: an edit in the second of the opening came after it.
    """
    at = hook.time(thing, "updated_at", "created_at")
    return at if hook.action == "opened" else at + 1


def labels(container: object, attribute: str) -> dict[str, Scalar]:
    """The names of an issue's or a change's labels, comma separated, as one attribute.

    A body that lists none says so with "": the labels of an earlier snapshot are gone.
    """
    if not isinstance(obj(container).get("labels"), list):
        return {}
    names = (text(entry, "name", limit=100) for entry in items(container, "labels")[:50])
    return {attribute: ",".join(name for name in names if name)}


def visible(markdown: str) -> str:
    """Markdown without HTML comments: a template's `<!-- Closes #1 -->` closes nothing."""
    first, *rest = markdown.split("<!--")
    return first + "".join(part.partition("-->")[2] for part in rest)


def change_scope(container: object, fallback: str) -> str:
    """The repository in an API URL such as `https://host/api/v3/repos/acme/api`."""
    parts = [part for part in text(container, "url").rstrip("/").split("/") if part]
    return keys.repository("/".join(parts[-2:])) if "repos" in parts[:-2] else fallback
