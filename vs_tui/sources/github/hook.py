"""The common parts of a repository's events: names, keys and attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Scalar
from vs_tui.sources.base import Unreadable
from vs_tui.sources.fields import (
    T,
    items,
    meaning,
    number,
    obj,
    required,
    text,
    time_of,
    unreadable,
    web_url,
)
from vs_tui.sources.repository import Repository


@dataclass(frozen=True, slots=True)
class Dialect:
    """The differences of a host's bodies from GitHub's."""

    source: str
    """The source's name; also `vcs.provider.name`."""
    global_ids: bool = True
    """Whether a change's `id` never equals the number of another change (in Gitea both count from
    1)."""
    reruns_in_place: bool = False
    """Whether a re-run keeps its id and attempt, so that its end replaces the first end."""


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
        """The first of the named fields that is a time, or else the time of receipt."""
        return time_of(container, *names) or self.received_at

    def required(self, container: object, field: str) -> int:
        """An id that the event cannot do without. Raises Unreadable if it is missing."""
        return required(self.event, container, field)

    def meaning(self, words: Mapping[str, T], word: str, what: str = "state") -> T:
        """What a word means. Raises Unreadable for a word that is not known."""
        return meaning(self.event, words, word, what)

    def unreadable(self, what: str) -> Unreadable:
        return unreadable(self.event, what)


def hook_of(dialect: Dialect, event: str, body: Mapping[str, Any], received_at: Instant) -> Hook:
    """The hook of a body. Raises Unreadable if it names no repository."""
    repo = _full_name(obj(body, "repository"))
    if "/" not in repo:
        raise unreadable(event, "repository.full_name is missing")
    return Hook(dialect, event, body, repo, received_at)


def _full_name(repository: dict[str, Any]) -> str:
    """`owner/name`, composed if the host leaves it out."""
    if full := text(repository, "full_name", limit=200).strip("/ "):
        return full
    owner = login(repository, "owner") or text(repository, "owner", "name")
    return f"{owner}/{text(repository, 'name', limit=100)}".strip("/ ")


def login(container: object, *path: str) -> str:
    """The name of the account at a path; Gitea has `username` in addition to `login`."""
    return text(container, *path, "login") or text(container, *path, "username")


def logins(container: object, *path: str) -> str:
    """The names of a list of accounts or teams, separated by commas."""
    names = (login(entry) or text(entry, "slug") for entry in items(container, *path)[:100])
    return ",".join(name for name in names if name)


def edited_at(hook: Hook, thing: dict[str, Any]) -> Instant:
    """When the snapshot of an issue or change was taken.

    Hosts send whole seconds, so an edit in the second of the opening is put after it.
    """
    at = hook.time(thing, "updated_at", "created_at")
    return at if hook.action == "opened" else at + 1


def labels(container: object, attribute: str) -> dict[str, Scalar]:
    """An attribute with the names of an issue's or change's labels, separated by commas.

    If the list is empty, the attribute is an empty string, which removes the labels of an earlier
    snapshot.
    """
    if not isinstance(obj(container).get("labels"), list):
        return {}
    names = (text(entry, "name", limit=100) for entry in items(container, "labels")[:50])
    return {attribute: ",".join(name for name in names if name)}


def visible(markdown: str) -> str:
    """Markdown without HTML comments, because `<!-- Closes #1 -->` in a template closes nothing."""
    first, *rest = markdown.split("<!--")
    return first + "".join(part.partition("-->")[2] for part in rest)


def change_scope(container: object, fallback: str) -> str:
    """The scope of the repository in an API URL such as `https://host/api/v3/repos/acme/api`."""
    parts = [part for part in text(container, "url").rstrip("/").split("/") if part]
    return keys.repository("/".join(parts[-2:])) if "repos" in parts[:-2] else fallback
