"""Random facts for the model of figures, and the requests that tell of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.metrics.http.figures import DAY, HOUR, MINUTE, Deploy, Incident, Pull, World
from tests.metrics.http.github import GitHub
from tests.metrics.http.story import Story


def stamp(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


class Teller:
    """Makes up what some projects did between two times, and tells it.

    Times of `edges` (begins of days and windows) are where some deployments end, or just before.
    """

    def __init__(self, chance: random.Random, name: str, since: int, until: int) -> None:
        self.chance, self.name = chance, name
        self.since, self.until = since, until
        self.world, self.story = World(), Story()
        self.projects = [f"{name}/{name}p{n}" for n in range(chance.randint(1, 5))]
        self.edges: Sequence[int] = ()

    def tell(self) -> None:
        for project in self.projects:
            kind = self.chance.choice((self._emmetrics, self._script, self._script))
            begin = self.chance.choice((self.since, self.chance.randint(self.since, self.until)))
            kind(project, begin)
        for n in range(self.chance.randint(0, 2)):
            self._pulls(f"{self.name}/code{n}")

    def _ends(self, since: int) -> list[int]:
        much = self.chance.choice((1, 3, 12, 40))
        found = [
            self.chance.randint(since, self.until) for _ in range(self.chance.randint(0, much))
        ]
        near = [e for e in self.edges if since < e < self.until]
        found += [e - self.chance.randint(0, 1) for e in near if self.chance.random() < 0.3]
        apart: list[int] = []
        for end in sorted(found):
            if not apart or end - apart[-1] > 10 * MINUTE:
                apart.append(end)
        return apart

    def _deploys(self, project: str, service: str, environment: str, since: int) -> list[Deploy]:
        before, own = 0, []
        for n, end in enumerate(self._ends(since)):
            took = self.chance.randint(1, min(2 * HOUR, end - before - MINUTE))
            key = f"{service}-{environment}-{n}"
            own.append(
                Deploy(key, project, service, environment, end - took, end, version=f"1.{n}")
            )
            before = end
        self.world.deploys += own
        return own

    def _over(self, begin: int) -> int | None:
        over = begin + self.chance.choice((MINUTE, HOUR, 2 * DAY)) + self.chance.randint(1, HOUR)
        return over if over < self.until and self.chance.random() < 0.85 else None

    def _emmetrics(self, project: str, since: int) -> None:
        add, chance = self.story.add, self.chance
        for d in self._deploys(project, project.rpartition("/")[2], "production", since):
            d.key, d.commit = f"{self.name}-{d.key}", d.begin - chance.randint(0, 5 * DAY)
            body = {"id": d.key, "project_id": project, "first_commit_at": stamp(d.commit)}
            add("/deployments", body | {"deploy_start_at": stamp(d.begin)})
            assert d.end is not None
            done = {"create_if_not_exists": False, "deployed_at": stamp(d.end)}
            add(f"/deployments/{d.key}/deployed", done)
            while chance.random() < 0.3:
                if (begin := d.begin + chance.randint(1, 3 * HOUR)) >= self.until:
                    break
                key = f"{d.key}-{len(self.world.incidents)}"
                named = d if chance.random() < 0.8 else None
                incident = Incident(key, project, d.service, begin, named)
                body = {"id": key, "project_id": project, "started_at": stamp(begin)}
                add("/incidents", body | ({"deployment_id": d.key} if named else {}))
                over = self._over(begin)
                if over and chance.random() < 0.7:
                    incident.restored = over
                    add(f"/incidents/{key}/restored", {"date": stamp(over)})
                    over += chance.randint(1, HOUR)
                if (over and chance.random() < 0.6) or (over and not incident.restored):
                    incident.finished = over
                    add(f"/incidents/{key}/finished", {"date": stamp(over)})
                self.world.incidents.append(incident)

    def _custom(self, kind: str, key: str, at: int, action: str, **more: object) -> None:
        body = {"type": kind, "id": key, "action": action, "timestamp": stamp(at)}
        self.story.add("/customhttp", body | more)

    def _script(self, project: str, since: int) -> None:
        chance = self.chance
        for n in range(chance.randint(1, 2)):
            service = f"{self.name}-{project[-2:]}-s{n}"
            for environment in ("production", "staging"):
                for d in self._deploys(project, service, environment, since):
                    d.result = chance.choice(("ok", "ok", "ok", "error", "cancelled"))
                    self._tell_deploy(d)
                    if environment == "production":
                        self._alarms(d)

    def _tell_deploy(self, d: Deploy) -> None:
        tags = {"service": d.service, "environment": d.environment, "version": d.version}
        own = {"namespace": d.project, "tags": tags}
        self._custom("deploy", d.key, d.begin, "start", **own)
        assert d.end is not None
        self._custom("deploy", d.key, d.end, "end", status=d.result, **own)

    def _alarms(self, d: Deploy) -> None:
        while self.chance.random() < 0.25:
            if (begin := d.begin + self.chance.randint(1, 30 * HOUR)) >= self.until:
                break
            incident = Incident(f"i{len(self.world.incidents)}", d.project, d.service, begin)
            tags = {"service": d.service, "environment": "production"}
            own = {"namespace": d.project, "tags": tags}
            self._custom("incident", incident.key, begin, "start", **own)
            if over := self._over(begin):
                incident.restored = incident.finished = over
                self._custom("incident", incident.key, over, "end", **own)
            self.world.incidents.append(incident)

    def _pulls(self, project: str) -> None:
        chance = self.chance
        own = GitHub(self.story, project)
        for number in range(1, chance.choice((1, 5, 30))):
            opened = chance.choice((*self.edges, chance.randint(self.since, self.until)))
            if not self.since <= opened < self.until:
                continue
            ended = opened + chance.choice((1, HOUR, chance.randint(1, 20 * DAY)))
            pull = Pull(
                number, project, chance.choice(("ada", "bob", "cid", "dependabot[bot]")), opened,
                ended if ended < self.until else None, chance.random() < 0.7,
                *(chance.choice((0, chance.randint(1, 500))) for _ in range(3)),
            )  # fmt: skip
            self.world.pulls.append(pull)
            end = stamp(pull.ended) if pull.ended else ""
            own.pull(
                number, stamp(opened), end if pull.merged else "",
                closed="" if pull.merged else end, author=pull.author,
                additions=pull.added, deletions=pull.deleted, comments=pull.comments,
            )  # fmt: skip
