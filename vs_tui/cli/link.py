"""`vs-tui link`: show why a span has its parent, and correct it."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Final
from urllib.parse import quote

from vs_tui.cli.commands import UsageError, add_command
from vs_tui.cli.common import CommandError
from vs_tui.cli.receiver_api import Missing, ReceiverApi
from vs_tui.model.display import clean
from vs_tui.model.vocabulary import PIN_ATTRIBUTE, cuts

_PAGE: Final = 500
_ACTIONS: Final = {
    "list": "print the decisions in force, newest first (the same as no action)",
    "show": "print the links of a span, and why they exist",
    "pin": "make PARENT the parent of CHILD, whatever the rules say",
    "cut": "never link CHILD to PARENT",
    "clear": "let the rules decide about CHILD again (or about its link to PARENT only)",
}


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "link",
        run,
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
    refs = [args.child] if "child" in args else []
    refs += [args.parent] if args.action in ("pin", "cut") else []
    if "" in refs:
        raise UsageError("a ref is empty; `vs-tui ls` lists spans with their refs")
    api = ReceiverApi(args.url or "", args.token or "")
    if args.action in (None, "list"):
        return _list(api, as_json=args.json)
    if args.action != "show":
        body = {"action": args.action, "child": args.child, "parent": args.parent}
        api.decide("/api/links", body)
    try:
        span = api.get(f"/api/spans/{quote(args.child, safe='')}")
    except Missing:
        raise CommandError(
            "there is no such span, or it was pruned; `vs-tui ls` lists them by ref"
        ) from None
    if args.json:
        print(json.dumps(span))
        return 0
    for line in _lines(span):
        print(line)
    if not span["links"]:
        print(f"{clean(span['span_id'])} is linked to nothing", file=sys.stderr)
    return 0


def _list(api: ReceiverApi, *, as_json: bool) -> int:
    """The decisions in force, for each span that has had one."""
    found: list[dict[str, str]] = []
    for child in _decided(api):
        try:
            span = api.get(f"/api/spans/{quote(child, safe='')}")
        except Missing:
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


def _decided(api: ReceiverApi) -> list[str]:
    """Keys of spans with decisions, newest decision first."""
    children: dict[str, None] = {}
    cursor = ""
    while True:
        page = api.get(f"/api/deliveries?filter=source:user&limit={_PAGE}&cursor={cursor}")
        for row in page["items"]:
            detail = api.get(f"/api/deliveries/{row['id']}")
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
