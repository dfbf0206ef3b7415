"""What an empty list says: how to get the first event, or that the filter hides all."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

NOTHING_MATCHES: Final = (
    "",
    "nothing matches",
    "",
    "/ changes the filter, t the time range, m the team; esc clears the filter",
)


def first_steps(url: str, open_mode: bool) -> tuple[str, ...]:
    """For a database that has not received anything yet; fits into 76 columns."""
    url = url or "http://127.0.0.1:5000"
    port = urlsplit(url).port or 5000
    token = (
        ()
        if open_mode
        else ('          -H "Authorization: Bearer $(vs-tui secret show token)" \\',)
    )
    return (
        "",
        "Nothing was received yet. Point a tool's webhook, content type JSON, at",
        f"    {url}/github",
        "    also /gitlab /jenkins /jira /customhttp ...; 5 lists them, with secrets",
        "",
        f"From outside this machine: ngrok http {port}",
        "",
        "Or try it now:",
        f"    curl {url}/customhttp \\",
        *token,
        """          -d '{"type":"build","id":"1","action":"start"}'""",
        "",
        "Or see it with sample data: vs-tui demo",
    )
