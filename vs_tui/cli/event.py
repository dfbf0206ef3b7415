"""`vs-tui event`: start or end a span from a script that cannot wrap its steps in `vs-tui run`; and
`vs-tui flush`: send what was spooled while the receiver was down."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from vs_tui.cli.client import Client, Report
from vs_tui.cli.commands import add_command, usage
from vs_tui.cli.custom_event import (
    Checkout,
    SpanId,
    add_span_options,
    end_body,
    named_span,
    new_span,
    parent,
    start_body,
    tags_of,
    who,
)

DEFAULT_TYPE: Final = "build"

_EXAMPLES: Final = """\
examples:
  ID=$(vs-tui event --type deploy --tag 'service|api' --tag 'environment|prod' start)
  vs-tui event end --event-id "$ID"             it went well
  vs-tui event end --event-id "$ID" --error     it failed

  export VS_PARENT=$(vs-tui event --type pipeline --name nightly start)
  ...                                           every event and run below is its child
  vs-tui event end --event-id "$VS_PARENT"

environment:
  VS_URL               the receiver (default: this machine's, by its configuration)
  VS_TOKEN             its token, when the receiver's configuration is not on this machine
  VS_CUSTOM_HTTP_EVENT_SOURCE_SECRET
                       signs events (X-VS-Signature, HMAC-SHA256) in place of the token
  VS_PARENT            the parent, when --parent-event-id is not given; in GitHub Actions and
                       GitLab CI it is the run or job by itself
  TRACEPARENT          the W3C trace that the span belongs to

`start` prints the span's reference, which `end --event-id` and `--parent-event-id` take. When
the receiver does not answer within two seconds, the event is kept and sent before the next one,
or by `vs-tui flush`. The exit code is 0 whatever the receiver says, so that a script under
`set -e` goes on; it is 2 when the command line is wrong. `vs-tui flush` tells what is waiting.
Sent with a start: user, host, and the git commit, branch and repository of the current folder.
"""


def register(subparsers: Any) -> None:
    _register_event(subparsers)
    _register_flush(subparsers)


def _register_event(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "event",
        run_event,
        description="Tell the receiver that something starts or ends.",
        epilog=_EXAMPLES,
    )
    add_span_options(parser, kind=DEFAULT_TYPE)
    actions = parser.add_subparsers(dest="action", metavar="start|end", required=True)
    start = actions.add_parser(
        "start",
        help="begin a span and print its reference",
        description="Begin a span.",
        allow_abbrev=False,
    )
    start.add_argument(
        "--parent-event-id", metavar="ID", help="reference of the span it is part of"
    )
    start.add_argument("--event-id", metavar="ID", help="an id of your own, unique within its type")
    start.add_argument(
        "--json", action="store_true", help="print a JSON object in place of the reference"
    )
    end = actions.add_parser(
        "end", help="end a span", description="End a span.", allow_abbrev=False
    )
    end.add_argument("--event-id", metavar="ID", required=True, help="what `start` printed")
    outcome = end.add_mutually_exclusive_group()
    outcome.add_argument("--error", action="store_true", help="it failed")
    outcome.add_argument("--cancelled", action="store_true", help="it was called off")
    for action in (start, end):
        add_span_options(action, kind=DEFAULT_TYPE, again=True)


def run_event(args: argparse.Namespace) -> int:
    def printed(span: SpanId) -> str:
        if not args.json:
            return span.ref
        return json.dumps({"event_id": span.id, "ref": span.ref, "type": span.type})

    # git works while the settings are read.
    checkout = Checkout() if args.action == "start" else None
    status = "ok"
    if args.action == "end":
        status = "error" if args.error else "cancelled" if args.cancelled else "ok"
    with usage(program="vs-tui event"):  # TooLarge is one
        return send_event(args, Client(), "vs-tui event", status, printed, checkout)


def send_event(
    args: argparse.Namespace,
    client: Client,
    program: str,
    status: str,
    printed: Callable[[SpanId], str],
    checkout: Checkout | None = None,
) -> int:
    """Send the start or the end of the span that the arguments describe; prints what a start gets
    as its name. ValueError says what is wrong with them."""
    tags, kind = tags_of(args), checked_type(args.type)
    if args.action == "end":
        span = named_span(args.event_id or "", kind, args.namespace)
        return send(client, end_body(span, name=args.name, status=status, tags=tags), program)
    span = new_span(kind, args.namespace, args.event_id or "")
    body = start_body(
        span,
        name=args.name,
        parent=args.parent_event_id or parent(),
        traceparent=os.environ.get("TRACEPARENT", ""),
        tags={**who(), **(checkout.tags() if checkout else {}), **tags},
    )
    return send(client, body, program, printed(span))


def checked_type(kind: str) -> str:
    """The type in lower case; ValueError if it is not a word."""
    kind = kind.strip().lower()
    if not kind or len(kind) > 200 or any(c.isspace() or not c.isprintable() for c in kind):
        raise ValueError(f"'{kind[:50]}' is not a type; use one word, such as build or deploy")
    return kind


def send(client: Client, body: dict[str, Any], program: str, printed: str = "") -> int:
    """Send an event, and print problems to stderr. Returns always 0, so that a script under `set
    -e` goes on whatever the receiver answers."""
    client.add(body)
    if printed:
        print(printed, flush=True)
    explain(client.send(), program)
    return 0


def explain(report: Report, program: str) -> None:
    """The problems, one line each; nothing if all went well."""
    for line in trouble_lines(report):
        print(f"{program}: {line}", file=sys.stderr)


def trouble_lines(report: Report) -> Sequence[str]:
    if not (report.refused or report.trouble or report.dropped):
        return ()
    from vs_tui.model.display import clean, counted

    lines = list(report.refused.values())
    if report.trouble:
        kept = (
            f"{counted(report.lost, 'event')} lost, because the spool cannot be written"
            if report.lost
            else f"{counted(report.waiting, 'event')} kept for the next call or `vs-tui flush`"
        )
        lines.append(f"{report.trouble} ({kept})")
    if report.dropped:
        oldest = counted(report.dropped, "event")
        lines.append(f"the spool was full: {oldest} dropped, the oldest first")
    return [clean(line) for line in lines]  # the receiver's words are anybody's


def _register_flush(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "flush",
        run_flush,
        description="Send the events of `vs-tui event`, `vs-tui run` and `vscli` that could not be "
        "sent at once, in order, each once. The next call of any of them does the same.",
        epilog="""
        examples:
          vs-tui flush
          VS_URL=http://new-host:5000 vs-tui flush --any-url    the receiver has moved

        Exit code 1 while any event waits, or when one was refused.
        """,
    )
    parser.add_argument(
        "--any-url",
        action="store_true",
        help="send those meant for another receiver to this one, too (it has moved)",
    )
    parser.add_argument("--json", action="store_true", help="print the counts as a JSON object")


def run_flush(args: argparse.Namespace) -> int:
    client = Client()
    report = client.flush(any_url=args.any_url)
    counts = {
        "sent": report.sent,
        "waiting": report.waiting,
        "refused": len(report.refused),
        "dropped": report.dropped,
    }
    if args.json:
        print(json.dumps(counts))
    else:
        print("  ".join(f"{name} {count}" for name, count in counts.items()))
    explain(report, "vs-tui flush")
    if report.waiting and not report.trouble:
        from vs_tui.model.display import counted

        print(
            f"vs-tui flush: {counted(report.waiting, 'event')} not sent: meant for another "
            "receiver, or not readable by this user; set VS_URL, use --any-url to send to this "
            f"one, or see who owns the files of {client.spool.folder}",
            file=sys.stderr,
        )
    return 1 if report.trouble or report.refused or report.waiting or report.lost else 0
