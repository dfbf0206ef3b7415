"""`vs-tui link`: show why a span has its parent, and correct it."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Final
from urllib.parse import quote

from vs_tui.cli.commands import add_command
from vs_tui.cli.common import CommandError, receiver
from vs_tui.cli.http_client import Connection, HttpError, address
from vs_tui.model.display import clean
from vs_tui.model.request_signing import signed_body, signed_head
from vs_tui.model.vocabulary import PIN_ATTRIBUTE, cuts

TIMEOUT: Final = 10.0
_PAGE: Final = 500
_MOST: Final = 64 * 1024 * 1024
"""Bytes of an answer that are read."""
_ACTIONS: Final = {
    "list": "print the decisions in force, newest first (the same as no action)",
    "show": "print the links of a span, and why they exist",
    "pin": "make PARENT the parent of CHILD, whatever the rules say",
    "cut": "never link CHILD to PARENT",
    "clear": "let the rules decide about CHILD again (or about its link to PARENT only)",
}


class _Missing(CommandError):
    """No such span."""


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "link",
        description="Spans are linked by what they have in common; a decision of yours beats "
        "every rule and survives a rebuild. It is sent to the running receiver (VS_URL, VS_TOKEN "
        "or the configuration).",
        epilog="""
        examples:
          vs-tui link                            what was pinned and cut
          vs-tui link show vstrace-github-deploy-api-42
          vs-tui link cut vstrace-github-deploy-api-42 vstrace-github-pull_request-api-34
          vs-tui link pin vstrace-github-deploy-api-42 vstrace-jira-issue-TP-3
          vs-tui link clear vstrace-github-deploy-api-42
        """,
    )
    _add_receiver_options(parser, again=False)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    for name, text in _ACTIONS.items():
        action = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name != "list":
            metavar = "SPAN" if name == "show" else "CHILD"
            action.add_argument("child", metavar=metavar, help="its ref")
        if name not in ("list", "show"):
            optional: dict[str, Any] = {"nargs": "?", "default": ""} if name == "clear" else {}
            action.add_argument("parent", metavar="PARENT", help="its ref", **optional)
        _add_receiver_options(action, again=True)


def _add_receiver_options(parser: argparse.ArgumentParser, *, again: bool) -> None:
    """Add the options of the receiver. `again`: after the action, where only given options
    count."""
    unset: dict[str, Any] = {"default": argparse.SUPPRESS} if again else {}
    parser.add_argument(
        "--url", help="the receiver (default: VS_URL or the configuration)", **unset
    )
    parser.add_argument("--token", help="its token (default: VS_TOKEN or secrets.toml)", **unset)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON", **unset)


def run(args: argparse.Namespace) -> int:
    api = _Receiver(args.url or "", args.token or "")
    if args.action in (None, "list"):
        return _list(api, as_json=args.json)
    if args.action != "show":
        body = {"action": args.action, "child": args.child, "parent": args.parent}
        api.call("/api/links", body)
    span = api.call(f"/api/spans/{quote(args.child, safe='')}")
    if args.json:
        print(json.dumps(span))
        return 0
    for line in _lines(span):
        print(line)
    if not span["links"]:
        print(f"{clean(span['span_id'])} is linked to nothing", file=sys.stderr)
    return 0


def _list(api: _Receiver, *, as_json: bool) -> int:
    """The decisions in force, for each span that has had one."""
    found: list[dict[str, str]] = []
    for child in _decided(api):
        try:
            span = api.call(f"/api/spans/{quote(child, safe='')}")
        except _Missing:
            continue  # it was pruned
        pin, parted = span["attributes"].get(PIN_ATTRIBUTE), cuts(span["attributes"])
        made = [("cut", parent) for parent in parted]
        if pin and pin not in parted:
            made.append(("pin", str(pin)))
        found += [{"action": action, "child": span["key"], "parent": key} for action, key in made]
    if as_json:
        print(json.dumps({"items": found}))
        return 0
    for each in found:
        between = "below" if each["action"] == "pin" else "from"
        print(f"{each['action']:<4} {clean(each['child'])}  {between}  {clean(each['parent'])}")
    if not found:
        print("nothing is pinned or cut; `vs-tui link --help` says how", file=sys.stderr)
    return 0


def _decided(api: _Receiver) -> list[str]:
    """Keys of spans with decisions, newest decision first."""
    children: dict[str, None] = {}
    cursor = ""
    while True:
        page = api.call(f"/api/deliveries?filter=source:user&limit={_PAGE}&cursor={cursor}")
        for row in page["items"]:
            detail = api.call(f"/api/deliveries/{row['id']}")
            children.update(dict.fromkeys(detail["spans"]))
        cursor = page["next"]
        if not cursor:
            return list(children)


def _lines(span: dict[str, Any]) -> list[str]:
    """The parent first, then the other links: span, reason, confidence."""
    found = sorted(span["links"], key=lambda link: not link["primary"])
    return [
        f"{'parent' if link['primary'] else 'link':<7} {clean(link['parent'])}  "
        f"by {clean(link['why'])}  ({link['rule']}, {link['confidence']})"
        for link in found
    ]


class _Receiver:
    """The receiver's API for links."""

    def __init__(self, url: str, token: str) -> None:
        found = receiver(url, token)
        try:
            where = address(found.url.partition("?")[0])
        except HttpError:
            raise CommandError(
                "the receiver's address is no URL; set VS_URL to http://HOST:PORT"
            ) from None
        self._base = where.path.rstrip("/").removesuffix("/customhttp")
        self._shown = f"{'https' if where.secure else 'http'}://{where.name}{self._base}"
        self._connection = Connection(where)
        self._token = found.token

    def call(self, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        """The decoded answer; CommandError says what to do about a failure."""
        headers = {"Content-Type": "application/json", "User-Agent": "vs-tui"}
        data = None if body is None else json.dumps(body).encode()
        if data is None:
            headers |= signed_head(self._token, "GET", path)
        else:
            headers |= signed_body(self._token, data)
        try:
            status, _, answer = self._connection.request(
                "POST" if data else "GET", self._base + path, headers, data,
                timeout=TIMEOUT, repeat=data is None, limit=_MOST,
            )  # fmt: skip
            if 200 <= status < 300:
                found: dict[str, Any] = json.loads(answer)
                return found
        except (OSError, HttpError, ValueError) as error:
            raise CommandError(
                f"{self._shown} cannot be reached: {error}; is `vs-tui serve` running?"
            ) from None
        kind = _Missing if status == 404 else CommandError
        raise kind(self._refused(status, answer, path))

    def _refused(self, status: int, answer: bytes, path: str) -> str:
        if status in (401, 403):
            return f"{self._shown} refuses the token; set VS_TOKEN or --token"
        if status == 404 and path.startswith("/api/spans/"):
            return "there is no such span, or it was pruned; `vs-tui ls` lists them by ref"
        try:
            detail = str(json.loads(answer)["detail"])
        except (ValueError, KeyError, TypeError):
            detail = "it is no vs-tui receiver; check VS_URL"
        return f"{status}: {clean(detail)}"
