"""`vs-tui connect`: make a tool's webhook through its API, or say what to enter where."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from vs_tui.cli.commands import UsageError, add_command
from vs_tui.cli.common import CommandError, SourceName, add_store_options, load_config
from vs_tui.cli.import_ import TOOLS, check_url, proof_headers
from vs_tui.cli.importing import Api, Forbidden, objects
from vs_tui.cli.reachability import agent_url, connections, with_new_secrets
from vs_tui.cli.receiver_api import ReceiverApi
from vs_tui.config import Config
from vs_tui.model.display import clean
from vs_tui.sources import github, gitlab
from vs_tui.tui.source_status import Connection, url_of

_BY_API: Final = ("github", "gitlab")


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "connect",
        run,
        description="With a repository, an organization, a project or a group of GitHub or GitLab: "
        "make its webhook with our URL, its secret and the right events, and let the tool ping it. "
        "Running it again changes the webhook that is there. Without one, and for any other tool: "
        "print what to enter where. The receiver must run; the tool's token is used once and not "
        "stored.",
        epilog="""
        examples:
          GITHUB_TOKEN=... vs-tui connect github acme/api
          GITHUB_TOKEN=... vs-tui connect github acme             all of an organization
          GITLAB_TOKEN=... vs-tui connect gitlab acme/web/shop --api https://git.acme.example/api/v4
          vs-tui connect jenkins                                  what to enter at Jenkins
          vs-tui connect github --show-secret                     for the form in the browser

        The token comes from GITHUB_TOKEN or GITLAB_TOKEN, or from the file of --token-file. It
        needs the right to manage webhooks: admin:repo_hook (GitHub), the scope api and the role
        Maintainer (GitLab).
        """,
    )
    parser.add_argument("tool", type=SourceName, metavar="TOOL", help="github, gitlab, jenkins ...")
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="OWNER, OWNER/REPO, GROUP or GROUP/PROJECT"
    )
    parser.add_argument(
        "--public-url",
        metavar="URL",
        help="where the tool reaches the receiver (default: server.public_url of the "
        "configuration, else the ngrok tunnel of this machine)",
    )
    parser.add_argument("--api", metavar="URL", help="the API's base URL, of an own server")
    parser.add_argument("--token-file", metavar="FILE", type=Path, help="a file with the token")
    parser.add_argument("--show-secret", action="store_true", help="print the secret as well")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    add_store_options(parser)


def run(args: argparse.Namespace) -> int:
    config = with_new_secrets(load_config(args, create_secrets=True))
    found = {c.name: c for c in connections(config)}
    if args.tool not in found:
        raise UsageError(f"there is no source '{args.tool}'; `vs-tui source list` prints them")
    connection = found[args.tool]
    if args.public_url:
        check_url(args.public_url, "--public-url")
    if args.name is not None and args.tool not in _BY_API:
        raise UsageError(
            f"only the webhooks of {' and '.join(_BY_API)} can be made from here; `vs-tui connect "
            f"{args.tool}` prints what to enter at {connection.title}"
        )
    if args.name is None:
        return _print_form(args, connection, _base(args, config), config)
    return _make(args, connection, config)


def _base(args: argparse.Namespace, config: Config) -> str:
    """Where tools reach the receiver; empty if nothing says so."""
    return args.public_url or config.public_url or agent_url(config.port)


def _make(args: argparse.Namespace, connection: Connection, config: Config) -> int:
    """Make the webhook and let the tool send a ping."""
    tool = TOOLS[args.tool]
    if args.api:
        check_url(args.api, "--api")
    args.name, typed = tool.plain(args.name.strip()), args.name
    if not args.name or any(c.isspace() for c in args.name):
        raise UsageError(f"'{typed}' is not a name of {tool.title}; write it like acme or acme/api")
    base = _base(args, config)
    if not base:
        raise CommandError(
            f"{tool.title} cannot reach this machine: nothing says where. Start a tunnel (ngrok "
            "http PORT), set server.public_url in the configuration or give --public-url; or read "
            f"without a webhook: `vs-tui import {args.tool} {args.name} --follow`"
        )
    sender = ReceiverApi()
    api = Api(args.api or tool.url, proof_headers(args, tool), _tell)
    kind: Callable[[Api, str], GitHubHooks | GitLabHooks]
    kind = GitHubHooks if args.tool == "github" else GitLabHooks
    hooks = kind(api, args.name)
    url = url_of(connection, base)
    try:
        sender.check()
        hook = hooks.put(url, connection.secret)
        arrived, said = hooks.ping(hook)
    finally:
        api.close()
        sender.close()
    told = {"tool": args.tool, "name": args.name, "url": url, "id": hook.id, "made": hook.made,
            "arrived": arrived, "answer": said}  # fmt: skip
    if args.json:
        print(json.dumps(told))
    else:
        print(f"webhook {hook.id} {'made' if hook.made else 'brought up to date'} at {args.name}")
        print(f"URL     {clean(url)}")
        print(f"secret  that of `vs-tui secret show {connection.kept_as}`")
        print(f"ping    {'arrived' if arrived else 'did not arrive'}: {clean(said)}")
    if not arrived:
        _tell("what to do: see Events (4) in vs-tui, or the webhook's recent deliveries at "
              f"{tool.title}; is {url} this receiver's?")  # fmt: skip
    return 0 if arrived else 1


def _print_form(args: argparse.Namespace, connection: Connection, base: str, config: Config) -> int:
    """Print what to enter in the tool's form."""
    form = connection.webhook_form
    where = base or f"http://{config.host}:{config.port or 5000}"
    rows = {"where": form.where, "url": url_of(connection, where),
            "content type": form.content_type, "events": form.events}  # fmt: skip
    label, secret = form.field, f"what `vs-tui secret show {connection.kept_as}` prints"
    if args.show_secret:
        secret = connection.secret
    if connection.makes_secret:
        secret = (
            f"the one that {connection.title} shows; enter it here, under [{connection.name}] of "
            f"{config.secrets_path}"
        )
    elif not connection.proof:
        label = "TOKEN"
        if not form.field:
            rows["url"] += f"?token={secret if args.show_secret else 'TOKEN'}"
        else:
            in_url = ", or ?token=TOKEN in the URL" if connection.token_in_url else ""
            rows["header"] = f"Authorization: Bearer TOKEN{in_url}"
    if args.json:
        print(json.dumps({"tool": connection.name, **rows, "secret": secret}))
    else:
        for name, value in {**rows, label: secret}.items():
            print(f"{name:<15} {clean(value, 2000)}")
    if not base:
        _tell("this address is for tools on this machine; for others start a tunnel (ngrok http "
              f"{config.port or 5000}) or set server.public_url")  # fmt: skip
    if connection.name in _BY_API:
        name = TOOLS[connection.name].what
        _tell(f"or let it be made: {TOOLS[connection.name].variable}=... vs-tui connect "
              f"{connection.name} {name}")  # fmt: skip
    return 0


def _tell(text: str) -> None:
    print(clean(text, 1000), file=sys.stderr)


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


class GitHubHooks:
    """Webhooks of `OWNER/REPO`, or of an organization if there is no slash."""

    def __init__(self, api: Api, name: str, pause: Callable[[float], None] = time.sleep) -> None:
        self._api = api
        self._name = name
        kind = "repos" if "/" in name else "orgs"
        self._at = f"{kind}/{quote(name, safe='/')}/hooks"
        self._pause = pause

    def put(self, url: str, secret: str) -> Hook:
        """Create the webhook, or update the one with this URL."""
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
        """Let the tool send something; (whether it arrived, what the tool says of it)."""
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
