"""Make webhooks through the REST APIs of GitHub and GitLab, and check that they reach the receiver.

GitHub: https://docs.github.com/rest/repos/webhooks and /rest/orgs/webhooks. GitLab:
https://docs.gitlab.com/api/project_webhooks/ and /api/group_webhooks/.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import quote

from vs_tui.cli.common import CommandError
from vs_tui.cli.importing.model import Forbidden, objects
from vs_tui.cli.importing.web import Api
from vs_tui.sources import github, gitlab

PING_SECONDS: Final = 20.0
"""Seconds to wait for the answer to a ping."""
_PAGES: Final = 20
_POLL: Final = 1.0


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook at the tool."""

    id: str
    made: bool
    """False if a webhook with our URL existed and was updated."""


class Hooks(Protocol):
    """The webhooks of one repository, project, organization or group."""

    def put(self, url: str, secret: str) -> Hook:
        """Create the webhook, or update the one with this URL."""

    def ping(self, hook: Hook) -> tuple[bool, str]:
        """Let the tool send something; (whether it arrived, what the tool says of it)."""


class GitHubHooks:
    """Webhooks of `OWNER/REPO`, or of an organization if there is no slash."""

    def __init__(self, api: Api, name: str, pause: Callable[[float], None] = time.sleep) -> None:
        self._api = api
        self._name = name
        kind = "repos" if "/" in name else "orgs"
        self._at = f"{kind}/{quote(name, safe='/')}/hooks"
        self._pause = pause

    def put(self, url: str, secret: str) -> Hook:
        config = {"url": url, "content_type": "json", "secret": secret, "insecure_ssl": "0"}
        body = {"name": "web", "active": True, "events": list(github.HOOK_EVENTS), "config": config}
        try:
            for hook in _pages(self._api, self._at):
                if _config_url(hook) == url:
                    del body["name"]
                    self._api.send("PATCH", f"{self._at}/{hook['id']}", body)
                    return Hook(str(hook["id"]), made=False)
            made = self._api.send("POST", self._at, body).value
        except Forbidden as error:
            right = "admin:org_hook" if "/" not in self._name else "admin:repo_hook"
            raise CommandError(
                f"{error}; check the name of {self._name}, and that the token may manage its "
                f"webhooks ({right}, or Webhooks: read and write of a fine-grained token)"
            ) from None
        return Hook(str(made["id"]), made=True)

    def ping(self, hook: Hook) -> tuple[bool, str]:
        before = {str(d.get("id")) for d in self._deliveries(hook)}
        self._api.send("POST", f"{self._at}/{hook.id}/pings", None)
        for _ in range(round(PING_SECONDS / _POLL)):
            for delivery in self._deliveries(hook):
                if str(delivery.get("id")) not in before and delivery.get("event") == "ping":
                    code = delivery.get("status_code")
                    good = isinstance(code, int) and 200 <= code < 300
                    return good, str(delivery.get("status") or code)
            self._pause(_POLL)
        return False, f"no answer within {PING_SECONDS:.0f} seconds"

    def _deliveries(self, hook: Hook) -> list[dict[str, Any]]:
        return list(objects(self._api.get(f"{self._at}/{hook.id}/deliveries").value))


class GitLabHooks:
    """Webhooks of `GROUP/PROJECT`, or of a group if there is no such project."""

    def __init__(self, api: Api, name: str) -> None:
        self._api = api
        self._name = name
        self._at = ""

    def put(self, url: str, secret: str) -> Hook:
        body: dict[str, Any] = {"url": url, "token": secret, "enable_ssl_verification": True}
        body |= dict.fromkeys(gitlab.HOOK_EVENTS, True)
        try:
            for hook in self._listed():
                if hook.get("url") == url:
                    self._api.send("PUT", f"{self._at}/{hook['id']}", body)
                    return Hook(str(hook["id"]), made=False)
            made = self._api.send("POST", self._at, body).value
        except Forbidden as error:
            raise CommandError(
                f"{error}; check the name of {self._name}, and that the token has the scope api "
                "and the role Maintainer there (for a group: Owner, and GitLab Premium)"
            ) from None
        return Hook(str(made["id"]), made=True)

    def _listed(self) -> list[dict[str, Any]]:
        """The webhooks of the project, else of the group."""
        name = quote(self._name, safe="")
        try:
            self._at = f"projects/{name}/hooks"
            return list(_pages(self._api, self._at))
        except Forbidden:
            self._at = f"groups/{name}/hooks"
            return list(_pages(self._api, self._at))

    def ping(self, hook: Hook) -> tuple[bool, str]:
        """GitLab sends its last push as a test."""
        try:
            self._api.send("POST", f"{self._at}/{hook.id}/test/push_events", None)
        except Forbidden as error:
            return False, str(error)
        return True, "200"


def _pages(api: Api, path: str) -> Iterator[dict[str, Any]]:
    answer = api.get(path, per_page=100)
    for _ in range(_PAGES):
        yield from objects(answer.value)
        if not answer.next:
            return
        answer = api.get(answer.next)


def _config_url(hook: Mapping[str, Any]) -> str:
    config = hook.get("config")
    return str(config.get("url", "")) if isinstance(config, dict) else ""
