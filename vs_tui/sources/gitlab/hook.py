"""The common parts of GitLab's events: project, keys and attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from vs_tui.model import keys
from vs_tui.model.time import DAY, SECOND, Duration, Instant
from vs_tui.model.vocabulary import Key, Scalar
from vs_tui.sources.base import Unreadable
from vs_tui.sources.fields import (
    T,
    items,
    meaning,
    number,
    obj,
    required,
    text,
    unreadable,
    web_url,
)
from vs_tui.sources.repository import Repository

SOURCE_NAME: Final = "gitlab"


class Hook(Repository):
    """One webhook body of a project."""

    __slots__ = ("body", "default_branch", "kind", "received_at")

    def __init__(self, kind: str, body: Mapping[str, Any], path: str, received_at: Instant) -> None:
        project = obj(body, "project")
        page = text(project, "web_url") or text(body, "repository", "homepage")
        identifier = _project_id(body) if "/" in path else None
        super().__init__(SOURCE_NAME, path, web_url(page), identifier, _address(body))
        self.kind = kind
        """`object_kind`."""
        self.body = body
        self.default_branch = text(project, "default_branch")
        self.received_at = received_at

    @property
    def user(self) -> str:
        """The user who caused the event; job hooks of older versions have only a display name."""
        return login(self.body, "user") or text(self.body, "user_username")

    def named_identity(self, kind: str, name: str) -> dict[str, Any]:
        """The identity of a span with a name instead of a number, such as a tag.

        Names and projects may contain dashes: tag `web-1` of `api` is not tag `1` of `api-web`. The
        `@`, which no project's path contains, separates them.
        """
        return self.identity(kind, f"@{name}") | {"ref": self.ref(kind, name)}

    def aliases(self, kind: str, number: object) -> tuple[Key, ...]:
        """ValueStream's refs, which contain the project's display name with its blanks."""
        shown = text(self.body, "project", "name")
        return aliases(kind, shown, number) if shown else ()

    def unreadable(self, what: str) -> Unreadable:
        return unreadable(self.kind, what)

    def required(self, *path: str) -> int:
        """A number that the event cannot do without. Raises Unreadable if it is missing."""
        return required(self.kind, self.body, *path)

    def meaning(self, words: Mapping[str, T], word: str, what: str) -> T:
        """What a word means. Raises Unreadable for a word that is not known."""
        return meaning(self.kind, words, word, what)


def _address(body: Mapping[str, Any]) -> str:
    """Any URL of the project; job hooks had no page of the project before GitLab 16."""
    clones = (text(body, "repository", name) for name in ("git_http_url", "git_ssh_url"))
    target = text(body, "object_attributes", "target", "web_url")
    return next(filter(None, clones), "") or target


def _project_id(body: Mapping[str, Any]) -> int | None:
    """The project's id; job hooks have it outside of the project, work items of a group have
    none."""
    found = number(body, "project", "id") or number(body, "project_id")
    return found or number(body, "object_attributes", "target_project_id")


def hook_of(kind: str, body: Mapping[str, Any], received_at: Instant) -> Hook:
    """The hook of a body. Raises Unreadable if it names no project."""
    path = _project_path(body)
    if not path:
        raise unreadable(kind, "project.path_with_namespace is missing")
    return Hook(kind, body, path, received_at)


def _project_path(body: Mapping[str, Any]) -> str:
    path = text(body, "project", "path_with_namespace", limit=200).strip("/ ")
    if "/" in path:
        return path
    # Before GitLab 8 merge requests had no project, but they have the target of the merge.
    target = text(body, "object_attributes", "target", "path_with_namespace", limit=200)
    if "/" in target:
        return target.strip("/ ")
    # Before GitLab 16 job hooks had no project; only a clone URL has the path. SSH URLs come first,
    # because web URLs may begin with GitLab's own path.
    for name in ("git_ssh_url", "git_http_url", "homepage"):
        path = _path_of_url(text(body, "repository", name))
        if "/" in path:
            return path
    # Work items of a group (epics) have no project at all.
    return text(body, "group", "full_path", limit=200).strip("/ ") or _group_of_item(body)


def _path_of_url(url: str) -> str:
    """`keys.repository` in the original case, because keys have GitLab's spelling."""
    lowered = keys.repository(url)
    start = url.lower().rfind(lowered) if lowered else -1
    return url[start : start + len(lowered)] if start >= 0 else ""


def _group_of_item(body: Mapping[str, Any]) -> str:
    before, found, _ = _url_path(text(body, "object_attributes", "url")).partition("/-/")
    return before.strip("/").removeprefix("groups/") if found else ""


def _url_path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def project_of_url(url: str, fallback: str) -> str:
    """The scope of the project, from the URL of one of its pages, such as a merge request."""
    path = _url_path(url)
    before, found, _ = path.partition("/-/")
    if not found:  # URLs had no `/-/` before GitLab 12
        before, found, _ = path.partition("/merge_requests/")
    return keys.repository(before) if found and "/" in before.strip("/") else fallback


def aliases(kind: str, namespace: str, number: object) -> tuple[Key, ...]:
    """A ref as ValueStream writes it, and the same without blanks, which can be typed."""
    plain = f"vstrace-{SOURCE_NAME}-{kind}-{namespace}-{number}"
    escaped = keys.reference(SOURCE_NAME, kind, namespace, number)
    return tuple(Key("ref", value) for value in dict.fromkeys((plain, escaped)))


def login(container: object, *path: str) -> str:
    return text(container, *path, "username") or text(container, *path, "name")


def author(hook: Hook) -> str:
    """The author of an issue or merge request. Bodies have only the author's number; the name is
    known only if the author has another role in the body too."""
    attributes = obj(hook.body, "object_attributes")
    identifier = attributes.get("author_id")
    people = [
        obj(hook.body, "user"),
        *items(hook.body, "assignees"),
        *items(hook.body, "reviewers"),
    ]
    for person in people:
        if identifier is not None and obj(person).get("id") == identifier:
            return login(person)
    return hook.user if text(attributes, "action") == "open" else ""


def logins(container: object, *path: str) -> str:
    return ",".join(name for entry in items(container, *path)[:100] if (name := login(entry)))


def labels(hook: Hook, attribute: str) -> dict[str, Scalar]:
    """Label titles, separated by commas; an empty string if the body's list is empty."""
    for container in (hook.body, obj(hook.body, "object_attributes")):
        if isinstance(container.get("labels"), list):
            titles = (text(entry, "title", limit=100) for entry in items(container, "labels")[:50])
            return {attribute: ",".join(title for title in titles if title)}
    return {}


def latest(*instants: Instant | None) -> Instant | None:
    found = [instant for instant in instants if instant is not None]
    return max(found) if found else None


def seconds(container: object, name: str) -> Duration | None:
    """A number of seconds as a duration; None if it is missing, negative or over 365 days."""
    value = obj(container).get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return round(value * SECOND) if 0 <= value <= 365 * DAY / SECOND else None
