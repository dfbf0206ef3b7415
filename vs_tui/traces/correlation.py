"""Correlation: decide which span is the parent of a span, and why.

A span *seeks* keys and others *offer* them (see `model.Key`). Every match is a candidate link,
named by its rule. The strongest rule gives the parent; the others stay links (fan-in: a deploy that
ships five pull requests). The links of a span depend only on the seeks and offers that exist, so
the order of arrival changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from vs_tui.metrics.facts import one_spelling
from vs_tui.model.application_commits import APPLICATION
from vs_tui.model.keys import branch_name
from vs_tui.model.teams import Environments
from vs_tui.model.time import DAY, HOUR, MINUTE, Duration, Instant
from vs_tui.model.vocabulary import (
    PREFIX_KINDS,
    SCOPED_KINDS,
    Key,
    Link,
    Operation,
    Rule,
    Seek,
    Span,
    Status,
)
from vs_tui.traces.link_reasons import why_matched, why_near

if TYPE_CHECKING:
    from vs_tui.metrics.facts import Target
from vs_tui.metrics.rules import MetricRules

STRENGTH: Final[Mapping[Rule, int]] = {rule: order for order, rule in enumerate(Rule)}

BRANCH_GRACE: Final = HOUR
"""A run on a branch belongs to a change that closed at most this long before it."""
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
LEVELS: Final = range(10)

NAMED: Final = frozenset(
    {Rule.PINNED, Rule.EXPLICIT, Rule.TRACEPARENT, Rule.REFERENCE, Rule.STRUCTURE, Rule.ATTEMPT}
)
"""Rules that name the parent outright. All others infer it and must go down the levels."""
# Of these only the best match says something; the others may match many at once.
_SINGLE: Final = frozenset(
    {Rule.BRANCH, Rule.BRANCH_NUMBER, Rule.BUILT, Rule.VERSION, Rule.TRACEPARENT}
)
_LINK_ONLY: Final = frozenset({Rule.SHIPS, Rule.PROXIMITY, Rule.ATTEMPT})
# Of several matches the nearest level is meant: a deploy belongs to the job of its run, and a
# version's deploy says more than its build. Elsewhere the change comes before its builds.
_NEAREST: Final = frozenset({Rule.STRUCTURE, Rule.REFERENCE, Rule.VERSION})
# Where a commit or a version is in two spans, the one that succeeded is the one that went on.
_SUCCESS_FIRST: Final = frozenset({Rule.COMMIT, Rule.BUILT, Rule.VERSION})
RANKED_KINDS: Final = frozenset({"commit", "built", "artifact", "tag"})
"""Kinds of keys that these rules seek. Only their seekers depend on how the offering span ended."""
_PLACES: Final = ("branch", "title", "body", "description", "commit message")
"""Fields in which people name tickets, the most deliberate first."""
MAX_LINKS: Final = 30
CROWD: Final = MAX_LINKS
"""Most spans of one level that may offer a key. A key with more offers is ignored: it identifies
none of them, and each delivery would compare all of them with every seeker."""


@dataclass(frozen=True, slots=True)
class LinkRules:
    """Settings of correlation."""

    disabled: frozenset[Rule] = frozenset()
    """Rules that are switched off."""
    incident_window: Duration = DAY
    """An incident that names no deployment belongs to the latest one that ended at most this long
    before it; 0 switches this off."""
    environments: Environments = field(default_factory=Environments)
    metrics: MetricRules | None = None
    """The rules by which the writer counts failures of deployments; None: it counts none."""

    def target_of(self, deploy: Span) -> Target | None:
        """The production target for which a deploy counts; None if it does not count. Once it has
        ended, the metrics decide which incidents it has."""
        if self.metrics is None:
            return None
        return self.metrics.deployment_at(deploy, self.environments)


class Node(NamedTuple):
    """The part of a span that correlation needs."""

    key: str
    operation: str
    at: Instant
    ended_at: Instant | None
    status: Status
    environment: str = ""
    branch: str = ""
    """Of the spans that seek, and of pushes."""

    @classmethod
    def of(cls, span: Span) -> Node:
        names = span.attributes
        return cls(
            *(span.key, span.operation, span.at, span.ended_at, span.status, span.environment),
            branch_in(names.get("vcs.ref.head.name"), names.get("branch")),
        )


def branch_in(*told: object) -> str:
    """The first of these values that is not empty, as the name of a branch."""
    return branch_name(next((str(value) for value in told if value), ""))


class Match(NamedTuple):
    """A span that offers a sought key, and that key."""

    node: Node
    offered: Key


def fits(sought: Key, offered: Key) -> bool:
    """Whether an offered key answers a sought one of the same kind.

    Commits match by prefix from seven digits on inside one repository, and those of an
    application; else, without a repository, only whole ones (40 digits) match. Versions match
    across scopes (see `_of_scope`).
    """
    if sought.kind != offered.kind:
        return False
    if sought.kind in SCOPED_KINDS:
        return sought.value == offered.value
    if sought.kind not in PREFIX_KINDS:
        return sought.value == offered.value and sought.scope == offered.scope
    short, long = sorted((sought.value, offered.value), key=len)
    if not long.startswith(short):
        return False
    if sought.scope and offered.scope:
        return sought.scope == offered.scope
    return len(short) >= 40 or sought.via == APPLICATION


_Order = tuple[int, int, int, int, int, str]
_Candidate = tuple[_Order, Rule, Node, Seek | None, Key | None]
"""Sort key, rule, the other span, and the sought and the offered key."""


def links_of(
    child: Node,
    seeks: Sequence[Seek],
    matches: Callable[[Key], Iterable[Match]],
    *,
    pinned: Node | None = None,
    cut: Collection[str] = (),
    extra: Sequence[tuple[Rule, Node]] = (),
    disabled: Collection[Rule] = (),
    most: int = MAX_LINKS,
) -> list[Link]:
    """The links of one span, strongest first; at most one is primary. `matches` finds the spans
    that offer a key. `extra` are candidates found by time (SHIPS, PROXIMITY). `cut` holds keys of
    spans that a person separated from this one; a pin beats every rule."""
    found: list[_Candidate] = []
    if pinned is not None:
        order = _order(Rule.PINNED, child, pinned, None)
        found.append((order, Rule.PINNED, pinned, None, None))
    readings: list[tuple[Seek, list[Match]]] = []
    for seek in seeks:
        # A pin is sought only so that its parent finds it; the latest decision says which one.
        if seek.rule in disabled or seek.rule is Rule.PINNED:
            continue
        answers = [
            match
            for match in matches(seek.key)
            if fits(seek.key, match.offered) and may_link(seek.rule, child, match.node)
        ]
        if seek.rule is Rule.VERSION:
            answers = _nearer(child, answers)
        if answers := _unambiguous(seek.key, answers):
            readings.append((seek, answers))
    for seek, answers in _longest(readings):
        for match in answers:
            order = _order(seek.rule, child, match.node, seek.key)
            found.append((order, seek.rule, match.node, seek, match.offered))
    for rule, node in extra:
        if rule not in disabled and may_link(rule, child, node):
            order = _order(rule, child, node, None)
            found.append((order, rule, node, None, None))
    found.sort(key=lambda entry: entry[0])
    return _select(child, found, frozenset(cut), most)


def _nearer(child: Node, answers: list[Match]) -> list[Match]:
    """Without the spans of other environments, if there are others of their operation."""
    far = {each.node.key for each in answers if _is_elsewhere(child, each.node)}
    here = {each.node.operation for each in answers if each.node.key not in far}
    return [each for each in answers if each.node.key not in far or each.node.operation not in here]


def _unambiguous(sought: Key, answers: list[Match]) -> list[Match]:
    """All matches if they can be meant together, else only the exact ones."""
    if sought.kind in SCOPED_KINDS:
        return _of_scope(sought, answers)
    if sought.kind not in PREFIX_KINDS or not answers:
        return answers
    values = {match.offered.value for match in answers}
    longest = max(values, key=len)
    if all(longest.startswith(value) for value in values):
        return answers
    return [match for match in answers if match.offered.value == sought.value]


def _of_scope(sought: Key, answers: list[Match]) -> list[Match]:
    """The spans with a version or id in the sought scope, else those of the only scope that has it.
    Custom events know a namespace where GitHub and GitLab know a repository, and an
    alert's labels know neither. Two namespaces stay separate: that is their purpose."""
    if exact := [match for match in answers if match.offered.scope == sought.scope]:
        return exact
    scopes: dict[str, str] = {}
    for match in answers:
        scopes[match.node.key] = scopes.get(match.node.key) or match.offered.scope
    if len(set(scopes.values())) != 1:
        return []
    scope = next(iter(scopes.values()))
    comparable = sought.kind != "artifact" or not (sought.scope and scope)
    comparable |= "/" in sought.scope or "/" in scope
    return answers if comparable else []


def _longest(
    readings: Sequence[tuple[Seek, list[Match]]],
) -> Iterable[tuple[Seek, list[Match]]]:
    """The matches without shorter readings of a reference whose longer reading matches, too."""
    named = [seek.key for seek, _ in readings if seek.rule is Rule.REFERENCE]
    for seek, answers in readings:
        key = seek.key
        is_shorter = seek.rule is Rule.REFERENCE and any(
            other.value.startswith(f"{key.value}-") and other.via == key.via for other in named
        )
        if not is_shorter:
            yield seek, answers


def _select(child: Node, found: Sequence[_Candidate], cut: frozenset[str], most: int) -> list[Link]:
    links: dict[str, Link] = {}
    used: set[Rule] = set()
    has_parent = False
    for _, rule, node, seek, offered in found:
        if node.key in links or node.key in cut or node.key == child.key:
            continue
        if rule in _SINGLE and rule in used:
            continue
        used.add(rule)
        link_only = rule in _LINK_ONLY or (seek is not None and seek.link_only)
        primary = not has_parent and not link_only
        has_parent |= primary
        links[node.key] = Link(
            child.key, node.key, rule, _why(rule, child, node, seek, offered), primary
        )
        if len(links) == most:
            break
    return list(links.values())


def _why(rule: Rule, child: Node, node: Node, seek: Seek | None, offered: Key | None) -> str:
    if seek is not None and offered is not None:
        return why_matched(seek, offered, node.operation)
    return "a person's pin" if rule is Rule.PINNED else why_near(rule, child.at - node.at)


def may_link(rule: Rule, child: Node, parent: Node) -> bool:
    """Whether a rule may link a span to one that offers what it seeks, as far as the operations and
    times of the two tell."""
    if parent.key == child.key:
        return False
    if rule in NAMED or rule is Rule.PROXIMITY:
        return True
    above = level(child.operation) - level(parent.operation)
    if above < 0 or (above == 0 and rule is not Rule.HIERARCHY) or _is_of_before(child, parent):
        return False
    if rule is Rule.BRANCH:
        open_by = parent.at <= child.at + _CLOCK_SLACK
        return open_by and (parent.ended_at is None or child.at <= parent.ended_at + BRANCH_GRACE)
    return True


def _is_of_before(child: Node, parent: Node) -> bool:
    """Whether a test or an incident ended before the deploy began, so that it belongs to an earlier
    one."""
    return (
        parent.operation == Operation.DEPLOY
        and child.operation in (Operation.TEST, Operation.INCIDENT)
        and child.ended_at is not None
        and child.ended_at < parent.at
    )


def _is_elsewhere(child: Node, parent: Node) -> bool:
    """Whether two spans are of different environments."""
    one, other = child.environment, parent.environment
    return bool(one and other) and one_spelling(one) != one_spelling(other)


def level(operation: str) -> int:
    """The level of an operation in a delivery; inferred links only go down."""
    return _LEVEL.get(operation, _CUSTOM_LEVEL)


def _order(rule: Rule, child: Node, parent: Node, sought: Key | None) -> _Order:
    """Sort key of a candidate: rule, precision of the name, level, environment and success, nearest
    begin before the child, and the key to make it total. Of pushes with one commit that of its
    branch is meant, or else the first: a branch that is brought up to date gets those of others."""
    precision = 0
    if sought is not None and rule is Rule.TRACEPARENT:
        precision = -len(sought.value)  # a span before its whole trace
    elif sought is not None and rule in (Rule.CLOSES, Rule.ISSUE_KEY):
        precision = _PLACES.index(sought.via) if sought.via in _PLACES else len(_PLACES)
    height = level(parent.operation)
    failed = parent.status is not Status.OK
    success = 2 * _is_elsewhere(child, parent) + failed if rule in _SUCCESS_FIRST else 0
    gap = child.at - parent.at
    nearness = gap if gap >= 0 else (1 << 62) - gap
    if rule is Rule.COMMIT and parent.operation == Operation.PUSH:
        success, nearness = int(child.branch != parent.branch), parent.at
    return (
        STRENGTH[rule],
        precision,
        -height if rule in _NEAREST else height,
        success,
        nearness,
        parent.key,
    )


def outranks(rule: Rule, child: Node, one: Node, other: Node) -> bool:
    """Whether a rule prefers one span to another as the parent of a child; not for rules that
    compare how precisely a parent is named."""
    return _order(rule, child, one, None) < _order(rule, child, other, None)


def break_cycle(ring: Sequence[tuple[Rule, Instant, str]]) -> str:
    """The key of the span that becomes the root of a ring of parents. `ring` holds each span's rule
    for its parent, its start and its key. The weakest rule is dropped, so a pin holds; among equals
    the span that began first becomes the root."""
    return min((-STRENGTH[rule], at, key) for rule, at, key in ring)[2]
