"""Links an incident to the deployments whose failure it is.

A failure that is counted decides by itself: its link names the span that the number names. Where
nothing is counted (the deployment goes on, or is not of production), `blamed` decides, as for the
change fail rate; this module reads its input. Each query handles a whole batch and uses the spans
as they are stored, so that the order of arrival does not matter. The changes that a deploy shipped
are in `shipped_changes`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from vs_tui.metrics.facts import (
    Deployment,
    DeployOutcome,
    Incident,
    Target,
    order,
    spellings,
)
from vs_tui.metrics.failures import Course, blamed
from vs_tui.metrics.rules import broken_places, is_production
from vs_tui.metrics.span_facts import (
    COMMIT,
    VERSION,
    broken_version,
    commit_of,
    deploy_began,
    deployment_of,
    incident_of,
    version_of,
)
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import ROLLOUT_AT, Link, Rule, Span, State, Status
from vs_tui.store import rows
from vs_tui.store.folding.span_folding import Change, load_nodes, load_spans
from vs_tui.traces.correlation import NAMED, LinkRules, Node

MAX_WAITING: Final = 10
"""Most deploys of one target that are looked through for the latest that had begun."""
MAX_SUSPECTS: Final = 50
"""Most deploys that are compared with an incident that names a version, or no environment; the
newest ones."""


_NEVER_WAITED: Final = (
    f"{{0}}.state NOT IN ({State.QUEUED:d}, {State.WAITING:d}) "
    f"AND json_extract({{0}}.attributes, '$.\"{ROLLOUT_AT}\"') IS NULL"
)
"""SQL: whether deploy {0} began when it was created."""
_NAMES_VERSION: Final = (
    "COALESCE("
    + ", ".join(f"json_extract({{0}}.attributes, '$.\"{name}\"')" for name in (*VERSION, *COMMIT))
    + ") IS NOT NULL"
)
_NEXT: Final = (
    "COALESCE((SELECT n.started_at FROM spans n WHERE n.operation = 'deploy' "
    "AND n.project = a.project AND n.service = a.service AND n.environment = a.environment "
    f"AND n.started_at > a.began AND n.status <> 'cancelled' AND {_NEVER_WAITED.format('n')} "
    "ORDER BY n.started_at LIMIT 1), 9223372036854775807)"
)
"""SQL: when the next deploy of the target `a` began."""
_AFFECTED: Final = (
    rows.asked("key", "project", "service", "environment", "began", "named")
    + "SELECT s.key FROM asked a CROSS JOIN spans s ON s.operation = 'incident' "
    "AND s.service IN (a.service, '') AND (s.service <> '' OR s.project = a.project) "
    "AND s.environment = a.named AND s.started_at >= a.began "
    # Those after the target's next deploy must name the deploy's version. The window does not
    # matter: a deploy takes even incidents that are too late for it from an earlier one.
    f"AND ({_NAMES_VERSION.format('s')} OR s.started_at < {_NEXT}) "
    # An incident of several services has one of them in its span.
    "UNION SELECT i.key FROM asked a CROSS JOIN metric_incidents i ON i.service = a.service "
    f"AND i.environment = a.named AND i.started_at >= a.began AND i.started_at < {_NEXT} "
    "AND EXISTS (SELECT 1 FROM metric_incidents o WHERE o.key = i.key AND o.service <> i.service) "
    # the first deploy of a service makes incidents of its project be about that service
    "UNION SELECT s.key FROM asked a CROSS JOIN spans s ON s.operation = 'incident' "
    "AND s.service = a.service AND s.service <> '' AND s.project = a.project "
    "WHERE instr(a.project, '/') = 0 AND NOT EXISTS (SELECT 1 FROM spans o "
    "WHERE o.operation = 'deploy' AND o.project = a.project AND o.service = a.service "
    "AND o.key <> a.key)"
)


def affected(
    connection: sqlite3.Connection, changes: Sequence[Change], rules: LinkRules
) -> Iterator[str]:
    """Incidents that these changes may link to another deploy."""
    asked = set()
    for change in changes:
        places = [_place(span, rules) for span in (change.old, change.new)]
        for place in places if places[0] != places[1] else ():
            if place is not None:
                asked |= {
                    (change.new.key, place.project, service, place.environment, place.began, n)
                    for service in place.services
                    for n in ("", *spellings(place.environment))
                }
    return (key for (key,) in rows.select_in(connection, _AFFECTED, asked))


class _Place(NamedTuple):
    """The facts of a deploy that decide about incidents."""

    project: str
    services: Collection[str]
    """Its own service, each artifact that it deployed together with others, and the name of the
    repository, which tickets have as their service."""
    environment: str
    began: Instant
    ended_at: Instant
    is_finished: bool
    names_version: bool
    is_production: bool


def _place(span: Span | None, rules: LinkRules) -> _Place | None:
    """The facts of a deploy; None for other spans and for cancelled deploys."""
    if span is None or span.operation != "deploy" or span.started_at is None:
        return None
    if span.status is Status.CANCELLED or deploy_began(span) is None:
        return None
    d = deployment_of(span)
    repository = span.project.rpartition("/")[2]
    services = {span.service, repository, *(name for name, _ in d.parts)}
    where = (span.project, services, span.environment, span.started_at, d.ended_at)
    facts = (d.finished, bool(d.version_of()), is_production(span, rules.environments))
    return _Place(*where, *facts)


PLACELESS: Final = (
    "(instr({0}.project, '/') = 0 AND NOT EXISTS (SELECT 1 FROM spans o "
    "WHERE o.operation = 'deploy' AND o.project = {0}.project AND o.service = {0}.service) "
    # nor together with other artifacts
    "AND NOT EXISTS (SELECT 1 FROM offers f CROSS JOIN spans o ON o.key = f.key "
    "WHERE f.token >= 'artifact:' || lower({0}.service) || '@' "
    "AND f.token < 'artifact:' || lower({0}.service) || 'A' "
    "AND o.operation = 'deploy' AND o.project = {0}.project))"
)
"""SQL: whether incident {0} names a service without a repository. If no service of that name is
deployed in the incident's project, it is about that service in any project."""
_OWN: Final = f"(d.project = a.project OR {PLACELESS.format('a')})"
_BEGUN: Final = (
    "SELECT a.key, s.key FROM asked a CROSS JOIN spans s "
    "ON s.rowid IN (SELECT d.rowid FROM spans d WHERE d.operation = 'deploy' AND {} "
    "AND d.status <> 'cancelled' AND d.started_at <= a.at "
    "ORDER BY d.started_at DESC, d.key DESC LIMIT {}) WHERE {}"
)
# A deploy of several artifacts offers the version of each.
_BROUGHT: Final = (
    "SELECT a.key, s.key FROM asked a CROSS JOIN spans s ON s.rowid IN (SELECT d.rowid "
    "FROM offers o CROSS JOIN spans d ON d.key = o.key "
    "WHERE o.token >= 'artifact:' || lower(a.service) || '@' "
    "AND o.token < 'artifact:' || lower(a.service) || 'A' AND d.operation = 'deploy' "
    "AND d.project = a.project AND a.environment IN ('', d.environment) "
    "AND d.status <> 'cancelled' AND d.started_at <= a.at "
    f"ORDER BY d.started_at DESC, d.key DESC LIMIT {MAX_SUSPECTS}) WHERE a.service <> '' "
    "AND NOT EXISTS (SELECT 1 FROM spans o WHERE o.operation = 'deploy' "
    "AND o.project = a.project AND o.service = a.service)"
)
_SUSPECTS: Final = rows.asked(
    "key", "project", "service", "environment", "at", "named"
) + " UNION ALL ".join(
    (
        *(
            _BEGUN.format(
                f"d.service = a.service AND d.environment = a.environment AND {_OWN}",
                *(most, f"a.service <> '' AND a.environment <> '' AND a.named = {named}"),
            )
            for named, most in enumerate((MAX_WAITING, MAX_SUSPECTS))
        ),
        _BEGUN.format(
            f"d.service = a.service AND {_OWN}",
            *(MAX_SUSPECTS, "a.service <> '' AND a.environment = ''"),
        ),
        _BEGUN.format(
            "d.project = a.project AND a.environment IN ('', d.environment)",
            *(MAX_SUSPECTS, "a.service = '' AND a.project <> ''"),
        ),
        _BROUGHT,
    )
)


def _suspects(
    connection: sqlite3.Connection, incidents: Mapping[str, Span]
) -> dict[str, dict[str, list[str]]]:
    """Incident -> each of its services -> the newest started deploys of that service and of the
    incident's environment, or of its project if it names no service."""
    asked = [
        (
            f"{service}\n{key}",
            *(project, service),
            name,
            span.started_at,
            int(bool(version_of(span.attributes) or commit_of(span.attributes))),
        )
        for key, span in incidents.items()
        if span.started_at is not None
        for project, service in broken_places(span)
        for name in (spellings(span.environment) if span.environment else ("",))
    ]
    found: dict[str, dict[str, list[str]]] = {}
    for child, key in rows.select_in(connection, _SUSPECTS, asked):
        service, _, incident = child.partition("\n")
        found.setdefault(incident, {}).setdefault(service, []).append(key)
    return found


_COUNTED: Final = (
    "SELECT DISTINCT s.span, d.span, d.project, d.service, d.environment FROM json_each(?) k "
    "CROSS JOIN dora_signals s ON s.span = k.value AND s.span <> '' "
    "CROSS JOIN dora_deployments d ON d.key = s.deployment AND d.unit < 2"
)
"""SQL: (incident, deployment of which it is counted as a failure, target of that deployment)."""


def candidates(
    connection: sqlite3.Connection,
    spans: Mapping[str, Span],
    links: Mapping[str, Sequence[Link]],
    rules: LinkRules,
) -> dict[str, list[tuple[Rule, Node]]]:
    """Span -> the deployments that it is about as an incident, without those that a link names
    already. `spans` may hold spans of any kind."""
    found: dict[str, list[str]] = {}
    targets: dict[str, set[Target]] = {}
    for key, deploy, *target in rows.select_in(connection, _COUNTED, spans):
        found.setdefault(key, []).append(deploy)
        targets.setdefault(key, set()).add(Target(*target))
    incidents = {key: span for key, span in spans.items() if span.operation == "incident"}
    for key, others in _not_counted(connection, incidents, links, rules).items():
        # Where it is counted, an attempt that goes on is a part of the deployment that failed.
        counted = targets.get(key, ())
        deploys = [deploy.key for deploy in others if rules.target_of(deploy) not in counted]
        found[key] = [*found.get(key, ()), *deploys]
    known = {key: {link.parent for link in links[key]} for key in found}
    named = load_nodes(connection, {deploy for deploys in found.values() for deploy in deploys})
    return {
        key: [
            (Rule.PROXIMITY, named[deploy])
            for deploy in dict.fromkeys(deploys)
            if deploy in named and deploy not in known[key]
        ]
        for key, deploys in found.items()
    }


def _not_counted(
    connection: sqlite3.Connection,
    incidents: Mapping[str, Span],
    links: Mapping[str, Sequence[Link]],
    rules: LinkRules,
) -> dict[str, list[Span]]:
    """Incident -> the deploys that it is about and that no number counts: those that still go on,
    and those of other environments than production."""
    suspects = _suspects(connection, incidents)
    newest = (key for of in suspects.values() for keys in of.values() for key in keys)
    wanted = {link.parent for key in incidents for link in links[key]}.union(newest)
    deploys = {
        key: span
        for key, span in load_spans(connection, wanted).items()
        if span.operation == "deploy"
    }
    found = {}
    for key, span in incidents.items():
        names = spellings(span.environment) if span.environment else None
        named = [link.parent for link in links[key] if link.rule in NAMED]
        alike = [
            link.parent
            for link in links[key]
            if link.parent in deploys
            and link.rule not in NAMED
            and (names is None or deploys[link.parent].environment in names)
        ]
        incident = incident_of(span, [each for each in named if each in deploys], alike)
        if incident is None:
            continue
        guilty: dict[str, Deployment] = {}
        for service in incident.services:
            own = replace(incident, services=(service,), version=broken_version(span, service))
            begun = [deploys[each] for each in suspects.get(key, {}).get(service, ())]
            known = [deploys[each] for each in (*incident.linked, *alike)]
            guilty.update((d.key, d) for d in _guilty(own, begun, known, rules))
        found[key] = [
            deploys[d.key]
            for d in guilty.values()
            if not (d.finished and rules.target_of(deploys[d.key]))
        ]
    return found


def _guilty(
    incident: Incident, suspects: Sequence[Span], known: Sequence[Span], rules: LinkRules
) -> list[Deployment]:
    """The deployments that an incident of one service is about, among the newest ones of that
    service (`suspects`) and those that its links name."""

    def rank(deploy: Span) -> tuple[bool, Instant, str]:
        """Sorts production before other environments, then newest first."""
        began = deploy_began(deploy) or deploy.at
        return (is_production(deploy, rules.environments), began, deploy.key)

    begun = [
        deploy
        for deploy in suspects
        if (at := deploy_began(deploy)) is not None and at <= incident.started_at
    ]
    latest = max(begun, key=rank, default=None)
    about = [latest] if latest else []
    if incident.version and latest:
        about = [deploy for deploy in begun if rank(deploy)[0] == rank(latest)[0]]
    each = {deploy.key: deployment_of(deploy) for deploy in (*known, *about)}
    deployments = sorted(each.values(), key=order)
    last = deployment_of(latest).target if latest else None
    found = []
    for target in dict.fromkeys(None if incident.linked else d.target for d in deployments):
        own = [d for d in deployments if target in (None, d.target)]
        pending = [d for d in own if d.outcome is DeployOutcome.PENDING]
        # Only the target with the latest deployment is about an incident by its time.
        about_it = replace(incident, only_named=target not in (None, last))
        found += blamed(about_it, Course(own), rules.incident_window, pending)
    return found
