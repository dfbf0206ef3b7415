"""Each of the rules alone, in the tools' own formats, and that the stronger one wins."""

from __future__ import annotations

import pytest

from tests.sources import github_payloads as gh
from tests.sources import gitlab_payloads as gl
from tests.sources import jenkins_payloads as jk
from tests.sources import jira_payloads as ji
from tests.store.tracing import (
    World,
    custom,
    from_github,
    from_gitlab,
    from_jenkins,
    from_jira,
    posted,
)
from vs_tui.model.vocabulary import Rule

ISSUE, CHANGE = "github-issue-api-12", "github-pull_request-api-34"
RUN, JOB, DEPLOY = "github-pipeline-api-555", "github-build-api-7001", "github-deploy-api-42"
MR, PIPELINE = "gitlab-pull_request-api-34", "gitlab-pipeline-api-555"
BUILD = "jenkins-build-build-api-7"
TICKET = "jira-issue-TP-3"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
WORK = "customhttp-pipeline-default-1"

PLAIN = {"title": "Cache invoices", "body": ""}
STRAY = "9" * 40
MAINLINE = gh.repo() | {"default_branch": "mainline"}


def plain_pull(action: str = "opened", **changes: object) -> object:
    """A pull request that names nothing, from a branch that names nothing."""
    return from_github("pull_request", gh.pull(action, **{**PLAIN, **changes}))


def lonely_run(**changes: object) -> object:
    """A run that nothing links but what a test adds."""
    none = {
        "pull_requests": [],
        "head_branch": "unknown",
        "head_sha": STRAY,
        "head_commit": {"id": STRAY, "message": "wip"},
    }
    return from_github("workflow_run", gh.run("completed", **{**none, **changes}))


def traced(number: object = 1) -> object:
    """A command that `vs-tui run` traces: it offers its own W3C context."""
    tags = {"vs.traceparent": TRACEPARENT}
    return custom("pipeline", number, "start", "10:00:00", tags=tags)


def bare_deployment(**changes: object) -> object:
    return from_github("deployment", gh.deploy(**{"sha": STRAY, "ref": "main", **changes}))


def bare_jenkins(parameters: dict[str, object] | None = None, **changes: object) -> object:
    return from_jenkins(jk.start(**{"scmInfo": {}, "parameters": parameters or {}, **changes}))


# One case: the rule, its name for the test, parent, child, and what makes them.
CASES = [
    (
        Rule.EXPLICIT,
        "custom parent id",
        WORK,
        "customhttp-build-default-2",
        [
            custom("build", 2, "start", "10:01:00", parentid=f"vstrace-{WORK}"),
            custom("pipeline", 1, "start", "10:00:00"),
        ],
    ),
    (
        Rule.EXPLICIT,
        "Jenkins parameter",
        WORK,
        BUILD,
        [
            bare_jenkins({"vstrace-trace-id": f"vstrace-{WORK}"}),
            custom("pipeline", 1, "start", "10:00:00"),
        ],
    ),
    (
        Rule.EXPLICIT,
        "Jenkins parameter naming a pull request by its global id",
        CHANGE,
        BUILD,
        [
            bare_jenkins({"vstrace-trace-id": "vstrace-github-pull_request-api-1500000034"}),
            plain_pull(),
        ],
    ),
    (
        Rule.EXPLICIT,
        "GitLab variable",
        WORK,
        PIPELINE,
        [
            from_gitlab(
                gl.pipeline(
                    "running",
                    ref="x",
                    sha=STRAY,
                    variables=[{"key": "VS_PARENT", "value": f"vstrace-{WORK}"}],
                )
            ),
            custom("pipeline", 1, "start", "10:00:00"),
        ],
    ),
    (
        Rule.TRACEPARENT,
        "header of a custom event",
        WORK,
        "customhttp-build-default-2",
        [
            posted(
                "customhttp",
                {"type": "build", "id": "2", "action": "start"},
                traceparent=TRACEPARENT,
            ),
            traced(),
        ],
    ),
    (
        Rule.TRACEPARENT,
        "Jenkins parameter",
        WORK,
        BUILD,
        [bare_jenkins({"traceparent": TRACEPARENT}), traced()],
    ),
    (
        Rule.TRACEPARENT,
        "commit trailer",
        WORK,
        RUN,
        [
            lonely_run(head_commit={"id": STRAY, "message": f"Fix\n\nTraceparent: {TRACEPARENT}"}),
            traced(),
        ],
    ),
    (
        Rule.TRACEPARENT,
        "deployment payload",
        WORK,
        DEPLOY,
        [bare_deployment(payload={"traceparent": TRACEPARENT}), traced()],
    ),
    (
        Rule.REFERENCE,
        "branch, with words behind the number",
        ISSUE,
        CHANGE,
        [
            plain_pull(head={"ref": "vstrace-github-issue-api-12-fix-typo"}),
            from_github("issues", gh.issue("opened")),
        ],
    ),
    (
        Rule.REFERENCE,
        "title",
        TICKET,
        CHANGE,
        [
            plain_pull(title="Cache vstrace-jiracloud-issue-TP-3"),
            from_jira(ji.issue("created")),
        ],
    ),
    (
        Rule.REFERENCE,
        "merge request's description",
        TICKET,
        MR,
        [
            from_gitlab(
                gl.merge_request("open", title="x", description="see vstrace-jira-issue-TP-3.")
            ),
            from_jira(ji.issue("created")),
        ],
    ),
    (
        Rule.REFERENCE,
        "commit message",
        WORK,
        RUN,
        [
            lonely_run(head_commit={"id": STRAY, "message": f"Fix\n\nvstrace-{WORK}"}),
            custom("pipeline", 1, "start", "10:00:00"),
        ],
    ),
    (
        Rule.REFERENCE,
        "Jenkins branch",
        CHANGE,
        BUILD,
        [
            bare_jenkins(scmInfo={"branch": "origin/vstrace-github-pull_request-api-34"}),
            plain_pull(),
        ],
    ),
    (
        Rule.STRUCTURE,
        "job of a run",
        RUN,
        JOB,
        [from_github("workflow_job", gh.job("completed")), lonely_run()],
    ),
    (
        Rule.STRUCTURE,
        "job of a GitLab pipeline",
        PIPELINE,
        "gitlab-job-api-900",
        [
            from_gitlab(gl.job_hook("running", "10:31:00")),
            from_gitlab(gl.pipeline("running")),
        ],
    ),
    (
        Rule.STRUCTURE,
        "deployment of a job",
        JOB,
        DEPLOY,
        [
            from_github(
                "deployment_status",
                gh.deploy_status(
                    "success", "11:48:00", extra={"check_run": {"id": 7001}}, sha=STRAY
                ),
            ),
            from_github("workflow_job", gh.job("completed")),
        ],
    ),
    (
        Rule.STRUCTURE,
        "review of a change",
        CHANGE,
        "github-review-api-80",
        [from_github("pull_request_review", gh.review())],
    ),
    (
        Rule.STRUCTURE,
        "check of a suite",
        "github-check_suite-api-2001",
        "github-check_run-api-3001",
        [
            from_github("check_run", gh.check_run("completed")),
            from_github("check_suite", gh.check_suite()),
        ],
    ),
    (
        Rule.STRUCTURE,
        "downstream pipeline",
        PIPELINE,
        "gitlab-pipeline-api-700",
        [
            from_gitlab(
                gl.pipeline(
                    "running",
                    id=700,
                    ref="x",
                    sha=STRAY,
                    extra={
                        "source_pipeline": {
                            "pipeline_id": 555,
                            "job_id": 900,
                            "project": {"path_with_namespace": "acme/api"},
                        }
                    },
                )
            ),
            from_gitlab(gl.pipeline("running")),
        ],
    ),
    (
        Rule.STRUCTURE,
        "upstream project",
        BUILD,
        "jenkins-build-pack-3",
        [
            bare_jenkins(
                jobName="pack",
                fullJobName="backend/pack",
                number=3,
                contextId=4712,
                buildUrl="job/backend/job/pack/3/",
                buildCause="Started by upstream project backend/build-api build number 7",
            ),
            bare_jenkins(),
        ],
    ),
    (
        Rule.CHANGE_NUMBER,
        "listed by the run",
        CHANGE,
        RUN,
        [
            lonely_run(pull_requests=gh.run("completed")["workflow_run"]["pull_requests"]),
            plain_pull(),
        ],
    ),
    (
        Rule.CHANGE_NUMBER,
        "merge request of the pipeline",
        MR,
        PIPELINE,
        [
            from_gitlab(
                gl.pipeline(
                    "running",
                    ref="x",
                    sha=STRAY,
                    extra={"merge_request": {"iid": 34, "url": f"{gl.WEB}/-/merge_requests/34"}},
                )
            ),
            from_gitlab(gl.merge_request("open")),
        ],
    ),
    (
        Rule.CHANGE_NUMBER,
        "merge request's ref",
        MR,
        PIPELINE,
        [
            from_gitlab(gl.pipeline("running", ref="refs/merge-requests/34/head", sha=STRAY)),
            from_gitlab(gl.merge_request("open")),
        ],
    ),
    (
        Rule.CHANGE_NUMBER,
        "merge queue",
        CHANGE,
        RUN,
        [
            lonely_run(head_branch=f"gh-readonly-queue/main/pr-34-{gh.BASE}", event="merge_group"),
            plain_pull(),
        ],
    ),
    (
        Rule.CHANGE_NUMBER,
        "squashed commit",
        CHANGE,
        RUN,
        [
            lonely_run(
                head_branch="main", head_commit={"id": STRAY, "message": "Cache invoices (#34)"}
            ),
            plain_pull(),
        ],
    ),
    (
        Rule.CHANGE_NUMBER,
        "merge commit's message",
        CHANGE,
        RUN,
        [
            lonely_run(
                head_branch="main",
                display_title="Merge",
                head_commit={"id": STRAY, "message": "Merge pull request #34 from acme/x"},
            ),
            plain_pull(),
        ],
    ),
    (
        Rule.CHANGE_NUMBER,
        "GitLab's merge commit",
        MR,
        PIPELINE,
        [
            from_gitlab(
                gl.pipeline(
                    "running",
                    ref="main",
                    sha=STRAY,
                    extra={"commit": {"message": "Merge\n\nSee merge request acme/api!34"}},
                )
            ),
            from_gitlab(gl.merge_request("open")),
        ],
    ),
    (
        Rule.CHANGE_NUMBER,
        "multibranch job",
        CHANGE,
        "jenkins-build-PR-34-7",
        [
            bare_jenkins(jobName="PR-34", fullJobName="acme/api/PR-34"),
            plain_pull(),
        ],
    ),
    (
        Rule.COMMIT,
        "head commit",
        CHANGE,
        RUN,
        [lonely_run(head_sha=gh.HEAD_1), plain_pull()],
    ),
    (
        Rule.COMMIT,
        "former head commit",
        CHANGE,
        RUN,
        [
            lonely_run(head_sha=gh.HEAD_1),
            plain_pull(
                "synchronize",
                extra={"before": gh.HEAD_1, "after": gh.HEAD_2},
                head={"sha": gh.HEAD_2},
            ),
        ],
    ),
    (
        Rule.COMMIT,
        "GitLab's former head",
        MR,
        PIPELINE,
        [
            from_gitlab(gl.pipeline("running", ref="x", sha=gl.HEAD)),
            from_gitlab(gl.merge_request("update", oldrev=gl.HEAD, last_commit={"id": gl.HEAD_2})),
        ],
    ),
    (
        Rule.COMMIT,
        "merge commit",
        CHANGE,
        DEPLOY,
        [bare_deployment(sha=gh.MERGE), from_github("pull_request", gh.merged(**PLAIN))],
    ),
    (
        Rule.COMMIT,
        "short hash in one repository",
        CHANGE,
        BUILD,
        [
            bare_jenkins(scmInfo={"url": "git@github.com:acme/api.git", "commit": gh.MERGE[:8]}),
            from_github("pull_request", gh.merged(**PLAIN)),
        ],
    ),
    (
        Rule.COMMIT,
        "pushed commit",
        "github-push-api-feature/cache@222222222222",
        RUN,
        [lonely_run(head_sha=gh.HEAD_1), from_github("push", gh.push())],
    ),
    (
        Rule.BRANCH,
        "while the change is open",
        CHANGE,
        RUN,
        [lonely_run(head_branch="feature/cache"), plain_pull()],
    ),
    (
        Rule.BRANCH,
        "Jenkins checkout",
        MR,
        BUILD,
        [
            bare_jenkins(
                scmInfo={
                    "url": "https://gitlab.example.com/acme/api.git",
                    "branch": "origin/feature/cache",
                }
            ),
            from_gitlab(gl.merge_request("open")),
        ],
    ),
    (
        Rule.CLOSES,
        "closing keyword",
        ISSUE,
        CHANGE,
        [plain_pull(body="This fixes #12."), from_github("issues", gh.issue("opened"))],
    ),
    (
        Rule.CLOSES,
        "closing keyword across repositories",
        ISSUE,
        "github-pull_request-web-34",
        [
            from_github(
                "pull_request",
                gh.pull("opened", title="x", body="Resolves https://github.com/acme/api/issues/12")
                | {"repository": gh.repo("acme/web")},
            ),
            from_github("issues", gh.issue("opened")),
        ],
    ),
    (
        Rule.ISSUE_KEY,
        "branch",
        TICKET,
        CHANGE,
        [plain_pull(head={"ref": "feature/tp-3-cache"}), from_jira(ji.issue("created"))],
    ),
    (
        Rule.ISSUE_KEY,
        "merge request's title",
        TICKET,
        MR,
        [
            from_gitlab(gl.merge_request("open", title="TP-3 cache", description="")),
            from_jira(ji.issue("created")),
        ],
    ),
    (
        Rule.BRANCH_NUMBER,
        "GitLab's branches",
        "gitlab-issue-api-12",
        MR,
        [
            from_gitlab(
                gl.merge_request("open", title="x", description="", source_branch="12-slow")
            ),
            from_gitlab(gl.issue("open")),
        ],
    ),
    (
        Rule.VERSION,
        "release of the deployed tag",
        "github-release-api-66",
        DEPLOY,
        [bare_deployment(ref="v1.2.0"), from_github("release", gh.release())],
    ),
    (
        Rule.VERSION,
        "name and version",
        "customhttp-build-default-5",
        "customhttp-deploy-default-6",
        [
            custom("deploy", 6, "end", "11:00:00", tags={"service": "api", "version": "1.4"}),
            custom("build", 5, "end", "10:30:00", tags={"service": "api", "version": "1.4"}),
        ],
    ),
    (
        Rule.BUILT,
        "the run that built the commit",
        RUN,
        DEPLOY,
        [bare_deployment(sha=gh.HEAD_2), lonely_run(head_sha=gh.HEAD_2)],
    ),
    (
        Rule.HIERARCHY,
        "subtask",
        TICKET,
        "jira-issue-TP-4",
        [
            from_jira(
                ji.issue(
                    "created",
                    key="TP-4",
                    description="",
                    issuetype={"name": "Unteraufgabe", "subtask": True},
                    parent={"key": "TP-3"},
                )
            ),
            from_jira(ji.issue("created")),
        ],
    ),
    (
        Rule.HIERARCHY,
        "GitHub's sub-issue",
        ISSUE,
        "github-issue-api-13",
        [
            from_github(
                "issues",
                gh.issue(
                    "opened",
                    number=13,
                    parent_issue_url="https://api.github.com/repos/acme/api/issues/12",
                ),
            ),
            from_github("issues", gh.issue("opened")),
        ],
    ),
]
IDS = [f"{case[0].value}: {case[1]}" for case in CASES]


@pytest.mark.parametrize(("rule", "_", "parent", "child", "deliveries"), CASES, ids=IDS)
def test_a_rule_alone(rule, _, parent, child, deliveries) -> None:
    expected = World().deliver(*deliveries)
    assert expected.parents()[child] == parent
    assert expected.rule(child) == rule.value
    assert expected.traces() == 1
    for groups in (reversed(deliveries), [deliveries], [[*deliveries, *deliveries]]):
        assert World().deliver(*groups).rows() == expected.rows()
    assert World().deliver(*deliveries).rebuild().rows() == expected.rows()


@pytest.mark.parametrize(("rule", "_", "parent", "child", "deliveries"), CASES, ids=IDS)
def test_a_rule_can_be_switched_off(rule, _, parent, child, deliveries) -> None:
    world = World(disabled=[rule]).deliver(*deliveries)
    assert world.parents()[child] != parent or world.rule(child) != rule.value


LADDER = [
    (Rule.EXPLICIT, WORK, custom("pipeline", 1, "start", "10:00:00")),
    (Rule.TRACEPARENT, "customhttp-pipeline-default-8", traced(8)),
    (Rule.REFERENCE, "customhttp-pipeline-default-9", custom("pipeline", 9, "start", "10:00:00")),
    (
        Rule.STRUCTURE,
        BUILD,
        bare_jenkins(scmInfo={"url": "git@example.com:acme/other.git", "branch": "origin/main"}),
    ),
    (
        Rule.CHANGE_NUMBER,
        "github-pull_request-api-50",
        plain_pull(number=50, head={"ref": "fifty", "sha": "5" * 40}),
    ),
    (
        Rule.COMMIT,
        "github-pull_request-api-60",
        plain_pull(number=60, head={"ref": "sixty", "sha": gh.HEAD_1}),
    ),
    (
        Rule.BRANCH,
        "github-pull_request-api-70",
        plain_pull(number=70, head={"ref": "tp-3-cache", "sha": "7" * 40}),
    ),
    (Rule.ISSUE_KEY, TICKET, from_jira(ji.issue("created"))),
]
"""What one Jenkins build finds by every rule there is for it, the strongest first."""
CLIMBER = "jenkins-build-pack-3"


def climber() -> object:
    return bare_jenkins(
        {
            "vstrace-trace-id": f"vstrace-{WORK}",
            "traceparent": TRACEPARENT,
            "note": "for vstrace-customhttp-pipeline-default-9",
        },
        jobName="pack",
        fullJobName="backend/pack",
        number=3,
        contextId=4712,
        buildUrl="job/backend/job/pack/3/",
        buildCause="Started by upstream project backend/build-api build number 7",
        scmInfo={
            "url": "git@github.com:acme/api.git",
            "commit": gh.HEAD_1,
            "branch": "tp-3-cache",
        },
    )


def numbered() -> object:
    """The run of a change, where the number is told beside everything weaker."""
    return lonely_run(
        head_branch="tp-3-cache",
        head_sha=gh.HEAD_1,
        pull_requests=[{"number": 50, "base": {"repo": {"url": "https://x/repos/acme/api"}}}],
    )


@pytest.mark.parametrize("rung", range(len(LADDER)))
def test_the_stronger_rule_gives_the_parent_and_the_weaker_stay_links(rung) -> None:
    rule, parent, _ = LADDER[rung]
    child, made = (RUN, numbered()) if rule is Rule.CHANGE_NUMBER else (CLIMBER, climber())
    world = World().deliver(*(intake for _, _, intake in LADDER[rung:]), made)
    assert world.parents()[child] == parent
    assert world.rule(child) == rule.value
    for weaker, other, _ in LADDER[rung + 1 :]:
        if weaker is not Rule.CHANGE_NUMBER:  # a build of this job names no number
            assert world.links()[child, other] == weaker.value


def test_a_closing_keyword_beats_a_ticket_and_a_ticket_a_number_in_the_branch() -> None:
    pull = plain_pull(body="Closes #12", head={"ref": "13-tp-3-cache"})
    issues = [
        from_github("issues", gh.issue("opened", number=13)),
        from_jira(ji.issue("created")),
        from_github("issues", gh.issue("opened")),
    ]
    assert World().deliver(pull, *issues).rule(CHANGE) == "closes"
    assert World().deliver(pull, *issues[:2]).rule(CHANGE) == "issue_key"
    assert World().deliver(pull, *issues[:1]).rule(CHANGE) == "branch_number"


def test_the_ticket_of_the_branch_is_the_parent_not_one_the_body_mentions() -> None:
    """Whichever is done first: the tree does not change while tickets are closed."""
    pull = plain_pull(body="much like TP-5", head={"ref": "feature/tp-3-cache"})
    other = ji.moved("09:30:00", ji.TODO, ji.DONE)
    other["issue"] |= {"key": "TP-5", "id": "10005"}
    world = World().deliver(pull, from_jira(ji.issue("created")), from_jira(other))
    assert world.parents()[CHANGE] == TICKET
    assert world.links()[CHANGE, "jira-issue-TP-5"] == "issue_key"


# What must not be linked.


@pytest.mark.parametrize(
    ("child", "deliveries"),
    [
        (
            RUN,
            [plain_pull(head={"ref": "main"}), lonely_run(head_branch="main")],
        ),
        (
            RUN,
            [
                from_github(
                    "pull_request",
                    gh.pull("opened", **PLAIN, head={"ref": "mainline", "repo": MAINLINE})
                    | {"repository": MAINLINE},
                ),
                from_github(
                    "workflow_run",
                    gh.run("completed", pull_requests=[], head_branch="mainline", head_sha=STRAY)
                    | {"repository": MAINLINE},
                ),
            ],
        ),
        (
            BUILD,
            [
                plain_pull(head={"ref": "develop"}),
                bare_jenkins(
                    scmInfo={"url": "git@github.com:acme/api.git", "branch": "origin/develop"}
                ),
            ],
        ),
        (
            RUN,
            [
                plain_pull(head={"ref": "topic", "repo": gh.repo("bob/api")}),
                lonely_run(head_branch="topic", head_repository=gh.repo("eve/api")),
            ],
        ),
        (RUN, [plain_pull(head={"sha": STRAY[:-1] + "8"}), lonely_run()]),
        (
            BUILD,
            [
                plain_pull(head={"sha": gh.HEAD_1}),
                bare_jenkins(
                    scmInfo={"url": "git@github.com:acme/web.git", "commit": gh.HEAD_1[:8]}
                ),
            ],
        ),
        (DEPLOY, [plain_pull(merge_commit_sha=gh.MERGE), bare_deployment(sha=gh.MERGE)]),
        (
            CHANGE,
            [plain_pull(body="UTF-8 and SHA-256"), from_jira(ji.issue("created"))],
        ),
        (
            CHANGE,
            [
                plain_pull(body="<!-- Closes #12 -->"),
                from_github("issues", gh.issue("opened")),
            ],
        ),
    ],
    ids=[
        "a shared branch",
        "the repository's own default branch",
        "a shared branch of Jenkins",
        "the same branch of another fork",
        "another commit",
        "a short hash in another repository",
        "the test merge of an open pull request",
        "words that look like tickets",
        "a template's comment",
    ],
)
def test_what_is_no_link(child, deliveries) -> None:
    for body in deliveries:
        assert body.verdict.value == "accepted"
    world = World().deliver(*deliveries)
    assert world.parents()[child] == ""
    assert not [pair for pair in world.links() if pair[0] == child]


def test_a_change_from_the_default_branch_takes_no_commit_of_others() -> None:
    """A back-merge (main into develop) has the merge commits of others as its head."""
    back = from_github(
        "pull_request",
        gh.merged(
            **PLAIN,
            number=40,
            head={"ref": "main", "sha": gh.MERGE},
            merge_commit_sha="4" * 40,
            created_at=gh.stamp("11:35:00"),
            merged_at=gh.stamp("11:36:00"),
        ),
    )
    merged = from_github("pull_request", gh.merged(**PLAIN))
    world = World().deliver(back, merged, bare_deployment(sha=gh.MERGE))
    assert world.parents()[DEPLOY] == CHANGE
    forked = plain_pull(head={"ref": "main", "sha": gh.HEAD_1, "repo": gh.repo("bob/api")})
    run = lonely_run(head_sha=gh.HEAD_1, head_branch="main", head_repository=gh.repo("bob/api"))
    assert World().deliver(forked, run).parents()[RUN] == CHANGE, "a fork's main is its own"


def test_a_short_hash_that_two_changes_share_links_to_neither() -> None:
    twin = gh.MERGE[:8] + "0" * 32
    pulls = [
        plain_pull(number=34, head={"ref": "one", "sha": gh.MERGE}),
        plain_pull(number=35, head={"ref": "two", "sha": twin}),
    ]
    build = bare_jenkins(scmInfo={"url": "git@github.com:acme/api.git", "commit": gh.MERGE[:8]})
    assert World().deliver(*pulls, build).parents()[BUILD] == ""
    whole = bare_jenkins(scmInfo={"url": "git@github.com:acme/api.git", "commit": gh.MERGE})
    assert World().deliver(*pulls, whole).parents()[BUILD] == CHANGE


def test_hashes_of_different_length_name_one_commit() -> None:
    """Bitbucket writes twelve digits where GitHub writes forty; both are the same commit."""
    pull = plain_pull(head={"sha": gh.MERGE[:12]})
    push = from_github(
        "push", gh.push(after=gh.MERGE, commits=[gh.commit(gh.MERGE, "x", "10:20:00")])
    )
    world = World().deliver(pull, push, lonely_run(head_sha=gh.MERGE))
    assert world.parents()[RUN] == CHANGE
    short = World().deliver(pull, push, lonely_run(head_sha=gh.MERGE[:9]))
    assert short.parents()[RUN] == CHANGE


def test_two_references_in_one_text_are_two_links() -> None:
    spans = [custom("task", n, "start", "09:00:00") for n in ("7", "7-fix", "8")]
    names = "vstrace-customhttp-task-default-7-fix-typo and vstrace-customhttp-task-default-8"
    world = World().deliver(*spans, plain_pull(body=names))
    found = {world.parents()[CHANGE], *(other for child, other in world.links() if child == CHANGE)}
    assert found == {"customhttp-task-default-7-fix", "customhttp-task-default-8"}


def test_versions_meet_across_scopes_where_only_one_has_them() -> None:
    """Custom events name a namespace, GitHub a repository: `api@v1.2.0` is found anyway."""
    deploy = custom("deploy", 6, "end", "12:00:00", tags={"service": "api", "version": "v1.2.0"})
    release = from_github("release", gh.release())
    world = World().deliver(deploy, release)
    assert world.parents()["customhttp-deploy-default-6"] == "github-release-api-66"
    other = gh.release(id=67) | {"repository": gh.repo("globex/api")}
    twins = World().deliver(deploy, release, from_github("release", other))
    assert twins.parents()["customhttp-deploy-default-6"] == "", "two have it: neither is meant"
    assert twins.rows() == World().deliver(from_github("release", other), release, deploy).rows()


def test_versions_of_two_namespaces_stay_apart() -> None:
    tags = {"service": "api", "version": "1.4"}
    build = custom("build", 5, "end", "10:30:00", tags=tags, namespace="red")
    deploy = custom("deploy", 6, "end", "11:00:00", tags=tags, namespace="blue")
    assert World().deliver(build, deploy).parents()["customhttp-deploy-blue-6"] == ""


def test_a_gitops_deploy_finds_the_release_of_the_version_its_commit_names() -> None:
    """The commit of the infrastructure's repository says nothing else of the application."""
    infra = gl.project("acme/infra")
    deploy = gl.deployment(
        "success", "12:05:00", project=infra, commit_title="Bump api to 1.2.0", deployable_id=None
    )
    release = from_gitlab(gl.release())
    for deliveries in ([from_gitlab(deploy), release], [release, from_gitlab(deploy)]):
        world = World().deliver(*deliveries)
        assert world.parents()["gitlab-deploy-infra-15"] == "gitlab-release-api-v1.2.0"
        why = world.why("gitlab-deploy-infra-15", "gitlab-release-api-v1.2.0")
        assert why == "the version api@v1.2.0 in the commit title"
