"""The rows of a trace: its spans, its waits, the traces it is linked to, and one row for many
siblings that succeeded.

Pure layout. Rows that are not spans stand in the tree as if they were.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Link, Rule, Span, State, Status
from vs_tui.traces.critical_path import STATES, Path, Wait, path_of
from vs_tui.traces.steps import children_of, step_name, within
from vs_tui.traces.trace_facts import is_machine, is_phase

SIBLINGS: Final = 8
"""Most successful siblings off the critical path that are shown; more become one row."""
MATRIX: Final = 4
"""Number of siblings of one name from which they become one row."""
PSEUDO: Final = "\0"
"""Marks the keys of rows that are not spans."""
_LAST: Final = 1 << 62
_VARIANT: Final = re.compile(r"\s*(\(.*\)|\[.*\]|\d+\s*(/|of)\s*\d+|[:#]\s*\S+)\s*$")
"""The end of a job's name that distinguishes the jobs of a matrix."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A span of another trace and its relation to this one."""

    word: str
    """`also ships`, `incident after it`, `earlier attempt`."""
    span: Span
    link: Link


@dataclass(frozen=True, slots=True)
class Outline:
    """The rows of a trace before folding."""

    spans: Sequence[Span] = ()
    """All rows of the tree; keys with `PSEUDO` are not spans."""
    path: Path = field(default_factory=Path)
    waits: Mapping[str, Wait] = field(default_factory=dict)
    elsewhere: Mapping[str, Elsewhere] = field(default_factory=dict)
    quiet: frozenset[str] = frozenset()
    """Rows that begin folded."""
    jobs: frozenset[str] = frozenset()
    """Builds and tests below another machine step: their place says what they are."""

    def is_span(self, key: str) -> bool:
        return bool(key) and PSEUDO not in key


def outline(
    spans: Sequence[Span],
    links: Iterable[Link],
    linked: Iterable[Span],
    now: Instant,
    expected: Mapping[str, Instant] | None = None,
) -> Outline:
    """The rows of a trace. `expected` are the ends that history predicts for steps in flight."""
    path = path_of(spans, now, expected)
    by_key = {span.key: span for span in spans}
    kept = [s for s in spans if not _says_only_its_state(s, by_key)]
    waits = {wait.key: wait for wait in path.waits}
    tree = [*kept, *(_of_wait(wait) for wait in path.waits)]
    quiet: set[str] = set()
    tree = _grouped(tree, frozenset(path.keys), quiet)
    elsewhere = {e.span.key + PSEUDO + e.word: e for e in _elsewhere(by_key, links, linked)}
    tree += _of_links(elsewhere, quiet)
    quiet |= _quiet(tree, frozenset(path.keys))
    machines = {s.key for s in kept if is_machine(s)}
    jobs = (s.key for s in kept if s.parent_key in machines and s.operation in ("build", "test"))
    return Outline(tree, path, waits, elsewhere, frozenset(quiet), frozenset(jobs))


def _says_only_its_state(span: Span, by_key: Mapping[str, Span]) -> bool:
    above = by_key.get(span.parent_key)
    return above is not None and is_phase(span) and span.name in STATES and is_machine(above)


def _placeholder(key: str, operation: str, name: str, parent: str, begins: Instant,
                 ends: Instant | None, state: State = State.OK) -> Span:  # fmt: skip
    status = Status.IN_FLIGHT if ends is None else Status.OK
    return Span(key=key, ref="", source="", operation=operation, name=name, status=status,
                state=state, started_at=begins, ended_at=ends, parent_key=parent)  # fmt: skip


def _of_wait(wait: Wait) -> Span:
    ends = None if wait.is_open else wait.ends
    return _placeholder(wait.key, "wait", wait.name, wait.parent, wait.begins, ends, State.WAITING)


# Many siblings.


def _grouped(spans: Sequence[Span], path: frozenset[str], quiet: set[str]) -> list[Span]:
    """The spans, with many successful siblings put below a row of their own."""
    below = children_of(spans)
    moved: dict[str, str] = {}
    made: list[Span] = []

    def gather(key: str, name: str, parent: str, members: Sequence[Span]) -> None:
        begins = min(s.at for s in members)
        ends = max(s.ended_at or s.at for s in members)
        made.append(_placeholder(key, "group", name, parent, begins, ends))
        moved.update(dict.fromkeys((s.key for s in members), key))
        quiet.add(key)

    for parent, siblings in below.items():
        if not parent or len(siblings) < MATRIX:
            continue
        named: dict[tuple[str, str], list[Span]] = {}
        for step in siblings:
            if is_machine(step) and PSEUDO not in step.key:
                named.setdefault(_name(step), []).append(step)
        for (operation, name), all_of in named.items():
            good = [s for s in all_of if _is_well(s, below)]
            if len(all_of) >= MATRIX and len(good) > 1:
                failed = sum(s.status.failed for s in all_of)
                text = f"{name} x{len(all_of)}" + (f", {failed} failed" if failed else "")
                gather(f"{parent}{PSEUDO}matrix{PSEUDO}{operation}{PSEUDO}{name}", text,
                       parent, good)  # fmt: skip
        rest = [s for s in siblings if s.key not in moved and _is_well(s, below)
                and s.key not in path and PSEUDO not in s.key]  # fmt: skip
        on_path = _holds(rest, below, path)
        rest = [s for s in rest if s.key not in on_path]
        if len(rest) > SIBLINGS + 1:
            more = rest[SIBLINGS:]
            gather(f"{parent}{PSEUDO}more", f"{len(more)} more, ok", parent, more)
    return [*(s._replace(parent_key=moved.get(s.key, s.parent_key)) for s in spans), *made]


def _name(step: Span) -> tuple[str, str]:
    operation, name = step_name(step)
    return operation, _VARIANT.sub("", name) or name


def _is_well(span: Span, below: Mapping[str, Sequence[Span]]) -> bool:
    """Whether a span and all spans below it succeeded."""
    return not any(one.in_flight or one.status.failed for one in within(span, below))


def _holds(
    spans: Iterable[Span], below: Mapping[str, Sequence[Span]], path: frozenset[str]
) -> set[str]:
    """The spans that have a step of the path below them."""
    return {s.key for s in spans if any(one.key in path for one in within(s, below))}


def _quiet(spans: Sequence[Span], path: frozenset[str]) -> set[str]:
    """The rows that begin folded: jobs, and runs off the path; never a row that hides a step that
    failed, runs or waits."""
    below = children_of(spans)
    machines = {span.key for span in spans if is_machine(span)}
    found = set()
    for span in spans:
        if not below.get(span.key) or not _is_well(span, below) or not is_machine(span):
            continue
        is_job = span.parent_key in machines or span.operation == "build"
        if is_job or not _holds([span], below, path):
            found.add(span.key)
    return found


# Other traces.


def _elsewhere(
    inside: Mapping[str, Span], links: Iterable[Link], linked: Iterable[Span]
) -> list[Elsewhere]:
    outside = {span.key: span for span in linked if span.key not in inside}
    found: dict[tuple[str, str], Elsewhere] = {}
    for link in links:
        for mine, other, forward in (
            (link.parent, link.child, True),
            (link.child, link.parent, False),
        ):
            if mine in inside and other in outside:
                word = _word(link.rule, forward)
                found.setdefault((word, other), Elsewhere(word, outside[other], link))
    return sorted(found.values(), key=lambda e: (e.word, e.span.at, e.span.key))


def _word(rule: Rule, forward: bool) -> str:
    """The relation of the other span to this trace; `forward`: it is the child of the link."""
    words = {
        Rule.SHIPS: ("shipped by", "also ships"),
        Rule.PROXIMITY: ("incident after it", "after"),
        Rule.ATTEMPT: ("later attempt", "earlier attempt"),
    }
    return words.get(rule, ("linked from", "linked to"))[0 if forward else 1]


def _of_links(elsewhere: Mapping[str, Elsewhere], quiet: set[str]) -> list[Span]:
    """One row for each other trace, after all others; several of one kind stand below one row."""
    kinds: dict[str, list[str]] = {}
    for key, found in elsewhere.items():
        kinds.setdefault(found.word, []).append(key)
    rows: list[Span] = []
    for word, keys in kinds.items():
        above = ""
        if len(keys) > 2:
            above = f"{PSEUDO}links{PSEUDO}{word}"
            name = f"{word} {elsewhere[keys[0]].span.name} and {len(keys) - 1} other traces"
            rows.append(_placeholder(above, "link", name, "", _LAST, _LAST))
            quiet.add(above)
        for place, key in enumerate(keys):
            name = elsewhere[key].span.name if above else f"{word} {elsewhere[key].span.name}"
            at = _LAST + place
            rows.append(_placeholder(key, "link", name, above, at, at))
    return rows
