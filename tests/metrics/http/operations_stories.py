"""Random stories of a team's operations: what happens, and the tools that tell of it."""

from __future__ import annotations

from tests.metrics.http.operations import DAY, Alarm, Deployment, Operations, Service, clock
from tests.metrics.http.operations_alarms import (
    ANY,
    NAME_TWO,
    NO_PLACE,
    PRODUCTION,
    as_duplicate,
    by_alertmanager,
    by_host,
    by_jira,
    by_rootly,
    by_script,
)
from tests.metrics.http.operations_tellers import (
    TELLERS,
    ByEmMetrics,
    ByGitHub,
    ByGitLab,
    ByPlyzen,
    Teller,
)
from tests.metrics.http.others import EmMetrics, Plyzen, Script
from tests.metrics.http.story import Story


def own_version(of: Deployment, version: int) -> str:
    return of.service.teller.version(version)


class Team(Operations):
    """Makes a story step by step, and tells it."""

    def __init__(self, name: str, seed: str) -> None:
        super().__init__(name, seed)
        self.story = Story()
        self.red: list[Alarm] = []
        """Tests that fail."""
        for number in range(self.random.randint(1, 3)):
            tool: type[Teller] = self.random.choice(TELLERS)
            service, places = f"{name}-s{number}", tool.places
            chosen = self.random.sample(places, min(len(places), self.random.choice([1, 1, 2])))
            newest = self.random.choice([0, 7])
            own = Service(service, tool(self.story, service), tuple(chosen), newest)
            self.services.append(own)
            self.deploy(own, result="ok")

    def live(self) -> None:
        for _ in range(self.random.randint(4, 14)):
            if self.chance(0.1):
                self.passes(300, 3 * DAY)
            self.step(self.random.choice(self.services))
        self.turn_green()

    def step(self, service: Service) -> None:
        own, chance = service.teller, self.random.random()
        if self.red and self.chance(0.4):
            self.turn_green()
        if chance < 0.35:
            self.ship(service)
        elif chance < 0.45:
            self.go_back(service)
        elif chance < 0.75:
            self.alert(service)
        elif chance < 0.87 and own.tests:
            self.test(service)
        elif chance < 0.9 and own.retries and own.later:
            old = [d for d in self.deployments if d.service is service and d.place[1] != "staging"]
            keys = {d.key: d for d in old}
            self.passes()
            self.run_again(self.random.choice([*keys.values()][-3:]))
        elif chance < 0.94 and not isinstance(own, ByEmMetrics):
            self.deploy(service, environment="staging")
        elif own.repeats:
            last = self.last(service)
            self.deploy(service, last.version, environment=last.environment)

    def last(self, service: Service) -> Deployment:
        own = [one for one in self.deployments if one.service is service]
        return next(one for one in reversed(own) if one.environment != "staging")

    def ship(self, service: Service) -> None:
        """The next version; what failed is tried again, as an attempt or by a new run."""
        own = service.teller
        found = self.deploy(service, hotfix=own.hotfixes and self.chance(0.1))
        while found.result != "ok" and self.chance(0.6):
            self.passes(1, 30)
            if own.retries and self.chance(0.6):
                found = self.run_again(found)
            elif own.repeats:
                found = self.deploy(service, found.version, environment=found.environment)
            else:
                break

    def go_back(self, service: Service) -> None:
        """To a version that was live before."""
        place = self.random.choice(service.environments)
        had = [d for d in self.counted(service) if d.environment == place and d.result == "ok"]
        older = sorted({one.version for one in had if one.version < had[-1].version})
        if service.teller.by_version:
            failed = {one.version for one in self.counted(service) if one.result == "failed"}
            older = [version for version in older if version not in failed]
        if older and (service.teller.numbered or service.teller.goes_back):
            marked = service.teller.marks and self.chance(0.5)
            version = self.random.choice(older[-2:])
            self.deploy(service, version, environment=place, rollback=marked)

    def alert(self, service: Service) -> None:
        last, own = self.last(service), service.teller
        begin = self.minute
        if self.chance(0.15) and last.result and last.begin + 1 < last.end:
            begin = self.random.randint(last.begin, last.end - 1)
        else:
            self.passes()
            begin = self.minute
        end = None if self.chance(0.08) else begin + self.random.randint(5, 200)
        place = self.random.choice(
            [*service.environments, *service.environments, "", "staging", "live"]
        )
        key, chance = f"{self.name}-a{len(self.alarms)}", self.random.random()
        found = Alarm(service, place, begin, end)
        if isinstance(own, ByEmMetrics) and chance < 0.5:
            found.of, found.environment = last, ""
            self.alarm(found)
            restored = "" if end is None else clock(end)
            EmMetrics(self.story, own.project).incident(
                key, clock(begin), restored, deployment=last.key
            )
            return
        if isinstance(own, ByPlyzen) and chance < 0.4:
            found.environment, found.version = last.environment, last.version
            about = {"environment": last.environment, "version": f"1.{last.version}"}
            ended = "" if end is None else clock(end)
            plyzen = Plyzen(self.story, f"ns-{service.name}", service.name)
            plyzen.activity(f"alarm {key}", clock(begin), ended, **about)
            self.alarm(found)
            return
        if last.result and own.ref(last) and self.chance(0.2):
            found.of, found.environment = last, last.environment
            by_script(self.story, found, key)
            self.alarm(found)
            return
        if end is not None and self.chance(0.05):
            found.environment = ""
            as_duplicate(self.story, found, f"{key} twice")
            return
        if chance < 0.4 and (own.numbered or own.goes_back):
            begun = [d.version for d in self.counted(service) if d.begin <= begin]
            if begun:
                found.version = self.random.choice(begun[-3:])
            tool = self.random.choice(ANY)
        elif chance < 0.45:
            found.service, tool = None, by_alertmanager
        elif chance < 0.6:
            found.environment, tool = "", self.random.choice(NO_PLACE)
        elif chance < 0.75:
            found.environment, tool = "production", self.random.choice(PRODUCTION)
        elif chance < 0.85 and isinstance(own, ByGitHub | ByGitLab):
            found.environment, tool = "", by_host
        else:
            tool = self.random.choice(ANY)
        if tool is by_jira and not self.blamed(found):
            tool = by_rootly  # a ticket of another project that fails nothing has no team
        others = [one for one in self.services if one is not service]
        if tool in NAME_TWO and others and self.chance(0.3):
            found.also = self.random.choice(others)
        tool(self.story, found, key)
        self.alarm(found)
        self.log[-1] += f" by {tool.__qualname__}"
        if tool in (by_alertmanager, by_jira, by_script) and end is not None and self.chance(0.2):
            # It rings again.
            begin = end + self.random.randint(2, 60)
            again = Alarm(found.service, found.environment, begin, begin + 30, found.version)
            again.also = found.also
            again.reopens = None if tool is by_alertmanager else found
            tool(self.story, again, key)
            self.alarm(again)

    def test(self, service: Service) -> None:
        """A test of what was deployed last fails, or passes."""
        last = max(self.counted(service), key=lambda one: one.end)
        self.passes(2, 10)
        if last.end > self.minute:
            return
        ok = self.chance(0.4)
        self.tell_test(last, ok)
        chance = self.random.random()
        if chance < 0.2:
            self.tell_test(last, False, environment="staging")
        elif chance < 0.4 and last.version > 1:
            self.tell_test(last, False, version=own_version(last, last.version - 1))
        if ok:
            self.close(last)
        else:
            found = Alarm(service, last.environment, self.minute, None, of=last, is_test=True)
            self.red.append(self.alarm(found))

    def turn_green(self) -> None:
        """The tests pass, on what is deployed last."""
        for failed in self.red[:1]:
            assert failed.service and failed.of
            place = failed.of.place
            own = [d for d in self.deployments if d.result and d.place == place]
            self.passes(2, 10)
            last = max(own, key=lambda one: one.end)
            self.tell_test(last, True)
            self.close(last)

    def close(self, passed: Deployment) -> None:
        for failed in self.red:
            if failed.of and failed.of.place == passed.place:
                failed.end = self.minute
        self.red = [one for one in self.red if one.end is None]

    def tell_test(self, of: Deployment, ok: bool, **more: str) -> None:
        key, end = f"{self.name}-t{self.minute}{more}", clock(self.minute)
        about = {"version": own_version(of, of.version), "environment": of.environment}
        about |= {"version": ""} if self.chance(0.3) else {}
        about |= more
        self.say(f"test of {of.key} {'passes' if ok else 'fails'}")
        if isinstance(of.service.teller, ByPlyzen):
            own = Plyzen(self.story, f"ns-{of.service.name}", of.service.name)
            own.activity(
                "smoke-test", clock(self.minute - 1), end, "success" if ok else "failure", **about
            )
            return
        script = Script(self.story, of.service.name)
        script.span("test", clock(self.minute - 1), end, ok, key=key, **about)
