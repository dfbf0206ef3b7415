"""Facts by hand: one service on 2 March 2026 (a Monday), unless a test says otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, tzinfo
from typing import Any

from vs_tui.metrics.attempts import merge_attempts
from vs_tui.metrics.counted import UNKNOWN, Counted, recoveries_of
from vs_tui.metrics.definitions import Figure
from vs_tui.metrics.facts import (
    Build,
    Change,
    Deployment,
    DeployOutcome,
    Incident,
    Kind,
    Test,
)
from vs_tui.metrics.judging import Judged, TargetFacts, group_of, judge_with_parts, product_of
from vs_tui.metrics.report import Before, measure
from vs_tui.metrics.rules import DEFAULT_RULES
from vs_tui.metrics.windows import Window
from vs_tui.model.time import MINUTE, Instant, parse_instant

Test.__test__ = False  # a fact, not a class of tests


def t(text: str) -> Instant:
    """`10:05` on the day, or a whole RFC 3339 time."""
    found = parse_instant(text if "T" in text else f"2026-03-02T{text}:00Z")
    assert found is not None
    return found


def window(since: str, until: str, *, now: str = "", zone: tzinfo = UTC) -> Window:
    """A window that is over, unless `now` lies in it."""
    return Window(t(since), t(until), t(now or until), zone)


THE_DAY = window("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z")


def deploy(end: str, ok: bool = True, *, took: int = MINUTE, **more: Any) -> Deployment:
    values: dict[str, Any] = {
        "key": f"deploy {more.get('service', 'api')} {more.get('artifact', '')} {end}",
        "project": "acme/api",
        "service": "api",
        "environment": "prod",
        "team": "core",
        "started_at": t(end) - took,
        "ended_at": t(end),
        "outcome": DeployOutcome.OK if ok else DeployOutcome.FAILED,
        "is_plyzen": True,
    }
    return Deployment(**(values | more))


def test_run(end: str, passed: bool, **more: Any) -> Test:
    values: dict[str, Any] = {
        "key": f"test {end}",
        "service": "api",
        "environment": "prod",
        "ended_at": t(end),
        "passed": passed,
        "suite": "smoke",
    }
    return Test(**(values | more))


test_run.__test__ = False  # type: ignore[attr-defined]


def alarm(began: str, ended: str = "", **more: Any) -> Incident:
    end = t(ended) if ended else None
    values: dict[str, Any] = {
        "key": f"alarm {began}",
        "services": ("api",),
        "environment": "prod",
        "started_at": t(began),
        "restored_at": end,
        "finished_at": end,
    }
    return Incident(**(values | more))


def pull_request(key: str, **more: Any) -> Change:
    return Change(key=key, kind=Kind.PULL_REQUEST, **more)


def build(start: str, version: str, **more: Any) -> Build:
    values: dict[str, Any] = {
        "key": f"build {version}",
        "project": "acme/api",
        "started_at": t(start),
        "service": "api",
        "version": version,
    }
    return Build(**(values | more))


def verdicts(deployments: Sequence[Deployment], **more: Any) -> list[Judged]:
    """What is counted of these deployments, each target judged on its own."""
    merged = merge_attempts(deployments, more.pop("retry_of", {}))
    rules = more.pop("rules", DEFAULT_RULES)
    found: list[Judged] = []
    for target in dict.fromkeys(d.target for d in merged):
        own = [d for d in merged if d.target == target]
        tests = [x for x in more.get("tests", ()) if x.environment == target.environment]
        incidents = [
            x
            for x in more.get("incidents", ())
            if x.linked or (x.services, x.environment) == ((target.service,), target.environment)
        ]
        facts = {**more, "tests": tests, "incidents": incidents}
        found += judge_with_parts(TargetFacts(deployments=own, **facts), own, rules)
    groups: dict[object, list[Judged]] = {}
    for verdict in (v for v in found if v.deployment.finished and not v.deployment.whole):
        groups.setdefault(group_of(verdict.deployment), []).append(verdict)
    single = groups.pop(None, [])
    products = filter(None, map(product_of, groups.values()))
    return sorted([*single, *products], key=lambda v: (v.deployment.ended_at, v.deployment.key))


def counted(verdicts: Sequence[Judged], over: Window) -> Counted:
    """What verdicts come to, all in one group."""
    listed = [v for v in verdicts if v.deployment.finished]
    known: set[str] = set()
    shipped = []
    for v in sorted(listed, key=lambda v: (v.deployment.ended_at, v.deployment.key)):
        fresh = [s for s in v.shipped if s.change not in known]
        known |= {s.change for s in fresh}
        shipped += [(v.deployment.ended_at, s) for s in fresh]

    def ends(counts: Callable[[Judged], object]) -> list[Instant]:
        return sorted(v.deployment.ended_at for v in listed if counts(v))

    return Counted(
        ends(lambda v: True),
        ends(lambda v: v.deployment.ok),
        ends(lambda v: v.failed_at is not None and v.failed_at <= over.now),
        ends(lambda v: v.rework),
        sorted((at, UNKNOWN if s.lead is None else s.lead) for at, s in shipped),
        Counter(s.basis for at, s in shipped if at in over),
        recoveries_of(
            (v.deployment.key, v.deployment.ended_at, s.started_at, s.ended_at)
            for v in listed
            for s in v.signals
        ),
    )


def figures(
    deployments: Sequence[Deployment], over: Window = THE_DAY, **more: Any
) -> dict[str, Figure]:
    """The five metrics of these deployments."""
    found = counted(verdicts(deployments, **more), over)
    return measure(found, over, Before(known=any(at < over.end for at in found.ended)))


def figure(
    metric: str, deployments: Sequence[Deployment], over: Window = THE_DAY, **more: Any
) -> Figure:
    return figures(deployments, over, **more)[metric]
