"""`vscli`: drop-in for ValueStream's tool, so that scripts written for it run unchanged.

Options take one or two dashes and `=` or a space, before or after `start` and `end`. `start` prints
the bare id, because those scripts put `vstrace-customhttp-TYPE-default-` in front of it.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from typing import Final

from vs_tui.cli.client import Client
from vs_tui.cli.commands import USAGE, Parser, to_the_end
from vs_tui.cli.custom_event import add_span_options
from vs_tui.cli.event import send_event

DEFAULT_TYPE: Final = "deploy"
"""ValueStream's default."""

_VALUED: Final = (
    *("type", "tag", "name", "namespace", "instance", "event-source-url", "secret-key"),
    *("event-id", "parent-event-id"),
)
_SINGLE_DASH: Final = re.compile(rf"-({'|'.join((*_VALUED, 'error', 'help', 'version'))})(=.*)?")

_EPILOG: Final = """\
examples:
  ID=$(vscli event -type=pipeline -tag='service|api' start)
  BUILD=$(vscli event -type=build start -parent-event-id=vstrace-customhttp-pipeline-default-$ID)
  vscli event -type=build end -event-id=$BUILD
  vscli event -type=pipeline end -event-id=$ID -error

environment:
  VS_CUSTOM_HTTP_EVENT_SOURCE_URL     where to post, such as http://localhost:5000/customhttp
  VS_CUSTOM_HTTP_EVENT_SOURCE_SECRET  signs the body: X-VS-Signature, hex HMAC-SHA256
  VS_PARENT, TRACEPARENT              the parent, when -parent-event-id is not given

When the receiver does not answer within two seconds, the event is kept and sent before the next
one. The exit code is 0 whatever the receiver says, 2 when the command line is wrong.
`vs-tui run -- CMD` does start and end in one word.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `vscli`; 0 whatever the receiver says, 2 when the command line is wrong."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return to_the_end("vscli", lambda: _main(arguments))


def _main(arguments: Sequence[str]) -> int:
    if "_ARGCOMPLETE" in os.environ:
        from vs_tui.cli.main import answer, with_one_dash

        answer(with_one_dash(vscli_parser()))
    args = vscli_parser().parse_args([_two_dashes(argument) for argument in arguments])
    try:
        client = Client(args.event_source_url or "", args.secret_key or "")
        return send_event(
            args, client, "vscli", "error" if args.error else "ok", lambda span: span.id
        )
    except ValueError as error:
        from vs_tui.model.display import clean_lines

        print(f"vscli: {clean_lines(str(error))}", file=sys.stderr)
        return USAGE


def _two_dashes(argument: str) -> str:
    return f"-{argument}" if _SINGLE_DASH.fullmatch(argument) else argument


def vscli_parser() -> argparse.ArgumentParser:
    """The command line of `vscli`; its options have two dashes here, see `_two_dashes`."""
    parser = Parser(
        prog="vscli",
        description="Send custom events, as ValueStream's vscli does.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="event", required=True)
    event = commands.add_parser(
        "event",
        aliases=["ev"],
        help="start or end a custom event",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_common(event, late=False)
    actions = event.add_subparsers(dest="action", metavar="start|end", required=True)
    start = actions.add_parser("start", help="start an event and print its id", allow_abbrev=False)
    start.add_argument("--parent-event-id", metavar="REF", help="reference of the parent event")
    start.add_argument("--event-id", metavar="ID", help="an id of your own")
    end = actions.add_parser("end", help="end an event", allow_abbrev=False)
    end.add_argument("--event-id", metavar="ID", help="what `start` printed")
    for action in (start, end):
        _add_common(action, late=True)
    return parser


def _add_common(parser: argparse.ArgumentParser, *, late: bool) -> None:
    def default(value: object) -> object:
        return argparse.SUPPRESS if late else value

    add_span_options(parser, kind=DEFAULT_TYPE, again=late, namespace=("--namespace", "--instance"))
    parser.add_argument(
        "--error", action="store_true", default=default(False), help="with end: it failed"
    )
    parser.add_argument(
        "--event-source-url",
        metavar="URL",
        default=default(None),
        help="where to post (VS_CUSTOM_HTTP_EVENT_SOURCE_URL)",
    )
    parser.add_argument(
        "--secret-key",
        metavar="KEY",
        default=default(None),
        help="signs events (VS_CUSTOM_HTTP_EVENT_SOURCE_SECRET, which other users cannot see)",
    )


if __name__ == "__main__":
    sys.exit(main())
