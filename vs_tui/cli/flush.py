"""`vs-tui flush`: send what was spooled while the receiver was down."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from vs_tui.cli.client import Client
from vs_tui.cli.commands import add_command
from vs_tui.cli.event import explain


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "flush",
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


def run(args: argparse.Namespace) -> int:
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
        print(
            f"vs-tui flush: {report.waiting} event(s) are meant for another receiver, or cannot be "
            "read by this user; set VS_URL, send them to this one with --any-url, or see who owns "
            f"the files of {client.spool.folder}",
            file=sys.stderr,
        )
    return 1 if report.trouble or report.refused or report.waiting or report.lost else 0
