"""Artifacts that are deployed in several ways: alone, or together with others (plyzen).

Each way is a target of its own, but the artifact is one: a test or an incident of it is about its
latest deployment in any of them, and a success in one repairs what failed in another.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from vs_tui.metrics.facts import Deployment, DeployOutcome, Target
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


class Elsewhere(NamedTuple):
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
        others = [
            part_of(whole, name) if whole.parts else whole
            for whole in map(deployment_of, found)
            for name in names.intersection([name for name, _ in whole.parts] or [whole.service])
        ]
        own, others = (
            [d for d in each if d.outcome is not DeployOutcome.CANCELLED] for each in (own, others)
        )
        return cls(own, others)

    def has_last(self, moment: Instant, names: Sequence[str], *, ended: bool = False) -> bool:
        """Whether another target had the last deployment of these artifacts that had begun at a
        moment, or the last one that had `ended`."""

        def last(deployments: Iterable[Deployment]) -> Instant:
            times = (d.ended_at if ended else d.started_at for d in deployments)
            return max((at for at in times if at <= moment), default=0)

        own = (d for d in self.own if d.brought(*names) and (d.finished or not ended))
        return last(d for d in self.others if d.service in names) > last(own)
