"""Finds what to tell people and tools, words it as notices, keeps these in the database until their
target takes them, and formats them for Slack, Teams, Discord and desktops.

Each sent notice is remembered by the 8 bytes of its hash, so that neither a restart nor a rebuild
sends it again. The text comes from events, so mentions and markup in it are made inactive, and its
URLs are not shown as links or fetched for a preview.
"""

from __future__ import annotations

import html
import re
import sqlite3
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

import orjson

from vs_tui.config.model import NotifyRule
from vs_tui.metrics.cards import is_met, value_text
from vs_tui.metrics.definitions import METRICS
from vs_tui.metrics.windows import day_of
from vs_tui.model.display import clean
from vs_tui.model.filters import parse
from vs_tui.model.time import DAY, Duration, Instant, format_duration, iso
from vs_tui.model.vocabulary import Operation, Span
from vs_tui.store import rows
from vs_tui.store.queries.filter_sql import span_where
from vs_tui.store.queries.reader import SqliteReader
from vs_tui.store.queries.reports import Asked, Reports

RECENT: Final[Duration] = DAY
"""Older events cause no notice, so that an import of history sends none."""
MOST_WAITING: Final = 1_000
"""Most notices that wait for one target; further ones are dropped."""
_REMEMBERED: Final[Duration] = 90 * DAY
_POSITION: Final = "notify_position"
_FEED: Final = ("started", "failed", "recovered", "ended")


class Notice(NamedTuple):
    """One notice for one target."""

    target: str
    fact: str
    """Identifies the notice; it is the same whenever the event is found again."""
    body: dict[str, Any]
    """`event`, `title`, `text`, `url` and, for an event of a span, `span`."""


def read_position(db: sqlite3.Connection) -> int:
    """The change number to continue from; the newest one at the first start and after a rebuild."""
    newest = rows.number(db, "SELECT MAX(changed) FROM spans")
    row = db.execute("SELECT value FROM meta WHERE name = ?", (_POSITION,)).fetchone()
    return newest if row is None else min(int(row[0]), newest)


def read_news(
    db: sqlite3.Connection, after: int, rules: Sequence[NotifyRule], now: Instant, limit: int
) -> tuple[list[Notice], int, bool]:
    """(notices about changed spans, the change number read up to, whether there is more)."""
    sql = "SELECT changed FROM spans WHERE changed > ? ORDER BY changed LIMIT 1 OFFSET ?"
    row = db.execute(sql, (after, limit)).fetchone()
    last = rows.number(db, "SELECT MAX(changed) FROM spans") if row is None else int(row[0])
    found = []
    for rule in rules:
        for event in [event for event in rule.on if event in _FEED]:
            where, bound = span_where(rule.filter_of(event), now)
            sql = (
                f"SELECT {rows.SELECT_SPAN} FROM spans WHERE changed > ? AND changed <= ? "  # noqa: S608
                f"AND derived = 0 AND ({where}) ORDER BY changed"
            )
            for span in map(rows.span_of, db.execute(sql, (after, last, *bound))):
                if _happened(db, event, span, now):
                    found.append(_notice(rule, event, span))
    return found, max(last, after), row is not None


def _happened(db: sqlite3.Connection, event: str, span: Span, now: Instant) -> bool:
    at = span.started_at if event == "started" else span.ended_at
    if at is None or at < now - RECENT:
        return False
    if event == "started":
        return span.in_flight
    if event == "failed":
        return span.status.failed
    if event == "ended":
        return not span.in_flight
    if span.status.failed or span.in_flight:
        return False
    return span.operation == Operation.INCIDENT or _was_broken(db, span)


def _was_broken(db: sqlite3.Connection, span: Span) -> bool:
    """Whether the previous deploy to the same target failed."""
    if span.operation != Operation.DEPLOY or span.status.value != "ok":
        return False
    row = db.execute(
        "SELECT status FROM spans INDEXED BY spans_deployed WHERE operation = 'deploy' "
        "AND project = ? AND service = ? AND environment = ? AND ended_at < ? AND key <> ? "
        "AND status <> 'cancelled' ORDER BY ended_at DESC LIMIT 1",
        (span.project, span.service, span.environment, span.ended_at, span.key),
    ).fetchone()
    return row is not None and row[0] in ("error", "timed_out")


def _notice(rule: NotifyRule, event: str, span: Span) -> Notice:
    where = " ".join(part for part in (span.service or span.project, span.environment) if part)
    who = f" by {span.actor}" if span.actor else ""
    body = {
        "event": event,
        "title": f"{span.operation} {event}: {span.name or span.ref}",
        "text": f"{where}{who}{f' ({span.error})' if span.error else ''}".strip(),
        "url": span.url,
        "span": {
            "span_id": span.ref,
            "trace_id": span.trace_id,
            "operation": span.operation,
            "name": span.name,
            "status": span.status.value,
            "project": span.project,
            "team": span.team,
            "service": span.service,
            "environment": span.environment,
            "actor": span.actor,
            "started_at": iso(span.started_at),
            "ended_at": iso(span.ended_at),
        },
    }
    fact = f"{event}\n{span.key}\n{span.reopens}\n{span.attempt}"
    return Notice(rule.target, fact, body)


async def waiting_notices(reader: SqliteReader, rule: NotifyRule) -> Sequence[Notice]:
    """Notices for the traces of the board that match the rule's filter, one per waiting step."""
    now = reader.now()
    board = await reader.board(rule.filter_of("waiting"))
    found = []
    for row in board.rows:
        if row.trace_id in board.outside:
            continue
        waited = row.waited(now)
        since = row.action.since
        who = ", ".join(row.action.who) or row.action.nobody
        body = {
            "event": "waiting",
            "title": " ".join(part for part in (row.label, row.title) if part),
            "text": f"{row.action.verb} {row.action.what}".strip()
            + (f", {who}" if who else "")
            + (f", for {format_duration(waited)}" if waited is not None else ""),
            "url": row.action.step.url if row.action.step is not None else row.root.url,
        }
        fact = f"waiting\n{row.trace_id}\n{row.action.rule}\n{since}"
        found.append(Notice(rule.target, fact, body))
    return found


async def team_notices(reports: Reports, rule: NotifyRule, now: Instant) -> Sequence[Notice]:
    """Notices for stages that became slower and for missed goals, each once a week, for the teams
    that match the rule's filter."""
    admits = parse(rule.filter, traces=True).admits_team
    week = day_of(now, Asked().window(reports.config, now).zone).isocalendar()[:2]
    found = []
    for team in filter(admits, reports.config.teams.names or [""]):
        if "regressed" in rule.on:
            detail = await reports.stages(Asked(team=team))
            for slower in detail.regressions:
                title = (
                    f"{team or 'everyone'}: {slower.name} takes {slower.factor:.1f} times as long"
                )
                found.append(_of_team(rule, "regressed", team, slower.name, title, week))
    if "goal_missed" in rule.on:
        for card in await reports.scorecards(Asked(), beside=False):
            if not admits(card.name):
                continue
            for name, figure in card.figures.items():
                if is_met(figure, figure.value) is not False:
                    continue
                named, text = METRICS[name].title, value_text(figure)
                title = f"{card.name}: {named} is {text}, its goal is missed"
                found.append(_of_team(rule, "goal_missed", card.name, name, title, week))
    return found


def _of_team(
    rule: NotifyRule, event: str, team: str, of: str, title: str, week: tuple[int, int]
) -> Notice:
    body = {"event": event, "title": title, "text": "", "url": "", "team": team, "of": of}
    return Notice(rule.target, f"{event}\n{team}\n{of}\n{week}", body)


def keep_notices(
    db: sqlite3.Connection, notices: Iterable[Notice], now: Instant, position: int | None = None
) -> int:
    """Queue the notices that are new for their target; returns how many."""
    new = 0
    for notice in notices:
        digest = sha256(f"{notice.target}\n{notice.fact}".encode()).digest()
        id_ = int.from_bytes(digest[:8], "big", signed=True)
        sql = "INSERT OR IGNORE INTO notified VALUES (?, ?)"
        if not db.execute(sql, (id_, now)).rowcount:
            continue
        sql = "SELECT COUNT(*) FROM notices WHERE target = ?"
        if rows.number(db, sql, (notice.target,)) < MOST_WAITING:
            body = orjson.dumps(notice.body).decode()
            sql = "INSERT INTO notices (target, notice, at, body) VALUES (?, ?, ?, ?)"
            db.execute(sql, (notice.target, id_, now, body))
            new += 1
    if position is not None:
        db.execute("REPLACE INTO meta VALUES (?, ?)", (_POSITION, position))
    return new


def waiting(db: sqlite3.Connection, target: str) -> dict[int, int]:
    """The waiting notices of a target, oldest first: row -> the hash of the notice, which is the
    same on every node."""
    sql = "SELECT id, notice FROM notices WHERE target = ? ORDER BY id"
    return dict(db.execute(sql, (target,)).fetchall())


def bodies(db: sqlite3.Connection, ids: Sequence[int]) -> list[dict[str, Any]]:
    """The bodies of waiting notices, in the order of their rows."""
    sql = "SELECT body FROM notices WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
    return [orjson.loads(body) for (body,) in db.execute(sql, (orjson.dumps(ids).decode(),))]


def forget_sent(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    """Delete notices that their target took, or refused for good."""
    db.executemany("DELETE FROM notices WHERE id = ?", [(id_,) for id_ in ids])


def forget_old(db: sqlite3.Connection, now: Instant) -> None:
    """Delete waiting notices that are too old, and hashes of notices sent long ago."""
    db.execute("DELETE FROM notices WHERE at < ?", (now - RECENT,))
    db.execute("DELETE FROM notified WHERE at < ?", (now - _REMEMBERED,))


Body = Mapping[str, Any]
LONGEST: Final = 1_800
"""Most characters of a message; Discord accepts 2,000."""
_LINE: Final = 200
"""Most characters of a title and of a text. Escaping can triple them; one notice with the longest
URL still fits."""
_NO_PREVIEW: Final = {"unfurl_links": False, "unfurl_media": False}
_SUPPRESS_EMBEDS: Final = 4
_JOINER: Final = "\u2060"
"""An invisible character that breaks mentions, links and URLs. Slack's escapes do not work in
Mattermost and Rocket.Chat, where Markdown and mentions need no brackets; a backslash would be
visible in Slack."""
_STEPS: Final = re.compile(r"@(?=\S)|\](?=\()|:(?=//)|\bwww\.", re.IGNORECASE)
"""The characters after which _JOINER is inserted: the start of a mention, the middle of a Markdown
link, and the start of a URL."""
_MARKUP: Final = re.compile(r"([\\`*_{}\[\]()<>#~|@!-])")


def lines_of(notices: Sequence[Body], more: int) -> list[tuple[str, str]]:
    """(text, URL or empty) of each notice, cleaned and cut; a last line says that `more` notices
    are not shown."""
    found = []
    for notice in notices:
        title, text = clean(str(notice["title"]), _LINE), clean(str(notice["text"]), _LINE)
        url = str(notice.get("url") or "")
        safe = url if re.fullmatch(r"https?://[^\s<>|()\[\]\"]{1,500}", url) else ""
        found.append((f"{title} - {text}" if text else title, safe))
    if more:
        found.append((f"and {more} more", ""))
    return found


def slack(notices: Sequence[Body], more: int) -> bytes:
    """The body for an incoming webhook of Slack, Mattermost or Rocket.Chat.

    Source: https://docs.slack.dev/messaging/formatting-message-text (escaping).
    """

    def escaped(text: str) -> str:
        return html.escape(text, quote=False)

    shown = [
        escaped(_inert(text)) + (f" <{escaped(url)}|open>" if url else "")
        for text, url in lines_of(notices, more)
    ]
    return orjson.dumps({"text": _joined(shown), "mrkdwn": False, **_NO_PREVIEW})


def discord(notices: Sequence[Body], more: int) -> bytes:
    """The body for a Discord webhook. Source:
    https://discord.com/developers/docs/resources/webhook."""
    shown = [_plain(text) + (f" <{url}>" if url else "") for text, url in lines_of(notices, more)]
    return orjson.dumps(
        {"content": _joined(shown), "allowed_mentions": {"parse": []}, "flags": _SUPPRESS_EMBEDS}
    )


def teams(notices: Sequence[Body], more: int) -> bytes:
    """The body for a Microsoft Teams workflow that accepts an adaptive card.

    Source: https://adaptivecards.io/explorer (TextBlock, Action.OpenUrl).
    """
    shown = lines_of(notices, more)
    card = {
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{"type": "TextBlock", "wrap": True, "text": _plain(text)} for text, _ in shown],
        "actions": [
            {"type": "Action.OpenUrl", "title": "open", "url": url} for _, url in shown if url
        ][:6],
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return orjson.dumps(
        {"type": "message", "attachments": [{"contentType": kind, "content": card}]}
    )


def plain_json(notices: Sequence[Body], more: int) -> bytes:
    """The body for programs: all fields, unchanged."""
    return orjson.dumps({"source": "vs-tui", "notices": list(notices), "more": more})


POSTED: Final[Mapping[str, Callable[[Sequence[Body], int], bytes]]] = {
    "slack": slack,
    "teams": teams,
    "discord": discord,
    "json": plain_json,
}
"""Format -> function that writes the body of a request for notices."""


_OSASCRIPT: Final = (
    *("osascript", "-e", "on run argv"),
    *("-e", "display notification (item 2 of argv) with title (item 1 of argv)"),
    *("-e", "end run"),
)


def command_of(command: Sequence[str], notices: Sequence[Body], more: int) -> list[str]:
    """The command with title and text as its last arguments, or the desktop's own command if it is
    empty. No shell is used."""
    shown = lines_of(notices, more)
    # A leading dash would be read as an option.
    title = f"vs-tui: {shown[0][0]}" if len(shown) == 1 else f"vs-tui: {len(shown)} notices"
    text = _joined([f"{text} {url}".strip() for text, url in shown]).lstrip("-")
    if command:
        return [*command, title, text]
    if sys.platform == "darwin":
        return [*_OSASCRIPT, title, text]
    # The body, not the title, may have markup with links and pictures:
    # https://specifications.freedesktop.org/notification-spec/latest/markup.html
    return ["notify-send", "--app-name=vs-tui", "--", title, html.escape(text, quote=False)]


def _inert(text: str) -> str:
    return _STEPS.sub(lambda found: found[0] + _JOINER, text)


def _plain(text: str) -> str:
    """Markdown that shows the text unchanged."""
    return _MARKUP.sub(r"\\\1", _inert(text))


def _joined(lines: Sequence[str]) -> str:
    kept: list[str] = []
    for line in lines:
        if kept and sum(map(len, kept)) + len(kept) + len(line) > LONGEST:
            break
        kept.append(line)
    return "\n".join(kept)
