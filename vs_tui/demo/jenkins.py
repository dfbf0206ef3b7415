"""Bodies of Jenkins' statistics-gatherer plugin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vs_tui.demo.world import World
from vs_tui.model.time import Duration, Instant

Body = dict[str, Any]
SERVER = "https://ci.acme.example/"


@dataclass(frozen=True, slots=True)
class Build:
    """One build of a job. Only the body of its start has the parameters, as in the plugin."""

    job: str
    number: int
    repo: str
    branch: str
    sha: str
    user: str
    queued: Duration
    started_at: Instant
    cause: str = "Started by GitHub push"
    parameters: dict[str, str] = field(default_factory=dict)

    def start(self, world: World) -> None:
        body = {**self._common(), "result": "INPROGRESS", "parameters": self.parameters}
        body |= {"endTime": 0, "duration": 0}
        world.send(self.started_at, "/jenkins/build", {"user-agent": "Java/17"}, body)

    def finish(self, world: World, at: Instant, result: str, failure: str = "") -> None:
        body = {
            **self._common(),
            "result": result,
            "endTime": at // 1_000,
            "duration": (at - self.started_at) // 1_000,
            "buildFailureCauses": [{"name": "log", "description": failure}] if failure else [],
        }
        world.send(at, "/jenkins/build", {"user-agent": "Java/17"}, body)

    def _common(self) -> Body:
        return {
            "ciUrl": SERVER,
            "jobName": self.job.rpartition("/")[2],
            "fullJobName": self.job,
            "number": self.number,
            "buildUrl": f"job/{self.job.replace('/', '/job/')}/{self.number}/",
            "buildCause": self.cause,
            "startedUserId": self.user,
            "startedUsername": self.user,
            "startTime": self.started_at // 1_000,
            "queueTime": self.queued // 1_000,
            "contextId": self.number * 131 + len(self.job),
            "scmInfo": {
                "url": f"git@github.com:{self.repo}.git",
                "commit": self.sha,
                "branch": f"origin/{self.branch}",
            },
            "slaveInfo": {"slaveName": f"agent-{self.number % 3 + 1}"},
        }
