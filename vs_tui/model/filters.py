"""The filter language: one for the dashboard, `vs-tui ls`, the API and named views.

    team:core,web kind:deploy state:failed -is:draft dur>10m age<7d since:2026-11-01 "two words"

Terms are joined by AND, values after a colon by OR (`*` is a wildcard), a leading `-` negates.
Plain words are looked for in name, ref, project, service, actor and stage.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from vs_tui.model.errors import Explained
from vs_tui.model.teams import Environments
from vs_tui.model.time import DAY, Duration, Instant, parse_duration, parse_instant
from vs_tui.model.vocabulary import Operation, Span, State, Status


class FilterError(Explained, ValueError):
    """A filter that cannot be understood. The message says where, why, and what is accepted."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.position = position


TEXT_KEYS: Final[Mapping[str, str]] = {
    "team": "team",
    "kind": "operation",
    "project": "project",
    "service": "service",
    "env": "environment",
    "source": "source",
    "actor": "actor",
    "name": "name",
    "stage": "stage",
    "ref": "ref",
    "trace": "trace_id",
    "error": "error",
}
"""Key -> attribute of a span (and column of the store)."""

ATTRIBUTE_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "branch": ("vcs.ref.head.name",),
    "label": ("vs.issue.labels", "vs.pr.labels"),
}
"""Filter key -> span attributes that hold its values, separated by commas."""

ALIASES: Final[Mapping[str, str]] = {
    "labels": "label",
    "operation": "kind",
    "type": "kind",
    "repo": "project",
    "environment": "env",
    "status": "state",
    "author": "actor",
    "user": "actor",
    "duration": "dur",
}
KINDS: Final[Mapping[str, str]] = {
    "pr": "pull_request",
    "mr": "pull_request",
    "pipe": "pipeline",
    "job": "build",
    "deployment": "deploy",
    "alarm": "incident",
}
STATES: Final = (
    "in_flight",
    "running",
    "queued",
    "waiting",
    "ok",
    "failed",
    "error",
    "cancelled",
    "timed_out",
    "stale",
    "open",
    "ended",
)
STALE_AFTER: Final = DAY
"""A running span without history to compare with is stale after this time without an event: its end
was probably lost."""
QUIET_BY_NATURE: Final = (
    Operation.ISSUE,
    Operation.PULL_REQUEST,
    Operation.SPRINT,
    Operation.INCIDENT,
    Operation.RELEASE,
)
"""Operations that stay open for days without an event; they are never stale."""
FLAGS: Final = ("draft", "open", "failed", "inflight", "root", "production", "rework", "reopened")
TRACE_KEYS: Final = ("section", "next", "step", "wait", "over")
"""Filter keys of the list of traces only: section, who acts next, the next action, how long it has
waited, and how many times longer than usual it takes."""
TRACE_FLAGS: Final = ("long", "silent", "quiet")
COMPARED: Final = ("dur", "age", "fresh")
"""Keys that compare a time. `fresh` is the time range of the screens: like `age`, but a span in
flight always matches."""
MOMENTS: Final = ("since", "until")
MAX_LENGTH: Final = 4_000
"""Characters of a filter."""
MAX_TERMS: Final = 100
MAX_VALUES: Final = 200
"""Values of all terms together; more would exceed SQLite's limit of expression depth."""

_TOKEN: Final = re.compile(
    r'(?P<neg>-)?(?:(?P<key>[A-Za-z_]+)(?P<op>:|>=|<=|>|<))?(?P<value>(?:"[^"]*(?:"|$)|[^\s"])*)'
)


@dataclass(frozen=True, slots=True)
class Term:
    """One condition of a filter."""

    key: str
    """The filter key; empty for plain words."""
    op: str
    values: tuple[str, ...]
    negated: bool = False
    number: int = 0
    """Microseconds: a duration for dur, age and wait, an instant for since and until; thousandths
    of a multiple for over."""

    def __str__(self) -> str:
        values = ",".join(quoted(value) for value in self.values)
        return f"{'-' if self.negated else ''}{self.key}{self.op}{values}"


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter; empty matches everything."""

    terms: tuple[Term, ...] = ()

    def __str__(self) -> str:
        """The canonical text; parsing it gives an equal filter."""
        return " ".join(str(term) for term in self.terms)

    def matches(self, span: Span, now: Instant) -> bool:
        """Whether a span is shown at `now`."""
        return all(_holds(term, span, now) != term.negated for term in self.terms)

    def admits_team(self, team: str) -> bool:
        """Whether what is about a whole team passes: its other terms are about spans."""
        return all(
            any(glob_matches(team, value) for value in term.values) != term.negated
            for term in self.terms
            if term.key == "team"
        )


def parse(text: str, *, traces: bool = False) -> Filter:
    """Read a filter. `traces` allows the terms of the list of traces. FilterError names the place,
    the fault and what is accepted."""
    if len(text) > MAX_LENGTH:
        raise FilterError(
            MAX_LENGTH, f"the filter has {len(text)} characters; it can have {MAX_LENGTH}"
        )
    terms: list[Term] = []
    values = position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        match = _TOKEN.match(text, position)
        if match is None or match.end() == position:
            raise FilterError(position, f"cannot read '{text[position : position + 20]}'")
        terms.append(_term(match, traces))
        values += len(terms[-1].values)
        if len(terms) > MAX_TERMS:
            raise FilterError(
                position, f"the filter has more than {MAX_TERMS} terms; leave some out"
            )
        if values > MAX_VALUES:
            raise FilterError(
                position, f"the filter has more than {MAX_VALUES} values; leave some out"
            )
        position = match.end()
    return Filter(tuple(terms))


def _term(match: re.Match[str], traces: bool) -> Term:
    negated, raw_key, op, raw = match["neg"] is not None, match["key"], match["op"], match["value"]
    position = match.start()
    if raw.count('"') % 2:
        raise FilterError(position, 'a quote is not closed; write it like "two words"')
    if not raw_key:
        word = raw.replace('"', "")
        if not word:
            raise FilterError(position, "a word is missing after '-'")
        return Term("", "", (word,), negated)
    key = ALIASES.get(raw_key.lower(), raw_key.lower())
    values = _values(raw)
    if not values:
        raise FilterError(position, f"'{raw_key}{op}' needs a value; {_accepted(key, traces)}")
    if key in TRACE_KEYS and not traces:
        raise FilterError(
            position,
            f"'{raw_key}' filters traces: use it in Live by trace, or `vs-tui ls --by trace`",
        )
    if key in COMPARED or key in ("wait", "over"):
        return _compared(key, op, values, negated, position)
    if op != ":":
        raise FilterError(position, f"'{raw_key}' takes ':', only dur and age take '{op}'")
    if key in MOMENTS:
        return _moment(key, values, negated, position)
    if key == "kind":
        return Term(key, op, tuple(KINDS.get(v.lower(), v.lower()) for v in values), negated)
    if key in ("state", "is"):
        known = STATES if key == "state" else (*FLAGS, *(TRACE_FLAGS if traces else ()))
        chosen = tuple(value.lower() for value in values)
        unknown = next((value for value in chosen if value not in known), None)
        if unknown is not None:
            raise FilterError(
                position, f"{key}: '{unknown}' is not known; {_accepted(key, traces)}"
            )
        return Term(key, op, chosen, negated)
    if key in TEXT_KEYS or key in TRACE_KEYS or key in ATTRIBUTE_KEYS:
        return Term(key, op, values, negated)
    keys = (*TEXT_KEYS, *ATTRIBUTE_KEYS, "state", "is", *MOMENTS, *(TRACE_KEYS if traces else ()))
    named = ", ".join(f"{name}:" for name in keys if name not in ("wait", "over"))
    compared = "dur> dur< age> age<" + (" wait> over>" if traces else "")
    raise FilterError(position, f"'{raw_key}:' is not known; use {named} {compared} or plain words")


def _values(raw: str) -> tuple[str, ...]:
    # Commas separate values, except inside quotes.
    parts = (part.replace('"', "") for part in re.findall(r'(?:"[^"]*"|[^",])+', raw))
    return tuple(part for part in parts if part)


def _compared(key: str, op: str, values: Sequence[str], negated: bool, position: int) -> Term:
    if key == "over":
        return _over(op, values, negated, position)
    if op == ":" or len(values) != 1:
        raise FilterError(position, f"write {key}>10m or {key}<7d")
    try:
        number = parse_duration(values[0])
    except ValueError as error:
        raise FilterError(position, f"{key}: {error}") from None
    return Term(key, op, tuple(values), negated, number)


def _over(op: str, values: Sequence[str], negated: bool, position: int) -> Term:
    try:
        number = float(values[0]) if op != ":" and len(values) == 1 else None
    except ValueError:
        number = None
    if number is None or not 0 <= number < 1e6:
        raise FilterError(position, "over: write over>1.5, a multiple of the usual time")
    return Term("over", op, tuple(values), negated, round(1_000 * number))


def _moment(key: str, values: Sequence[str], negated: bool, position: int) -> Term:
    try:
        return Term(key, ":", tuple(values), negated, moment(key, ",".join(values)))
    except ValueError as error:
        raise FilterError(position, str(error)) from None


def moment(key: str, text: str) -> Instant:
    """The instant that a `since:` or `until:` names; ValueError says what is accepted."""
    day = re.fullmatch(r"\d{4}-\d\d-\d\d", text)
    instant = parse_instant(f"{text}T00:00:00Z" if day else text)
    if instant is None:
        raise ValueError(f"{key}: write a day such as 2026-11-01, or a time in RFC 3339")
    return instant


def _accepted(key: str, traces: bool) -> str:
    if key == "state":
        return f"use {', '.join(STATES)}"
    if key == "is":
        return f"use {', '.join((*FLAGS, *(TRACE_FLAGS if traces else ())))}"
    if key in COMPARED:
        return f"write {key}>10m or {key}<7d"
    return f"such as {key}:name, with * as wildcard"


def quoted(value: str) -> str:
    """A value as it stands in a filter: in quotes if it needs them."""
    return f'"{value}"' if re.search(r'[\s,:<>"]|^-', value) else value


NUMBERED: Final = ("issue", "pull_request")
"""Kinds of spans that people name by a number, with which their refs end."""


def numbered(word: str) -> str:
    """The end of the ref of issue or pull request `#12` or `!12`; empty for other words."""
    return f"-{word[1:]}" if re.fullmatch(r"[#!][0-9]+", word) else ""


# What a term means for one span; store.filter_sql says the same in SQL.


def _holds(term: Term, span: Span, now: Instant) -> bool:
    if term.key == "":
        word, end = term.values[0], numbered(term.values[0])
        if end and span.operation in NUMBERED and span.ref.endswith(end):
            return True
        return any(lowered(word, word) in lowered(text, word) for text in searched(span))
    if term.key == "state":
        return any(
            is_stale(span, now) if value == "stale" else _STATE_TESTS[value](span)
            for value in term.values
        )
    if term.key == "is":
        return any(_FLAG_TESTS[value](span) for value in term.values)
    if term.key in COMPARED:
        measured = _measured(term.key, span, now)
        return measured is not None and compare(measured, term.op, term.number)
    if term.key == "since":
        return last_moment(span) >= term.number
    if term.key == "until":
        return span.at < term.number
    if term.key in ATTRIBUTE_KEYS:
        texts = (str(span.attributes.get(name, "")) for name in ATTRIBUTE_KEYS[term.key])
        named = [word.strip() for text in texts for word in text.split(",") if word.strip()]
        return any(glob_matches(word, value) for word in named for value in term.values)
    found = str(getattr(span, TEXT_KEYS[term.key]))
    return any(glob_matches(found, value) for value in term.values)


def _measured(key: str, span: Span, now: Instant) -> Duration | None:
    if key == "dur":
        return span.elapsed(now)
    if key == "fresh" and span.in_flight:
        return 0
    return now - last_moment(span)


def lowered(text: str, wanted: str) -> str:
    """Text in lower case, to compare with `wanted`. If `wanted` is ASCII, only ASCII letters
    change, as in SQLite's LIKE."""
    return text.encode().lower().decode() if wanted.isascii() else text.lower()


def searched(span: Span) -> Sequence[str]:
    """The texts in which plain words are searched."""
    return (span.name, span.ref, span.project, span.service, span.actor, span.stage)


def last_moment(span: Span) -> Instant:
    """The moment from which `age` counts: the end, else the last event."""
    return span.ended_at if span.ended_at is not None else span.last_event_at


def glob_matches(text: str, glob: str) -> bool:
    """Compare without case, with `*` for anything; `acme/*` and the last part of a path match,
    too."""
    text, wanted = lowered(text, glob), lowered(glob, glob)
    literal = wanted.replace("[", "[[]").replace("?", "[?]")
    return fnmatchcase(text, literal) or ("/" not in wanted and fnmatchcase(text, f"*/{literal}"))


def compare(measured: float, op: str, limit: float) -> bool:
    """Whether a measured value satisfies the comparison with a limit."""
    return {
        ">": measured > limit,
        "<": measured < limit,
        ">=": measured >= limit,
        "<=": measured <= limit,
    }[op]


_STATE_TESTS: Final[Mapping[str, Callable[[Span], bool]]] = {
    "in_flight": lambda s: s.status is Status.IN_FLIGHT,
    "open": lambda s: s.status is Status.IN_FLIGHT,
    "ended": lambda s: s.status is not Status.IN_FLIGHT,
    "running": lambda s: s.status is Status.IN_FLIGHT and s.state is State.RUNNING,
    "queued": lambda s: s.status is Status.IN_FLIGHT and s.state is State.QUEUED,
    "waiting": lambda s: s.status is Status.IN_FLIGHT and s.state is State.WAITING,
    "ok": lambda s: s.status is Status.OK,
    "failed": lambda s: s.status.failed,
    "error": lambda s: s.status is Status.ERROR,
    "cancelled": lambda s: s.status is Status.CANCELLED,
    "timed_out": lambda s: s.status is Status.TIMED_OUT,
}


def is_stale(span: Span, now: Instant) -> bool:
    """Whether a running span has been silent for longer than `STALE_AFTER`."""
    return (
        _STATE_TESTS["running"](span)
        and span.operation not in QUIET_BY_NATURE
        and now - span.last_event_at > STALE_AFTER
    )


def is_draft(span: Span) -> bool:
    return span.attributes.get("vs.pr.draft") in (True, 1)


_PRODUCTION = Environments()

_FLAG_TESTS: Final[Mapping[str, Callable[[Span], bool]]] = {
    "draft": is_draft,
    "open": _STATE_TESTS["open"],
    "inflight": _STATE_TESTS["open"],
    "failed": _STATE_TESTS["failed"],
    "root": lambda s: not s.parent_key,
    "production": lambda s: _PRODUCTION.is_production(s.environment),
    "rework": lambda s: s.attributes.get("vs.rework") in (True, 1),
    "reopened": lambda s: s.reopens > 0,
}
