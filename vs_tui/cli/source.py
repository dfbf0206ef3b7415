"""`vs-tui source`: list the sources, or show what one makes of a body without storing it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vs_tui.cli.commands import UsageError, add_command
from vs_tui.cli.common import CommandError, SourceName, load_config, now, table_line
from vs_tui.model.display import clean
from vs_tui.model.limits import Limits
from vs_tui.model.time import iso
from vs_tui.model.vocabulary import Verdict

if TYPE_CHECKING:
    from vs_tui.model.vocabulary import Event
    from vs_tui.sources.base import Inbound, Parsed, Source


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "source",
        run,
        description="`test` reads a body as the receiver would and prints the events that it "
        "makes; nothing is stored or sent. `show` prints a mapped source or a preset as TOML-like "
        "settings to copy. `list` prints all sources with their paths.",
        epilog="""
        examples:
          vs-tui source test shipit body.json
          vs-tui source test github body.json --header 'X-GitHub-Event: push'
          curl -s https://tool.example/last-hook | vs-tui source test shipit - --json
          vs-tui source show vercel              a preset, to start a mapping of your own
        """,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    test = actions.add_parser(
        "test", help="show the events of a body", description="Show the events of a body."
    )
    test.add_argument(
        "source", type=SourceName, metavar="NAME", help="the source that should read it"
    )
    test.add_argument("body", metavar="FILE", help="a file with the body; - for stdin")
    test.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="HEADER",
        help="a header of the request, such as 'X-GitHub-Event: push'; may be repeated",
    )
    test.add_argument(
        "--path", metavar="URL_PATH", help="the path it is sent to (default: its own)"
    )
    show = actions.add_parser(
        "show", help="print a mapping", description="Print a preset or a configured mapping."
    )
    show.add_argument("source", type=SourceName, metavar="NAME", help="a preset or a mapped source")
    listing = actions.add_parser(
        "list", help="list all sources", description="List all sources with their paths."
    )
    for action in (test, listing):
        action.add_argument("--json", action="store_true", help="print JSON")
    for action in (test, show, listing):
        action.add_argument("--config", metavar="PATH", type=Path, help="configuration file")


def run(args: argparse.Namespace) -> int:
    load_config(args)
    if args.action == "list":
        return _list(as_json=args.json)
    source = _source(args.source)
    if args.action == "show":
        return _show(source)
    return _test(source, args)


def _source(name: str) -> Source:
    from vs_tui.sources.dispatch import sources

    found = sources().get(name)
    if found is None:
        raise UsageError(f"there is no source '{name}'; there are {', '.join(sources())}")
    return found


def _list(*, as_json: bool) -> int:
    from vs_tui.sources.dispatch import tools

    rows: list[dict[str, Any]] = [
        {
            "name": source.name,
            "title": source.title,
            "paths": list(source.paths),
            "proof": list(source.signature_headers) or ["token"],
        }
        for source in tools().values()
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        for row in rows:
            cells = (
                row["name"],
                clean(row["title"]),
                " ".join(row["paths"]),
                ", ".join(row["proof"]),
            )
            print(table_line(cells, (16, 28, 40, 0)))
    return 0


def _show(source: Source) -> int:
    from vs_tui.sources.mapped import PRESETS, MappedSource

    if not isinstance(source, MappedSource):
        raise UsageError(f"'{source.name}' is a source of its own code and has no mapping to show")
    file = PRESETS / f"{source.name}.toml"
    if not file.is_file():
        raise UsageError(f"'{source.name}' is the [sources.{source.name}] of your configuration")
    text = file.read_text("utf-8")
    print(text.partition("\n[[samples]]")[0].rstrip())
    return 0


def _test(source: Source, args: argparse.Namespace) -> int:
    from vs_tui.sources.base import Inbound

    path = args.path or source.paths[0].removesuffix("/*")
    inbound = Inbound(path, dict(map(_header, args.header)), _body(args.body), now())
    parsed, problems = _read(source, inbound)
    if args.json:
        print(json.dumps(_as_json(parsed, problems), indent=2))
    else:
        for line in _lines(parsed, problems):
            print(clean(line))
    return 0 if parsed.verdict in (Verdict.ACCEPTED, Verdict.IGNORED) else 1


def _read(source: Source, inbound: Inbound) -> tuple[Parsed, Sequence[str]]:
    """The events of a body; CommandError says why the receiver would answer 400."""
    from vs_tui.sources.base import BadBody, Unreadable
    from vs_tui.sources.dispatch import read, unreadable
    from vs_tui.sources.mapped import MappedSource

    try:
        if isinstance(source, MappedSource):
            return source.explain(inbound)
        return read(source, inbound), ()
    except Unreadable as error:
        return unreadable(str(error)), ()
    except BadBody as error:
        raise CommandError(f"the receiver would answer 400: {error}") from None


def _body(file: str) -> bytes:
    limit = Limits().body
    if file == "-":
        body = sys.stdin.buffer.read(limit + 1)
    else:
        with Path(file).open("rb") as opened:
            body = opened.read(limit + 1)
    if len(body) > limit:
        raise CommandError("the body is larger than 25 MiB, which the receiver refuses as well")
    return body


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UsageError(f"--header '{text}': write it as 'NAME: VALUE'")
    return name.strip().lower(), value.strip()


def _as_json(parsed: Parsed, problems: Sequence[str]) -> dict[str, Any]:
    return {
        "kind": parsed.kind,
        "verdict": parsed.verdict.value,
        "reason": parsed.reason,
        "events": [_event(event) for event in parsed.events],
        "problems": list(problems),
    }


def _event(event: Event) -> dict[str, Any]:
    found: dict[str, Any] = {
        "span_id": event.ref or event.key,
        "operation": event.operation,
        "state": event.state.name.lower(),
        "at": iso(event.occurred_at),
        "started_at": iso(event.started_at),
    }
    for name in (
        *("stage", "name", "project", "service", "environment", "actor", "url", "error"),
        "trace_id",
    ):
        if value := getattr(event, name):
            found[name] = value
    if event.attempt != 1:
        found["attempt"] = event.attempt
    if event.supersedes:
        found["reopens"] = True
    found["attributes"] = dict(event.attributes)
    found["found_by"] = [_key(key) for key in event.offers]
    found["looks_for"] = [f"{seek.rule.value}: {_key(seek.key)}" for seek in event.seeks]
    return found


def _key(key: Any) -> str:
    return f"{key.kind} {key.value}" + (f" in {key.scope}" if key.scope else "")


def _lines(parsed: Parsed, problems: Sequence[str]) -> Iterator[str]:
    reason = f": {parsed.reason}" if parsed.reason else ""
    yield f"{parsed.kind} is {parsed.verdict.value}{reason}"
    for event in parsed.events:
        yield ""
        yield from _fields(_event(event))
    if problems:
        yield ""
        yield "expressions that failed and gave nothing:"
        yield from (f"  {problem}" for problem in problems)


def _fields(event: Mapping[str, Any]) -> Iterator[str]:
    for name, value in event.items():
        if isinstance(value, dict):
            yield from (f"  {key:<14} {inner}" for key, inner in value.items())
        elif isinstance(value, list):
            yield from (f"  {name:<14} {inner}" for inner in value)
        elif value is not None:
            yield f"  {name:<14} {value}"
