"""Verdicts on deployments as JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from vs_tui.metrics.assessment import Assessed
from vs_tui.metrics.facts import Change, Deployment, Incident, Kind, Outcome
from vs_tui.metrics.failures import Signal, episodes
from vs_tui.metrics.lead_time import Basis, Shipped


def verdict_text(verdict: Assessed) -> str:
    """All that is known of a deployment; equal verdicts give equal texts."""
    return orjson.dumps(
        {
            "deployment": verdict.deployment,
            "signals": verdict.signals,
            "rework": verdict.rework,
            "shipped": verdict.shipped,
            "blames": verdict.blames,
        }
    ).decode()


def verdict_of(text: str) -> Assessed:
    """The inverse of `verdict_text`."""
    found = orjson.loads(text)
    deployment = found["deployment"]
    deployment["outcome"] = Outcome(deployment["outcome"])
    deployment["members"] = tuple(deployment.get("members", ()))
    deployment["parts"] = tuple(map(tuple, deployment.get("parts", ())))
    signals = tuple(Signal(**signal) for signal in found["signals"])
    return Assessed(
        Deployment(**deployment),
        signals,
        episodes(signals),
        found["rework"],
        tuple(_shipped(entry) for entry in found["shipped"]),
        tuple(_incident(entry) for entry in found["blames"]),
    )


def _incident(entry: Mapping[str, Any]) -> Incident:
    keys = {name: tuple(entry.get(name, ())) for name in ("linked", "alike")}
    return Incident(**{**entry, **keys})


def _shipped(entry: Mapping[str, Any]) -> Shipped:
    change = dict(entry["change"])
    change["kind"] = Kind(change["kind"])
    change["commits"] = tuple(change["commits"])
    return Shipped(
        Change(**change),
        entry["deployed_at"],
        entry["started_at"],
        Basis(entry["basis"]),
        entry["stages"],
    )
