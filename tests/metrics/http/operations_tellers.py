"""Tools that tell of the deployments of a random history of operations."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from typing import Any, ClassVar

from tests.metrics.http.ci import Buildkite, Circle, Notified, Otlp
from tests.metrics.http.clock import number, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.operations import Deployment, Part, clock
from tests.metrics.http.others import EmMetrics, Jenkins, Plyzen, Script
from tests.metrics.http.presets import codepipeline, flux, heroku, octopus
from tests.metrics.http.story import Story
from tests.metrics.http.tools import Azure, argo_sync


class Teller:
    """A tool that deploys a service; the flags are what it can tell."""

    matrix = cancels = loses = queues = retries = marks = tests = repeats = goes_back = False
    fails = hotfixes = overlaps = later = True
    numbered = True
    """It names versions; others name commits."""
    at_once = False
    """It tells of the end alone."""
    by_version = False
    """A version that failed and is deployed again is tried again."""
    places: ClassVar[tuple[str, ...]] = ("production", "prod", "Production", "live")

    def __init__(self, story: Story, service: str) -> None:
        self.story, self.service, self.project = story, service, f"acme/{service}"

    def tell(self, deployment: Deployment, n: int, parts: list[Part]) -> None:
        for part in parts:
            self.part(deployment, n, part)

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        raise NotImplementedError

    def commit(self, version: int) -> str:
        return f"{self.service} {version}"

    def ref(self, deployment: Deployment) -> str:
        """What an alarm calls the deployment; empty if the tool gives it no name."""
        return ""

    def version(self, version: int) -> str:
        return f"1.{version}" if self.numbered else sha(self.commit(version))


def ends(part: Part) -> tuple[str, str]:
    return clock(part.begin), clock(part.end)


def branch(deployment: Deployment) -> str:
    return f"hotfix/{deployment.version}" if deployment.hotfix else "main"


class ByGitHub(Teller):
    """Jobs of a workflow run that name an environment."""

    matrix = cancels = loses = retries = marks = repeats = queues = goes_back = True
    numbered = False

    def __init__(self, story: Story, service: str) -> None:
        super().__init__(story, service)
        self.live: dict[str, dict[str, Any]] = {}

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        own = GitHub(self.story, self.project)
        began, end = ends(part)
        key = f"{deployment.key} {n} {part.region}"
        run, job = (number(deployment.key), n), number(key)
        told: dict[str, Any] = {"commit": self.commit(deployment.version), "key": key}
        state = {"cancelled": "inactive", "lost": "-"}.get(part.result, "")
        first = len(self.story.posts)
        own.deploy(
            end, part.result == "ok", began=began, state=state, ref=branch(deployment), run=run,
            task="rollback" if deployment.rollback else "deploy", job=job,
            environment=deployment.environment,
            production=deployment.environment != "staging", **told,
        )  # fmt: skip
        for post in self.story.posts[first:]:
            word = "rollback" if deployment.rollback else "deploy"
            post.body["check_run"]["name"] = f"{word} {part.region}".strip()
        if part.queued < part.begin:
            created = self.story.posts[first].body["deployment"]
            for post in self.story.posts[first:]:
                post.body["deployment"]["created_at"] = clock(part.queued)
            created["updated_at"] = clock(part.queued)
        if part.result == "ok":  # GitHub ends what was live in that environment
            last = deepcopy(self.story.posts[-1].body)
            if found := self.live.get(deployment.environment):
                found["deployment_status"] |= {"state": "inactive", "created_at": end}
                found["deployment_status"] |= {"id": number(f"{key} ends it"), "updated_at": end}
                self.story.add("/github", found, X_GitHub_Event="deployment_status")
            self.live[deployment.environment] = last


class ByWorkflow(Teller):
    """Runs of a workflow, which are deployments by a rule of the configuration."""

    cancels = retries = repeats = goes_back = True
    numbered = False
    places = ("production",)

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        words = {"ok": "success", "failed": "failure", "cancelled": "cancelled"}
        name = "ship_it" if deployment.environment == "production" else "try_it"
        GitHub(self.story, self.project).run(
            number(deployment.key), *ends(part), words[part.result], name=name,
            commit=self.commit(deployment.version), branch=branch(deployment), attempt=n,
        )  # fmt: skip


class ByGitLab(Teller):
    """Deployments of the jobs of a pipeline."""

    matrix = cancels = loses = retries = repeats = goes_back = True
    numbered = False

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        own = GitLab(self.story, self.project)
        began, end = ends(part)
        key = f"{deployment.key} {n} {part.region}"
        job = number(key)
        state = {"cancelled": "canceled", "lost": "-"}.get(part.result, "")
        own.job(job, number(deployment.key), began, end, part.result == "ok", retries=n - 1)
        body = self.story.posts[-1].body
        body["sha"], body["ref"] = sha(self.commit(deployment.version)), branch(deployment)
        body["build_name"] = f"deploy {part.region}".strip()
        if part.result == "cancelled":
            body["build_status"] = "canceled"
        if part.result == "lost":
            body |= {"build_status": "running", "build_finished_at": None}
        tier = "staging" if deployment.environment == "staging" else "production"
        own.deploy(
            end, part.result == "ok", began=began, state=state, job=job, key=key, tier=tier,
            commit=self.commit(deployment.version), ref=branch(deployment),
            environment=deployment.environment,
        )  # fmt: skip


class ByJenkins(Teller):
    cancels = loses = repeats = True
    hotfixes = False

    def __init__(self, story: Story, service: str) -> None:
        super().__init__(story, service)
        self.own = Jenkins(story, self.project)

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        began, end = ends(part)
        state = {"cancelled": "cancelled", "lost": "-"}.get(part.result, "")
        self.own.deploy(
            end, part.result == "ok", began=began, state=state,
            version=self.version(deployment.version), environment=deployment.environment,
        )  # fmt: skip


class ByNotifiedJenkins(Teller):
    cancels = loses = queues = repeats = marks = goes_back = True
    numbered = False

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        word = "rollback" if deployment.rollback else "deploy"
        own = Notified(self.story, f"{word}-{self.service}", self.project)
        status = {"ok": "SUCCESS", "failed": "FAILURE", "cancelled": "ABORTED"}.get(part.result, "")
        own.build(
            number(deployment.key), clock(part.begin), clock(part.end) if status else "", status,
            queued=clock(part.queued) if part.queued < part.begin else "",
            commit=self.commit(deployment.version), branch=f"origin/{branch(deployment)}",
            environment=deployment.environment,
        )  # fmt: skip


class ByScript(Teller):
    """Custom events; the runs of a pipeline that is told, too."""

    matrix = cancels = loses = retries = marks = tests = repeats = True

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        began, end = ends(part)
        own = Script(self.story, self.service)
        tags = {"version": self.version(deployment.version), "environment": deployment.environment}
        tags |= {"branch": branch(deployment)} if deployment.hotfix else {}
        tags |= {"vs.task": "rollback"} if deployment.rollback else {}
        run = f"vstrace-customhttp-pipeline-{self.service}-{deployment.key}"
        own.span(
            "deploy", began, "" if part.result == "lost" else end, part.result != "failed",
            status="cancelled" if part.result == "cancelled" else "", parent=run,
            key=f"{deployment.key}-{n}{part.region}", **tags,
        )  # fmt: skip

    def ref(self, deployment: Deployment) -> str:
        tried = deployment.tried_before + len(deployment.tries)
        last = deployment.tries[-1][0]
        return f"vstrace-customhttp-deploy-{self.service}-{deployment.key}-{tried}{last.region}"

    def tell(self, deployment: Deployment, n: int, parts: list[Part]) -> None:
        if n == 1:
            own = Script(self.story, self.service)
            own.span("pipeline", clock(parts[0].begin - 1), key=deployment.key)
        super().tell(deployment, n, parts)


class ByScriptWithOneId(Teller):
    """The id of a script is the service's, so each deployment starts it again."""

    repeats = tests = True
    hotfixes = overlaps = False

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        own = Script(self.story, self.service)
        tags = {"version": self.version(deployment.version), "environment": deployment.environment}
        own.span(
            "deploy", *ends(part), part.result == "ok",
            key=f"{self.service}-{deployment.environment}", **tags,
        )  # fmt: skip


class ByHostAndScript(ByGitHub):
    """The job that GitHub tells of runs a script that tells of the deployment, too."""

    matrix = loses = queues = False

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        super().part(deployment, n, part)
        own = Script(self.story, self.project, self.service)
        tags = {"repository": self.project, "commit": sha(self.commit(deployment.version))}
        state = "cancelled" if part.result == "cancelled" else ""
        own.span(
            "deploy", *ends(part), part.result != "failed", key=f"{deployment.key} {n}",
            status=state, environment=deployment.environment, **tags,
        )  # fmt: skip


class ByServerAndScript(ByJenkins):
    """A server's job, and a script that it runs in the last minute."""

    loses = False

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        super().part(deployment, n, part)
        if part.result != "cancelled":
            own = Script(self.story, self.project, self.service)
            about = {"environment": deployment.environment, "repository": self.project}
            about["version"] = self.version(deployment.version)
            own.span(
                "deploy", clock(part.end - 1), clock(part.end), part.result == "ok",
                key=f"{deployment.key} {n}", **about,
            )  # fmt: skip


class ByPlyzen(Teller):
    tests = repeats = True
    hotfixes = False
    places = ("prod", "production")

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        began, end = ends(part)
        own = Plyzen(self.story, f"ns-{self.service}", self.service)
        about = {"version": self.version(deployment.version), "environment": deployment.environment}
        result = "success" if part.result == "ok" else "failure"
        own.activity("deploy", began, "" if part.result == "lost" else end, result, **about)


class ByArgo(Teller):
    loses = True
    hotfixes = overlaps = False
    places = ("prod", "production")

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        app = f"{self.service}-{deployment.environment}"
        first = len(self.story.posts)
        image = f"ghcr.io/acme/{self.service}:1.{deployment.version}"
        revision = f"{self.service} manifest {deployment.key}"
        told: dict[str, Any] = {
            "repository": "acme/manifests",
            "revision": revision,
            "image": image,
        }
        argo_sync(self.story, app, *ends(part), part.result == "ok", **told)
        if part.result == "lost":
            del self.story.posts[first + 1 :]


class ByOtlp(Teller):
    repeats = True

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        own = Otlp(self.story, self.project, service__name=self.service)
        began, end = ends(part)
        more = {"vcs__ref__head__name": branch(deployment)} if deployment.hotfix else {}
        own.deploy(
            end, part.result == "ok", began=began, trace=deployment.key,
            version=self.version(deployment.version), environment=deployment.environment, **more,
        )  # fmt: skip


class ByCircle(Teller):
    matrix = cancels = retries = marks = repeats = goes_back = True
    numbered = False
    places = ("production",)

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        own = Circle(self.story, self.project)
        status = {"ok": "success", "failed": "failed", "cancelled": "canceled"}[part.result]
        word = "rollback" if deployment.rollback else "deploy"
        name = "-".join(filter(None, [word, deployment.environment, part.region]))
        own.job(
            number(deployment.key), *ends(part), status, commit=self.commit(deployment.version),
            name=name, run=n, branch=branch(deployment),
        )  # fmt: skip


class ByBuildkite(Teller):
    cancels = loses = queues = repeats = marks = retries = goes_back = True
    numbered = False
    places = ("production",)

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        own = Buildkite(self.story, self.project)
        states = {"ok": "passed", "failed": "failed", "cancelled": "canceled"}
        end = clock(part.end) if part.result in states else ""
        word = "Roll back" if deployment.rollback else "Deploy"
        again = {"retry_of": str(n - 1), "retries": n - 1} if n > 1 else {}
        own.job(
            number(deployment.key), clock(part.begin), end, states.get(part.result, ""),
            commit=self.commit(deployment.version), name=f"{word} {deployment.environment}",
            scheduled=clock(part.queued), key=str(n), more={"branch": branch(deployment)}, **again,
        )  # fmt: skip


class ByAzure(Teller):
    """Classic releases: a release is a version, which is deployed again by an attempt."""

    retries = by_version = True
    later = False
    hotfixes = False
    places = ("Production", "prod")

    def __init__(self, story: Story, service: str) -> None:
        super().__init__(story, service)
        self.attempts = Counter[tuple[int, str]]()
        self.project = service

    def version(self, version: int) -> str:
        return f"2026.{version}"

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        own = Azure(self.story, self.service)
        version, place = deployment.version, deployment.environment
        self.attempts[version, place] += 1
        attempt = self.attempts[version, place]
        first = len(self.story.posts)
        own.release(version, *ends(part), part.result == "ok", attempt=attempt, environment=place)
        began = self.story.posts[first].body["resource"]["environment"]
        began["releaseDefinition"]["name"] = self.service


class ByOctopus(Teller):
    loses = repeats = True
    hotfixes = False
    places = ("Production", "prod")

    def version(self, version: int) -> str:
        return f"1.{version}.0"

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        words = {"ok": "Succeeded", "failed": "Failed"}
        version = self.version(deployment.version)
        told = [(deployment.key, "Started", version, clock(part.begin))]
        if part.result in words:
            told.append((deployment.key, words[part.result], version, clock(part.end)))
        place = deployment.environment.title()
        octopus(self.story, self.service, *told, place=place)


class ByFlux(Teller):
    """A HelmRelease; its controller tells of ends only."""

    hotfixes = overlaps = False
    at_once = by_version = True
    places = ("prod",)

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        reason = "UpgradeSucceeded" if part.result == "ok" else "UpgradeFailed"
        version = self.version(deployment.version)
        flux(
            self.story,
            self.service,
            version,
            (reason, clock(part.end)),
            namespace=deployment.environment,
        )


class ByCodePipeline(Teller):
    """A deploy action; executions have no version."""

    retries = True
    hotfixes = numbered = later = False
    places = ("Production", "Prod")

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        word = "SUCCEEDED" if part.result == "ok" else "FAILED"
        told = (("STARTED", clock(part.begin)), (word, clock(part.end)))
        stage = deployment.environment.title()
        codepipeline(
            self.story, self.service, f"{self.service}{deployment.key}", *told, stage=stage
        )


class ByHeroku(Teller):
    """Releases, numbered by themselves."""

    hotfixes = numbered = overlaps = False
    places = ("production",)

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        status = "succeeded" if part.result == "ok" else "failed"
        told = (deployment.version, *ends(part), status, f"Deploy {deployment.key}")
        place = "-staging" * (deployment.environment == "staging")
        heroku(self.story, f"{self.service}{place}", told, commit=self.commit(deployment.version))


class ByEmMetrics(Teller):
    fails = hotfixes = numbered = False
    places = ("production",)

    def part(self, deployment: Deployment, n: int, part: Part) -> None:
        EmMetrics(self.story, self.project).deploy(
            clock(part.end), began=clock(part.begin), key=deployment.key
        )


TELLERS: tuple[type[Teller], ...] = (
    ByWorkflow,
    *(ByGitHub, ByGitLab, ByJenkins, ByNotifiedJenkins, ByScript, ByScriptWithOneId, ByPlyzen),
    *(ByHostAndScript, ByServerAndScript, ByFlux, ByCodePipeline, ByHeroku),
    *(ByArgo, ByOtlp, ByCircle, ByBuildkite, ByAzure, ByOctopus, ByEmMetrics),
)
