"""The commits of a push, which its span has as JSON: `[[sha, authored seconds, subject, [path],
reverted]]`, oldest first, the last one only if it reverts something."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson

from vs_tui.model.time import SECOND, Instant
from vs_tui.model.vocabulary import Event, Scalar

PUSH_LOG: Final = "vs.push.log"
"""The attribute that has them."""
_OF_LOG: Final = ("vcs.ref.base.revision", "vs.commit.first_at")


_Commit = tuple[str, Instant | None, str, Sequence[str], str]
"""(sha, authored, subject, paths, what it reverts)."""


def commits_in(text: object) -> list[_Commit]:
    """The commits of a log; none if the text is not in our format."""
    if not isinstance(text, str):
        return []
    try:
        return [
            (
                *(str(sha), None if at is None else _instant(at), str(title)),
                [*map(str, paths)],
                str(reverts[0]) if reverts else "",
            )
            for sha, at, title, paths, *reverts in orjson.loads(text)
        ]
    except (ValueError, TypeError):
        return []


def _instant(seconds: Any) -> Instant:
    found = int(seconds) * SECOND
    if found.bit_length() > 63:
        raise ValueError(f"{seconds} is not a time")
    return found


def _written(commits: Iterable[_Commit]) -> str:
    """The log of commits, as `commits_in` reads it."""
    log = [
        [sha, None if at is None else at // SECOND, title, paths, *([reverts] if reverts else ())]
        for sha, at, title, paths, reverts in commits
    ]
    return orjson.dumps(log).decode()


def whole_push(told: Sequence[Event]) -> dict[str, Scalar]:
    """The attributes of the event that tells most commits of a push, with the files that others
    tell: a webhook may list the newest commits, and an import those of several pushes, but no
    files. Of equals the last one counts."""
    logs = [(log, e) for e in told if (log := commits_in(e.attributes.get(PUSH_LOG)))]
    if len(logs) < 2:
        return {}
    whole, fullest = max(reversed(logs), key=lambda one: len(one[0]))
    listed = {commit[0]: commit for log, _ in logs for commit in log if commit[3]}
    found = {name: fullest.attributes[name] for name in _OF_LOG if name in fullest.attributes}
    return found | {PUSH_LOG: _written(listed.get(commit[0], commit) for commit in whole)}
