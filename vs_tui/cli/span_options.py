"""The options that describe a span, for `vs-tui event`, `vs-tui run` and `vscli`."""

from __future__ import annotations

import argparse
from typing import Any

from vs_tui.cli.custom_event import DEFAULT_NAMESPACE, parse_tags


def add_span_options(
    parser: argparse.ArgumentParser,
    *,
    kind: str,
    again: bool = False,
    name: str = "what people see",
    namespace: tuple[str, ...] = ("--namespace",),
) -> None:
    """Add --type (default `kind`), --name, --namespace and --tag. `again`: after another word of
    the command line, where only given options count."""

    def default(value: Any) -> Any:
        return argparse.SUPPRESS if again else value

    parser.add_argument(
        "--type",
        metavar="T",
        default=default(kind),
        help=f"build, test, deploy, pipeline, release or any other word (default {kind})",
    )
    parser.add_argument("--name", metavar="N", default=default(""), help=name)
    parser.add_argument(
        *namespace,
        metavar="NS",
        default=default(DEFAULT_NAMESPACE),
        help="keeps ids of several projects apart (default: default)",
    )
    parser.add_argument(
        "--tag",
        metavar="'K|V'",
        action="append",
        default=[],
        dest="late_tag" if again else "tag",
        help="an attribute, such as 'service|api'; may be repeated",
    )


def tags_of(args: argparse.Namespace) -> dict[str, str]:
    """The tags from the whole command line; ValueError quotes a wrong one."""
    return parse_tags([*args.tag, *getattr(args, "late_tag", ())])
