"""CircleCI, Buildkite, TeamCity, Jenkins' Notification plugin, Trello and OpenTelemetry as
senders."""

from __future__ import annotations

from typing import Any

from tests.metrics.http.clock import at, moment, number, sha
from tests.metrics.http.story import Story


def seconds(clock: str) -> int:
    return int(moment(clock).timestamp())


class Circle:
    """A repository that CircleCI builds; a pipeline (its number) has one or more workflows."""

    def __init__(self, story: Story, name: str) -> None:
        self.story = story
        self.name = name

    def _body(self, kind: str, clock: str, pipeline: int, commit: str, **more: Any) -> None:
        tag, branch = more.pop("tag", ""), more.pop("branch", "main")
        owner, _, repo = self.name.partition("/")
        vcs: dict[str, Any] = {
            "provider_name": "github",
            "origin_repository_url": f"https://github.com/{self.name}",
            "target_repository_url": f"https://github.com/{self.name}",
            "revision": sha(commit),
            "commit": {
                "subject": commit,
                "body": "",
                "author": {"name": "Ann", "email": "ann@x.example"},
                "authored_at": at(clock),
                "committer": {"name": "Ann", "email": "ann@x.example"},
                "committed_at": at(clock),
            },
        }
        vcs |= {"tag": tag} if tag else {"branch": branch}
        body = {
            "id": f"{self.name}-{kind}-{clock}-{more}",
            "type": kind,
            "happened_at": at(clock),
            "webhook": {"id": "w", "name": "vs-tui"},
            "project": {"id": "p", "name": repo, "slug": f"github/{self.name}"},
            "organization": {"id": "o", "name": owner},
            "pipeline": {
                "id": f"{self.name}-pipeline-{pipeline}",
                "number": pipeline,
                "created_at": at(clock),
                "trigger": {"type": "webhook"},
                "vcs": vcs,
            },
        }
        self.story.add("/circleci", body | more, circleci_event_type=kind)

    def workflow(
        self, pipeline: int, began: str, end: str, status: str = "success", *, commit: str,
        name: str = "ship", run: int = 1, **more: Any,
    ) -> None:  # fmt: skip
        found = {
            "id": f"{self.name}-{pipeline}-{name}-{run}",
            "name": name,
            "created_at": at(began),
            "stopped_at": at(end),
            "url": f"https://app.circleci.com/pipelines/github/{self.name}/{pipeline}",
            "status": status,
        }
        self._body("workflow-completed", end, pipeline, commit, workflow=found, **more)

    def job(
        self, pipeline: int, began: str, end: str, status: str = "success", *, commit: str,
        name: str = "deploy-production", workflow: str = "ship", run: int = 1, **more: Any,
    ) -> None:  # fmt: skip
        key = f"{self.name} {pipeline} {workflow} {run} {name}"
        found = {
            "id": f"job-{number(key)}",
            "number": number(key),
            "name": name,
            "status": status,
            "started_at": at(began),
            "stopped_at": at(end),
        }
        within = {"id": f"{self.name}-{pipeline}-{workflow}-{run}", "name": workflow}
        self._body("job-completed", end, pipeline, commit, job=found, workflow=within, **more)


class Buildkite:
    """A pipeline of Buildkite with its builds and jobs."""

    def __init__(self, story: Story, repository: str, slug: str = "") -> None:
        self.story = story
        self.name = repository
        self.slug = slug or repository.rpartition("/")[2]

    def _post(self, event: str, build: dict[str, Any], **more: Any) -> None:
        pipeline = {
            "id": f"p-{self.slug}",
            "slug": self.slug,
            "name": self.slug.title(),
            "repository": f"git@github.com:{self.name}.git",
            "default_branch": "main",
        }
        body = {"event": event, "build": build, "pipeline": pipeline, "sender": {"name": "Ann"}}
        self.story.add("/buildkite", body | more, X_Buildkite_Event=event)

    def _build(self, n: int, commit: str, created: str, **more: Any) -> dict[str, Any]:
        return {
            "id": f"{self.name}-{self.slug}-build-{n}",
            "number": n,
            "state": "running",
            "blocked": False,
            "message": commit,
            "commit": sha(commit) if commit != "HEAD" else commit,
            "branch": "main",
            "tag": None,
            "source": "webhook",
            "creator": {"name": "Ann"},
            "created_at": at(created),
            "scheduled_at": at(created),
            "started_at": at(created),
            "finished_at": None,
            "meta_data": {},
            "pull_request": None,
            "rebuilt_from": None,
            "triggered_from": None,
            **more,
        }

    def build(
        self, n: int, began: str, end: str = "", state: str = "passed", *, commit: str, **more: Any
    ) -> None:
        """A build that runs and, unless it lasts, finishes."""
        self._post("build.running", self._build(n, commit, began, **more))
        if end:
            done = {"state": state, "finished_at": at(end)}
            self._post("build.finished", self._build(n, commit, began, **more) | done)

    def job(
        self, n: int, began: str, end: str = "", state: str = "passed", *, commit: str,
        name: str = ":rocket: Deploy production", scheduled: str = "", key: str = "",
        retry_of: str = "", retries: int = 0, group: int | None = None, build: str = "",
        more: dict[str, Any] | None = None, **job: Any,
    ) -> None:  # fmt: skip
        """A job: scheduled, started and, unless it lasts, finished."""
        prefix = f"{self.name}-{self.slug}-{n}-"
        found: dict[str, Any] = {
            "id": prefix + (key or name),
            "type": "script",
            "name": name,
            "step_key": None,
            "state": "scheduled",
            "exit_status": None,
            "soft_failed": False,
            "retried": False,
            "retries_count": retries or None,
            "parallel_group_index": group,
            "parallel_group_total": None if group is None else 3,
            "created_at": at(build or scheduled or began),
            "scheduled_at": at(scheduled or began),
            "runnable_at": at(scheduled or began),
            "started_at": None,
            "finished_at": None,
            **job,
        }
        if retry_of:
            found["retry_source"] = {"job_id": prefix + retry_of, "retry_type": "automatic"}
        within = self._build(n, commit, build or scheduled or began, **(more or {}))
        self._post("job.scheduled", within, job=found)
        found = found | {"state": "running", "started_at": at(began)}
        self._post("job.started", within, job=found)
        if end:
            code = {"passed": 0, "failed": 1}.get(state)
            done = {"state": state, "finished_at": at(end), "exit_status": code}
            self._post("job.finished", within, job=found | done)


class Otlp:
    """Spans of one trace, posted once they have ended."""

    def __init__(self, story: Story, repository: str, **resource: Any) -> None:
        self.story = story
        self.name = repository
        self.resource = {
            "vcs.repository.url.full": f"https://github.com/{repository}",
            **{name.replace("__", "."): value for name, value in resource.items()},
        }

    def span(
        self, trace: str, name: str, began: str, end: str, *, ok: bool = True, parent: str = "",
        key: str = "", **attributes: Any,
    ) -> None:  # fmt: skip
        found: dict[str, Any] = {
            "traceId": sha(f"{self.name} {trace}")[:32],
            "spanId": sha(f"{self.name} {trace} {key or name}")[:16],
            "name": name,
            "kind": 1,
            "startTimeUnixNano": str(seconds(began) * 10**9),
            "attributes": _typed({k.replace("__", "."): v for k, v in attributes.items()}),
            "status": {} if ok else {"code": 2, "message": "it failed"},
        }
        if end:
            found["endTimeUnixNano"] = str(seconds(end) * 10**9)
        if parent:
            found["parentSpanId"] = sha(f"{self.name} {trace} {parent}")[:16]
        resource = {"attributes": _typed(self.resource)}
        group = {"resource": resource, "scopeSpans": [{"spans": [found]}]}
        self.story.add("/v1/traces", {"resourceSpans": [group]})

    def deploy(
        self, end: str, ok: bool = True, *, commit: str = "", began: str = "", trace: str = "",
        environment: str = "production", version: str = "", name: str = "deploy", **more: Any,
    ) -> None:  # fmt: skip
        stated = {"vcs__ref__head__revision": sha(commit)} if commit else {}
        stated |= {"service__version": version} if version else {}
        told = {
            "cicd__pipeline__task__type": "deploy",
            "deployment__environment__name": environment,
            "service__name": self.name.rpartition("/")[2],
            **stated,
            **more,
        }
        start = began or (moment(end)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.span(trace or f"{end} {version}", name, start, end, ok=ok, **told)


def _typed(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "key": name,
            "value": {"boolValue": value}
            if isinstance(value, bool)
            else {"intValue": str(value)}
            if isinstance(value, int)
            else {"stringValue": value},
        }
        for name, value in attributes.items()
    ]


def trello(
    story: Story, card: str, board: str, *told: tuple[str, str, str], name: str = "Checkout is down"
) -> None:
    """A card, told by (action, time, list, or `true` and `false` of what changed)."""
    unique = f"{seconds(told[0][1]):08x}{sha(card)[:16]}"
    before = ""
    for n, (action, clock, what) in enumerate(told):
        data: dict[str, Any] = {
            "card": {"id": unique, "name": name, "shortLink": sha(card)[:8], "idShort": 1},
            "board": {"id": f"b-{board}", "name": board},
        }
        kind = "updateCard"
        if action == "move":
            data |= {"listBefore": {"name": before}, "listAfter": {"name": what}}
            data["old"] = {"idList": "l"}
        elif action in ("closed", "dueComplete"):
            data["card"][action] = what == "true"
            data |= {"old": {action: what != "true"}, "list": {"name": before}}
        else:
            kind = action
            data["list"] = {"name": what}
        before = what if action not in ("closed", "dueComplete") else before
        body = {
            "id": sha(f"{card}{n}{action}{clock}")[:24],
            "type": kind,
            "date": at(clock),
            "memberCreator": {"username": "ann"},
            "data": data,
        }
        story.add("/trello", {"action": body, "model": {"id": f"b-{board}", "name": board}})


class Notified:
    """A job of Jenkins, told by the Notification plugin."""

    def __init__(self, story: Story, job: str, repository: str = "") -> None:
        self.story = story
        self.job = job
        self.name = repository or job

    def build(
        self, n: int, began: str, end: str = "", status: str = "SUCCESS", *, queued: str = "",
        commit: str = "", branch: str = "origin/main", job: str = "", **parameters: str,
    ) -> None:  # fmt: skip
        path = "".join(f"job/{part}/" for part in (job or self.job).split("/")) + f"{n}/"
        leaf = (job or self.job).rpartition("/")[2]
        found: dict[str, Any] = {
            "full_url": f"https://ci.example.com/{path}",
            "number": n,
            "queue_id": n,
            "url": path,
            "parameters": parameters,
        }
        if commit:
            found["scm"] = {
                "url": f"git@github.com:{self.name}.git",
                "commit": sha(commit),
                "branch": branch,
            }
        named = {"name": leaf, "display_name": leaf, "url": path.rpartition(f"{n}/")[0]}
        told = [("QUEUED", queued)] if queued else []
        for phase, clock in [*told, ("STARTED", began)]:
            body = found | {"phase": phase, "timestamp": seconds(clock) * 1000}
            self.story.add("/jenkins", named | {"build": body})
        if not end:
            return
        for phase in ("COMPLETED", "FINALIZED"):
            body = found | {
                "phase": phase,
                "timestamp": seconds(end) * 1000,
                "duration": (seconds(end) - seconds(began)) * 1000,
                "status": status,
            }
            self.story.add("/jenkins", named | {"build": body})


def teamcity(
    story: Story, build: int, name: str, project: str, began: str, end: str = "",
    status: str = "SUCCESS", *, commit: str = "", branch: str = "main", **more: Any,
) -> None:  # fmt: skip
    """A build of TeamCity that starts and, unless it lasts, finishes; `interrupted` as a status."""

    def stamp(clock: str) -> str:
        return moment(clock).strftime("%Y%m%dT%H%M%S+0000")

    payload: dict[str, Any] = {
        "id": build,
        "buildTypeId": f"{project}_{name}".replace(" ", ""),
        "number": str(build),
        "branchName": branch,
        "startDate": stamp(began),
        "buildType": {"id": f"{project}_{name}", "name": name, "projectName": project},
        **more,
    }
    if commit:
        payload["revisions"] = {"revision": [{"version": sha(commit)}]}
    story.add("/teamcity", {"eventType": "BUILD_STARTED", "payload": payload | {"status": status}})
    if end:
        done = {"status": status, "finishDate": stamp(end)}
        kind = "BUILD_FINISHED"
        if status == "interrupted":
            kind, done["status"] = "BUILD_INTERRUPTED", "UNKNOWN"
        story.add("/teamcity", {"eventType": kind, "payload": payload | done})
