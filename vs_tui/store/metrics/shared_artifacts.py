"""Artifacts that are deployed in several ways: alone, or together with others (plyzen).

Each way is a target of its own, but the artifact is one: a test or an incident of it is about its
latest deployment in any of them, and a success in one repairs what failed in another.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from vs_tui.metrics.facts import Deployment, DeployOutcome, Incident, Target, Test
from vs_tui.metrics.lead_time import part_of
from vs_tui.metrics.span_facts import deployment_of
from vs_tui.model.time import Instant
from vs_tui.store import rows

_OF_ARTIFACTS: Final = (
    "SELECT d.key FROM json_each(?1) n CROSS JOIN metric_deploys d ON d.project = ?2 "
    "AND d.service = n.value WHERE n.value <> ?3 AND {0} "
    "UNION SELECT d.key FROM json_each(?1) n CROSS JOIN offers o "
    "ON o.token = 'part:' || n.value || '@' || lower(?2) "
    "CROSS JOIN metric_deploys d ON d.key = o.key AND d.project = ?2 WHERE d.service <> ?3 AND {0}"
).format("d.environment = ?4 AND (d.ended_at >= ?5 OR d.ended_at IS NULL)")
"""SQL: deploys of artifacts in other targets of a project and environment."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The deployments of a target's artifacts in this target and in others."""

    own: Sequence[Deployment]
    others: Sequence[Deployment]
    """Each of one artifact."""

    @classmethod
    def read(
        cls, db: sqlite3.Connection, target: Target, since: Instant, own: Sequence[Deployment]
    ) -> Elsewhere:
        """`own` are the deployments of the target; the others are those that ended since then, or
        that go on."""
        names = {name for d in own for name, _ in d.parts} | ({target.service} - {""})
        found = rows.spans(db, f"key IN ({_OF_ARTIFACTS})", rows.as_json(names), *target, since)
        cancelled = DeployOutcome.CANCELLED
        others = [
            part_of(whole, name) if whole.parts else whole
            for whole in map(deployment_of, found)
            for name in names.intersection([name for name, _ in whole.parts] or [whole.service])
            if whole.outcome is not cancelled
        ]
        return cls([d for d in own if d.outcome is not cancelled], others)

    def tests(self, found: Iterable[Test]) -> list[Test]:
        """The tests; those are marked before which another target had the last deployment of their
        artifact that had ended."""
        return [replace(test, elsewhere=self._had_test(test)) for test in found]

    def incidents(self, found: Iterable[Incident]) -> list[Incident]:
        """The incidents; those are marked before which another target had the last deployment of
        their artifacts that had begun."""
        return [replace(incident, elsewhere=self._had_incident(incident)) for incident in found]

    def _had_test(self, test: Test) -> bool:
        at, name = test.ended_at, test.service
        others = [d.ended_at for d in self.others if d.service == name and d.ended_at <= at]
        own = (d.ended_at for d in self.own if d.finished and d.ended_at <= at and d.brought(name))
        return bool(others) and max(others) > max(own, default=0)

    def _had_incident(self, incident: Incident) -> bool:
        at, names = incident.started_at, incident.services
        others = [d.started_at for d in self.others if d.service in names and d.started_at <= at]
        own = (d.started_at for d in self.own if d.started_at <= at and d.brought(*names))
        return bool(others) and max(others) > max(own, default=0)
