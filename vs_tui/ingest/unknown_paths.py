"""Records requests to paths that no source has, so that Events shows webhooks with a wrong URL.

These senders are not authenticated. Only the path and the name of the program are kept, in few
rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from vs_tui.ingest.http_errors import REQUEST_ID, Refused
from vs_tui.log.delivery import UNKNOWN_SOURCE, Rejection
from vs_tui.model.time import Instant

METHODS: Final = frozenset({"POST", "PUT", "PATCH"})
"""Methods that tools use; a browser's GET for an icon is not recorded."""
_TOKEN: Final = re.compile(r"(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[^/]{16,}")
"""A path segment of 16 or more characters with letters and digits."""
_REASON: Final = "not_found: no source receives at this path; `vs-tui source list` lists the paths"


def unknown_path(
    path: str,
    headers: Mapping[str, str],
    at: Instant,
    refused: Refused,
    secrets: Iterable[str] = (),
) -> Rejection:
    """The row for Events. Secrets, and text that looks like one, are masked, because people paste
    tokens into paths."""
    path = path[:2_000]
    for secret in secrets:
        path = path.replace(secret, "(secret)")
    path = _TOKEN.sub("(masked)", path)
    program = headers.get("User-Agent", "").encode("utf-8", "replace").decode()[:200]
    kept = {"user-agent": program} if program else {}
    return Rejection(
        source=UNKNOWN_SOURCE,
        kind="request",
        path=path[:200],
        received_at=at,
        status=refused.status,
        reason=_REASON,
        size=0,
        headers={**kept, REQUEST_ID.lower(): refused.request_id},
    )
