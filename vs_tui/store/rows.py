"""Converts spans, events and keys to rows and back; only this module knows the order of columns.

The reports of durations, pull requests and flaky jobs are queries over indexes that hold everything
for their figures. SQLite updates them with the spans, so nothing has to be computed, invalidated or
repaired.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final

import orjson

from vs_tui.log import sqlite_position
from vs_tui.model.artifacts import is_moving
from vs_tui.model.vocabulary import (
    ANY_SCOPE,
    PREFIX_KINDS,
    Attributes,
    Event,
    Key,
    Link,
    Rule,
    Seek,
    Span,
    State,
    Status,
    event_from_row,
    event_to_row,
    trace_id_of,
)
from vs_tui.traces.baseline import series_of
from vs_tui.traces.correlation import level
from vs_tui.traces.folding import former_refs, seeks_of

Row = tuple[Any, ...]
KEYS: Final = sqlite_position.KEYS
as_json: Final = sqlite_position.as_json

SPAN_COLUMNS: Final = Span._fields
"""Columns that readers select of a span, in this order."""
_STATUS, _STATE, _ATTRIBUTES = map(SPAN_COLUMNS.index, ("status", "state", "attributes"))

SELECT_SPAN: Final = ", ".join(SPAN_COLUMNS)
WRITTEN: Final = (
    *SPAN_COLUMNS,
    "short_ref",
    "full_ref",
    "own_trace_id",
    "series",
    "derived",
    "job",
    "commit_id",
    "changed",
)
"""Columns that are written of a span; the readers' columns come first."""
SHORT_REF, FULL_REF, OWN_TRACE_ID, PARENT_KEY, TRACE_ID = map(
    WRITTEN.index, ("short_ref", "full_ref", "own_trace_id", "parent_key", "trace_id")
)
SELECT_WRITTEN: Final = ", ".join(WRITTEN)
VALUES_WRITTEN: Final = f"VALUES ({', '.join('?' * len(WRITTEN))})"
UPSERT_SPAN: Final = (
    f"INSERT INTO spans ({SELECT_WRITTEN}) {VALUES_WRITTEN} "
    "ON CONFLICT (key) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in WRITTEN if name != "key")
)


def event_data(event: Event) -> bytes:
    """The stored form of an event; equal events have equal bytes."""
    return orjson.dumps(event_to_row(event), option=orjson.OPT_SORT_KEYS)


def digest_of(data: bytes) -> bytes:
    """A hash of a stored event, to detect repeats."""
    return blake2b(data, digest_size=16).digest()


def event_of(data: bytes) -> Event:
    return event_from_row(orjson.loads(data))


def span_row(
    span: Span, *, short_ref: str, changed: int, full_ref: str = "", stage_of: str = ""
) -> Row:
    """The row of a span. `stage_of` is its parent's series if it is a phase made by folding."""
    # The trace of a root is its own.
    is_root = not (span.parent_key or stage_of)
    own = span.trace_id if is_root else own_trace_id(span)
    row: list[Any] = [*span]
    row[_STATUS] = span.status.value
    row[_STATE] = int(span.state)
    row[_ATTRIBUTES] = orjson.dumps(span.attributes, option=orjson.OPT_SORT_KEYS).decode()
    is_stage = int(bool(stage_of))
    job = ("", "") if is_stage else job_of(span.operation, span.name, span.attributes)
    return (*row, short_ref, full_ref, own, series_of(span, stage_of), is_stage, *job, changed)


def own_trace_id(span: Span) -> str:
    """The trace id that the span has as a root."""
    return str(span.attributes.get("vs.trace_id") or trace_id_of(span.key))


_STATUSES: Final = {status.value: status for status in Status}
_STATES: Final = {int(state): state for state in State}


def span_of(row: Sequence[Any]) -> Span:
    """The span of a row selected with SELECT_SPAN; further columns are ignored."""
    values = [*row[: len(SPAN_COLUMNS)]]
    values[_STATUS] = _STATUSES[values[_STATUS]]
    values[_STATE] = _STATES[values[_STATE]]
    values[_ATTRIBUTES] = orjson.loads(values[_ATTRIBUTES])
    return Span._make(values)


def token(key: Key) -> str:
    """The indexed form of a key, equal for all keys that may match it: kind, value, and the scope
    where it must be the same. Commits are indexed by their first seven digits."""
    return token_of(key.kind, key.value, key.scope)


def token_of(kind: str, value: str, scope: str) -> str:
    if kind in PREFIX_KINDS:
        return f"{kind}:{value[:7].lower()}"
    # Without the scope, each repository's number 12 is offered by all of them, and is crowded.
    return f"{kind}:{value}@{scope}" if scope and kind not in ANY_SCOPE else f"{kind}:{value}"


def key_rows(owner: str, events: Iterable[Event]) -> tuple[list[Row], list[Row]]:
    """(rows of offers, rows of seeks) of a span, from all its events, each once. Moving versions,
    such as `latest`, are left out."""
    told = list(events)
    return (
        [
            (token_of(kind, value, scope), level_of, scope, value, owner, via)
            for level_of, (kind, value, scope, via) in dict.fromkeys(
                [(level(e.operation), o) for e in told for o in e.offers]
                + [(level(""), o) for e in told for o in e.offers if o.kind == "ref"]
                + [(level(""), o) for o in former_refs(told)]
            )
            if not is_moving(kind, value)
        ],
        [
            (token_of(kind, value, scope), owner, rule.value, scope, value, via, int(link_only))
            for rule, (kind, value, scope, via), link_only in seeks_of(told)
            if not is_moving(kind, value)
        ],
    )


_RULES: Final = {rule.value: rule for rule in Rule}


def seek_of(row: Sequence[Any]) -> Seek:
    """A seek from (token, rule, scope, value, via, link_only)."""
    stored, rule, scope, value, via, link_only = row
    return Seek(_RULES[rule], Key(stored.partition(":")[0], value, scope, via), bool(link_only))


def key_of(row: Sequence[Any]) -> Key:
    """A key from (token, scope, value, via)."""
    stored, scope, value, via = row
    return Key(stored.partition(":")[0], value, scope, via)


def link_row(link: Link) -> Row:
    return (link.child, link.parent, link.rule.value, link.why, int(link.primary))


def link_of(row: Sequence[Any]) -> Link:
    child, parent, rule, why, primary = row
    return Link(child, parent, _RULES[rule], why, bool(primary))


def asked(*columns: str) -> str:
    """The beginning of a statement for `select_in` whose values are rows. It defines the table
    `asked` with these columns, and `n` for the index of each row."""
    values = ", ".join(f"json_extract(value, '$[{n}]')" for n in range(len(columns)))
    return f"WITH asked(n, {', '.join(columns)}) AS (SELECT key, {values} FROM json_each(?)) "


def select_in(
    connection: sqlite3.Connection, sql: str, values: Iterable[object]
) -> Iterator[tuple[Any, ...]]:
    """The rows of a statement with one KEYS condition; empty for no values."""
    listed = list(values)
    if not listed:
        return iter(())
    return iter(connection.execute(sql, (as_json(listed),)).fetchall())


def known(connection: sqlite3.Connection, table: str, keys: Iterable[str]) -> set[str]:
    """Those of these keys that have a row in a table."""
    sql = f"SELECT key FROM {table} WHERE key {KEYS}"
    return {key for (key,) in select_in(connection, sql, keys)}


def spans(connection: sqlite3.Connection, where: str, *bound: object) -> list[Span]:
    """The spans that meet a condition."""
    sql = f"SELECT {SELECT_SPAN} FROM spans WHERE {where}"
    return [span_of(row) for row in connection.execute(sql, bound).fetchall()]


SELECT_LINKS: Final = (
    "SELECT child, parent, rule, why, is_primary FROM links WHERE {} "
    f"{KEYS} ORDER BY child, is_primary DESC, parent"
)
"""SQL: links of the listed spans, by the column `child` or `parent`; `link_of` reads them."""


def number(connection: sqlite3.Connection, sql: str, bound: Sequence[object] = ()) -> int:
    """The number that a statement returns; 0 if it returns none."""
    row = connection.execute(sql, bound).fetchone()
    return int(row[0] or 0) if row else 0


def links_above(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, list[Link]]:
    """Span -> its stored links as a child, the primary one first."""
    found: dict[str, list[Link]] = {}
    for row in select_in(connection, SELECT_LINKS.format("child"), keys):
        found.setdefault(row[0], []).append(link_of(row))
    return found


def id_of(
    connection: sqlite3.Connection, table: str, names: Sequence[str], values: Sequence[object]
) -> int:
    """The id of the row with these values in a table of names; inserts it if it is new."""
    columns, marks = ", ".join(names), ", ".join("?" * len(names))
    select = f"SELECT id FROM {table} WHERE ({columns}) = ({marks})"
    insert = f"INSERT INTO {table} ({columns}) VALUES ({marks}) RETURNING id"
    found = connection.execute(select, values).fetchone()
    return int((found or connection.execute(insert, values).fetchone())[0])


KIND: Final = ("operation", "project", "team", "service", "environment", "source", "status")
"""The columns that spans of one kind share; `spans_finished` begins with them."""
JOBS: Final = frozenset({"build", "pipeline", "test", "stage"})
"""Operations whose spans are runs of a job."""
IS_RUN: Final = "derived = 0 AND commit_id <> '' AND status IN ('ok', 'error')"
"""SQL: a finished run of a job on a commit."""


def job_of(operation: str, name: str, attributes: Attributes) -> tuple[str, str]:
    """(job, commit) of a run of a job; both empty without a commit."""
    if operation not in JOBS:
        return "", ""
    commit = attributes.get("vcs.ref.head.revision") or attributes.get("commit")
    if not commit:
        return "", ""
    names = (attributes.get("cicd.pipeline.name"), attributes.get("cicd.pipeline.task.name"))
    job = " / ".join(dict.fromkeys(str(each) for each in names if each))
    return job or name, str(commit).lower()


def _text(name: str) -> str:
    """SQL: an attribute as text; NULL if it is missing or empty."""
    return f"NULLIF(CAST(json_extract(attributes, '$.\"{name}\"') AS TEXT), '')"


def _count(name: str) -> str:
    """SQL: an attribute if it is an integer, else NULL."""
    path = f"attributes, '$.\"{name}\"'"
    return f"CASE json_type({path}) WHEN 'integer' THEN json_extract({path}) END"


_OWNERS: Final = "rtrim(project, replace(project, '/', ''))"
"""SQL: a project up to its last slash."""
_COMMENTS, _REVIEW_COMMENTS = _count("vs.pr.comments"), _count("vs.pr.review_comments")
PULL_REQUEST: Final = (
    f"COALESCE({_text('vcs.owner.name')}, rtrim({_OWNERS}, '/'))",
    f"COALESCE({_text('vcs.repository.name')}, substr(project, length({_OWNERS}) + 1))",
    "started_at",
    "CASE status WHEN 'ok' THEN ended_at END",
    "ended_at",
    f"COALESCE({_COMMENTS} + {_REVIEW_COMMENTS}, {_COMMENTS}, {_REVIEW_COMMENTS})",
    _count("vs.pr.additions"),
    _count("vs.pr.deletions"),
)
"""SQL: the first fields of a `PullRequest`."""
PULL_REQUEST_MORE: Final = (
    *("key", "last_event_at", f"COALESCE({_text('vcs.change.id')}, '')", "actor", "url"),
    *(f"COALESCE({_text('vcs.change.title')}, name)", f"COALESCE({_text('vs.pr.reviewers')}, '')"),
)
"""SQL: the other fields of a `PullRequest`. Reviewers are the requested ones."""
_REQUESTED: Final = dict.fromkeys(("started_at", "key", *PULL_REQUEST, *PULL_REQUEST_MORE))
"""The columns of `spans_requested`: all fields of a `PullRequest`, because reading 50,000 rows from
all over the table takes three times as long as the index."""

_NAME, _TASK = _text("cicd.pipeline.name"), _text("cicd.pipeline.task.name")
_COMMIT: Final = f"COALESCE({_text('vcs.ref.head.revision')}, {_text('commit')})"
CREATE_REPORTED: Final = f"""
DROP TRIGGER IF EXISTS report_finished_gone;
DROP TRIGGER IF EXISTS report_requests_gone;
DROP TABLE IF EXISTS report_trees;
DROP TABLE IF EXISTS report_stale;
DROP TABLE IF EXISTS report_pages;
DROP TABLE IF EXISTS report_kinds;
DROP TABLE IF EXISTS report_jobs;
DROP TABLE IF EXISTS report_runs;
DROP TABLE IF EXISTS report_places;
ALTER TABLE spans ADD COLUMN job TEXT NOT NULL DEFAULT '';
ALTER TABLE spans ADD COLUMN commit_id TEXT NOT NULL DEFAULT '';
UPDATE spans SET commit_id = lower({_COMMIT}), job = COALESCE(
    CASE WHEN {_NAME} = {_TASK} THEN {_NAME} ELSE {_NAME} || ' / ' || {_TASK} END,
    {_NAME}, {_TASK}, name)
    WHERE derived = 0 AND operation IN ({", ".join(f"'{name}'" for name in sorted(JOBS))})
    AND {_COMMIT} IS NOT NULL;
CREATE INDEX spans_runs ON spans (project, job, ended_at, status, commit_id, team, derived)
    WHERE {IS_RUN};
CREATE INDEX spans_finished ON spans
    ({", ".join(KIND)}, ended_at, started_at, derived, name, actor) WHERE ended_at IS NOT NULL;
DROP INDEX IF EXISTS spans_requested;
CREATE INDEX spans_requested ON spans ({", ".join(_REQUESTED)}, team, project)
    WHERE operation = 'pull_request';
"""
"""Replaces the columnar store of schemas 4 and 5 for these reports."""
