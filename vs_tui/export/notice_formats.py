"""Formats notices for Slack, Teams, Discord and desktops.

The text comes from events, so mentions and markup in it are made inactive, and its URLs are not
shown as links or fetched for a preview.
"""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from vs_tui.model.display import clean

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
