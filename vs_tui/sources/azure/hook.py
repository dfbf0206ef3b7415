"""The common parts of Azure DevOps' events: envelope, results, repositories, people."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import Instant, parse_instant
from vs_tui.model.vocabulary import Key, Rule, Seek, State
from vs_tui.sources.base import Unreadable
from vs_tui.sources.fields import obj, text

RESULTS: Final = {
    "succeeded": (State.OK, "", "success"),
    "succeededwithissues": (State.OK, "", "success"),
    # A part failed; Azure's own reports do not count it as a success either.
    "partiallysucceeded": (State.ERROR, "partially_succeeded", "failure"),
    "failed": (State.ERROR, "failure", "failure"),
    "canceled": (State.CANCELLED, "", "cancellation"),
    "cancelled": (State.CANCELLED, "", "cancellation"),
    "abandoned": (State.CANCELLED, "", "cancellation"),
    "stopped": (State.CANCELLED, "", "cancellation"),
    "skipped": (State.CANCELLED, "", "skip"),
    # An approval was refused.
    "rejected": (State.CANCELLED, "", "cancellation"),
    # Completed without a verdict: an end until a verdict arrives.
    **dict.fromkeys(("none", "completed"), (State.CANCELLED, "", "")),
}
"""result -> state, `error.type`, OpenTelemetry's result."""

_WORK_ITEM: Final = re.compile(r"(?<![\w/&])(?:AB)?#(\d{1,9})\b")
MAX_WORK_ITEMS: Final = 20


@dataclass(frozen=True, slots=True)
class Hook:
    """A body with its event and its time of receipt."""

    kind: str
    body: dict[str, Any]
    received_at: Instant

    @property
    def resource(self) -> dict[str, Any]:
        return obj(self.body, "resource")

    @property
    def sent_at(self) -> Instant:
        """When Azure created the event, and with it the snapshot."""
        return parse_instant(self.body.get("createdDate")) or self.received_at

    @property
    def organization(self) -> str:
        """The id of the organization (its collection), within which ids of runs and items are
        unique."""
        found = text(self.body, "resourceContainers", "collection", "id", limit=60)
        return found or text(self.body, "resourceContainers", "account", "id", limit=60)

    def key(self, kind: str, identifier: object) -> str:
        return keys.reference("azure", kind, self.organization, identifier)

    def required(self, container: dict[str, Any], *path: str) -> str:
        found = text(container, *path, limit=200)
        if not found:
            raise self.unreadable(f"{'.'.join(path)} is missing")
        return found

    def unreadable(self, what: str) -> Unreadable:
        return Unreadable(f"{self.kind}: {what}; compare the body in Events with Microsoft's docs")

    def work_items(self, words: str, via: str) -> list[Seek]:
        """Seeks for the work items that a text names as `#12` or `AB#12`; numbers are unique in the
        organization."""
        found = list(_WORK_ITEM.finditer(words[: keys.TEXT_LIMIT]))[:MAX_WORK_ITEMS]
        numbers = dict.fromkeys(str(int(match[1])) for match in found)
        return [Seek(Rule.ISSUE_KEY, self.work_item(number, via)) for number in numbers]

    @property
    def board(self) -> str:
        """The scope of numbers of work items."""
        return f"azure:{self.organization}"

    def work_item(self, number: object, via: str = "") -> Key:
        return Key("issue", str(number), self.board, via)


@dataclass(frozen=True, slots=True)
class Repo:
    """A Git repository of Azure Repos."""

    name: str
    """`project/repository`, in the original case."""
    scope: str
    """The path in its clone URL, so that it matches other tools' events."""
    web: str
    id: str = ""
    """Its GUID, which does not change in a rename."""

    @classmethod
    def of(cls, container: dict[str, Any]) -> Repo:
        web = text(container, "remoteUrl") or text(container, "url")
        name = text(container, "name", limit=200)
        project = text(container, "project", "name", limit=200)
        full = "/".join(filter(None, (project, name)))
        is_api = "/_apis/" in web
        path = "" if is_api else keys.repository_path(web)
        scope = path.lower() or full.lower()
        unique = text(container, "id", limit=60)
        return cls(full or _readable(path), scope, "" if is_api else web_url(web), unique)

    @property
    def service(self) -> str:
        """The repository's name in lower case, as in labels of alerts and names of images."""
        return self.name.rpartition("/")[2].lower()


def _readable(path: str) -> str:
    """`org/project/_git/repo` as `project/repo`."""
    parts = [part for part in path.split("/") if part != "_git"]
    return "/".join(parts[-2:])


def person(container: dict[str, Any], *path: str) -> str:
    """A person's name, from an object or (in work items) from `Ann Lee <ann@acme.example>`."""
    name = text(container, *path, "displayName", limit=200)
    return name or text(container, *path, limit=200).partition(" <")[0]


def web_url(url: str) -> str:
    """The URL if it may be shown and opened, without the user name that Azure puts before the host;
    else empty."""
    scheme, found, rest = url.partition("://")
    if not found or scheme not in ("http", "https"):
        return ""
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
