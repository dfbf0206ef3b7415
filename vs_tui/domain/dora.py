"""The DORA metrics, pure: facts in, values with their n out. docs/metrics.md defines each.

Missing data stays missing: no deployments is None, never 0 % or 100 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from vs_tui.domain.cards import Card
from vs_tui.domain.instants import (
    DAY,
    HOUR,
    MINUTE,
    Duration,
    Instant,
    from_datetime,
    to_datetime,
)

INCIDENT_WINDOW: Final = DAY
"""A failure without id or version belongs to the last successful deployment of its service and
environment that ended at most this long before."""
METRICS: Final = ("deploys", "lead", "fail", "restore", "rework")


@dataclass(frozen=True, slots=True)
class Change:
    """What a deployment shipped: a pull request if known."""

    key: str
    start: Instant
    start_rule: str
    """`commit`, `pull request opened`, `build` or `previous deploy`: the fallback that was used."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A finished deploy to production: the last attempt, if there were several."""

    key: str
    service: str
    environment: str
    started: Instant
    ended: Instant
    ok: bool
    team: str = ""
    version: str = ""
    rework: bool = False
    """Marked as a repair: a rollback or a hotfix."""
    changes: tuple[Change, ...] = ()

    @property
    def target(self) -> tuple[str, str]:
        return self.service, self.environment


@dataclass(frozen=True, slots=True)
class Signal:
    """A failure after a deployment: a failed test, an alarm or an incident."""

    key: str
    began: Instant
    ended: Instant | None
    service: str = ""
    environment: str = ""
    version: str = ""
    deployment: str = ""
    """Key of the deployment it is linked to, where a tool or a rule says so."""


@dataclass(frozen=True, slots=True)
class Episode:
    """The time in which one deployment was broken."""

    deployment: Deployment
    began: Instant
    ended: Instant | None
    """None while it is open."""
    repaired_by: str = ""


@dataclass(frozen=True, slots=True)
class Value:
    """A metric over a window."""

    value: float | None
    """Per day, microseconds or a share from 0 to 1; None without data."""
    n: int
    p90: float | None = None
    open: int = 0
    """Episodes that are still open (recovery)."""
    open_for: Duration = 0


@dataclass(frozen=True, slots=True)
class Window:
    """[since, until), and the zone its days are counted in."""

    since: Instant
    until: Instant
    zone: tzinfo | None

    @property
    def days(self) -> float:
        return (self.until - self.since) / DAY

    def holds(self, instant: Instant) -> bool:
        return self.since <= instant < self.until

    def before(self) -> Window:
        """The window of the same length just before."""
        return Window(self.since - (self.until - self.since), self.since, self.zone)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the metrics are computed from; deployments also from before the window."""

    deployments: Sequence[Deployment]
    signals: Sequence[Signal] = ()
    episodes: Sequence[Episode] = field(default=())

    @classmethod
    def of(cls, deployments: Iterable[Deployment], signals: Iterable[Signal] = ()) -> Facts:
        """Facts with their failure episodes worked out."""
        ordered = sorted(deployments, key=lambda d: (d.ended, d.key))
        listed = sorted(signals, key=lambda s: (s.began, s.key))
        return cls(ordered, listed, episodes(ordered, listed))


def median(values: Sequence[float]) -> float | None:
    """The middle value; the mean of the middle two for an even count."""
    ordered = sorted(values)
    n = len(ordered)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2 if n else None


def percentile(values: Sequence[float], share: float) -> float | None:
    """Nearest rank: the smallest value that at least `share` of all do not exceed."""
    ordered = sorted(values)
    if not ordered:
        return None
    rank = -(-len(ordered) * share // 1)
    return ordered[max(int(rank), 1) - 1]


def frequency(facts: Facts, window: Window) -> Value:
    """Successful deployments a day."""
    n = sum(d.ok and window.holds(d.ended) for d in facts.deployments)
    return Value(n / window.days if window.days > 0 else None, n)


def working_days(facts: Facts, window: Window) -> tuple[int, int]:
    """(working days with a successful deployment, working days) of the window."""
    deployed = {
        _day(d.ended, window.zone) for d in facts.deployments if d.ok and window.holds(d.ended)
    }
    all_days = [day for day in _days(window) if day.weekday() < 5]
    return sum(day in deployed for day in all_days), len(all_days)


def lead_times(facts: Facts, window: Window) -> list[Duration]:
    """For each change first shipped by a successful deployment in the window: its lead time."""
    shipped: set[str] = set()
    found: list[Duration] = []
    for deployment in facts.deployments:
        if not deployment.ok:
            continue
        for change in deployment.changes:
            if change.key in shipped:
                continue
            shipped.add(change.key)
            if window.holds(deployment.ended):
                found.append(max(deployment.ended - change.start, 0))
    return found


def lead_time(facts: Facts, window: Window) -> Value:
    times = lead_times(facts, window)
    return Value(median(times), len(times), percentile(times, 0.9))


def fail_rate(facts: Facts, window: Window) -> Value:
    """Share of the deployments that failed, each counted once."""
    inside = [d for d in facts.deployments if window.holds(d.ended)]
    broken = {episode.deployment.key for episode in facts.episodes}
    failed = sum(d.key in broken for d in inside)
    return Value(failed / len(inside) if inside else None, len(inside))


def recovery(facts: Facts, window: Window, now: Instant) -> Value:
    """Median time from the first failure signal until all are closed; open ones stand apart."""
    inside = [e for e in facts.episodes if window.holds(e.deployment.ended)]
    closed = [float(e.ended - e.began) for e in inside if e.ended is not None]
    still = [e for e in inside if e.ended is None]
    return Value(
        median(closed),
        len(closed),
        percentile(closed, 0.9),
        open=len(still),
        open_for=max((now - e.began for e in still), default=0),
    )


def rework_rate(facts: Facts, window: Window) -> Value:
    """Share of the deployments that were made to repair."""
    inside = [d for d in facts.deployments if window.holds(d.ended)]
    repairs = {episode.repaired_by for episode in facts.episodes if episode.repaired_by}
    n = sum(d.rework or d.key in repairs for d in inside)
    return Value(n / len(inside) if inside else None, len(inside))


def episodes(deployments: Sequence[Deployment], signals: Sequence[Signal]) -> list[Episode]:
    """One episode a broken deployment: overlapping signals are one.

    A failed deploy is repaired by the next successful deployment of its target; an alarm or an
    incident by its own end; a failed test by a passing retest (which ends its signal) or by a
    later successful deployment.
    """
    following = _next_successes(deployments)
    hits: dict[str, list[Signal]] = {}
    by_target: dict[tuple[str, str], list[Deployment]] = {}
    for deployment in deployments:
        by_target.setdefault(deployment.target, []).append(deployment)
    for signal in signals:
        hit = _deployment_of(signal, deployments, by_target)
        if hit is not None:
            hits.setdefault(hit.key, []).append(signal)
    found: list[Episode] = []
    for deployment in deployments:
        mine = hits.get(deployment.key, [])
        if deployment.ok and not mine:
            continue
        repair = following.get(deployment.key)
        starts = [signal.began for signal in mine]
        ends: list[Instant | None] = [signal.ended for signal in mine]
        if not deployment.ok:
            starts.append(deployment.ended)
            ends.append(repair.ended if repair else None)
        ended = None if None in ends else max(end for end in ends if end is not None)
        began = min(starts)
        repaired_by = ""
        if repair is not None and (not deployment.ok or (ended is None or repair.ended <= ended)):
            repaired_by = repair.key
        found.append(
            Episode(deployment, began, None if ended is None else max(ended, began), repaired_by)
        )
    return found


def _next_successes(deployments: Sequence[Deployment]) -> dict[str, Deployment]:
    """For each deployment the next successful one of its target."""
    upcoming: dict[tuple[str, str], Deployment] = {}
    found: dict[str, Deployment] = {}
    for deployment in reversed(deployments):
        if deployment.target in upcoming:
            found[deployment.key] = upcoming[deployment.target]
        if deployment.ok:
            upcoming[deployment.target] = deployment
    return found


def _deployment_of(
    signal: Signal,
    deployments: Sequence[Deployment],
    by_target: Mapping[tuple[str, str], Sequence[Deployment]],
) -> Deployment | None:
    """By id, by version, else the last successful one of its target within a day before."""
    if signal.deployment:
        return next((d for d in deployments if d.key == signal.deployment), None)
    candidates = [
        d
        for d in by_target.get((signal.service, signal.environment), ())
        if d.ended <= signal.began
    ]
    if signal.version:
        candidates = [d for d in candidates if d.version == signal.version]
        return candidates[-1] if candidates else None
    recent = [d for d in candidates if d.ok and signal.began - d.ended <= INCIDENT_WINDOW]
    return recent[-1] if recent else None


# Levels. Figures of the 2024 Accelerate State of DevOps report; the 2025 report has no clusters.

_DAY, _WEEK, _MONTH = 1.0, 7.0, 30.0
LEVELS_2024: Final[Mapping[str, Sequence[tuple[str, float]]]] = {
    # Days between deployments, at most.
    "deploys": (("elite", _DAY), ("high", _WEEK), ("medium", _MONTH)),
    "lead": (("elite", DAY), ("high", 7 * DAY), ("medium", 30 * DAY)),
    # 2024's high cluster failed more often (20 %) than its medium one (10 %).
    "fail": (("elite", 0.05), ("medium", 0.10), ("high", 0.20)),
    "restore": (("elite", HOUR), ("high", DAY), ("medium", 7 * DAY)),
}


def level(metric: str, value: float | None) -> str:
    """`elite 2024` and so on; `` without a value or without levels for the metric."""
    steps = LEVELS_2024.get(metric)
    if steps is None or value is None:
        return ""
    measured = value
    if metric == "deploys":
        if value <= 0:
            return ""
        measured = 1 / value
    name = next((name for name, limit in steps if measured <= limit), "low")
    return f"{name} 2024"


# Cards.


def cards(team: str, facts: Facts, window: Window, now: Instant, buckets: int = 14) -> list[Card]:
    """The five metrics of a team against the window before, with a sparkline each."""
    before = window.before()
    pieces = _pieces(window, buckets)
    found = []
    for metric in METRICS:
        current, previous = measure(metric, facts, window, now), measure(metric, facts, before, now)
        series = [_bucket(metric, facts, piece, now) for piece in pieces]
        delta, direction = _change(metric, current, previous)
        text = value_text(metric, current)
        found.append(
            Card(
                team,
                metric,
                text,
                current.n,
                delta,
                direction,
                level(metric, current.value),
                series,
            )
        )
    return found


def measure(metric: str, facts: Facts, window: Window, now: Instant) -> Value:
    """One metric by its name."""
    if metric == "deploys":
        return frequency(facts, window)
    if metric == "lead":
        return lead_time(facts, window)
    if metric == "fail":
        return fail_rate(facts, window)
    if metric == "restore":
        return recovery(facts, window, now)
    if metric == "rework":
        return rework_rate(facts, window)
    raise ValueError(f"'{metric}' is no metric; use one of {', '.join(METRICS)}")


def value_text(metric: str, value: Value) -> str:
    """The value with its unit, as people say it; `-` when there is none."""
    if value.value is None or (metric == "deploys" and not value.n):
        return "-" if metric != "restore" or not value.open else f"{value.open} open"
    if metric == "deploys":
        for unit, days in (("d", 1), ("w", 7), ("mo", 30)):
            if value.value * days >= 1:
                return f"{value.value * days:.1f}/{unit}"
        return f"{value.value * 30:.1f}/mo"
    if metric in ("fail", "rework"):
        return f"{value.value * 100:.0f} %"
    return span_text(round(value.value))


def span_text(duration: Duration) -> str:
    """`38m`, `9.4h`, `2.1d`."""
    if duration < HOUR:
        return f"{duration / MINUTE:.0f}m"
    return f"{duration / HOUR:.1f}h" if duration < 2 * DAY else f"{duration / DAY:.1f}d"


def _change(metric: str, current: Value, previous: Value) -> tuple[str, str]:
    if not current.n or not previous.n or current.value is None or not previous.value:
        return "", ""
    if metric in ("fail", "rework"):
        points = (current.value - previous.value) * 100
        text, grown = f"{points:+.0f}pp", points
        if abs(points) < 0.5:
            return "0pp", "same"
    else:
        grown = (current.value - previous.value) / previous.value * 100
        text = f"{grown:+.0f}%"
        if abs(grown) < 5:
            return text, "same"
    better = grown > 0 if metric == "deploys" else grown < 0
    return text, "better" if better else "worse"


def _bucket(metric: str, facts: Facts, window: Window, now: Instant) -> float | None:
    value = measure(metric, facts, window, now)
    if metric == "deploys":
        return float(value.n)
    return value.value if value.n else None


def _pieces(window: Window, buckets: int) -> list[Window]:
    days = _days(window)
    if len(days) <= 2 * buckets and len(days) > 1:
        starts = [_midnight(day, window.zone) for day in days]
    else:
        step = (window.until - window.since) // buckets
        starts = [window.since + n * step for n in range(buckets)]
    starts[0] = min(starts[0], window.since)
    ends = [*starts[1:], window.until]
    return [Window(a, b, window.zone) for a, b in zip(starts, ends, strict=True) if b > a]


def _day(instant: Instant, zone: tzinfo | None) -> date:
    return to_datetime(instant).astimezone(zone).date()


def _days(window: Window) -> list[date]:
    first, last = _day(window.since, window.zone), _day(window.until - 1, window.zone)
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _midnight(day: date, zone: tzinfo | None) -> Instant:
    """The day's first instant in its zone: days of 23 and 25 hours come out right."""
    local = datetime(day.year, day.month, day.day, tzinfo=zone)
    return from_datetime(local if zone is not None else local.astimezone())
