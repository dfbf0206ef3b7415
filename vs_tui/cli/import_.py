"""`vs-tui import`: read the history from a tool's REST API and send it as the tool's webhooks."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TextIO

from vs_tui.cli.commands import UsageError, add_command, usage
from vs_tui.cli.common import Bar, CommandError, moment, now, pause
from vs_tui.cli.http_client import HttpError, address
from vs_tui.cli.importing import Api, Forbidden, ImportScope, Page, Project
from vs_tui.cli.importing.github import GitHub
from vs_tui.cli.importing.gitlab import GitLab
from vs_tui.cli.importing.jira import Jira
from vs_tui.cli.receiver_api import ReceiverApi
from vs_tui.config import data_dir
from vs_tui.config.loading import small_text
from vs_tui.model.display import clean
from vs_tui.model.time import (
    MINUTE,
    SECOND,
    Duration,
    Instant,
    format_duration,
    iso,
    parse_instant,
)

DEFAULT_SINCE: Final = "90d"
FOLLOW_EVERY: Final = "60s"
_LEAST: Final = 10 * SECOND
"""Shortest pause between two rounds; a shorter one wastes the tool's rate limit."""
_OVERLAP: Final = 2 * MINUTE
"""Each round reads this much of the time before it again: clocks differ, and lists lag."""


TOOLS: Final[Mapping[str, type[Project]]] = {"github": GitHub, "gitlab": GitLab, "jira": Jira}

_EPILOG: Final = """
examples:
  GITHUB_TOKEN=... vs-tui import github acme/api acme/web --since 180d
  GITLAB_TOKEN=... vs-tui import gitlab acme/shop --url https://git.acme.example/api/v4
  JIRA_TOKEN=... vs-tui import jira TP --url https://acme.atlassian.net --user ana@acme.example
  JIRA_TOKEN=... vs-tui import jira TP --url https://jira.acme.example     a Data Center token
  vs-tui import github acme/api --only issues,deployments --quick          few requests
  vs-tui import github acme/api --since 30d --follow       goes on, where no webhook can arrive

Each object becomes a delivery in the shape of the tool's own webhook and is sent to the running
receiver. An interrupted import goes on where it stopped when it is started again in the same
words; a finished one starts at the time of the last. Nothing is stored twice: what did not change
is a duplicate. Rate limits are waited for.

The token is read from GITHUB_TOKEN, GITLAB_TOKEN or JIRA_TOKEN, or from the file of --token-file;
reading rights are enough. The receiver's own token comes from its configuration or VS_TOKEN.
"""


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "import",
        run,
        description="Read a tool's history with its REST API, so that the dashboard and the DORA "
        "figures do not begin with the day of the installation.",
        epilog=_EPILOG,
    )
    tools = parser.add_subparsers(dest="tool", metavar="TOOL", required=True)
    for name, tool in TOOLS.items():
        below = add_command(
            tools,
            name,
            run,
            help=f"issues, changes and deliveries of {tool.title}",
            description=f"Reads, in this order: {', '.join(tool.steps)}.",
            epilog=_EPILOG,
        )
        _add_options(below, tool)


def _add_options(parser: argparse.ArgumentParser, tool: type[Project]) -> None:
    parser.add_argument(
        "projects", nargs="+", metavar=tool.what, help="what to import; one or more"
    )
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="a day, a time or an age such as 30d (default: the last import, else 90d)",
    )
    parser.add_argument(
        "--url",
        metavar="URL",
        default=tool.url,
        required=not tool.url,
        help=f"the API's base URL (default {tool.url})" if tool.url else "the site's address",
    )
    parser.add_argument("--token-file", metavar="FILE", type=Path, help="a file with the token")
    if tool.has_users:
        parser.add_argument("--user", metavar="EMAIL", help="whose token it is; needed for Cloud")
    parser.add_argument("--only", metavar="LIST", help=f"some of {','.join(tool.steps)}")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="only what lists tell: no reviews, commits and jobs, a fraction of the requests",
    )
    parser.add_argument(
        "--restart", action="store_true", help="forget how far earlier imports came"
    )
    parser.add_argument(
        "--follow",
        nargs="?",
        const=FOLLOW_EVERY,
        metavar="TIME",
        help=f"go on asking for what is new, every {FOLLOW_EVERY} or so often as given; for a "
        "machine that no webhook reaches",
    )
    parser.add_argument("--to", metavar="URL", help="the receiver (default: this machine's)")
    parser.add_argument("--json", action="store_true", help="print the counts as a JSON object")


def run(args: argparse.Namespace) -> int:
    tool = TOOLS[args.tool]
    with usage(program="vs-tui import"):
        projects = tool.projects(args.projects)
        only = _only(args.only, tool)
        check_url(args.url)
        since = _since(args.since) if args.since else ""
        every = pause("--follow", args.follow, _LEAST, "60s or 5m") if args.follow else None
    sender = ReceiverApi(args.to or "")
    with ImportBar(sys.stderr) as bar, contextlib.closing(sender):
        api = Api(args.url, proof_headers(args, tool), bar.notice)
        with contextlib.closing(api):
            sender.check()
            progress = _progress(args, projects, since)
            scope = ImportScope(progress.since, not args.quick, only)
            importing = _Import(tool, api, projects, scope, progress, sender, bar)
            skipped = importing.run(scope)
            if every is not None:
                importing.follow(every)
    _print(sender.verdicts, skipped, args.json)
    return 1 if sender.verdicts["refused"] or (skipped and not sender.verdicts) else 0


@dataclass(slots=True)
class Progress:
    """How much of an import is done; saved after every page."""

    path: Path
    since: str
    """Where this import begins, RFC 3339."""
    began: str
    """When it was first started; the next import begins here. Empty once finished."""
    asked: str = ""
    """--since as typed."""
    cursors: dict[str, str] = field(default_factory=dict)
    """`project step` -> the cursor of its next page."""
    done: list[str] = field(default_factory=list)

    def save(self) -> None:
        """Replace the file atomically."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self.path.with_suffix(f".{os.getpid()}")
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW
        values = asdict(self)
        del values["path"]
        with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as out:
            json.dump(values, out)
        temporary.replace(self.path)


def read_progress(path: Path) -> Progress | None:
    """The progress in a file; None if there is none or it cannot be read."""
    try:
        fields = json.loads(path.read_text("utf-8"))
        return Progress(
            path,
            str(fields["since"]),
            str(fields["began"]),
            str(fields["asked"]),
            {str(name): str(value) for name, value in fields["cursors"].items()},
            [str(name) for name in fields["done"]],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


@dataclass
class _Import:
    """The import of some projects of a tool."""

    tool: type[Project]
    api: Api
    projects: Sequence[str]
    scope: ImportScope
    progress: Progress
    sender: ReceiverApi
    bar: ImportBar

    def run(self, scope: ImportScope) -> list[str]:
        """Read and send everything. Returns the steps that the API refused."""
        progress, skipped = self.progress, []
        for name in self.projects:
            try:
                project = self.tool(self.api, name, scope)
            except Forbidden as error:
                raise CommandError(
                    f"{error}; check the name of {name}, and whether the token may read it"
                ) from None
            for step in self.tool.steps:
                full = f"{name} {step}"
                if full in progress.done or (scope.only and step not in scope.only):
                    continue
                self.bar.step(full)
                try:
                    sent = self._read(getattr(project, step), full)
                    self.bar.end(f"{sent} deliveries")
                except Forbidden as error:
                    self.bar.end(f"left out, {error}")
                    skipped.append(full)
        progress.since, progress.done, progress.cursors = progress.began, [], {}
        progress.began = ""
        progress.save()
        return skipped

    def follow(self, every: Duration) -> None:
        """Import what is new, again and again, until Ctrl+C; an outage of the tool is waited
        out."""
        self.api.remembers = True
        self.bar.quiet = True
        print(f"following {', '.join(self.projects)}, every {format_duration(every)}; "
              "ctrl+c stops", file=sys.stderr)  # fmt: skip
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(every / SECOND)
                since = (parse_instant(self.progress.since) or now()) - _OVERLAP
                self.progress.began = _seconds(now())
                before = self.sender.verdicts["accepted"]
                try:
                    self.run(replace(self.scope, since=_seconds(since)))
                except CommandError as error:
                    again = f"asked again in {format_duration(every)}"
                    self.bar.say(f"{clean(str(error), 300)}; {again}")
                    continue
                if new := self.sender.verdicts["accepted"] - before:
                    self.bar.say(f"{new} new")

    def _read(self, fetch: Callable[[str], Page], name: str) -> int:
        """Read all pages of a step; returns the number of deliveries."""
        progress = self.progress
        cursor, done, sent = progress.cursors.get(name, ""), 0, 0
        while True:
            page = fetch(cursor)
            self.sender.send(page.deliveries)
            cursor, done, sent = page.next, done + 1, sent + len(page.deliveries)
            self.bar.page(done, page.pages, sent)
            if not cursor:
                break
            progress.cursors[name] = cursor
            progress.save()
        progress.cursors.pop(name, None)
        progress.done.append(name)
        progress.save()
        return sent


def _progress(args: argparse.Namespace, projects: list[str], since: str) -> Progress:
    """The progress of the import with the same arguments; a new one for the first."""
    words = [args.url, *sorted(projects), args.only or "", str(args.quick), args.to or ""]
    mark = hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]
    path = data_dir() / "imports" / f"{args.tool}-{mark}.json"
    began = _seconds(now())
    found = None if args.restart else read_progress(path)
    asked = args.since or ""
    if found is None:
        return Progress(path, since or _since(DEFAULT_SINCE), began, asked)
    if found.began and found.asked == asked:
        return found  # interrupted
    return Progress(path, since or found.since, began, asked)


def _since(text: str) -> str:
    """A day, a time or an age as RFC 3339."""
    return _seconds(moment("--since", text, "30d"))


def _seconds(instant: Instant) -> str:
    """RFC 3339 without fractions, as GitHub accepts it."""
    return f"{(iso(instant) or '')[:19]}Z"


def check_url(url: str, option: str = "--url") -> None:
    """Raise UsageError for text that is not an address; requests to it would only time out."""
    with contextlib.suppress(HttpError):
        if address(url).port:
            return
    shown = url.rpartition("@")[2][:100]  # never a password
    raise UsageError(f"{option} '{shown}' is not an address; write https://HOST")


def _only(text: str | None, tool: type[Project]) -> frozenset[str]:
    names = frozenset(name.strip() for name in (text or "").split(",") if name.strip())
    if unknown := names - set(tool.steps):
        raise ValueError(f"--only {min(unknown)}: {tool.title} has {', '.join(tool.steps)}")
    return names


def proof_headers(args: argparse.Namespace, tool: type[Project]) -> dict[str, str]:
    """The headers that carry the token."""
    token = os.environ.get(tool.variable, "").strip()
    if args.token_file:
        try:
            token = small_text(args.token_file).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{args.token_file} cannot be read: {error}") from None
    if not token:
        raise CommandError(f"there is no token; set {tool.variable} or name a --token-file")
    if any(not c.isascii() or not c.isprintable() for c in token):
        raise CommandError("the token holds characters that no token has; copy it again")
    return tool.proof(token, getattr(args, "user", None) or "")


def _print(verdicts: Mapping[str, int], skipped: list[str], as_json: bool) -> None:
    if as_json:
        print(json.dumps({**verdicts, "skipped": skipped}))
    else:
        counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
        print(clean(counts) or "nothing to import")


class ImportBar(Bar):
    """The progress of an import: a step after the other."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._label = ""
        self.quiet = False
        """Whether steps are not reported; those of a follow come every minute."""

    def step(self, label: str) -> None:
        """The next step begins."""
        self._label = label
        if not self.quiet:
            self.show(label)

    def page(self, done: int, pages: int, sent: int) -> None:
        """`done` of `pages` (0 if unknown) are read; this step has sent `sent` deliveries."""
        if not self.quiet:
            self.show(self._label, done, pages, f"pages, {sent} deliveries")

    def end(self, said: str) -> None:
        """The step is over."""
        if not self.quiet:
            self.finish(f"{self._label}: {said}")

    def say(self, text: str) -> None:
        """One line, with the time."""
        self.finish(f"{time.strftime('%H:%M:%S')} {text}")

    def notice(self, text: str) -> None:
        """Print a message while people wait."""
        if self.live:
            self.show(f"{self._label} {text}")
        else:
            self.finish(text)
