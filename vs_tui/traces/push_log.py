"""The commits of a push, which its span has as JSON: `[[sha, authored seconds, subject, [path],
reverted]]`, oldest first, the last one only if it reverts something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from vs_tui.model.time import SECOND, Instant
from vs_tui.model.vocabulary import Event, Scalar

PUSH_LOG: Final = "vs.push.log"
"""The attribute that has them."""
_OF_LOG: Final = ("vcs.ref.base.revision", "vs.commit.first_at")


def commits_in(text: object) -> list[tuple[str, Instant | None, str, Sequence[str], str]]:
    """(sha, authored, subject, paths, what it reverts) of each commit; empty if the text is not in
    our format."""
    if not isinstance(text, str):
        return []
    try:
        return [
            (
                *(str(sha), None if at is None else int(at) * SECOND, str(title)),
                [*map(str, paths)],
                str(reverts[0]) if reverts else "",
            )
            for sha, at, title, paths, *reverts in orjson.loads(text)
        ]
    except (ValueError, TypeError):
        return []


def whole_push(told: Sequence[Event]) -> dict[str, Scalar]:
    """The attributes of the event that tells most commits of a push, with the files that others
    tell: a webhook may list the newest commits, and an import those of several pushes, but no
    files. Of equals the last one counts."""
    logs = [event for event in told if commits_in(event.attributes.get(PUSH_LOG))]
    if len(logs) < 2:
        return {}
    listed = [orjson.loads(str(event.attributes[PUSH_LOG])) for event in logs]
    most = max(range(len(logs)), key=lambda n: (len(listed[n]), n))
    files = {commit[0]: commit for log in listed for commit in log if commit[3]}
    whole = orjson.dumps([files.get(commit[0], commit) for commit in listed[most]]).decode()
    attributes = logs[most].attributes
    return {name: attributes[name] for name in _OF_LOG if name in attributes} | {PUSH_LOG: whole}
