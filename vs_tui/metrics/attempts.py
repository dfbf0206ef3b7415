"""Retries of one deploy are one deployment, and deployments follow one another by their end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from vs_tui.metrics.facts import Deployment, Outcome
from vs_tui.model.time import Instant


def merge_attempts(
    deployments: Iterable[Deployment], retry_of: Mapping[str, str]
) -> list[Deployment]:
    """One deployment for the attempts of one deploy; `retry_of` says which retries which.

    It starts with its first attempt and has the outcome of its last one. A cancelled retry says
    nothing about the service, so the attempt before it stands.
    """
    groups: dict[str, list[Deployment]] = {}
    for deployment in deployments:
        groups.setdefault(_first(deployment.key, retry_of), []).append(deployment)
    merged = []
    for attempts in groups.values():
        attempts.sort(key=lambda d: (d.started_at, d.ended_at, d.key))
        counted = [d for d in attempts if d.outcome is not Outcome.CANCELLED]
        last = (counted or attempts)[-1]
        first = min(d.started_at for d in attempts)
        merged.append(replace(last, started_at=first, attempts=len(attempts)))
    return sorted(merged, key=order)


def order(deployment: Deployment) -> tuple[Instant, Instant, str]:
    """Deployments follow one another by their end."""
    return (deployment.ended_at, deployment.started_at, deployment.key)


def _first(key: str, retry_of: Mapping[str, str]) -> str:
    seen = {key}
    while (before := retry_of.get(key, "")) and before not in seen:
        seen.add(before)
        key = before
    return min(seen) if before else key
