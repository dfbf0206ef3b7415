"""Deliveries of whole pieces of work, as the tools tell them, and the trees they belong in."""

from __future__ import annotations

from typing import Any

from tests.sources import github_payloads as gh
from tests.sources import gitlab_payloads as gl
from tests.sources import jenkins_payloads as jk
from tests.sources import jira_payloads as ji
from tests.store.tracing import (
    Scenario,
    custom,
    from_github,
    from_gitlab,
    from_jenkins,
    from_jira,
    posted,
)
from vs_tui.log.delivery import Intake


def sha(letter: str) -> str:
    return letter * 40


def pull(action: str, number: int, clock: str, tip: str, **changes: Any) -> Intake:
    """A pull request that says nothing of others, on a branch of its own."""
    plain = {"title": f"Change {number}", "body": "", "updated_at": gh.stamp(clock)}
    branch = {"sha": tip, "ref": f"topic-{tip[0]}"} | changes.pop("head", {})
    made = {"created_at": gh.stamp("09:00:00"), "number": number, "id": 1_500_000_000 + number}
    return from_github("pull_request", gh.pull(action, head=branch, **{**made, **plain, **changes}))


def merged(number: int, clock: str, tip: str, merge: str, **changes: Any) -> Intake:
    ended = {
        "state": "closed",
        "merged": True,
        "merge_commit_sha": merge,
        "merged_at": gh.stamp(clock),
        "closed_at": gh.stamp(clock),
    }
    return pull("closed", number, clock, tip, **{**ended, **changes})


def run(number: int, head: str, clock: str, branch: str = "main", **changes: Any) -> Intake:
    """A finished run that lists no pull request."""
    return from_github(
        "workflow_run",
        gh.run(
            "completed",
            **{
                "id": number,
                "pull_requests": [],
                "head_sha": head,
                "head_branch": branch,
                "head_commit": {"id": head, "message": "work"},
                "display_title": "work",
                "created_at": gh.stamp(clock),
                "run_started_at": gh.stamp(clock),
                "updated_at": gh.stamp(clock[:6] + "59"),
                **changes,
            },
        ),
    )


def deploy(
    number: int, head: str, clock: str, state: str = "success", **changes: Any
) -> list[Intake]:
    """A deployment by hand, from its creation to its verdict."""
    extra = changes.pop("extra", {})
    made = {"identifier": number, "sha": head, "created_at": gh.stamp(clock), **changes}
    ended = clock[:6] + "45"
    return [
        from_github("deployment", gh.deploy(**made)),
        from_github("deployment_status", gh.deploy_status(state, ended, extra=extra, **made)),
    ]


def push(head: str, message: str, clock: str, branch: str = "main", **changes: Any) -> Intake:
    body = gh.push(f"refs/heads/{branch}", head, [gh.commit(head, message, clock)], **changes)
    body["repository"]["pushed_at"] = gh.stamp(clock)
    return from_github("push", body)


def github_name(kind: str, number: object) -> str:
    return f"github-{kind}-api-{number}"


def change(number: int) -> str:
    return github_name("pull_request", number)


def merge_styles() -> Scenario:
    """Squash, rebase and merge commit: three changes, each with its push, run and deploy."""
    parents = {change(number): "" for number in (1, 2, 3)}
    deliveries = []
    rows = [
        # A squash is one new commit with the number in its title.
        (1, sha("a"), sha("1"), "Change 1 (#1)", "10"),
        # A rebase copies the commits: nothing in the message, the last copy is the merge commit.
        (2, sha("b"), sha("2"), "part two", "11"),
        (3, sha("c"), sha("3"), "Merge pull request #3 from acme/topic-c", "12"),
    ]
    for number, head, merge, message, hour in rows:
        deliveries += [
            pull("opened", number, "09:00:00", head),
            merged(number, f"{hour}:00:00", head, merge),
            push(merge, message, f"{hour}:00:01"),
            run(500 + number, merge, f"{hour}:00:02"),
            *deploy(40 + number, merge, f"{hour}:10:00"),
        ]
        parents[github_name("push", f"main@{merge[:12]}")] = change(number)
        parents[github_name("pipeline", 500 + number)] = change(number)
        parents[github_name("deploy", 40 + number)] = change(number)
    return Scenario("squash, rebase, merge commit", deliveries, parents)


def fan_in() -> Scenario:
    """A deploy ships the five changes merged since the last one that worked, also those that a
    failed deploy had tried to ship; not the one before, not the one after. The first deploy to
    staging ships all that its commit contains: what was merged after that commit is not in it,
    although it was merged before the deploy."""
    heads = "abcdef0"
    deliveries = [
        merged(1, "09:50:00", sha("9"), sha("1")),
        *deploy(40, sha("1"), "10:00:00"),
        *(merged(n, f"10:{10 + n}:00", sha(heads[n - 2]), f"{n}d" * 20) for n in (2, 3, 4, 5, 6)),
        *deploy(41, "3d" * 20, "10:13:30", "failure"),
        *deploy(42, "6d" * 20, "10:30:00"),
        merged(7, "10:40:00", sha("0"), "7d" * 20),
        *deploy(43, "6d" * 20, "10:50:00", environment="staging"),
    ]
    # The statuses of `deploy_status` name production; staging has its own below.
    del deliveries[-1]
    parents = {change(n): "" for n in range(1, 8)}
    parents |= {
        github_name("deploy", 40): change(1),
        github_name("deploy", 41): change(3),
        github_name("deploy", 42): change(6),
        github_name("deploy", 43): change(6),
    }
    links = {(github_name("deploy", 41), change(2)): "ships"}
    links |= {(github_name("deploy", 42), change(n)): "ships" for n in (2, 3, 4, 5)}
    links |= {(github_name("deploy", 43), change(n)): "ships" for n in (1, 2, 3, 4, 5)}
    return Scenario("a deploy ships five changes", deliveries, parents, links, exact=True)


def overlapping() -> Scenario:
    """Runs of one branch overlap, and one is overtaken: each deploy ships what was merged before
    its run began, not what was merged while it ran, and nothing twice."""
    deliveries = [merged(1, "09:50:00", sha("9"), "1d" * 20), *deploy(41, "1d" * 20, "10:00:00")]
    deploys = {2: "10:15:00", 3: "10:20:00", 5: "10:30:00", 6: "10:55:00", 7: "10:50:00"}
    merges = {2: "10:10", 3: "10:12", 4: "10:16", 5: "10:18", 6: "10:40", 7: "10:41"}
    heads = "abcdef"
    for n, clock in merges.items():
        commit = f"{n}d" * 20
        deliveries += [
            merged(n, f"{clock}:00", sha(heads[n - 2]), commit),
            run(600 + n, commit, f"{clock}:05"),
        ]
        if n in deploys:
            named = {"workflow_run": {"id": 600 + n, "run_attempt": 1}}
            deliveries += deploy(40 + n, commit, deploys[n], extra=named)
    deliveries += [merged(8, "10:57:00", sha("0"), "8d" * 20), *deploy(48, "8d" * 20, "11:00:00")]
    parents = {change(n): "" for n in range(1, 9)}
    parents |= {github_name("pipeline", 600 + n): change(n) for n in merges}
    parents |= {github_name("deploy", 40 + n): github_name("pipeline", 600 + n) for n in deploys}
    parents |= {github_name("deploy", 40 + n): change(n) for n in (1, 8)}
    links = {(github_name("deploy", 40 + n), change(n)): "commit" for n in deploys}
    links |= {
        (github_name("deploy", 45), change(4)): "ships",
        (github_name("deploy", 47), change(6)): "ships",
    }
    return Scenario("overlapping runs", deliveries, parents, links, exact=True)


def fork() -> Scenario:
    """Runs of forks list no pull request; two forks may use one branch name."""
    deliveries = []
    for number, owner, head in ((1, "bob", sha("a")), (2, "eve", sha("b"))):
        repo = gh.repo(f"{owner}/api")
        deliveries += [
            pull("opened", number, "10:00:00", head, head={"ref": "patch-1", "repo": repo}),
            run(500 + number, head, "10:05:00", "patch-1", head_repository=repo),
            # The commit is not the head any more: the branch of the fork is left.
            run(510 + number, sha("9"), "10:06:00", "patch-1", head_repository=repo),
        ]
    parents = {change(1): "", change(2): ""}
    for number in (1, 2):
        parents[github_name("pipeline", 500 + number)] = change(number)
        parents[github_name("pipeline", 510 + number)] = change(number)
    return Scenario("forks", deliveries, parents)


def reruns() -> Scenario:
    """Each attempt is below what the first one is below, and linked to the one before."""
    deliveries = [pull("opened", 34, "10:00:00", gh.HEAD_2, head={"ref": "feature/cache"})]
    parents = {change(34): ""}
    links = {}
    for attempt in (1, 2, 3):
        hour = f"1{attempt}:00:00"
        began = {"run_started_at": gh.stamp(hour), "updated_at": gh.stamp(hour)}
        suffix = f".{attempt}" if attempt > 1 else ""
        attempt_run = github_name("pipeline", f"555{suffix}")
        attempt_job = github_name("build", 7000 + attempt)
        deliveries += [
            from_github("workflow_run", gh.run("completed", attempt=attempt, **began)),
            from_github(
                "workflow_job",
                gh.job(
                    "completed",
                    7000 + attempt,
                    attempt,
                    created_at=gh.stamp(hour),
                    started_at=gh.stamp(hour),
                    completed_at=gh.stamp(hour[:3] + "05:00"),
                ),
            ),
        ]
        parents |= {attempt_run: change(34), attempt_job: attempt_run}
        if attempt > 1:
            before = f".{attempt - 1}" if attempt > 2 else ""
            links[attempt_run, github_name("pipeline", f"555{before}")] = "attempt"
            links[attempt_job, github_name("build", 6999 + attempt)] = "attempt"
    return Scenario("attempts", deliveries, parents, links)


def gitlab_retries() -> Scenario:
    """A retried pipeline keeps its id and a retried job gets a new one."""
    deliveries = [from_gitlab(gl.pipeline("running"))]
    parents = {"gitlab-pipeline-api-555": ""}
    for retry, number in enumerate((900, 905)):
        job = gl.job_hook("running", f"10:3{retry}:00", number=number, retries_count=retry)
        deliveries.append(from_gitlab(job))
        parents[f"gitlab-job-api-{number}"] = "gitlab-pipeline-api-555"
    links = {("gitlab-job-api-905", "gitlab-job-api-900"): "attempt"}
    return Scenario("attempts of a GitLab job", deliveries, parents, links, exact=True)


def merge_queue() -> Scenario:
    """The queue tests a commit of its own; the change is named by the queue's branch."""
    queued = f"gh-readonly-queue/main/pr-34-{gh.BASE}"
    deliveries = [
        pull("opened", 34, "10:00:00", gh.HEAD_1),
        pull("enqueued", 34, "10:30:00", gh.HEAD_1),
        run(600, sha("7"), "10:31:00", queued, event="merge_group"),
        from_github("workflow_job", gh.job("completed", 7001, run_id=600, head_branch=queued)),
        merged(34, "10:40:00", gh.HEAD_1, sha("7")),
        push(sha("7"), "Change 34 (#34)", "10:40:01"),
        *deploy(42, sha("7"), "10:50:00"),
    ]
    parents = {
        change(34): "",
        github_name("pipeline", 600): change(34),
        github_name("build", 7001): github_name("pipeline", 600),
        github_name("push", "main@777777777777"): change(34),
        github_name("deploy", 42): change(34),
    }
    return Scenario("merge queue", deliveries, parents)


def short_hashes() -> Scenario:
    """GitLab's deployments have eight digits, Jenkins may have twelve; other repositories may
    have commits that begin the same."""
    deploying = gl.deployment("success", "12:05:00", commit_url="", deployable_id=None)
    other = {"url": "git@gitlab.example.com:acme/web.git", "commit": gl.MERGE[:12]}
    own = {"url": "https://gitlab.example.com/acme/api.git", "commit": gl.MERGE[:12]}
    deliveries = [
        from_gitlab(gl.merge_request("open")),
        from_gitlab(gl.merge_request("merge", "11:30:00")),
        from_gitlab(deploying),
        from_jenkins(jk.start(scmInfo=own)),
        from_jenkins(jk.start(scmInfo=other, number=8, contextId=9, buildUrl="job/x/8/")),
    ]
    parents = {
        "gitlab-pull_request-api-34": "",
        "gitlab-deploy-api-15": "gitlab-pull_request-api-34",
        "jenkins-build-build-api-7": "gitlab-pull_request-api-34",
        "jenkins-build-build-api-8": "",
    }
    return Scenario("short hashes", deliveries, parents)


def monorepo() -> Scenario:
    """One commit, one run, three deploys: each below the job that made it."""
    deliveries = [
        merged(34, "11:30:00", gh.HEAD_1, gh.MERGE),
        run(600, gh.MERGE, "11:31:00"),
    ]
    parents = {change(34): "", github_name("pipeline", 600): change(34)}
    links = {}
    for number, service in enumerate(("api", "web", "worker"), start=1):
        job = 8000 + number
        deliveries.append(
            from_github(
                "workflow_job",
                gh.job("completed", job, run_id=600, name=f"deploy {service}", head_sha=gh.MERGE),
            )
        )
        origin = {
            "workflow_run": {"id": 600, "run_attempt": 1},
            "check_run": {"id": job},
        }
        deliveries += deploy(
            40 + number, gh.MERGE, "11:40:00", payload={"service": service}, extra=origin
        )
        name = github_name("deploy", 40 + number)
        parents |= {github_name("build", job): github_name("pipeline", 600)}
        parents |= {name: github_name("build", job)}
        links[name, github_name("pipeline", 600)] = "structure"
        links[name, change(34)] = "commit"
    return Scenario("one commit, many deploys", deliveries, parents, links)


def tagged() -> Scenario:
    """A release by tag: the deploy names the tag only, its commit is no change's own."""
    body = gh.push("refs/tags/v1.2.0", gh.MERGE, [])
    deliveries = [
        merged(34, "11:30:00", gh.HEAD_1, gh.MERGE),
        from_github("push", body),
        from_github("create", gh.hook(None, ref="v1.2.0", ref_type="tag")),
        from_github("release", gh.release()),
        *deploy(42, sha("5"), "11:50:00", ref="v1.2.0"),
    ]
    parents = {
        change(34): "",
        github_name("tag", "v1.2.0"): change(34),
        github_name("release", 66): github_name("tag", "v1.2.0"),
        github_name("deploy", 42): github_name("release", 66),
    }
    return Scenario("tags and releases", deliveries, parents)


def gitlab_tags() -> Scenario:
    """GitLab's pipelines and deployments of a tag that is on a commit of no change's own."""
    elsewhere = {"commit_url": f"{gl.WEB}/-/commit/{sha('5')}", "short_sha": "5" * 8}
    deliveries = [
        from_gitlab(gl.merge_request("merge", "11:30:00")),
        from_gitlab(gl.tag_push()),
        from_gitlab(gl.release(commit={"id": sha("5"), "message": "x"})),
        from_gitlab(
            gl.pipeline(
                "running", id=700, ref="v1.2.0", tag=True, sha=sha("4"), extra={"commit": {}}
            )
        ),
        from_gitlab(
            gl.deployment("success", "12:05:00", ref="v1.2.0", deployable_id=None, **elsewhere)
        ),
    ]
    parents = {
        "gitlab-pull_request-api-34": "",
        "gitlab-tag-api-v1.2.0": "gitlab-pull_request-api-34",
        "gitlab-release-api-v1.2.0": "gitlab-tag-api-v1.2.0",
        "gitlab-pipeline-api-700": "gitlab-tag-api-v1.2.0",
        "gitlab-deploy-api-15": "gitlab-release-api-v1.2.0",
    }
    return Scenario("tags and releases of GitLab", deliveries, parents)


def rollback() -> Scenario:
    """A rollback deploys an older commit: it belongs to that commit's change and ships nothing
    of what was merged meanwhile. A revert is a change of its own, and its commit contains what was
    merged before it and never deployed; what the undone deploy had shipped is not shipped again."""
    deliveries = [
        merged(1, "09:10:00", sha("a"), sha("1")),
        *deploy(40, sha("1"), "09:20:00"),
        merged(2, "10:10:00", sha("b"), sha("2")),
        *deploy(41, sha("2"), "10:20:00"),
        merged(3, "10:25:00", sha("c"), sha("3")),
        *deploy(42, sha("1"), "10:30:00", task="rollback"),
        merged(
            4,
            "10:50:00",
            sha("d"),
            sha("4"),
            title='Revert "Change 2"',
            body="Reverts acme/api#2",
            head={"ref": "revert-2-topic-b"},
        ),
        *deploy(43, sha("4"), "11:00:00"),
    ]
    parents = {change(n): "" for n in (1, 2, 3, 4)}
    parents |= {
        github_name("deploy", 40): change(1),
        github_name("deploy", 41): change(2),
        github_name("deploy", 42): change(1),
        github_name("deploy", 43): change(4),
    }
    links = {(github_name("deploy", 43), change(3)): "ships"}
    return Scenario("rollback and revert", deliveries, parents, links, exact=True)


TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def jenkins_parameters() -> Scenario:
    """What a Jenkins job is given: a parent, a trace context, a branch that holds a reference."""

    def build(name: str, number: int, parameters: dict[str, Any], branch: str = "") -> Intake:
        place = f"job/{name}/{number}/"
        return from_jenkins(
            jk.start(
                jobName=name,
                fullJobName=name,
                number=number,
                contextId=number,
                buildUrl=place,
                parameters=parameters,
                scmInfo={"branch": branch} if branch else {},
            )
        )

    deliveries = [
        pull("opened", 34, "10:00:00", gh.HEAD_1),
        from_github("issues", gh.issue("opened")),
        custom("pipeline", 1, "start", "10:00:00", tags={"vs.traceparent": TRACEPARENT}),
        build("given", 1, {"vstrace-trace-id": "vstrace-github-pull_request-api-34"}),
        build("traced", 2, {"traceparent": TRACEPARENT}),
        build("named", 3, {}, "origin/vstrace-github-issue-api-12-speed-up"),
        build("ship", 4, {"type": "deploy", "note": "for vstrace-github-issue-api-12"}),
    ]
    parents = {
        change(34): "",
        github_name("issue", 12): "",
        "customhttp-pipeline-default-1": "",
        "jenkins-build-given-1": change(34),
        "jenkins-build-traced-2": "customhttp-pipeline-default-1",
        "jenkins-build-named-3": github_name("issue", 12),
        "jenkins-deploy-ship-4": github_name("issue", 12),
    }
    return Scenario("Jenkins parameters and branches", deliveries, parents)


def alert(name: str, service: str, environment: str, clock: str) -> Intake:
    labels = {"alertname": name, "service": service}
    if environment:
        labels["environment"] = environment
    body = {
        "version": "4",
        "status": "firing",
        "receiver": "vs",
        "alerts": [
            {
                "status": "firing",
                "labels": labels,
                "annotations": {"summary": name},
                "startsAt": gh.stamp(clock),
                "endsAt": "0001-01-01T00:00:00Z",
                "fingerprint": name,
            }
        ],
    }
    return posted("alertmanager", body)


def incident_name(intake: Intake) -> str:
    return intake.events[0].key.removeprefix("vstrace-")


def incidents() -> Scenario:
    """An incident is linked to the newest deploy of its service and environment in the day
    before it, and never below it."""
    paged = posted(
        "pagerduty",
        {
            "event": {
                "event_type": "incident.triggered",
                "occurred_at": gh.stamp("10:45:00"),
                "data": {
                    "id": "P1",
                    "title": "slow",
                    "service": {"summary": "api"},
                    "created_at": gh.stamp("10:45:00"),
                },
            }
        },
    )

    def deployed(number: int, clock: str, environment: str, service: str = "api") -> Intake:
        tags = {"service": service, "environment": environment}
        return custom("deploy", number, "end", clock, tags=tags)

    def started(number: int, clock: str, environment: str, service: str = "api") -> Intake:
        tags = {"service": service, "environment": environment}
        return custom("deploy", number, "start", clock, tags=tags)

    fired = [
        alert("hot", "api", "production", "10:40:00"),
        alert("cold", "api", "production", "2026-03-03T10:43:00Z"),
        alert("other", "web", "production", "10:40:00"),
    ]
    deliveries = [
        started(1, "09:50:00", "production"),
        started(2, "10:10:00", "production"),
        deployed(2, "10:12:00", "production"),
        started(3, "10:30:00", "staging"),
        started(4, "10:42:00", "production"),
        *fired,
        paged,
    ]
    hot, cold, other = (incident_name(intake) for intake in fired)
    parents = {f"customhttp-deploy-default-{n}": "" for n in (1, 2, 3, 4)}
    parents |= {hot: "", cold: "", other: "", "pagerduty-incident-P1": ""}
    links = {
        (hot, "customhttp-deploy-default-2"): "proximity",
        # It names no environment: production is meant.
        ("pagerduty-incident-P1", "customhttp-deploy-default-4"): "proximity",
    }
    return Scenario("incidents", deliveries, parents, links, exact=True)


def default_branch() -> Scenario:
    """Nothing is linked because it is on `main`: not runs, not builds, not deploys."""
    deliveries = [
        pull("opened", 1, "10:00:00", sha("a"), head={"ref": "main"}),
        pull("opened", 2, "10:00:00", sha("b"), head={"ref": "develop"}),
        run(501, sha("5"), "10:05:00", "main"),
        run(502, sha("6"), "10:05:00", "develop"),
        from_jenkins(
            jk.start(scmInfo={"url": "git@github.com:acme/api.git", "branch": "origin/main"})
        ),
        *deploy(42, sha("7"), "10:10:00", ref="main"),
        from_gitlab(gl.merge_request("open", source_branch="main", last_commit={"id": sha("8")})),
        from_gitlab(gl.pipeline("running", ref="main", sha=sha("9"), extra={"commit": {}})),
    ]
    names = [change(1), change(2), github_name("pipeline", 501), github_name("pipeline", 502)]
    names += ["jenkins-build-build-api-7", github_name("deploy", 42)]
    names += ["gitlab-pull_request-api-34", "gitlab-pipeline-api-555"]
    return Scenario("never by the default branch", deliveries, dict.fromkeys(names, ""), exact=True)


def across_tools() -> Scenario:
    """A ticket in Jira, a change in GitHub, a build in Jenkins, a deploy by a script, an alert:
    nobody passes an id, and it is one trace."""
    tags = {"repository": "acme/api", "commit": gh.MERGE, "environment": "production"}
    fired = alert("errors", "api", "production", "11:55:00")
    deliveries = [
        from_jira(ji.issue("created", description="")),
        from_jira(ji.moved("09:30:00", ji.TODO, ji.DOING, description="")),
        pull("opened", 34, "10:00:00", gh.HEAD_2, head={"ref": "feature/tp-3-cache"}),
        from_jenkins(
            jk.start(scmInfo={**jk.SCM, "commit": gh.HEAD_2, "branch": "origin/feature/tp-3-cache"})
        ),
        from_jenkins(jk.end()),
        merged(34, "11:30:00", gh.HEAD_2, gh.MERGE, head={"ref": "feature/tp-3-cache"}),
        from_jenkins(
            jk.start(
                "11:31:00",
                number=8,
                contextId=4712,
                buildUrl="job/backend/job/build-api/8/",
                scmInfo={**jk.SCM, "commit": gh.MERGE, "branch": "origin/main"},
            )
        ),
        custom("deploy", 1, "start", "11:40:00", tags=tags),
        custom("deploy", 1, "end", "11:44:00", tags=tags),
        fired,
        from_jira(ji.moved("12:00:00", ji.DOING, ji.DONE, description="")),
    ]
    parents = {
        "jira-issue-TP-3": "",
        change(34): "jira-issue-TP-3",
        "jenkins-build-build-api-7": change(34),
        "jenkins-build-build-api-8": change(34),
        "customhttp-deploy-default-1": change(34),
        incident_name(fired): "",
    }
    links = {
        (incident_name(fired), "customhttp-deploy-default-1"): "proximity",
        ("customhttp-deploy-default-1", "jenkins-build-build-api-8"): "built",
        ("jenkins-build-build-api-7", "jira-issue-TP-3"): "issue_key",
    }
    return Scenario("across tools", deliveries, parents, links)


def one_repository() -> Scenario:
    """Everything GitHub sends of one issue's way to production."""
    found = [from_github(event, body) for event, body in gh.story()]
    parents = {
        github_name("issue", 12): "",
        change(34): github_name("issue", 12),
        github_name("push", "feature/cache@111111111111"): change(34),
        github_name("push", "feature/cache@222222222222"): change(34),
        github_name("push", "main@eeeeeeeeeeee"): change(34),
        github_name("review", 80): change(34),
        github_name("pipeline", 555): change(34),
        github_name("pipeline", "555.2"): change(34),
        github_name("pipeline", 600): change(34),
        github_name("build", 7001): github_name("pipeline", 555),
        github_name("build", 7002): github_name("pipeline", "555.2"),
        github_name("build", 8001): github_name("pipeline", 600),
        github_name("check_run", 3001): change(34),
        github_name("deploy", 42): github_name("build", 8001),
        github_name("tag", "v1.2.0"): change(34),
        github_name("release", 66): github_name("tag", "v1.2.0"),
    }
    status = next(i.events[0].ref for i in found if i.kind == "status")
    parents[status.removeprefix("vstrace-")] = change(34)
    links = {(github_name("pipeline", "555.2"), github_name("pipeline", 555)): "attempt"}
    return Scenario("one repository's story", found, parents, links)


def late_facts() -> Scenario:
    """Starts, places and services that are told after their ends: links follow them."""
    tags = {"service": "api", "environment": "production"}
    moved = {"service": "web", "environment": "production"}
    fired = [
        alert("a", "api", "production", "10:40:00"),
        alert("w", "web", "production", "10:40:00"),
    ]
    deliveries = [
        *fired,
        custom("deploy", 1, "end", "10:35:00", tags=tags),
        custom("deploy", 1, "start", "10:30:00", tags=moved),
        custom("deploy", 1, "annotate", "10:36:00", tags=moved),
        *(
            custom("task", n, "end", f"11:0{n}:00", parentid=f"vstrace-customhttp-task-default-{m}")
            for n, m in ((1, 2), (2, 3), (3, 1))
        ),
        custom("task", 2, "start", "10:01:00"),
        custom("task", 3, "start", "10:02:00"),
        custom("task", 1, "start", "10:03:00"),
        custom("task", 4, "start", "10:04:00", parentid="vstrace-customhttp-task-default-3"),
    ]
    task = "customhttp-task-default-"
    parents = {
        incident_name(fired[0]): "",
        incident_name(fired[1]): "",
        "customhttp-deploy-default-1": "",
        # A ring: the task that began first is its root.
        f"{task}1": f"{task}2",
        f"{task}2": "",
        f"{task}3": f"{task}1",
        f"{task}4": f"{task}3",
    }
    links = {(incident_name(fired[1]), "customhttp-deploy-default-1"): "proximity"}
    return Scenario("facts told late", deliveries, parents, links)


SCENARIOS = [
    merge_styles(),
    fan_in(),
    overlapping(),
    fork(),
    reruns(),
    gitlab_retries(),
    merge_queue(),
    short_hashes(),
    monorepo(),
    tagged(),
    gitlab_tags(),
    rollback(),
    jenkins_parameters(),
    incidents(),
    default_branch(),
    across_tools(),
    one_repository(),
    late_facts(),
]
