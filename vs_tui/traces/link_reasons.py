"""Why two spans are linked, in words."""

from __future__ import annotations

from typing import Final

from vs_tui.model.time import MINUTE, Duration
from vs_tui.model.vocabulary import PREFIX_KINDS, Key, Rule, Seek

_MAX_VALUE: Final = 80
_WRITTEN: Final = frozenset({"commit title", "commit message", "description"})
"""Free texts in which people write versions; elsewhere a version is a field."""


def why_matched(seek: Seek, offered: Key, operation: str) -> str:
    """Why a span is linked to one (of `operation`) that offers the key it seeks, as a phrase that
    completes "linked by": merge commit 78a76ee, TP-3 in the branch, the branch feature/cache."""
    key, rule = seek.key, seek.rule
    if rule is Rule.STRUCTURE:
        part = f"being part of that {operation.replace('_', ' ')}"
        return f"{part} (its {key.via})" if key.via else part
    if rule is Rule.ATTEMPT:
        return "being the next attempt"
    if key.kind in PREFIX_KINDS:
        return _commit(rule, key, offered)
    place = _place(key.via)
    value = _value(key)
    phrases = {
        Rule.EXPLICIT: f"a parent named {place or 'by the sender'}",
        Rule.TRACEPARENT: f"the W3C trace context {place}",
        Rule.REFERENCE: f"the reference {value} {place}",
        Rule.CHANGE_NUMBER: f"the number {value} {place or 'that the tool lists'}",
        Rule.BRANCH: f"the branch {value}",
        Rule.CLOSES: f"the words that close {value} {place}",
        Rule.ISSUE_KEY: f"{value} {place}",
        Rule.BRANCH_NUMBER: f"the number {value} {place}",
        Rule.VERSION: f"the version {value}" + (f" {place}" if key.via in _WRITTEN else ""),
        Rule.HIERARCHY: f"its {key.via or 'parent'} {value}",
    }
    return phrases.get(rule, f"{rule.value} {value}").strip()


def why_near(rule: Rule, gap: Duration) -> str:
    """Why a span is linked to one that is near in time, as a phrase that completes "linked by";
    `gap` is how much later it began."""
    if rule is Rule.SHIPS:
        return "shipping what was merged since the deploy before"
    return f"following the service's newest deploy by {max(gap, 0) // MINUTE} min"


def _commit(rule: Rule, key: Key, offered: Key) -> str:
    sha = min(key.value, offered.value, key=len)[:7]
    if rule is Rule.BUILT:
        return f"the commit {sha} that it built"
    via = offered.via or key.via
    return f"{'the ' if via in ('', 'commit') else ''}{via or 'commit'} {sha}"


def _value(key: Key) -> str:
    """The key's value as people write it."""
    if key.kind in ("change", "issue"):
        return f"#{key.value}"
    return key.value.removeprefix("vstrace-")[:_MAX_VALUE]


def _place(via: str) -> str:
    return f"in the {via}" if via else ""
