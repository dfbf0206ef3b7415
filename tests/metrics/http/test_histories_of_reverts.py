"""Reverts in the words of each host, and runs of Jenkins told by OpenTelemetry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.metrics.http.ci import _typed, seconds
from tests.metrics.http.clock import sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.orders import ORDERS, Tell, of_projects, told_in
from tests.metrics.http.orders import RULES as COMMON
from tests.metrics.http.others import Script
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted
from tests.metrics.http.test_histories_of_branches import Gitea
from tests.metrics.http.tools import Azure, Bitbucket, BitbucketServer

RULES = (
    COMMON
    + """
[[metrics.deployments]]
filter = 'kind:pipeline name:"BUILD *" branch:main'
environment = "production"
service = "{project}"
"""
)


# --- Jenkins by OTLP


def jenkins_run(
    story: Story, job: str, n: int, began: str, end: str, ok: bool = True, **more: Any
) -> None:
    trace = sha(f"{job} {n}")[:32]
    resource = {
        "service.name": "jenkins",
        "service.namespace": "jenkins",
        "service.version": "2.479",
        "jenkins.version": "2.479",
        "jenkins.url": "https://ci.example.com/",
    }

    def span(
        name: str, key: str, b: str, e: str, attributes: dict[str, Any], parent: str = ""
    ) -> dict[str, Any]:
        found = {
            "traceId": trace,
            "spanId": sha(f"{job}{n}{key}")[:16],
            "name": name,
            "kind": 2,
            "startTimeUnixNano": str(seconds(b) * 10**9),
            "endTimeUnixNano": str(seconds(e) * 10**9),
            "attributes": _typed(attributes),
            "status": {} if ok else {"code": 2, "message": "FAILURE"},
        }
        return found | ({"parentSpanId": sha(f"{job}{n}{parent}")[:16]} if parent else {})

    root = {
        "ci.pipeline.id": job,
        "ci.pipeline.name": job.replace("/", " » "),
        "ci.pipeline.type": "workflow",
        "ci.pipeline.run.number": n,
        "ci.pipeline.run.result": "SUCCESS" if ok else "FAILURE",
        "ci.pipeline.run.url": f"https://ci.example.com/job/x/{n}/",
        "ci.pipeline.run.user": "ann",
        "ci.pipeline.run.completed": True,
        **more,
    }
    step = {
        "jenkins.pipeline.step.type": "stage",
        "jenkins.pipeline.step.name": "Deploy",
        "jenkins.pipeline.step.result": "SUCCESS" if ok else "FAILURE",
    }
    for each in (
        [span("Stage: Deploy", "stage", began, end, step, "root")],
        [span(f"BUILD {job}", "root", began, end, root)],
    ):
        story.add(
            "/v1/traces",
            {
                "resourceSpans": [
                    {"resource": {"attributes": _typed(resource)}, "scopeSpans": [{"spans": each}]}
                ]
            },
        )


def jenkins_by_otlp(story: Story, name: str) -> Wanted:
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} 1", "08:00"))
    multi = {"ci.pipeline.multibranch.type": "branch"}
    jenkins_run(story, f"acme/{name}/main", 1, "08:50", "09:00", False, **multi)
    jenkins_run(
        story,
        f"acme/{name}/PR-7",
        1,
        "08:52",
        "09:05",
        False,
        **{"ci.pipeline.multibranch.type": "change_request"},
    )
    own.push((f"{name} 2", "09:10"))
    jenkins_run(story, f"acme/{name}/main", 2, "09:30", "09:40", **multi)
    return {"lead": (1.0833, 2), "fail": (1, 2), "recovery": (40.0, 1), "unknown": 0}


HISTORIES: dict[str, Tell] = {
    "otlp-jenkins": jenkins_by_otlp,
}


def hosted(
    tool: type[Any], story: Story, name: str
) -> tuple[Any, Callable[..., None], Callable[..., None]]:
    """A repository with a first deployment after half an hour; how it deploys, and its pulls with
    their push."""
    own = tool(story, "acme", name) if tool is Azure else tool(story, f"acme/{name}")
    script = Script(story, own.name, service=name)

    def deploy(end: str, ok: bool = True, *, commit: str, **more: Any) -> None:
        script.deploy(end, ok, commit=sha(commit), **more)

    pushed = {"pushed": True} if tool in (GitHub, GitLab, Gitea) else {}

    def pull(n: int, opened: str, merged: str, **more: Any) -> None:
        own.pull(n, opened, merged, **pushed, **more)

    own.push((f"{name} base", "06:00"))
    deploy("06:30", commit=f"{name} base")
    return own, deploy, pull


TAKEN_BACK: Wanted = {"fail": (1, 3), "rework": (1, 3), "recovery": (1.0, 1)}
HOSTS = (GitHub, GitLab, Gitea, Bitbucket, BitbucketServer, Azure)


def reverted_in_trunk(tool: type[Any], words: str) -> Tell:
    """Commits without pull requests: the second one takes the first one back."""

    def tell(story: Story, name: str) -> Wanted:
        own, deploy, _ = hosted(tool, story, name)
        own.push((f"Add {name}", "07:00"))
        deploy("07:30", commit=f"Add {name}")
        text = words.format(name=name, sha=sha(f"Add {name}"), short=sha(f"Add {name}")[:8])
        own.push((text, "08:00"))
        deploy("08:30", commit=text)
        return TAKEN_BACK

    return tell


def merge_reverted_by_git(story: Story, name: str) -> Wanted:
    """`git revert -m 1` of a merge, pushed without a pull request: the commit is no merge of it."""
    own, deploy, _ = hosted(GitHub, story, name)
    merge = f"Merge pull request #1 from acme/{name}"
    own.pull(1, "07:00", "07:20", commits=[(f"{name} a", "07:00")], merge=merge, pushed=True)
    deploy("07:30", commit=merge)
    text = f'Revert "{merge}"\n\nThis reverts commit {sha(merge)}, reversing\nchanges made to x.'
    own.push((text, "08:00"))
    deploy("08:30", commit=text)
    return TAKEN_BACK


def reverted_squash(tool: type[Any], merge: str, title: str, body: str) -> Tell:
    """A squashed pull request; another one, titled by a person, takes its commit back."""

    def tell(story: Story, name: str) -> Wanted:
        own, deploy, pull = hosted(tool, story, name)
        squash = merge.format(name=name)
        if tool in (GitHub, Gitea):
            own.pull(1, "06:40", "07:00", title=f"Add {name}", merge=squash)
        elif tool is GitLab:
            own.pull(
                1,
                "06:40",
                "07:00",
                title=f"Add {name}",
                merge_commit_sha=None,
                squash_commit_sha=sha(squash),
            )
        else:
            own.pull(1, "06:40", "07:00", title=f"Add {name}")
            squash = own.merge_of(1)
        if tool in (GitHub, Gitea, GitLab):
            own.push((squash, "07:00"))
        deploy("07:30", commit=squash)
        said = {"name": name, "sha": sha(squash), "full": f"acme/{name}"}
        pull(2, "07:40", "08:00", title=title.format(**said), body=body.format(**said))
        deploy("08:30", commit=own.merge_of(2))
        return TAKEN_BACK

    return tell


def promotion_reverted_by_title(tool: type[Any], way: str) -> Tell:
    """develop is taken to main as `Release 2`; `Revert "Release 2"` names nothing else."""

    def tell(story: Story, name: str) -> Wanted:
        own, deploy, _ = hosted(tool, story, name)
        own.pull(1, "06:40", "06:50", base="develop", pushed=True)
        own.pull(2, "07:00", "07:10", head="develop", title="Release 2", pushed=True)
        deploy("07:30", commit=own.merge_of(2))
        if way == "pull":
            own.pull(3, "07:40", "08:00", title='Revert "Release 2"', pushed=True)
            deploy("08:30", commit=own.merge_of(3))
        else:
            own.push(('Revert "Release 2"', "08:00"))
            deploy("08:30", commit='Revert "Release 2"')
        return TAKEN_BACK

    return tell


GIT = "Take it out\n\nThis reverts commit {sha}."
HISTORIES |= {
    **{f"trunk-{tool.__name__.lower()}": reverted_in_trunk(tool, GIT) for tool in HOSTS},
    **{
        f"merge-{tool.__name__.lower()}": reverted_in_trunk(
            tool,
            "Take it out\n\nThis reverts commit {sha}, reversing\nchanges made to "
            + "a" * 40
            + ".",
        )
        for tool in HOSTS
    },
    "trunk-azure-ui": reverted_in_trunk(Azure, "Take it out\n\nReverted commit `{short}`."),
    "merge-by-git": merge_reverted_by_git,
    "trunk-title": reverted_in_trunk(GitHub, 'Revert "Add {name}"'),
    "trunk-scoped": reverted_in_trunk(GitHub, "revert: Add {name}"),
    "trunk-reapply": reverted_in_trunk(GitHub, "Undo the cart\n\nthis reverts commit {short}"),
    "squash-hub": reverted_squash(GitHub, "Add {name} (#1)", "Take it out", "Reverts {full}#1"),
    "squash-hub-title": reverted_squash(GitHub, "Add {name} (#1)", 'Revert "Add {name}"', ""),
    "squash-hub-sha": reverted_squash(
        GitHub, "Add {name} (#1)", "Out", "This reverts commit {sha}."
    ),
    "squash-lab": reverted_squash(
        GitLab,
        "Add {name}\n\nSee merge request acme/{name}!1",
        "Take it out",
        "This reverts commit {sha}",
    ),
    "squash-lab-mr": reverted_squash(
        GitLab, "Add {name}", "Take it out", "This reverts merge request !1"
    ),
    "squash-lab-title": reverted_squash(GitLab, "Add {name}", 'Revert "Add {name}"', ""),
    "squash-tea": reverted_squash(
        Gitea, "Add {name} (#1)", "Take it out", "This reverts commit {sha}."
    ),
    "squash-bucket": reverted_squash(Bitbucket, "", "Take it out", "This reverts pull request #1."),
    "squash-bucket-title": reverted_squash(
        Bitbucket, "", 'Revert "Add {name} (pull request #1)"', ""
    ),
    "squash-bucket-merged": reverted_squash(
        Bitbucket, "", 'Revert "Merged in feature/1 (pull request #1)"', ""
    ),
    "squash-azure": reverted_squash(Azure, "", "Take it out", "Reverts !1"),
    "squash-azure-title": reverted_squash(Azure, "", 'Revert "Add {name}"', ""),
    "squash-azure-merged": reverted_squash(Azure, "", 'Revert "Merged PR 1: Add {name}"', ""),
    "squash-azure-commit": reverted_squash(Azure, "", "Take it out", "Reverted commit `{sha}`."),
    "promo-pull-hub": promotion_reverted_by_title(GitHub, "pull"),
    "promo-pull-lab": promotion_reverted_by_title(GitLab, "pull"),
    "promo-push-hub": promotion_reverted_by_title(GitHub, "push"),
    "promo-push-lab": promotion_reverted_by_title(GitLab, "push"),
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_revert_has_the_values_computed_by_hand(configured, order) -> None:
    assert told_in(order, configured(RULES), of_projects(HISTORIES)) == {}
