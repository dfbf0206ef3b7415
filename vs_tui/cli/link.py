"""`vs-tui link`: show why a span has its parent, and correct it."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from vs_tui.cli.commands import add_command
from vs_tui.cli.common import CommandError, receiver
from vs_tui.model.request_signing import signed_body, signed_head
from vs_tui.model.vocabulary import PIN_ATTRIBUTE, cuts

TIMEOUT: Final = 10.0
_PAGE: Final = 500
_ACTIONS: Final = {
    "list": "print the decisions in force, newest first (the same as no action)",
    "show": "print the links of a span, and why they exist",
    "pin": "make PARENT the parent of CHILD, whatever the rules say",
    "cut": "never link CHILD to PARENT",
    "clear": "let the rules decide about CHILD again (or about its link to PARENT only)",
}


class _Missing(CommandError):
    """No such span."""


class _Staying(HTTPRedirectHandler):
    """Follows no redirect, which could send our token to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


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
        print(f"{_clean(span['span_id'])} is linked to nothing", file=sys.stderr)
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
        print(f"{each['action']:<4} {_clean(each['child'])}  {between}  {_clean(each['parent'])}")
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
        f"{'parent' if link['primary'] else 'link':<7} {_clean(link['parent'])}  "
        f"by {_clean(link['why'])}  ({link['rule']}, {link['confidence']})"
        for link in found
    ]


def _clean(text: str) -> str:
    from vs_tui.model.display import clean

    return clean(text)


class _Receiver:
    """The receiver's API for links."""

    def __init__(self, url: str, token: str) -> None:
        found = receiver(url, token)
        parts = urlsplit(found.url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise CommandError("the receiver's address is no URL; set VS_URL to http://HOST:PORT")
        path = parts.path.rstrip("/").removesuffix("/customhttp")
        self._base = f"{parts.scheme}://{parts.netloc}{path}"
        self._token = found.token

    def call(self, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        """The decoded answer; CommandError says what to do about a failure."""
        headers = {"Content-Type": "application/json", "User-Agent": "vs-tui"}
        data = None if body is None else json.dumps(body).encode()
        if data is None:
            headers |= signed_head(self._token, "GET", path)
        else:
            headers |= signed_body(self._token, data)
        request = Request(self._base + path, data, headers)  # noqa: S310  # http(s) only, see above
        try:
            with build_opener(_Staying).open(request, timeout=TIMEOUT) as response:
                answer: dict[str, Any] = json.loads(response.read())
                return answer
        except HTTPError as error:
            with error:
                kind = _Missing if error.code == 404 else CommandError
                raise kind(self._refused(error, path)) from None
        except (URLError, TimeoutError, ValueError) as error:
            why = getattr(error, "reason", error)
            raise CommandError(
                f"{self._base} cannot be reached: {why}; is `vs-tui serve` running?"
            ) from None

    def _refused(self, error: HTTPError, path: str) -> str:
        if error.code in (401, 403):
            return f"{self._base} refuses the token; set VS_TOKEN or --token"
        if error.code == 404 and path.startswith("/api/spans/"):
            return "there is no such span, or it was pruned; `vs-tui ls` lists them by ref"
        try:
            detail = str(json.loads(error.read())["detail"])
        except (ValueError, KeyError, TypeError):
            detail = "it is no vs-tui receiver; check VS_URL"
        return f"{error.code}: {_clean(detail)}"
