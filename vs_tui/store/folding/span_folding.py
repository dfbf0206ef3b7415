"""Folds new events into span rows: each touched key once, and writes only the changed rows.

It runs inside the writer's transaction, on the writer's thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from types import MappingProxyType
from typing import Final, NamedTuple

from vs_tui.model.teams import Teams
from vs_tui.model.time import Duration, Instant
from vs_tui.model.vocabulary import Event, Span, Status
from vs_tui.store import rows
from vs_tui.store.folding.stored_events import EventCache
from vs_tui.traces.baseline import series_of
from vs_tui.traces.correlation import Node, branch_in
from vs_tui.traces.folding import Folded, fold, stages_of, with_timeout
from vs_tui.traces.repository_renames import Renames

INHERITING: Final = "otlp"
"""The source whose spans without a project get that of the span above."""
_OF_RUN: Final = (
    *("cicd.pipeline.name", "cicd.pipeline.run.id"),
    *("vcs.repository.name", "vcs.ref.head.name", "vcs.ref.head.type"),
)
"""Attributes that such spans get, too."""
_UNNUMBERED: Final = -1
"""Slice end that cuts the last column, the number of the writing transaction."""


@dataclass(slots=True)
class Context:
    """Settings and state for folding, besides the events."""

    now: Instant
    seq: int
    """Number of this batch in the change feed."""
    teams: Teams = field(default_factory=Teams)
    timeouts: Mapping[str, Duration] = field(default_factory=dict)
    ended_with_parent: Mapping[str, Instant | None] = field(default_factory=dict)
    """Jobs that are ended by their run -> time of their end, None to reopen; see `missing_ends`."""
    above: Mapping[str, Span] = field(default_factory=dict)
    """Spans that name no project -> the span above, which does; see `inherited_projects`."""
    gone: list[str] = field(default_factory=list)
    """Spans that this batch deleted, because their events belong to another span."""
    unplaced: dict[str, rows.Row] = field(default_factory=dict)
    """Rows of new spans and their phases. They are inserted once their parents are known."""


class Change(NamedTuple):
    """A span whose row changed."""

    old: Span | None
    new: Span
    folded: Folded
    """The result of folding its events, without the values that the store adds."""
    fresh: Sequence[Event] = ()
    """Its new events with keys or names that no event before them had."""

    @property
    def short_ref(self) -> str:
        return self.folded.span.ref

    @property
    def material(self) -> bool:
        """Whether spans that may be linked to it must be linked again."""
        old, new = self.old, self.new
        return bool(self.fresh) or old is None or _seen_by_others(old) != _seen_by_others(new)


def _seen_by_others(span: Span) -> tuple[object, ...]:
    """The values of a span that affect the links of other spans."""
    return (
        *(span.at, span.ended_at, span.status, span.operation),
        *(span.project, span.service, span.environment),
    )


def fold_events(
    connection: sqlite3.Connection, events: Sequence[Event], context: Context, cache: EventCache
) -> list[Change]:
    """Store new events, fold their spans and write the rows that changed."""
    # Imported with the first events, after the first rows.
    from vs_tui.store.folding.regrouping import regrouped

    events, gone = regrouped(connection, events, cache)
    context.gone.extend(gone)
    stored = cache.load(connection, dict.fromkeys([event.key for event in events]))
    known_before = {key for key, found in stored.items() if found}
    fresh: dict[str, list[Event]] = {}
    inserts = []
    for event in events:
        data = rows.event_data(event)
        if cache.add(event, data):
            inserts.append((event.key, data))
            fresh.setdefault(event.key, []).append(event)
    if not inserts:
        cache.trim()
        return []
    connection.executemany("INSERT INTO events (key, data) VALUES (?, ?)", inserts)
    cache.names.learn(connection, chain.from_iterable(fresh.values()))
    renames = cache.names.renames(connection)
    fresh = {key: _today(renames, found) for key, found in fresh.items()}
    told = {key: _today(renames, stored[key].values()) for key in fresh}
    grown = known_before.intersection(fresh)
    keyed = {key: _keyed(told[key][: -len(found)], found) for key, found in fresh.items()}
    _write_keys(connection, told, keyed, grown)
    changes = _write(connection, told, keyed, grown, context, fresh)
    cache.trim()
    return changes


def refold(
    connection: sqlite3.Connection,
    keys: Iterable[str],
    context: Context,
    cache: EventCache,
    *,
    renamed: bool = False,
) -> list[Change]:
    """Fold spans again without new events, after a timeout or a change of the teams. With
    `renamed`, after the rename of a repository, their offers and seeks are written again as
    well."""
    stored = cache.load(connection, keys)
    cache.trim()
    renames = cache.names.renames(connection)
    present = {key: _today(renames, events.values()) for key, events in stored.items() if events}
    if not renamed:
        return _write(connection, present, {}, present, context, {})
    for table in ("offers", "seeks"):
        sql = f"DELETE FROM {table} WHERE key {rows.KEYS}"
        connection.execute(sql, (rows.as_json(present),))
    _write_keys(connection, present, present, ())
    return _write(connection, present, present, present, context, present)


def _today(renames: Renames, events: Iterable[Event]) -> list[Event]:
    return [renames.today(event) for event in events] if renames else list(events)


_keys_of: Final = itemgetter(
    *map(Event._fields.index, ("operation", "ref", "full_ref", "restates", "offers", "seeks"))
)


def _keyed(before: Sequence[Event], fresh: Sequence[Event]) -> Sequence[Event]:
    """The new events of a span with keys or names that no event before them had. Most events repeat
    those of the span's start."""
    said = set(map(_keys_of, before))
    stated = {(event.restates, event.seeks) for event in before if event.restates}
    # Then it may state again what another event had taken back.
    several = len(stated) > len({part for part, _ in stated})
    return [
        event
        for event in fresh
        if (before or event.offers or event.seeks)
        and (_keys_of(event) not in said or (several and event.restates))
    ]


def _write_keys(
    connection: sqlite3.Connection,
    told: Mapping[str, Iterable[Event]],
    fresh: Mapping[str, Sequence[Event]],
    known_before: Collection[str],
) -> None:
    """Store the offers and seeks in new events (`fresh`) of spans."""
    offers: list[rows.Row] = []
    seeks: list[rows.Row] = []
    restated: list[str] = []
    for key, events in fresh.items():
        if not events:
            continue
        if any(event.restates for event in events) or _renamed(told[key]):
            # A newer snapshot replaces the seeks of an older one, in any order of arrival; a
            # new name makes the former one an alias.
            restated += [key] if key in known_before else []
            offered, sought = rows.key_rows(key, told[key])
        else:
            offered, sought = rows.key_rows(key, events)
        offers += offered
        seeks += sought
    if restated:
        _forget_seeks(connection, restated, seeks)
    if offers:
        connection.executemany("INSERT OR IGNORE INTO offers VALUES (?, ?, ?, ?, ?, ?)", offers)
    if seeks:
        connection.executemany("INSERT OR IGNORE INTO seeks VALUES (?, ?, ?, ?, ?, ?, ?)", seeks)


def _renamed(events: Iterable[Event]) -> bool:
    return len({event.full_ref or event.ref for event in events} - {""}) > 1


def _forget_seeks(
    connection: sqlite3.Connection, keys: Sequence[str], wanted: Iterable[rows.Row]
) -> None:
    """Delete the stored seeks of these spans that are not wanted."""
    sql = f"SELECT token, key, rule, scope, value, via, link_only FROM seeks WHERE key {rows.KEYS}"
    gone = set(rows.select_in(connection, sql, keys)) - set(wanted)
    connection.executemany(
        "DELETE FROM seeks WHERE (token, key, rule, scope, value, via, link_only) "
        "= (?, ?, ?, ?, ?, ?, ?)",
        list(gone),
    )


def _write(
    connection: sqlite3.Connection,
    events: Mapping[str, Iterable[Event]],
    keyed: Mapping[str, Sequence[Event]],
    known: Iterable[str],
    context: Context,
    fresh: Mapping[str, Sequence[Event]],
) -> list[Change]:
    """Fold and write spans. `known` are the keys that had events before; the others have no row.
    `fresh` are all new events, `keyed` those with new keys or names."""
    # Decisions of people have no source and make no span by themselves.
    told = {key: found for key, found in events.items() if any(event.source for event in found)}
    stored = _stored_rows(connection, known)
    before = {key: rows.span_of(row) for key, row in stored.items()}
    folded = {key: fold(found) for key, found in told.items()}
    ambiguous = _ambiguous_refs(connection, folded)
    changes: list[Change] = []
    for key, result in folded.items():
        old = before.get(key)
        span = _complete(result, old, context, ambiguous)
        news = keyed.get(key, ())
        # A late phase between two others, or an amendment that removes one, changes the stages
        # and not the span. A late report of one of several runs changes the metrics.
        inside = any(event.stage or event.slot or span.reopens for event in fresh.get(key, ()))
        if span != old or news or inside:
            changes.append(Change(old, span, result, news))
    staged = [c.new.key for c in changes if c.old is not None and c.old.stage]
    stored.update(phases_below(connection, staged))
    wanted: dict[str, rows.Row] = {}
    for change in changes:
        is_new = change.old is None and change.new.operation not in _FOUND_BY_TIME
        found = {row[0]: row for row in _rows_of(change, context.seq)}
        (context.unplaced if is_new else wanted).update(found)
    write_spans(connection, stored, wanted.values())
    before_now = {row[rows.SHORT_REF] for key, row in stored.items() if key in folded}
    if left := before_now - {result.span.ref for result in folded.values()}:
        write_spans(connection, {}, context.unplaced.values())
        context.unplaced.clear()
        _give_back(connection, left)
    # Phases that a late event removed.
    delete_spans(connection, [key for key in stored if key not in wanted and key not in before])
    return changes


_FOUND_BY_TIME: Final = frozenset({"deploy", "incident"})
"""Operations of spans that are linked because of their times, which are read from their rows."""


def _rows_of(change: Change, seq: int) -> Iterator[rows.Row]:
    """The rows of a span and of its phases."""
    span = change.new
    yield rows.span_row(
        span, short_ref=change.short_ref, full_ref=change.folded.full_ref, changed=seq
    )
    if phases := change.folded.phases:
        series = series_of(span)
        for stage in stages_of(span, phases, change.folded.full_ref):
            full_ref = stage.ref if stage.ref != stage.key else ""
            yield rows.span_row(
                stage, short_ref=stage.key, full_ref=full_ref, changed=seq, stage_of=series
            )


def _stored_rows(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, rows.Row]:
    sql = f"SELECT {rows.SELECT_WRITTEN} FROM spans WHERE derived = 0 AND key {rows.KEYS}"
    return {row[0]: row for row in rows.select_in(connection, sql, keys)}


def load_spans(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, Span]:
    """The stored spans with these keys, without phases, which have no events of their own."""
    sql = f"SELECT {rows.SELECT_SPAN} FROM spans WHERE derived = 0 AND key {rows.KEYS}"
    return {row[0]: rows.span_of(row) for row in rows.select_in(connection, sql, keys)}


def load_nodes(
    connection: sqlite3.Connection,
    keys: Collection[str],
    unplaced: Mapping[str, rows.Row] = MappingProxyType({}),
) -> dict[str, Node]:
    """The nodes of these spans, from the table or from the rows that are not inserted yet."""
    sql = (
        "SELECT key, operation, COALESCE(started_at, ended_at, last_event_at), ended_at, status, "
        "environment, IIF(operation = 'push', attributes ->> '$.\"vcs.ref.head.name\"', ''), "
        f"IIF(operation = 'push', attributes ->> '$.branch', '') FROM spans WHERE key {rows.KEYS}"
    )
    found = {
        row[0]: Node._make(
            (*row[:4], Status(row[4]), row[5], branch_in(*row[6:]) if any(row[6:]) else "")
        )
        for row in rows.select_in(connection, sql, keys)
    }
    new = (key for key in keys if key in unplaced)
    found.update((key, Node.of(rows.span_of(unplaced[key]))) for key in new)
    return found


def _complete(
    result: Folded, old: Span | None, context: Context, ambiguous: frozenset[str]
) -> Span:
    """The folded span with the values that the store adds: team, timeout, ref and its place in a
    trace."""
    told = result.span
    if told.source == INHERITING and not told.project:
        told = _inheriting(told, context.above.get(told.key, old))
    if (ended := context.ended_with_parent.get(told.key)) is not None:
        span = told._replace(status=Status.CANCELLED, ended_at=ended)
    else:
        span = with_timeout(told, context.now, context.timeouts)
    team = context.teams.of(span.project, span.service, span.actor)
    if not team and old is not None and span.operation == "incident":
        team = old.team  # that of its deployment: see `incident_teams`
    return span.placed(
        team=team,
        ref=(result.full_ref or span.key) if span.ref in ambiguous else span.ref,
        parent_key=old.parent_key if old else "",
        trace_id=old.trace_id if old and old.parent_key else rows.own_trace_id(span),
    )


def _inheriting(span: Span, above: Span | None) -> Span:
    """The span with the project, run and branch of another one, as far as it names none."""
    if above is None:
        return span
    names = {name: above.attributes[name] for name in _OF_RUN if name in above.attributes}
    return span._replace(project=above.project, attributes={**names, **span.attributes})


def _give_back(connection: sqlite3.Connection, left: Collection[str]) -> None:
    """Give a short ref back to the span that is now the only one with it, after the other was
    renamed."""
    connection.execute(
        f"UPDATE spans SET ref = short_ref WHERE short_ref {rows.KEYS} "
        "AND short_ref <> key AND ref <> short_ref AND 1 = (SELECT COUNT(*) FROM spans other "
        "WHERE other.short_ref = spans.short_ref AND other.short_ref <> other.key)",
        (rows.as_json(sorted(left)),),
    )


def _ambiguous_refs(connection: sqlite3.Connection, folded: Mapping[str, Folded]) -> frozenset[str]:
    """Short refs that more than one span has; those spans are shown with their full refs.

    A span that had its short ref alone until now is changed to its full ref here.
    """
    owners: dict[str, set[str]] = {}
    for key, result in folded.items():
        if result.span.ref != key:
            owners.setdefault(result.span.ref, set()).add(key)
    if not owners:
        return frozenset()
    # Two owners are enough to know, however many spans share a ref.
    owner = "(SELECT key FROM spans WHERE short_ref = value AND short_ref <> key LIMIT 1 OFFSET {})"
    sql = f"SELECT value, {owner.format(0)}, {owner.format(1)} FROM json_each(?)"
    alone: dict[str, str] = {}
    for short, first, second in rows.select_in(connection, sql, owners):
        owners[short].update(key for key in (first, second) if key is not None)
        if first is not None and second is None and first not in folded:
            alone[short] = first
    ambiguous = frozenset(short for short, keys in owners.items() if len(keys) > 1)
    if shown := [key for short, key in alone.items() if short in ambiguous]:
        sql = f"UPDATE spans SET ref = IIF(full_ref = '', key, full_ref) WHERE key {rows.KEYS}"
        connection.execute(sql, (rows.as_json(shown),))
    return ambiguous


def phases_below(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, rows.Row]:
    """Key -> row, for the phases of these spans."""
    sql = (
        f"SELECT {rows.SELECT_WRITTEN} FROM spans WHERE derived = 1 AND parent_key <> '' "
        f"AND parent_key {rows.KEYS}"
    )
    return {row[0]: row for row in rows.select_in(connection, sql, keys)}


def write_spans(
    connection: sqlite3.Connection, before: Mapping[str, rows.Row], after: Iterable[rows.Row]
) -> None:
    """Write the rows in `after` that differ from the stored ones in `before`."""
    changed = [
        row
        for row in after
        if (old := before.get(row[0])) is None or old[:_UNNUMBERED] != row[:_UNNUMBERED]
    ]
    if changed:
        connection.executemany(rows.UPSERT_SPAN, changed)


def delete_spans(connection: sqlite3.Connection, keys: Sequence[str]) -> None:
    if keys:
        sql = f"DELETE FROM spans WHERE key {rows.KEYS}"
        connection.execute(sql, (rows.as_json(keys),))
