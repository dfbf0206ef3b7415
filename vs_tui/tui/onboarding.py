"""What an empty list says: how to get the first event, or that the filter hides all."""

from __future__ import annotations

NOTHING_MATCHES = (
    "nothing matches",
    "",
    "/ changes the filter, t the time range, m the team; esc clears the filter",
)


def first_steps(url: str, open_mode: bool) -> tuple[str, ...]:
    """For a database that has not received anything yet."""
    url = url or "http://127.0.0.1:5000"
    token = "" if open_mode else "-H 'Authorization: Bearer '$(vs-tui secret show token) "
    return (
        "",
        "nothing was received yet. Point a webhook at",
        "",
        f"    {url}/github   /gitlab   /jenkins   /jira   /customhttp",
        "",
        "secrets: `vs-tui secret show github`; from outside: `ngrok http PORT`. Or try it now:",
        "",
        f"    curl {token}{url}/customhttp \\",
        '      -d \'{"type":"build","id":"1","action":"start"}\'',
        "",
        "`vs-tui demo` shows it with sample data.",
    )
