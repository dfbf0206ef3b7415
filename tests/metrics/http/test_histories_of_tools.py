"""More histories of real repositories: other tools, retries, reverts of reverts, branches that are
deployed before they are merged, incidents that no deployment caused."""

from __future__ import annotations

import pytest

from tests.metrics.http.clock import at, moment, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.others import Jenkins, alertmanager
from tests.metrics.http.story import Story, send
from tests.metrics.http.test_histories import Wanted, begun, differences
from tests.metrics.http.tools import Azure, Bitbucket, argo_sync

RULES = """
[[metrics.deployments]]
filter = 'kind:build name:"release*"'
environment = "production"
[[metrics.deployments]]
filter = 'kind:pipeline name:"Ship*"'
environment = "production"
"""


def azure_yaml_pipeline(story: Story) -> Wanted:
    """A staging stage is none; the failed stage is run again in its run."""
    own = Azure(story, "yaml", "shop")
    own.push(("az base", "06:00"))
    own.stage(1, "Production", "06:30", "06:40", commit="az base")
    own.pull(1, "09:00", "10:00")
    own.stage(2, "Deploy to Staging", "10:10", "10:20", commit=own.merge_of(1))
    own.stage(2, "Production", "10:30", "10:40", ok=False, commit=own.merge_of(1))
    own.stage(2, "Production", "10:50", "11:00", commit=own.merge_of(1))
    return {"lead": (1.3333, 2), "fail": (0, 2), "rework": (0, 2)}


def azure_release_deployed_again(story: Story) -> Wanted:
    """Attempt 2 of a release that succeeded is a new deployment: over a newer one, a rollback."""
    own = Azure(story, "redeployed")
    own.release(101, "09:00", "09:10", ok=False)
    own.release(101, "09:20", "09:30", attempt=2)
    own.release(102, "10:00", "10:10")
    own.release(101, "11:00", "11:08", attempt=3)
    return {"fail": (1, 3), "rework": (1, 3), "recovery": (8.0, 1)}


def azure_release_that_is_refused(story: Story) -> Wanted:
    """Nobody deployed what was refused; approved in a second attempt, it fails by itself."""
    own = Azure(story, "refused")
    own.release(1, "09:00", "09:10")
    refused = {"approvalType": "preDeploy", "status": "rejected", "attempt": 1}
    own.release(2, "10:00", "10:05", False, preDeployApprovals=[refused])
    approved = refused | {"status": "approved", "attempt": 2}
    own.release(2, "11:00", "11:05", False, attempt=2, preDeployApprovals=[refused, approved])
    own.release(3, "12:00", "12:05", False, preDeployApprovals=[refused])
    return {"fail": (1, 2), "rework": (0, 2)}


def azure_release_of_a_build(story: Story) -> Wanted:
    own = Azure(story, "released-build")
    own.pull(5, "09:00", "10:00")
    own.build(81, "10:01", "10:05", commit=own.merge_of(5))
    own.release(81, "10:06", "10:10", build=81, environment="Staging")
    own.release(81, "10:20", "10:30", build=81)
    return {"lead": (1.5, 1), "fail": (0, 1)}


def argo_of_a_repository(story: Story) -> Wanted:
    own = GitHub(story, "acme/gitops")
    own.push(("go1", "08:00"))
    argo_sync(story, "gitops-prod", "08:30", "09:00", repository=own.name, revision="go1")
    own.push(("go2", "09:30"))
    argo_sync(story, "gitops-prod", "10:00", "10:30", repository=own.name, revision="go2")
    argo_sync(story, "gitops-staging", "10:35", "10:36", False, repository=own.name, revision="go2")
    argo_sync(story, "gitops-prod", "11:00", "11:03", repository=own.name, revision="go1")
    return {"lead": (1.0, 2), "fail": (1, 3), "rework": (1, 3), "recovery": (3.0, 1)}


def bitbucket_deployed_by_jenkins(story: Story) -> Wanted:
    own, jenkins = Bitbucket(story, "acme/bucket"), Jenkins(story, "acme/bucket")
    own.push(("bb0", "06:00"))
    jenkins.deploy("06:30", commit="bb0")
    own.pull(1, "09:00", "11:00", commits=(("bb1", "08:00"),), title="Add z")
    jenkins.deploy("12:00", commit=own.merge_of(1))
    own.pull(2, "12:10", "12:20", title='Revert "Add z (pull request #1)"')
    jenkins.deploy("12:40", commit=own.merge_of(2))
    return {"lead": (0.5, 3), "fail": (1, 3), "rework": (1, 3)}


def revert_of_a_revert(story: Story) -> Wanted:
    """The change comes back: nothing failed by that, and nothing is repaired."""
    own = begun(GitHub, story, "reverted-twice")
    revert = 'Revert "Add x"'
    for number, title in enumerate(("Add x", revert, f'Revert "{revert} (#2)"'), 1):
        own.pull(number, f"{7 + number}:00", f"{7 + number}:20", title=title, pushed=True)
        own.deploy(f"{7 + number}:40", commit=own.merge_of(number))
    return {"lead": (0.6667, 4), "fail": (1, 4), "rework": (1, 4)}


def revert_of_one_of_two_alike(story: Story) -> Wanted:
    """Two changes of one title: the revert means the last one, as the alarm does."""
    own = begun(GitHub, story, "alike")
    for number, title in enumerate(("Bump", "Bump", 'Revert "Bump"'), 1):
        own.pull(number, f"{7 + number}:00", f"{7 + number}:20", title=title, pushed=True)
        own.deploy(f"{7 + number}:40", commit=own.merge_of(number))
    alertmanager(story, "alike", "09:45", "10:30")
    return {"fail": (1, 4), "rework": (1, 4), "recovery": (23.0, 2)}


def root_cause_of_an_older_commit(story: Story) -> Wanted:
    """The issue names the commit, which an hour later is no longer the last one."""
    own = GitHub(story, "acme/named-cause")
    own.deploy("10:00", ok=False, commit="nc1")
    own.deploy("11:00", commit="nc2")
    own.issue(1, "10:40", "11:30")
    own.issue(2, "11:20", "12:00")
    for post in story.posts[-2:]:
        post.body["issue"]["body"] = f"root cause: {sha('nc1')}"
    return {"fail": (1, 2), "recovery": (120.0, 1)}


def heroku_rolled_back(story: Story) -> Wanted:
    """A rollback is a release with a new number; its description says what it is."""
    for number, clock, words in (
        (51, "09:00", "Deploy aaaa"),
        (52, "10:00", "Deploy bbbb"),
        (53, "10:20", "Rollback to v51"),
    ):
        data = {"id": f"r{number}", "version": number, "status": "succeeded", "description": words}
        data |= {
            "created_at": at(clock),
            "updated_at": at(clock),
            "app": {"id": "a", "name": "ash"},
        }
        data["slug"] = {"commit": sha(f"ash {number}")}
        body = {"id": f"h{number}", "action": "update", "resource": "release", "data": data}
        story.add("/heroku", body)
    return {"fail": (1, 3), "rework": (1, 3)}


def vercel_deploys_a_repository_of_github(story: Story) -> Wanted:
    """It counts for the repository, whose teams and changes are known."""
    own = GitHub(story, "acme/vercelled")
    own.pull(1, "08:00", "09:00", pushed=True)
    meta = {"githubCommitSha": sha(own.merge_of(1)), "githubCommitRef": "main"}
    meta |= {"githubOrg": "acme", "githubRepo": "vercelled"}
    for word, clock in (("created", "09:20"), ("succeeded", "09:30")):
        deployment = {"id": "dpl_1", "name": "site", "url": "site.vercel.app", "meta": meta}
        body = {"id": word, "type": f"deployment.{word}"}
        body["createdAt"] = int(moment(clock).timestamp() * 1000)
        story.add("/vercel", body | {"payload": {"target": "production", "deployment": deployment}})
    return {"lead": (1.5, 1), "fail": (0, 1)}


def production_in_two_spellings(story: Story) -> Wanted:
    own = GitHub(story, "acme/spelt")
    own.deploy("10:00", ok=False, environment="Production", commit="sp1")
    own.deploy("10:30", environment="production", commit="sp2")
    return {"fail": (1, 2), "recovery": (30.0, 1)}


def deployed_before_it_is_merged(story: Story) -> Wanted:
    """ChatOps deploys the branch of a pull request, and main after the merge."""
    own = begun(GitHub, story, "chatops")
    own.pull(1, "10:00", "12:30", commits=[("co1", "09:00")], pushed=True)
    own.deploy("12:00", commit="co1", ref="feature/1")
    own.deploy("13:00", commit=own.merge_of(1))
    return {"lead": (1.75, 2), "fail": (0, 3), "rework": (0, 3)}


def incident_before_any_deployment(story: Story) -> Wanted:
    """Nobody caused it, and what was deployed while it was open repaired it."""
    own = GitHub(story, "acme/inherited")
    alertmanager(story, "inherited", "08:00", "12:00")
    for clock in ("10:00", "11:00", "13:00"):
        own.deploy(clock, commit=f"inherited {clock}")
    return {"fail": (0, 3), "rework": (2, 3), "recovery": (None, 0)}


def incident_long_after_a_deployment(story: Story) -> Wanted:
    """The window of the one before is over."""
    own = GitHub(story, "acme/late")
    own.deploy("10:00", commit="l1")
    alertmanager(story, "late", "Tue 20:00", "Tue 21:10")
    own.deploy("Tue 21:00", commit="l2")
    own.deploy("Wed 10:00", commit="l3")
    return {"fail": (0, 3), "rework": (1, 3)}


def failed_leg_of_a_job_that_counts(story: Story) -> Wanted:
    """Jobs count by a rule; only the failed one is run again, in another attempt of the run."""
    own = GitHub(story, "acme/legs")
    for region, ok in (("eu", True), ("us", False)):
        own.job(900 + ok, "09:55", "10:00", ok, run=(90, 1), name=f"release ({region})")
    own.run(90, "09:50", "10:01", "failure", name="CI")
    own.job(912, "10:25", "10:30", run=(90, 2), name="release (us)")
    own.run(90, "10:24", "10:31", name="CI", attempt=2)
    return {"fail": (0, 1), "rework": (0, 1)}


def retried_job_that_counts(story: Story) -> Wanted:
    own = GitLab(story, "acme/retried")
    jobs = [(771, "release", "failed", "10:10")]
    own.pipeline(77, "10:00", "10:10", "failed", jobs)
    own.pipeline(77, "10:00", "10:30", "success", [*jobs, (772, "release", "success", "10:30")])
    return {"fail": (0, 1), "rework": (0, 1)}


def run_that_counts_again_after_its_success(story: Story) -> Wanted:
    own = GitHub(story, "acme/shipped-again")
    own.run(821, "09:10", "09:20", name="Ship")
    own.run(821, "12:30", "12:40", name="Ship", attempt=2)
    return {"fail": (0, 2), "rework": (0, 2)}


HISTORIES = {
    "yaml/shop": azure_yaml_pipeline,
    "redeployed": azure_release_deployed_again,
    "refused": azure_release_that_is_refused,
    "released-build": azure_release_of_a_build,
    "acme/gitops": argo_of_a_repository,
    "acme/bucket": bitbucket_deployed_by_jenkins,
    "acme/reverted-twice": revert_of_a_revert,
    "acme/alike": revert_of_one_of_two_alike,
    "acme/named-cause": root_cause_of_an_older_commit,
    "ash": heroku_rolled_back,
    "acme/vercelled": vercel_deploys_a_repository_of_github,
    "acme/spelt": production_in_two_spellings,
    "acme/chatops": deployed_before_it_is_merged,
    "acme/inherited": incident_before_any_deployment,
    "acme/late": incident_long_after_a_deployment,
    "acme/legs": failed_leg_of_a_job_that_counts,
    "acme/retried": retried_job_that_counts,
    "acme/shipped-again": run_that_counts_again_after_its_success,
}


@pytest.mark.parametrize("order", ["as sent", "reverse", "twice"])
def test_every_history_of_a_tool_has_the_values_computed_by_hand(configured, order) -> None:
    server = configured(RULES)
    wanted = {}
    for name, tell in HISTORIES.items():
        story = Story()
        wanted[name] = tell(story)
        posts = story.posts[::-1] if order == "reverse" else story.posts
        send(server, posts + posts if order == "twice" else posts)
    assert differences(server, wanted) == {}
