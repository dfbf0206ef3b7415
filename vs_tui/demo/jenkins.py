"""Jenkins' bodies, as the statistics-gatherer plugin sends them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from vs_tui.demo.cast import Person
from vs_tui.demo.world import Dice, Moment, Process, World, millis, play
from vs_tui.domain.instants import SECOND, Instant

URL: Final = "https://ci.acme.example/"


class Jenkins:
    """Runs jobs; one queue item, one checkout and two build bodies for each."""

    def __init__(self, world: World) -> None:
        self.world = world

    def send(self, body: Mapping[str, Any], at: Instant) -> None:
        headers = {"accept": "application/json", "content-type": "application/json"}
        self.world.send("/jenkins", body, headers, at)

    def play(
        self,
        job: str,
        seconds: float,
        at: Instant,
        dice: Dice,
        *,
        by: Person | None,
        cause: str,
        repo_url: str,
        sha: str,
        branch: str,
        result: str = "SUCCESS",
        parameters: Mapping[str, str] | None = None,
        failure: str = "",
    ) -> Process[int]:
        """One build of a job. Returns its number."""
        number = self.world.number(f"jenkins {job}", 310)
        context = self.world.number("jenkins context", 102_490_963, 11)
        queue = self.world.number("jenkins queue", 191_277, 3)
        started = at + dice.around(9)
        checked_out = started + dice.around(6)
        ended = started + max(dice.around(seconds), 10 * SECOND)
        url = f"job/{job.replace('/', '/job/')}/{number}/"
        who = by.login if by else "SCM"
        entry = {
            "ciUrl": URL,
            "jobName": job.replace("/", " » "),
            "jenkinsQueueId": queue,
            "startedBy": who,
            "entryTime": millis(at),
        }
        start = {
            "ciUrl": URL,
            "jobName": job.rpartition("/")[2],
            "fullJobName": job,
            "number": number,
            "buildUrl": url,
            "buildCause": cause,
            "contextId": context,
            "queueTime": (started - at) // 1_000,
            "startTime": millis(started),
            "startedUserId": by.login if by else "",
            "startedUsername": by.name if by else "",
            "result": "INPROGRESS",
            "parameters": dict(parameters or {}),
            "slaveInfo": {
                "slaveName": f"agent-{1 + number % 3}",
                "executor": "1",
                "label": "linux, docker,",
            },
            "scmInfo": {"url": repo_url, "commit": sha, "branch": f"origin/{branch}"},
        }
        end: dict[str, Any] = {
            "ciUrl": URL,
            "jobName": job.rpartition("/")[2],
            "fullJobName": job,
            "number": number,
            "buildUrl": url,
            "duration": (ended - started) // 1_000,
            "endTime": millis(ended),
            "result": result,
        }
        if failure:
            end["buildFailureCauses"] = [{"name": "Known failure", "description": failure}]
        left = {"status": "LEFT", "exitTime": millis(started), "contextId": context}
        left |= {"duration": (started - at) // 1_000}
        scm = {
            "buildUrl": f"{URL}{url}",
            "startTime": millis(started),
            "endTime": millis(checked_out),
        }
        moments: list[Moment] = [
            (at, partial(self.send, entry | {"status": "ENTERED", "duration": 0}, at)),
            (started, partial(self.send, entry | left, started)),
            (started, partial(self.send, start, started)),
            (checked_out, partial(self.send, scm, checked_out)),
            (ended, partial(self.send, end, ended)),
        ]
        yield from play(moments)
        return number
