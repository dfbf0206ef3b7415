"""Notices as Slack, Teams, Discord and desktops show them. Their text is event text: no mention, no
markup and no link in it may work.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from vs_tui.model.display import clean

Body = Mapping[str, Any]
LONGEST: Final = 1_800
"""Characters of a message; Discord takes 2,000."""
_LINE: Final = 300
_MARKUP: Final = re.compile(r"([\\`*_{}\[\]()<>#~|@!-])")


def lines_of(notices: Sequence[Body], more: int) -> list[tuple[str, str]]:
    """(text, URL or empty) of each notice, cleaned and cut; `more` wait that are not shown."""
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
    """An incoming webhook of Slack, Mattermost or Rocket.Chat.

    Source: https://docs.slack.dev/messaging/formatting-message-text (escaping).
    """

    def escaped(text: str) -> str:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    shown = [
        escaped(text) + (f" <{escaped(url)}|open>" if url else "")
        for text, url in lines_of(notices, more)
    ]
    return orjson.dumps({"text": _joined(shown), "mrkdwn": False})


def discord(notices: Sequence[Body], more: int) -> bytes:
    """A webhook of Discord. Source: https://discord.com/developers/docs/resources/webhook."""
    shown = [_plain(text) + (f" <{url}>" if url else "") for text, url in lines_of(notices, more)]
    return orjson.dumps({"content": _joined(shown), "allowed_mentions": {"parse": []}})


def teams(notices: Sequence[Body], more: int) -> bytes:
    """A workflow of Microsoft Teams that takes an adaptive card.

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
    """Everything, raw, for programs."""
    return orjson.dumps({"source": "vs-tui", "notices": list(notices), "more": more})


POSTED: Final[Mapping[str, Callable[[Sequence[Body], int], bytes]]] = {
    "slack": slack,
    "teams": teams,
    "discord": discord,
    "json": plain_json,
}
"""Format -> the body of a request for some notices."""


def command_of(command: Sequence[str], notices: Sequence[Body], more: int) -> list[str]:
    """The command with title and text as its last arguments; the desktop's own for none. Nothing
    passes a shell."""
    shown = lines_of(notices, more)
    # A dash would be read as an option.
    title = f"vs-tui: {shown[0][0]}" if len(shown) == 1 else f"vs-tui: {len(shown)} notices"
    text = _joined([f"{text} {url}".strip() for text, url in shown])
    return [*(command or _desktop()), title, text.lstrip("-")]


def _desktop() -> list[str]:
    if sys.platform == "darwin":
        script = (
            "on run argv",
            "display notification (item 2 of argv) with title (item 1 of argv)",
            "end run",
        )
        return ["osascript", *(word for line in script for word in ("-e", line))]
    return ["notify-send", "--app-name=vs-tui", "--"]


def _plain(text: str) -> str:
    """Text in Markdown that shows as it is."""
    return _MARKUP.sub(r"\\\1", text)


def _joined(lines: Sequence[str]) -> str:
    kept: list[str] = []
    for line in lines:
        if sum(map(len, kept)) + len(kept) + len(line) > LONGEST:
            break
        kept.append(line)
    return "\n".join(kept)
