"""Correlation: which spans a span belongs below, and why.

A span *seeks* keys and others *offer* them (see `model.Key`); every match is a candidate link,
named by its rule. The strongest rule gives the parent, the rest stay links (fan-in: a deploy
that ships five pull requests). The links of a span are a function of the seeks and offers
that exist, so the order in which deliveries arrived changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from vs_tui.domain.instants import HOUR, MINUTE, Instant
from vs_tui.domain.model import PREFIX_KINDS, Key, Link, Rule, Seek, Span, Status

STRENGTH: Final[Mapping[Rule, int]] = {rule: order for order, rule in enumerate(Rule)}

PIN_ATTRIBUTE: Final = "vs.pin"
"""Attribute that holds the key of the parent a person chose."""
CUT_PREFIX: Final = "vs.cut:"
"""Attribute prefix; the rest is the key of a span this one must not be linked to."""

PROXIMITY_WINDOW: Final = 60 * MINUTE
"""An incident is linked to the newest deploy of its service that began at most this long before."""
BRANCH_GRACE: Final = HOUR
"""A run on a branch counts for a change that closed at most this long before."""
_CLOCK_SLACK: Final = 5 * MINUTE

_LEVEL: Final[Mapping[str, int]] = {
    "sprint": 0,
    "issue": 1,
    "pull_request": 2,
    "review": 3,
    "push": 3,
    "pipeline": 4,
    "build": 5,
    "release": 6,
    "deploy": 7,
    "test": 8,
    "incident": 9,
}
_CUSTOM_LEVEL: Final = 6

# These rules name the parent outright; all others infer it and must go down the levels.
_NAMED: Final = frozenset(
    {Rule.PINNED, Rule.EXPLICIT, Rule.TRACEPARENT, Rule.REFERENCE, Rule.STRUCTURE, Rule.ATTEMPT}
)
# Of these only the best match says something; the others may match many at once.
_SINGLE: Final = frozenset(
    {Rule.BRANCH, Rule.BRANCH_NUMBER, Rule.BUILT, Rule.VERSION, Rule.REFERENCE, Rule.TRACEPARENT}
)
_LINK_ONLY: Final = frozenset({Rule.SHIPS, Rule.PROXIMITY, Rule.ATTEMPT})
MAX_LINKS: Final = 30

_WORDS: Final[Mapping[Rule, str]] = {
    Rule.PINNED: "pinned by a person",
    Rule.EXPLICIT: "named as parent",
    Rule.TRACEPARENT: "W3C trace context",
    Rule.REFERENCE: "reference",
    Rule.STRUCTURE: "part of it",
    Rule.CHANGE_NUMBER: "change number",
    Rule.COMMIT: "commit",
    Rule.BRANCH: "branch",
    Rule.CLOSES: "closing keyword",
    Rule.ISSUE_KEY: "issue key",
    Rule.BRANCH_NUMBER: "issue number in the branch",
    Rule.VERSION: "version",
    Rule.BUILT: "built commit",
    Rule.HIERARCHY: "hierarchy",
    Rule.SHIPS: "merged since the deploy before",
    Rule.PROXIMITY: "same service, at most an hour after the deploy",
    Rule.ATTEMPT: "earlier attempt",
}


@dataclass(frozen=True, slots=True)
class Node:
    """What correlation needs to know of a span."""

    key: str
    operation: str
    at: Instant
    ended_at: Instant | None
    status: Status

    @classmethod
    def of(cls, span: Span) -> Node:
        return cls(span.key, span.operation, span.at, span.ended_at, span.status)


@dataclass(frozen=True, slots=True)
class Match:
    """A span that offers what is sought, and the key it offered."""

    node: Node
    offered: Key


def fits(sought: Key, offered: Key) -> bool:
    """Whether an offered key answers a sought one of the same kind.

    Commits match by prefix from seven digits on inside one repository; without a repository
    only whole ones (40 digits) match.
    """
    if sought.kind != offered.kind:
        return False
    if sought.kind not in PREFIX_KINDS:
        return sought.value == offered.value and sought.scope == offered.scope
    short, long = sorted((sought.value, offered.value), key=len)
    if not long.startswith(short):
        return False
    if sought.scope and offered.scope:
        return sought.scope == offered.scope
    return len(short) >= 40


def links_of(
    child: Node,
    seeks: Sequence[Seek],
    matches: Callable[[Key], Iterable[Match]],
    *,
    pinned: Node | None = None,
    cut: Collection[str] = (),
    extra: Sequence[tuple[Rule, Node]] = (),
    disabled: Collection[Rule] = (),
) -> list[Link]:
    """The links of one span, strongest first; at most one of them is primary.

    `matches` yields the spans that offer a key. `extra` are candidates found by time instead
    (SHIPS, PROXIMITY). `cut` are keys of spans a person separated from this one; a pin beats
    every rule.
    """
    found: list[tuple[tuple[int, int, int, int, int, str], Rule, str, Node, bool]] = []
    if pinned is not None:
        order = _order(Rule.PINNED, child, pinned, "")
        found.append((order, Rule.PINNED, "", pinned, False))
    for seek in seeks:
        if seek.rule in disabled:
            continue
        candidates = [m for m in matches(seek.key) if fits(seek.key, m.offered)]
        if seek.key.kind in PREFIX_KINDS and len({m.offered.value for m in candidates}) > 1:
            candidates = [m for m in candidates if m.offered.value == seek.key.value]
        for match in candidates:
            if not _allowed(seek.rule, child, match.node):
                continue
            detail = _detail(seek, match.offered)
            order = _order(seek.rule, child, match.node, seek.key.value)
            found.append((order, seek.rule, detail, match.node, seek.link_only))
    for rule, node in extra:
        if rule not in disabled and _allowed(rule, child, node):
            found.append((_order(rule, child, node, ""), rule, "", node, False))
    found.sort(key=lambda entry: entry[0])
    return _select(child, found, frozenset(cut))


def _select(
    child: Node,
    found: Sequence[tuple[tuple[int, int, int, int, int, str], Rule, str, Node, bool]],
    cut: frozenset[str],
) -> list[Link]:
    links: dict[str, Link] = {}
    used: set[Rule] = set()
    has_parent = False
    for _, rule, detail, node, link_only in found:
        if node.key in links or node.key in cut or node.key == child.key:
            continue
        if rule in _SINGLE and rule in used:
            continue
        used.add(rule)
        primary = not has_parent and not link_only and rule not in _LINK_ONLY
        has_parent |= primary
        why = f"{_WORDS[rule]} {detail}".strip()
        links[node.key] = Link(child.key, node.key, rule, why, primary)
        if len(links) == MAX_LINKS:
            break
    return list(links.values())


def _allowed(rule: Rule, child: Node, parent: Node) -> bool:
    if parent.key == child.key:
        return False
    if rule in _NAMED:
        return True
    if rule is Rule.HIERARCHY:
        return level(parent.operation) <= level(child.operation)
    if level(parent.operation) >= level(child.operation):
        return False
    if rule is Rule.BRANCH:
        open_by = parent.at <= child.at + _CLOCK_SLACK
        return open_by and (parent.ended_at is None or child.at <= parent.ended_at + BRANCH_GRACE)
    return True


def level(operation: str) -> int:
    """How far down a delivery an operation stands; inferred links only go down."""
    return _LEVEL.get(operation, _CUSTOM_LEVEL)


def _order(
    rule: Rule, child: Node, parent: Node, value: str
) -> tuple[int, int, int, int, int, str]:
    """Sort key: rule; the longer reference; the higher level (a change before its builds), but
    of a version's spans the lower one (its deploy before its build); a success; what began
    before the child, nearest first; the key, to be total."""
    longer = -len(value) if rule is Rule.REFERENCE else 0
    success = 0 if parent.status is Status.OK else 1
    gap = child.at - parent.at
    nearness = gap if gap >= 0 else (1 << 62) - gap
    height = level(parent.operation)
    if rule is Rule.VERSION:
        height = -height
    return (STRENGTH[rule], longer, height, success, nearness, parent.key)


def _detail(seek: Seek, offered: Key) -> str:
    value = seek.key.value
    if seek.key.kind in PREFIX_KINDS:
        via = offered.via or seek.key.via
        return f"{value[:7]}" if via in ("", "commit") else f"{value[:7]} ({via})"
    if seek.key.kind in ("ref", "w3c"):
        return f"in {seek.key.via}" if seek.key.via else ""
    number = f"#{value}" if seek.key.kind in ("change", "issue") else value
    return f"{number} in {seek.key.via}" if seek.key.via not in ("", "branch") else number


def break_cycle(path: Sequence[tuple[Instant, str]]) -> str:
    """The key of the span that becomes the root when parents form a ring: its earliest one."""
    return min(path)[1]


def series_of(span: Span, stage_of: str = "") -> str:
    """What a span's duration can be compared with: runs of one workflow, jobs of one name,
    deploys of one service to one environment, changes of one repository; a phase (`stage_of`
    its span's series) with the same phase of the others."""
    if stage_of:
        return f"{stage_of}|{span.name}"
    names = span.attributes
    label = names.get("cicd.pipeline.task.name") or names.get("cicd.pipeline.name") or ""
    if span.operation == "deploy":
        label = f"{span.service}>{span.environment}"
    elif not label and span.operation not in ("issue", "pull_request", "sprint", "incident"):
        label = span.name
    return f"{span.project}|{span.operation}|{label}"
