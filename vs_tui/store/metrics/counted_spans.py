"""Facts: rows of the spans that count as production deployments, incidents and finished work.

The rows change with the spans, and are made again when a rule of the configuration changes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from vs_tui.metrics.attempts import path_from
from vs_tui.metrics.facts import Target
from vs_tui.metrics.rules import MetricRules, is_production, ticket_type
from vs_tui.metrics.span_facts import deploy_began, deploy_status, incident_of
from vs_tui.model import filters
from vs_tui.model.grouping import grouped
from vs_tui.model.teams import Environments, Teams
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Operation, Span, Status
from vs_tui.store import rows
from vs_tui.store.folding.shipped_changes import place_deploys
from vs_tui.store.folding.span_folding import Change, load_spans
from vs_tui.store.metrics.judged_rows import delete_rows, replace_rows

Touched = dict[Target, Instant]
"""Target -> earliest instant at which one of its facts changed."""
Counted = tuple[Touched, dict[str, list[tuple[str, str]]]]
"""The targets that lost or got a deployment, and the incidents that lost or changed their rows,
with the (project, service) of each."""
_Row = tuple[Any, ...]
_MERGED: Final = "vs.incident.merged_into"
"""Attribute of an incident: the key of the one that it was merged into."""
_TABLES: Final = ("metric_deploys", "metric_incidents", "dora_work")
"""Tables with the key of a span. Incidents and work of pruned traces still count."""


class CountedSpans:
    """Updates the rows by one configuration."""

    def __init__(self, rules: MetricRules, environments: Environments, teams: Teams) -> None:
        self._rules = rules
        self._environments = environments
        self._teams = teams
        self.operations = _operations(rules)
        """Kinds of spans that can have a row; none: all kinds."""

    def update(
        self, db: sqlite3.Connection, changes: Sequence[Change], gone: Sequence[str]
    ) -> Counted:
        """Update the rows of changed spans."""
        if gone:
            delete_rows(db, _TABLES, gone)
        know_since(db, changes)
        spans = [
            change.new
            for change in changes
            if not self.operations
            or not self.operations.isdisjoint(s.operation for s in change[:2] if s is not None)
        ]
        return self.write(db, spans) if spans else ({}, {})

    def write(self, db: sqlite3.Connection, spans: Sequence[Span]) -> Counted:
        """Write the current rows of these spans."""
        touched: Touched = {}
        spans = lasting(db, [*spans, *merged_into(db, spans)])
        keys = [span.key for span in spans]
        counted = {"metric_deploys": set(filter(None, map(self._deployment, spans)))}
        if self._rules.deployments:
            _place_runs(db, spans, {row[0]: row[1:4] for row in counted["metric_deploys"]})
        for changed in replace_rows(db, keys, counted):
            for row in changed["metric_deploys"]:
                target = Target(*row[1:4])
                at = min(moment for moment in row[4:6] if moment is not None)
                touched[target] = min(at, touched.get(target, at))
        incidents = set(chain.from_iterable(map(self._incident, spans)))
        moved, _ = replace_rows(db, keys, {"metric_incidents": incidents})
        replace_rows(db, keys, {"dora_work": set(filter(None, map(self._work, spans)))})
        return touched, grouped((row[0], row[1:3]) for row in moved["metric_incidents"])

    def _deployment(self, span: Span) -> _Row | None:
        place = self._rules.deployment_at(span, self._environments)
        began = deploy_began(span) if place else None
        if place is None or began is None:
            return None
        return (span.key, *place, began, span.ended_at, deploy_status(span).value)

    def _incident(self, span: Span) -> Iterator[_Row]:
        """A row for each of its services; all have all of its teams."""
        targets = self._rules.incident_at(span)
        incident = incident_of(span)
        if not targets or incident is None:
            return
        times = (incident.started_at, incident.restored_at, incident.finished_at)
        counts = not span.environment or is_production(span, self._environments)
        named = [(t.project, t.service or t.project) for t in targets]
        places = named if len(named) > 1 else [(span.project, span.service)]
        about = (span._replace(project=project, service=service) for project, service in places)
        texts = (team_text(each, self._teams).split("\n") for each in about)
        teams = "\n".join(dict.fromkeys(filter(None, chain.from_iterable(texts))))
        for target in targets:
            yield (span.key, *target, *times, teams, int(counts))

    def _work(self, span: Span) -> _Row | None:
        """A merged pull request by its author, or a finished ticket by its type."""
        if span.status is not Status.OK or span.ended_at is None:
            return None
        if span.operation == Operation.PULL_REQUEST:
            account = str(span.attributes.get("vs.actor.type", ""))
            kind = "bot" if self._rules.is_bot(span.actor, account) else "merge"
            return (span.key, kind, team_text(span, self._teams), span.actor, span.ended_at, 0)
        if span.operation == Operation.ISSUE:
            spent = max(span.duration or 0, 0) if span.active is None else span.active
            team, kind = team_text(span, self._teams), ticket_type(span)
            return (span.key, "ticket", team, kind, span.ended_at, spent)
        return None


def _place_runs(
    db: sqlite3.Connection, spans: Sequence[Span], counted: Mapping[str, tuple[str, str, str]]
) -> None:
    """Store the positions of the commits of runs and others that count as deployments by a rule."""
    others = {span.key: span for span in spans if span.operation != Operation.DEPLOY}
    placed = rows.known(db, "vcs_deploys", others)
    place_deploys(
        db, {key: others[key] for key in others.keys() & (placed | counted.keys())}, counted
    )


def merged_into(db: sqlite3.Connection, spans: Iterable[Span]) -> list[Span]:
    """The incidents that were merged into these, also by others in between."""
    found = {span.key: span for span in spans if span.operation == "incident"}
    given, asked = set(found), set(found)
    sql = f"SELECT child FROM links WHERE rule = 'structure' AND parent {rows.KEYS}"
    while asked:
        children = {key for (key,) in rows.select_in(db, sql, asked)} - found.keys()
        below = load_spans(db, children) if children else {}
        asked = {key for key, span in below.items() if _MERGED in span.attributes}
        found.update((key, below[key]) for key in asked)
    return [span for key, span in found.items() if key not in given]


def lasting(db: sqlite3.Connection, spans: Sequence[Span]) -> list[Span]:
    """The spans; an incident that was merged into another one ends with that one."""
    others: dict[str, Span] = {}
    into: dict[str, str] = {}
    more: Iterable[Span] = spans
    while found := {s.key: str(s.attributes[_MERGED]) for s in more if _MERGED in s.attributes}:
        others |= (known := load_spans(db, set(found.values()) - others.keys()))
        into |= {key: other for key, other in found.items() if other in others}
        more = known.values()

    def end(span: Span) -> Span:
        *_, last = path_from(span.key, into)
        other = others.get(last, span)
        if last == span.key or span.ended_at is None or other.status is Status.CANCELLED:
            return span
        ended = None if other.ended_at is None else max(span.ended_at, other.ended_at)
        return span._replace(ended_at=ended, status=other.status, state=other.state)

    return [end(span) for span in spans]


def team_text(span: Span, teams: Teams) -> str:
    """The team of a span; if several teams list its project, all of them, separated by line
    ends."""
    if not teams.teams:
        return span.team
    return "\n".join(teams.all_of(span.project, span.service, span.actor))


_ATTEMPTS: Final = (
    "WITH RECURSIVE around(key) AS (SELECT value FROM json_each(?) "
    "UNION SELECT l.parent FROM around JOIN links l ON l.child = around.key AND l.rule = 'attempt' "
    "UNION SELECT l.child FROM around JOIN links l ON l.parent = around.key AND l.rule = 'attempt')"
    " SELECT child, parent FROM around JOIN links ON child = around.key AND rule = 'attempt'"
)


def attempts_around(db: sqlite3.Connection, deploys: Iterable[str]) -> list[tuple[str, str]]:
    """(retry, retried deploy) of all attempts that are connected to these deploys."""
    return list(rows.select_in(db, _ATTEMPTS, deploys))


_HEARD: Final = frozenset({"deploy", "pipeline", "build", "push", "test", "release"})
"""Operations whose first event marks when a service began to report. Others, such as tickets, stay
open for long and may have started before anything was sent."""


def _heard(spans: Iterable[Span]) -> set[tuple[str, str, Instant]]:
    return {(s.project, s.service, s.at) for s in spans if s.operation in _HEARD}


def know_since(db: sqlite3.Connection, changes: Sequence[Change]) -> None:
    """Store the first event of each service of a project."""
    come, left = _heard(c.new for c in changes), _heard(c.old for c in changes if c.old)
    first = {(project, service): at for project, service, at in sorted(come, reverse=True)}
    db.executemany(
        "INSERT INTO metric_since VALUES (?, ?, ?) ON CONFLICT (project, service) "
        "DO UPDATE SET at = excluded.at WHERE excluded.at < at",
        [(*place, at) for place, at in first.items()],
    )
    for project, service, at in left - come:
        # The first event may have moved to a later time or to another service.
        sql = "DELETE FROM metric_since WHERE project = ? AND service = ? AND at = ?"
        if db.execute(sql, (project, service, at)).rowcount:
            know_since_all(db, "project = ? AND service = ?", project, service)


def know_since_all(db: sqlite3.Connection, where: str = "1", *bound: str) -> None:
    """Store the same for all stored spans that meet a condition."""
    db.execute(
        "INSERT INTO metric_since SELECT project, service, "
        f"MIN(COALESCE(started_at, ended_at, last_event_at)) FROM spans WHERE {where} "
        f"AND operation {rows.KEYS} AND derived = 0 GROUP BY 1, 2 "
        "ON CONFLICT (project, service) DO UPDATE SET at = MIN(at, excluded.at)",
        (*bound, rows.as_json(sorted(_HEARD))),
    )


def _operations(rules: MetricRules) -> frozenset[str]:
    found = {"deploy", "incident", "issue", "pull_request"}
    for text in (*(rule.filter for rule in rules.deployments), *rules.incidents):
        kinds = [t for t in filters.parse(text).terms if t.key == "kind" and not t.negated]
        if not kinds or any("*" in value for value in kinds[0].values):
            return frozenset()
        found.update(kinds[0].values)
    return frozenset(found)
