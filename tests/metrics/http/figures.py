"""The delivery metrics by their definitions (docs/metrics.md), of facts that leave no doubt.

Written from the definitions and not from the code: slow, plain, and without anything shared with
it. Times are whole seconds since 1970.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

MINUTE, HOUR, DAY = 60, 3_600, 86_400


@dataclass(eq=False)
class Deploy:
    """A deployment to an environment; `commit` is when its first commit was made, if known."""

    key: str
    project: str
    service: str
    environment: str
    begin: int
    end: int | None
    result: str = "ok"
    commit: int | None = None
    version: str = ""


@dataclass(eq=False)
class Incident:
    """An incident of a service; of a deployment if it names one."""

    key: str
    project: str
    service: str
    begin: int
    named: Deploy | None = None
    restored: int | None = None
    finished: int | None = None

    @property
    def over(self) -> int | None:
        return self.finished if self.restored is None else self.restored


@dataclass(eq=False)
class Pull:
    """A pull request."""

    number: int
    project: str
    author: str
    opened: int
    ended: int | None
    merged: bool
    added: int
    deleted: int
    comments: int


@dataclass(frozen=True)
class Window:
    """`[since, until)` with days of a zone."""

    since: int
    until: int
    zone: ZoneInfo

    def day(self, at: int) -> date:
        return datetime.fromtimestamp(at, self.zone).date()

    def begin(self, day: date) -> int:
        """The first second of a day, found by its name alone."""
        noon = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp())
        low, high = noon - 2 * DAY, noon + 2 * DAY
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.day(middle) < day else (low, middle)
        return low

    def days(self) -> list[date]:
        first, last = self.day(self.since), self.day(self.until - 1)
        return [first + timedelta(n) for n in range((last - first).days + 1)]

    def length(self) -> Fraction:
        """In days, of which each counts 1 whatever its hours."""
        whole = Fraction(0)
        for day in self.days() if self.until > self.since else ():
            begin, after = self.begin(day), self.begin(day + timedelta(1))
            within = min(after, self.until) - max(begin, self.since)
            whole += Fraction(within, after - begin) if after > begin else 0
        return whole

    def cut(self, kind: str) -> list[Window]:
        """Calendar weeks or months (or days), the first and last as far as they lie in it."""

        def first(day: date) -> bool:
            return kind == "day" or (day.weekday() == 0 if kind == "week" else day.day == 1)

        at = {self.begin(day) for day in self.days() if first(day)}
        edges = [self.since, *sorted(a for a in at if a > self.since), self.until]
        return [Window(a, b, self.zone) for a, b in itertools.pairwise(edges)]

    def __contains__(self, at: int | None) -> bool:
        return at is not None and self.since <= at < self.until


def median(values: Iterable[float]) -> float | None:
    own = sorted(values)
    return (own[(len(own) - 1) // 2] + own[len(own) // 2]) / 2 if own else None


def nearest(values: Iterable[float], percent: int) -> float | None:
    own = sorted(values)
    return own[ceil(len(own) * percent / 100) - 1] if own else None


@dataclass
class World:
    """All that happened."""

    deploys: list[Deploy] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    pulls: list[Pull] = field(default_factory=list)
    others: list[tuple[str, int]] = field(default_factory=list)
    """(project, time) of what only tells that a project is known."""

    def counted(self, own: Callable[[Deploy], bool]) -> list[Deploy]:
        return [
            d
            for d in self.deploys
            if d.environment == "production" and d.end is not None and d.result != "cancelled"
            if own(d)
        ]

    def at(self, service: str) -> list[Deploy]:
        return self.counted(lambda d: d.service == service)

    def blamed(self, incident: Incident) -> Deploy | None:
        if incident.named:
            return incident.named
        begun = [d for d in self.at(incident.service) if d.begin <= incident.begin]
        last = max(begun, key=lambda d: d.begin, default=None)
        return last if last and last.end and incident.begin <= last.end + DAY else None

    def signs(self, deploy: Deploy) -> list[tuple[int, int | None]]:
        """Failures of a deployment, those that overlap as one."""
        own = [(i.begin, i.over) for i in self.incidents if self.blamed(i) is deploy]
        if deploy.result == "error":
            assert deploy.end is not None
            better = [d.end for d in self.at(deploy.service) if d.result == "ok" and d.end]
            own.append((deploy.end, min((e for e in better if e > deploy.end), default=None)))
        found: list[tuple[int, int | None]] = []
        for begin, over in sorted(own, key=lambda sign: sign[0]):
            if found and (found[-1][1] is None or begin <= found[-1][1]):
                last = found[-1][1]
                later = None if last is None or over is None else max(last, over)
                found[-1] = (found[-1][0], later)
            else:
                found.append((begin, over))
        return found

    def is_repair(self, deploy: Deploy) -> bool:
        assert deploy.end is not None
        return any(
            i.begin < deploy.begin and i.over is not None and i.over >= deploy.end
            for i in self.incidents
            if i.service == deploy.service
        )

    def known_since(self, projects: Iterable[str] | None = None) -> int | None:
        """The first event of projects (of all)."""
        seen = [(d.project, d.begin) for d in self.deploys]
        seen += [(i.project, i.begin) for i in self.incidents]
        seen += [(p.project, p.opened) for p in self.pulls]
        seen += self.others
        return min((at for p, at in seen if projects is None or p in projects), default=None)


def figures(
    world: World, own: Callable[[Deploy], bool], window: Window
) -> dict[str, dict[str, Any]]:
    """Metric -> its figure for the deployments of a group."""
    counted = world.counted(own)
    first = world.known_since({d.project for d in counted})
    within = [d for d in counted if d.end in window]
    good = [d for d in within if d.result == "ok"]
    changes = [d.end - d.commit for d in good if d.commit is not None and d.end]
    spells = {d: world.signs(d) for d in within}
    known = [span for spans in spells.values() for span in spans]
    over = [end - begin for begin, end in known if end is not None]
    value = None
    if first is not None and any(d.end < window.until for d in counted if d.end):
        begin = max(window.since, window.begin(window.day(first)))
        days = max(Window(begin, window.until, window.zone).length(), 1)
        value = float(len(good) / days)
    active = {window.day(d.end) for d in good if d.end}
    failed = sum(bool(s) for s in spells.values())
    repairs = sum(map(world.is_repair, within))
    return {
        "deployment_frequency": {
            "value": value,
            "n": len(good),
            "working_days_with_deployment": sum(day.weekday() < 5 for day in active),
        },
        "change_lead_time": {
            "value": median(changes),
            "p90": nearest(changes, 90),
            "n": len(changes),
            "unknown": len(good) - len(changes),
            "small_sample": 0 < len(changes) < 5,
        },
        "change_fail_rate": share(failed, len(within)),
        "failed_deployment_recovery_time": {
            "value": median(over),
            "p90": nearest(over, 90),
            "n": len(over),
            "open": sum(end is None for _, end in known),
            "small_sample": 0 < len(over) < 5,
        },
        "deployment_rework_rate": share(repairs, len(within)),
        "changes_per_deployment": {
            "value": 1.0 if good else None,
            "n": len(good),
            "small_sample": 0 < len(good) < 5,
        },
    }


def share(hits: int, n: int) -> dict[str, Any]:
    small = 0 < n < 5
    return {"value": hits / n if n else None, "n": n, "hits": hits, "small_sample": small}


def incidents(world: World, projects: Sequence[str], window: Window) -> dict[str, Any]:
    """What `report teams` says of projects."""
    began = [i for i in world.incidents if i.project in projects and i.begin in window]
    took = [i.over - i.begin for i in began if i.over is not None]
    late = []
    for incident in began:
        blamed = world.blamed(incident)
        if blamed and blamed.end and incident.begin >= blamed.end:
            late.append(incident.begin - blamed.end)
    counted = world.counted(lambda d: d.project in projects)
    ended = [d for d in counted if d.end in window]
    started = [
        d
        for d in world.deploys
        if d.environment == "production" and d.project in projects and d.begin in window
    ]
    people = [p for p in world.pulls if p.project in projects and not p.author.endswith("[bot]")]
    merged = [p for p in people if p.merged and p.ended in window]
    return {
        "incidents": len(began),
        "incidents_restored": len(took),
        "incidents_finished": sum(i.finished is not None for i in began),
        "time_to_restore_p50": median(took),
        "time_to_restore_p90": nearest(took, 90),
        "time_to_detect_p50": median(late),
        "time_to_detect_n": len(late),
        "deploys_started": len(started),
        "deployed": sum(d.result == "ok" for d in ended),
        "deployment_duration_p50": median(d.end - d.begin for d in ended if d.end),
        "deployment_duration_p90": nearest((d.end - d.begin for d in ended if d.end), 90),
        "merged_pull_requests": len(merged),
    }
