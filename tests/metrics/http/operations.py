"""Random histories of a team that runs services, and the numbers that follow from what happened.

Nothing here knows how the product counts: a deployment has tries, alarms and tests are signs of
failure, and the rules are those of `docs/metrics.md`. Times are minutes since Monday, 2 March 2026.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from tests.metrics.http.clock import MONDAY

if TYPE_CHECKING:
    from tests.metrics.http.operations_tellers import Teller

DAY = 24 * 60
LOST = 120
"""A deploy without an end failed after this."""
SPELT = {
    "prod": "production",
    "Prod": "production",
    "prd": "production",
    "Production": "production",
    "stage": "staging",
}
"""Environments that are one."""
Span = tuple[int, int | None]
"""From a sign of failure until it is over, if it is."""
Sign = tuple[str, int, int | None]
"""A sign of failure of a kind: `deploy`, `test`, `incident` or `rollback`."""


def clock(minute: int) -> str:
    return (MONDAY + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Part(NamedTuple):
    """A job: one of a matrix, or the only one. `result` is ok, failed, cancelled or lost."""

    region: str
    queued: int
    begin: int
    end: int
    result: str


@dataclass(eq=False)
class Deployment:
    service: Service
    environment: str
    version: int
    hotfix: bool = False
    rollback: bool = False
    """It is told as a rollback."""
    tries: list[list[Part]] = field(default_factory=list)
    key: str = ""
    tried_before: int = 0
    """Tries of the same run that were deployments of their own."""

    @property
    def _last(self) -> list[Part]:
        """The last try of each region that was not cancelled."""
        parts = [part for parts in self.tries for part in parts if part.result != "cancelled"]
        return [*{part.region: part for part in parts}.values()]

    @property
    def result(self) -> str:
        results = {part.result for part in self._last}
        return "failed" if results & {"failed", "lost"} else "ok" if "ok" in results else ""

    @property
    def is_lost(self) -> bool:
        return any(part.result == "lost" for part in self._last)

    @property
    def begin(self) -> int:
        return min(part.begin for parts in self.tries for part in parts)

    @property
    def end(self) -> int:
        return max(p.begin + LOST if p.result == "lost" else p.end for p in self._last)

    @property
    def place(self) -> tuple[str, str]:
        return self.service.name, SPELT.get(self.environment, self.environment)


@dataclass(eq=False)
class Alarm:
    """An incident, or a test that failed and passed later (`of` is what it tested)."""

    service: Service | None
    environment: str
    begin: int
    end: int | None
    version: int = 0
    of: Deployment | None = None
    is_test: bool = False
    also: Service | None = None
    """Another service that it names."""
    reopens: Alarm | None = None


class Verdict(NamedTuple):
    """What is said of a deployment."""

    environment: str
    begin: int
    end: int
    result: str
    is_repair: bool
    signs: tuple[Sign, ...]


class Incidents(NamedTuple):
    count: int
    restored: int
    to_restore: float | None
    to_detect: tuple[float | None, int]


class Numbers(NamedTuple):
    successes: int
    fail: tuple[int, int]
    rework: tuple[int, int]
    recovery: tuple[float | None, int]
    open: int


@dataclass(eq=False)
class Service:
    name: str
    teller: Teller
    environments: tuple[str, ...] = ("production",)
    newest: int = 0


class Operations:
    """A team, its services, and all that happens to them."""

    def __init__(self, name: str, seed: str) -> None:
        self.name, self.random = name, Random(seed)
        self.minute = 9 * 60 + self.random.randint(0, 59)
        self.services: list[Service] = []
        self.deployments: list[Deployment] = []
        self.alarms: list[Alarm] = []
        self.log: list[str] = []
        self.results = ("ok", "failed")
        """Of deployments that count."""
        self.window = DAY

    # What the history means

    def counted(self, *services: Service) -> list[Deployment]:
        """Production deployments, in the order in which they began."""
        found = [
            deployment
            for deployment in self.deployments
            if deployment.result in self.results
            and deployment.place[1] != "staging"
            and deployment.service in (services or self.services)
        ]
        return sorted(found, key=lambda one: one.begin)

    def numbers(self, services: Iterable[Service], since: int, until: int) -> Numbers:
        within = [one for one in self.counted(*services) if since <= one.end < until]
        spells = {one: merged(sign[1:] for sign in self.signs(one)) for one in within}
        known = [span for spans in spells.values() for span in spans]
        closed = [end - begin for begin, end in known if end is not None and begin <= end]
        ok = sum(one.result == "ok" for one in within)
        return Numbers(
            ok,
            (sum(bool(spans) for spans in spells.values()), len(within)),
            (sum(map(self.is_repair, within)), len(within)),
            (median(closed) if closed else None, len(closed)),
            sum(end is None for _, end in known),
        )

    def incidents(self, since: int, until: int) -> Incidents:
        """Those of production that began. One that is reopened lasts until its last end."""
        found = [
            [alarm, *(again for again in self.alarms if again.reopens is alarm)]
            for alarm in self.alarms
            if alarm.service and not alarm.is_test and alarm.environment != "staging"
            if since <= alarm.begin < until and not alarm.reopens
        ]
        took = [own[-1].end - own[0].begin for own in found if own[-1].end is not None]
        late = []
        for own in found:
            ends = [d.end for alarm in own for d in self.blamed(alarm)]
            late += [own[0].begin - max(ends)] if ends and max(ends) <= own[0].begin else []
        return Incidents(
            *(len(found), len(took), median(took) if took else None),
            (median(late) if late else None, len(late)),
        )

    def verdicts(self, service: Service) -> list[Verdict]:
        return sorted(
            Verdict(
                d.place[1], d.begin, d.end, d.result, self.is_repair(d), in_order(self.signs(d))
            )
            for d in self.counted(service)
        )

    def at(self, deployment: Deployment) -> list[Deployment]:
        """All of the same service and environment."""
        return [one for one in self.counted(deployment.service) if one.place == deployment.place]

    def before(self, deployment: Deployment) -> list[Deployment]:
        """Those that it follows, by their end."""
        every = [one for one in self.at(deployment) if one.end < deployment.end]
        return sorted(every, key=lambda one: one.end)

    def live_before(self, deployment: Deployment) -> Deployment | None:
        return next((d for d in reversed(self.before(deployment)) if d.result == "ok"), None)

    def undone(self, deployment: Deployment) -> set[Deployment]:
        """What it takes back: what was live, and what was tried last, if these are newer. What
        began before these was only slow."""
        last, live = self.before(deployment)[-1:], self.live_before(deployment)
        replaced = {*last, *([live] if live else [])}
        newer = {
            d for d in replaced if deployment.version < d.version and deployment.begin >= d.begin
        }
        return newer | set(last if deployment.rollback else [])

    def fixed(self, since: int, place: tuple[str, str]) -> int | None:
        """The end of the first success from then on."""
        ends = [d.end for d in self.counted() if d.place == place and d.result == "ok"]
        return min((end for end in ends if end >= since), default=None)

    def signs(self, deployment: Deployment) -> Iterator[Sign]:
        """What shows that a deployment failed."""
        if deployment.result == "failed":
            # What is lost may be over before its timeout tells that it failed.
            seen = deployment.begin if deployment.is_lost else deployment.end
            yield "deploy", deployment.end, self.fixed(seen + 1, deployment.place)
        for alarm in self.alarms:
            if deployment in self.blamed(alarm):
                yield "test" if alarm.is_test else "incident", alarm.begin, alarm.end
        for one in self.at(deployment):
            if deployment in self.undone(one):
                yield "rollback", one.begin, self.fixed(one.end, one.place)

    def blamed(self, alarm: Alarm) -> list[Deployment]:
        if alarm.of:
            return [alarm.of] if alarm.of in self.counted() else []
        found = []
        for service in (alarm.service, alarm.also):
            begun = self.begun(alarm, service)
            if alarm.version:
                found += [d for d in begun if d.version == alarm.version][-1:]
            else:
                found += [d for d in begun[-1:] if alarm.begin <= d.end + self.window]
        return found

    def begun(self, alarm: Alarm, service: Service | None) -> list[Deployment]:
        """The production deployments of a service before an alarm that it may be about."""
        named = SPELT.get(alarm.environment, alarm.environment)
        if not service or named == "staging":
            return []
        found = [d for d in self.counted(service) if d.begin <= alarm.begin]
        return [d for d in found if d.place[1] == named] or found

    def is_repair(self, deployment: Deployment) -> bool:
        def was_open(alarm: Alarm) -> bool:
            about = blamed = self.blamed(alarm)
            for service in (alarm.service, alarm.also):
                if not any(one.service is service for one in blamed):
                    about = [*about, *self.begun(alarm, service)[-1:]]
            return (
                any(one.place == deployment.place for one in about)
                and deployment not in about
                and alarm.begin <= deployment.begin
                and alarm.end is not None
                and alarm.end >= deployment.end
            )

        back = deployment.rollback or bool(self.undone(deployment))
        return deployment.hotfix or back or any(map(was_open, self.alarms))

    # What happens

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def passes(self, least: int = 2, most: int = 40) -> None:
        self.minute += self.random.randint(least, most)

    def say(self, text: str) -> None:
        self.log.append(f"{clock(self.minute)[5:16]} {text}")

    def deploy(
        self,
        service: Service,
        version: int = 0,
        *,
        environment: str = "",
        result: str = "",
        **marks: bool,
    ) -> Deployment:
        """Deploy a version, or the next one."""
        now = self.minute
        self.passes()
        last = next((d for d in reversed(self.deployments) if d.service is service), None)
        if not version:
            service.newest += 1
            version = service.newest
            if (
                last
                and last.result
                and last.end == now
                and service.teller.overlaps
                and self.chance(0.12)
            ):
                # It begins before the last one has ended.
                self.minute = min(self.minute, self.random.randint(last.begin + 1, last.end))
        environment = environment or self.random.choice(service.environments)
        found = Deployment(service, environment, version, **marks)
        found.key = f"{self.name}-{len(self.deployments)}"
        self.deployments.append(found)
        self.run(found, result)
        return found

    def run_again(self, old: Deployment) -> Deployment:
        """Another try of a run: a new deployment if the old one, or a rollback since, succeeded."""
        since = [d for d in self.at(old) if d.begin > old.begin and d.result == "ok"]
        if old.result == "ok" or any(d.rollback for d in since):
            tried = old.tried_before + len(old.tries)
            new = Deployment(old.service, old.environment, old.version, old.hotfix, old.rollback)
            new.key, new.tried_before = old.key, tried
            self.deployments.append(new)
            self.run(new, regions=tuple(part.region for part in old.tries[0]))
            return new
        failed = tuple(part.region for part in old._last if part.result != "ok")
        self.run(old, regions=failed if self.chance(0.5) else ())
        return old

    def run(self, deployment: Deployment, result: str = "", regions: tuple[str, ...] = ()) -> None:
        """A try of a deployment."""
        teller, choice = deployment.service.teller, self.random.choices
        if regions:
            pass
        elif deployment.tries:
            regions = tuple(part.region for part in deployment.tries[0])
        elif teller.matrix and self.chance(0.25):
            regions = ("eu", "us", "ap")[: self.random.randint(2, 3)]
        else:
            regions = ("",)
        shares = {"ok": 70, "failed": 20, "cancelled": 6 * teller.cancels, "lost": 4 * teller.loses}
        if not teller.fails:
            shares = {"ok": 1}
        result = result or choice([*shares], [*shares.values()])[0]
        queued = self.minute
        if teller.queues and self.chance(0.2):
            self.passes(5, 60)
        taken = {
            m
            for d in self.deployments
            for p in d.tries
            for q in p
            for m in (q.begin, q.end, q.begin + LOST)
        }
        while self.minute in taken:
            self.minute += 1
        began, parts = self.minute, []
        for number, region in enumerate(regions):
            begin = began + number
            end = begin + self.random.randint(2, 15)
            while end in taken:
                end += 1
            begin = end if teller.at_once else begin
            own = (
                result if result != "failed" or not number else self.random.choice(["ok", "failed"])
            )
            parts.append(Part(region, queued, begin, end, own))
        deployment.tries.append(parts)
        self.minute = max(part.end for d in self.deployments for parts in d.tries for part in parts)
        if result == "lost":
            self.minute += self.random.choice([5, LOST + 5])
        n = deployment.tried_before + len(deployment.tries)
        self.say(
            f"{deployment.key} {deployment.service.name} {deployment.environment} "
            f"v{deployment.version}{' hotfix' * deployment.hotfix}"
            f"{' rollback' * deployment.rollback} try {n}: "
            + ", ".join(
                f"{p.region} {clock(p.begin)[11:16]}-{clock(p.end)[11:16]} {p.result}"
                for p in parts
            )
        )
        teller.tell(deployment, n, parts)

    def alarm(self, alarm: Alarm) -> Alarm:
        self.alarms.append(alarm)
        where = alarm.service.name if alarm.service else "nothing"
        end = "" if alarm.end is None else clock(alarm.end)[5:16]
        what = "test" if alarm.is_test else "alarm"
        self.log.append(
            f"{clock(alarm.begin)[5:16]} {what} about {where} {alarm.environment} "
            f"version {alarm.version} of {alarm.of and alarm.of.key} until {end}"
        )
        return alarm


def in_order(signs: Iterable[Sign]) -> tuple[Sign, ...]:
    return tuple(sorted(signs, key=repr))


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans that overlap are one."""
    found: list[Span] = []
    for begin, end in sorted(spans, key=lambda span: span[0]):
        if found and (found[-1][1] is None or begin <= found[-1][1]):
            last = found[-1]
            longest = None if None in (last[1], end) else max(last[1], end)
            found[-1] = (last[0], longest)
        else:
            found.append((begin, end))
    return found
