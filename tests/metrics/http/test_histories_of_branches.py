"""Histories of branches, forks, merges of every kind, promotions and rollbacks, computed by hand.

A repository that `begun` made has a commit of half an hour in a first deployment."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.ingest.server import Server
from tests.metrics.http.clock import at, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.others import Script
from tests.metrics.http.story import WEEK, Post, Story, command, items
from tests.metrics.http.test_histories import Wanted, begun, differences, differences_in

Tell = Callable[[Story, str], Wanted]
SPAN = ("--since", WEEK[0], "--until", WEEK[1], "--tz", "UTC")
RULES = """
[services.mono-web]
paths = ["web/**"]
[services.mono-api]
paths = ["api/**"]
"""


class Gitea(GitHub):
    """The same bodies, as Gitea and Forgejo send them."""

    def hook(self, event: str, **fields: Any) -> None:
        super().hook(event, **fields)
        self._as_gitea()

    def push(self, *commits: tuple[str, str], **more: Any) -> None:
        super().push(*commits, **more)
        self._as_gitea()

    def _as_gitea(self) -> None:
        post = self.story.posts.pop()
        repository = {**post.body["repository"]}
        repository.pop("pushed_at", None)
        for commit in post.body.get("commits", ()):
            commit.pop("distinct", None)
        headers = {"X-Gitea-Event": post.headers["X-GitHub-Event"]}
        self.story.posts.append(Post("/gitea", {**post.body, "repository": repository}, headers))


def change(story: Story, action: str, clock: str, **changed: Any) -> None:
    """Another event of the last pull request."""
    last = next(p for p in reversed(story.posts) if "pull_request" in p.body)
    found = {**last.body["pull_request"], "updated_at": at(clock), **changed}
    body = {**last.body, "action": action, "pull_request": found}
    story.add("/github", body, X_GitHub_Event="pull_request")


def merged(clock: str, name: str) -> dict[str, Any]:
    """What a merge changes in a pull request."""
    done = {"state": "closed", "merged": True, "merged_at": at(clock), "closed_at": at(clock)}
    return {**done, "merge_commit_sha": sha(name), "updated_at": at(clock)}


def stacked_and_retargeted(story: Story, name: str) -> Wanted:
    """The upper one gets main as its base when the lower one is merged."""
    own = begun(GitHub, story, name)
    own.pull(1, "08:00", "10:00", head="feature/1", pushed=True)
    own.pull(2, "09:00", base="feature/1")
    base = {"ref": "main", "sha": sha("base"), "repo": own._repository()}
    change(story, "edited", "10:01", base=base)
    change(story, "closed", "11:00", base=base, **merged("11:00", f"{name} 2"))
    own.push((f"{name} 2", "11:00"))
    own.deploy("10:30", commit=own.merge_of(1))  # 2.5 h
    own.deploy("12:00", commit=f"{name} 2")  # 3 h
    return {"lead": (2.5, 3), "fail": (0, 3), "changes": (3, 3)}


def backport(story: Story, name: str) -> Wanted:
    own = begun(GitHub, story, name)
    own.pull(1, "08:00", "09:00", commits=[(f"{name} p", "07:30")], pushed=True)
    own.deploy("10:00", commit=own.merge_of(1))  # 2.5 h
    picked = f"{name} p\n\n(cherry picked from commit {sha(f'{name} p')})"
    own.push((f"{name} base", "06:00"), ref="release/1.x", when="07:00")
    own.pull(2, "10:30", "11:00", commits=[(picked, "07:30")], base="release/1.x", pushed=True)
    own.deploy("12:00", commit=own.merge_of(2), ref="release/1.x")  # 4.5 h
    return {"lead": (2.5, 3), "fail": (0, 3), "rework": (0, 3)}


def release_branch_with_a_hotfix(story: Story, name: str) -> Wanted:
    own = begun(GitHub, story, name)
    own.pull(1, "08:00", "08:30", pushed=True)
    own.push((own.merge_of(1), "08:30"), ref="release/2.0", when="09:00")
    own.deploy("10:00", commit=own.merge_of(1), ref="release/2.0")  # 2 h
    own.pull(2, "10:30", "10:45", head="hotfix/x", base="release/2.0", pushed=True)
    own.deploy("11:00", commit=own.merge_of(2), ref="release/2.0")  # 0.5 h
    own.pull(3, "11:20", "11:30", head="release/2.0", pushed=True)
    return {"lead": (0.5, 3), "fail": (0, 3), "rework": (1, 3)}


def gitlab_merge(pushed: tuple[str, ...], **more: Any) -> Tell:
    """A merge request of two commits; what comes to main depends on the way of merging."""

    def tell(story: Story, name: str) -> Wanted:
        own = begun(GitLab, story, name)
        commits = [(f"{name} c1", "07:00"), (f"{name} c2", "07:30")]
        told: dict[str, Any] = {k: v and sha(f"{name} {v}") for k, v in more.items()}
        if "r2" in pushed:  # GitLab rebases the source branch itself
            told["last_commit"] = {"id": sha(f"{name} r2"), "message": "x"}
        own.pull(1, "08:00", "09:00", commits=commits, **told)
        times = {"c1": "07:00", "c2": "07:30"}
        own.push(*((f"{name} {c}", times.get(c, "09:00")) for c in pushed))
        own.deploy("10:00", commit=f"{name} {pushed[-1]}")  # 3 h
        return {"lead": (1.75, 2), "fail": (0, 2), "changes": (2, 2)}

    return tell


def monorepo(story: Story, name: str) -> Wanted:
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} 1", "08:00"), files=["web/a.ts"])
    own.push((f"{name} 2", "09:00"), files=["api/b.py"])
    own.deploy("10:00", commit=f"{name} 2", service="mono-web")  # 2 h
    own.deploy("11:00", commit=f"{name} 2", service="mono-api")  # 2 h
    return {"lead": (2.0, 2), "changes": (2, 2)}


def from_a_fork(branch: str) -> Tell:
    """The fork's branch has the name of one of the repository's own branches."""

    def tell(story: Story, name: str) -> Wanted:
        own = begun(GitHub, story, name)
        own.pull(5, "07:00", "07:30", base="develop", pushed=True)  # never ships
        fork = own._repository() | {"id": 77, "full_name": f"eve/{name}"}
        head = {"ref": branch, "sha": sha(f"{name} fork"), "repo": fork}
        own.pull(1, "08:00", head=branch)
        story.posts[-1].body["pull_request"]["head"] = head
        change(story, "closed", "09:00", **merged("09:00", f"{name} 1"))
        own.push((f"{name} 1", "09:00"))
        own.deploy("10:00", commit=f"{name} 1")  # 2 h
        return {"lead": (1.25, 2), "fail": (0, 2), "changes": (2, 2)}

    return tell


def draft(story: Story, name: str) -> Wanted:
    own = begun(GitHub, story, name)
    own.pull(1, "08:00", "11:00", ready="10:00", pushed=True)
    own.deploy("12:00", commit=own.merge_of(1))  # 4 h
    return {"lead": (2.25, 2)}


def reopened(story: Story, name: str) -> Wanted:
    own = begun(GitHub, story, name)
    own.pull(1, "08:00", closed="09:00")
    change(story, "reopened", "10:00", state="open", closed_at=None)
    change(story, "closed", "11:00", **merged("11:00", f"{name} 1"))
    own.push((f"{name} 1", "11:00"))
    own.deploy("12:00", commit=f"{name} 1")  # 4 h
    return {"lead": (2.25, 2), "changes": (2, 2)}


def closed_and_left(story: Story, name: str) -> Wanted:
    own = begun(GitHub, story, name)
    own.pull(1, "08:00", closed="09:00")
    own.push((f"{name} 2", "08:30"))
    own.deploy("10:00", commit=f"{name} 2")  # 1.5 h
    return {"lead": (1.0, 2), "changes": (2, 2)}


def old_author_date(story: Story, name: str) -> Wanted:
    own = begun(GitHub, story, name)
    own.pull(1, "08:00", "09:00", commits=[(f"{name} c", "2026-02-27 10:00")], pushed=True)
    own.deploy("10:00", commit=own.merge_of(1))  # 72 h
    return {"lead": (36.25, 2)}


def two_regions(story: Story, name: str) -> Wanted:
    """Two environments of production: two deployments, one change each."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} 1", "08:00"))
    for clock, region in (("09:00", "prod-eu"), ("09:10", "prod-us")):
        own.deploy(clock, commit=f"{name} 1", environment=region, production=True, run=(5, 1))
    own.push((f"{name} 2", "10:00"))
    for clock, region, ok in (
        ("11:00", "prod-eu", False),
        ("11:00", "prod-us", True),
        ("11:30", "prod-eu", True),
    ):
        own.deploy(clock, ok, commit=f"{name} 2", environment=region, production=True)
    wanted: Wanted = {"lead": (1.0, 2), "fail": (1, 5), "rework": (0, 5), "recovery": (30.0, 1)}
    return wanted | {"changes": (2, 4)}


def tags(story: Story, name: str) -> Wanted:
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} v1.9", "08:00"))
    own.push((f"{name} v1.10", "09:00"))
    for clock, tag in (("10:00", "v1.9"), ("11:00", "v1.10")):
        own.deploy(clock, version=tag)
        for post in story.posts[-3:]:
            post.body["deployment"]["sha"] = sha(f"{name} {tag}")
    return {"lead": (2.0, 2), "fail": (0, 2), "rework": (0, 2), "changes": (2, 2)}


def back_and_forth(story: Story, name: str) -> Wanted:
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} a", "08:00"))
    own.deploy("09:00", commit=f"{name} a")  # 1 h
    own.push((f"{name} b", "09:30"))
    own.deploy("10:00", commit=f"{name} b")  # 0.5 h
    own.deploy("10:20", commit=f"{name} a")  # takes b back
    own.push((f"{name} c", "10:30"))
    own.deploy("11:00", commit=f"{name} c")  # 0.5 h
    own.deploy("11:20", commit=f"{name} c")  # again
    wanted: Wanted = {"lead": (0.5, 3), "fail": (1, 5), "rework": (1, 5), "recovery": (1.0, 1)}
    return wanted | {"changes": (3, 5)}


def promoted(story: Story, name: str) -> Wanted:
    own = begun(GitHub, story, name)
    own.pull(1, "08:00", "09:00", pushed=True)
    own.deploy("09:20", False, commit=own.merge_of(1), environment="staging")
    own.deploy("09:30", commit=own.merge_of(1), environment="staging")
    own.deploy("09:40", commit=own.merge_of(1), environment="pr-12", production=False)
    own.deploy("10:00", commit=own.merge_of(1))  # 2 h
    return {"lead": (1.25, 2), "fail": (0, 2), "changes": (2, 2)}


def run_again(story: Story, name: str) -> Wanted:
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} 1", "08:00"))
    own.deploy("09:00", False, commit=f"{name} 1", run=(5, 1))
    own.deploy("09:30", commit=f"{name} 1", run=(5, 2))  # 1.5 h
    return {"lead": (1.5, 1), "fail": (0, 1), "rework": (0, 1)}


def services_of_one_run(story: Story, name: str) -> Wanted:
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} 1", "08:00"))
    for job, service in enumerate(("a", "b")):
        own.deploy(
            "09:00", commit=f"{name} 1", run=(6, 1), service=f"{name}-{service}", job=job + 1
        )
    return {"lead": (1.0, 1), "fail": (0, 2), "changes": (1, 2)}


def skipped_and_canceled(story: Story, name: str) -> Wanted:
    own = GitLab(story, f"acme/{name}")
    own.push((f"{name} 1", "08:00"))
    own.deploy("09:00", commit=f"{name} 1", state="canceled")
    own.deploy("09:10", commit=f"{name} 1", state="skipped")
    own.deploy("09:30", commit=f"{name} 1")  # 1.5 h
    return {"lead": (1.5, 1), "fail": (0, 1)}


def approved_by_hand(story: Story, name: str) -> Wanted:
    """Blocked at 10:00 and released at 14:00: an alert between is not about it."""
    own = GitLab(story, f"acme/{name}")
    own.push((f"{name} 1", "08:00"))
    own.deploy("14:05", commit=f"{name} 1", began="10:00", state="blocked")
    *_, last = story.posts
    for word, clock in (("running", "14:00"), ("success", "14:05")):
        body = {**last.body, "status": word, "status_changed_at": at(clock)}
        story.add("/gitlab", body, **last.headers)
    del story.posts[-4]
    story.posts[-3].body["status_changed_at"] = at("10:00")
    own.issue(3, "12:00", "12:30")
    return {"lead": (6.0833, 1), "fail": (0, 1)}


def offsets(story: Story, name: str) -> Wanted:
    """Times of authors and servers in zones of their own."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} 1", "08:00"), when="08:10")
    own.deploy("09:00", commit=f"{name} 1")  # 1 h
    *_, push, _, _, status = story.posts
    commit = {**push.body["commits"][0], "timestamp": "2026-03-02T13:30:00+05:30"}
    push.body.update(commits=[commit], head_commit=commit)
    later = "2026-03-02T01:00:00-08:00"
    status.body["deployment_status"] |= {"created_at": later, "updated_at": later}
    return {"lead": (1.0, 1)}


def delivered_again(story: Story, name: str) -> Wanted:
    """The same bodies under other delivery ids."""
    own = begun(GitHub, story, name)
    own.pull(1, "08:00", "09:00", pushed=True)
    own.deploy("10:00", commit=own.merge_of(1))  # 2 h
    own.issue(2, "10:10", "10:40")
    story.posts += [
        Post(post.path, post.body, {**post.headers, "X-GitHub-Delivery": f"{name}-{n}"})
        for n, post in enumerate(story.posts)
    ]
    return {"lead": (1.25, 2), "fail": (1, 2), "recovery": (30.0, 1), "changes": (2, 2)}


def default_branch_renamed(story: Story, name: str) -> Wanted:
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} 1", "08:00"), ref="master")
    own.deploy("09:00", commit=f"{name} 1", ref="master")  # 1 h
    for post in story.posts:
        post.body["repository"]["default_branch"] = "master"
    own.push((f"{name} 2", "10:00"))
    own.deploy("11:00", commit=f"{name} 2")  # 1 h
    return {"lead": (1.0, 2), "fail": (0, 2), "rework": (0, 2), "changes": (2, 2)}


def opened_and_closed_twice(story: Story, name: str) -> Wanted:
    own = GitHub(story, f"acme/{name}")
    own.deploy("09:00", commit=f"{name} 1")
    own.issue(2, "09:30", "10:00")
    issue = story.posts[-1].body["issue"]
    for action, state, clock, end in (
        ("reopened", "open", "10:30", None),
        ("closed", "closed", "11:00", at("11:00")),
    ):
        told = {**issue, "state": state, "updated_at": at(clock), "closed_at": end}
        own.hook("issues", action=action, issue=told)
    return {"fail": (1, 1), "recovery": (30.0, 2)}


def labelled_later(story: Story, name: str) -> Wanted:
    own = GitHub(story, f"acme/{name}")
    own.deploy("09:00", commit=f"{name} 1")
    own.issue(2, "09:30", labels=["bug"])
    issue = story.posts[-1].body["issue"]
    named = {**issue, "labels": [{"name": "bug"}, {"name": "incident"}], "updated_at": at("09:50")}
    own.hook("issues", action="labeled", label={"name": "incident"}, issue=named)
    done = {"state": "closed", "closed_at": at("10:30"), "updated_at": at("10:30")}
    own.hook("issues", action="closed", issue=named | done)
    return {"fail": (1, 1), "recovery": (60.0, 1)}


def merged_without_a_pull_request(story: Story, name: str) -> Wanted:
    """develop is merged by hand and pushed: its commit counts, the merge does not."""
    own = begun(GitHub, story, name)
    own.push((f"{name} d", "08:00"), ref="develop")
    own.push((f"{name} d", "08:00"), ("Merge branch 'develop'", "10:00"), when="10:00")
    own.deploy("11:00", commit="Merge branch 'develop'")  # 3 h
    return {"lead": (1.75, 2), "changes": (2, 2)}


def feature_branch_rebased(story: Story, name: str) -> Wanted:
    own = begun(GitHub, story, name)
    own.push((f"{name} c", "07:00"), ref="feature/1", when="07:10")
    own.push((f"{name} c again", "07:00"), ref="feature/1", when="08:10", forced=True)
    own.pull(1, "08:00", head="feature/1")
    head = {"ref": "feature/1", "sha": sha(f"{name} c again"), "repo": own._repository()}
    change(story, "closed", "09:00", head=head, **merged("09:00", f"{name} 1"))
    own.push((f"{name} 1", "09:00"))
    own.deploy("10:00", commit=f"{name} 1")  # 3 h
    return {"lead": (1.75, 2), "changes": (2, 2)}


def squashed_and_not_told(story: Story, name: str) -> Wanted:
    """Pull requests are not ticked in the webhook: each squashed commit counts."""
    own = begun(GitHub, story, name)
    own.push((f"{name} (#7)", "08:00"), (f"{name} (#8)", "09:00"))
    own.deploy("10:00", commit=f"{name} (#8)")  # 2 and 1 h
    return {"lead": (1.0, 3), "changes": (3, 2)}


def never_finished(story: Story, name: str) -> Wanted:
    """A deployment without a verdict, long ago, has failed; one of now is none yet."""
    own = begun(GitHub, story, name)
    own.deploy("10:00", commit=f"{name} 2", state="-")
    return {"fail": (1, 2)}


def by_bot(story: Story, name: str) -> Wanted:
    own = begun(GitHub, story, name)
    own.pull(1, "08:00", "09:00", author="dependabot[bot]", pushed=True)
    own.deploy("10:00", commit=own.merge_of(1))
    return {"lead": (1.25, 2)}


def gitea(story: Story, name: str) -> Wanted:
    own = Gitea(story, f"acme/{name}")
    deploy = Script(story, own.full, service=name).deploy
    own.push((f"{name} base", "06:00"))
    deploy("06:30", commit=sha(f"{name} base"))
    own.pull(1, "08:00", "09:00", commits=[(f"{name} c", "07:00")], title="Add x", pushed=True)
    deploy("10:00", commit=sha(own.merge_of(1)))  # 3 h
    body = f"This reverts commit {sha(own.merge_of(1))}"
    own.pull(2, "10:10", "10:20", title="Take x out", body=body, pushed=True)
    deploy("10:40", commit=sha(own.merge_of(2)))  # 0.5 h
    return {"lead": (0.5, 3), "fail": (1, 3), "rework": (1, 3), "changes": (3, 3)}


HISTORIES: dict[str, Tell] = {
    "retargeted": stacked_and_retargeted,
    "backport": backport,
    "release-hotfix": release_branch_with_a_hotfix,
    "lab-squash-ff": gitlab_merge(("sq",), merge_commit_sha=None, squash_commit_sha="sq"),
    "lab-ff": gitlab_merge(("c1", "c2"), merge_commit_sha=None),
    "lab-squash-merge": gitlab_merge(
        ("sq", "merge"), merge_commit_sha="merge", squash_commit_sha="sq"
    ),
    "lab-merge": gitlab_merge(("c1", "c2", "merge"), merge_commit_sha="merge"),
    "lab-rebase": gitlab_merge(("r1", "r2"), merge_commit_sha=None),
    "mono": monorepo,
    "fork-main": from_a_fork("main"),
    "fork-develop": from_a_fork("develop"),
    "fork-patch": from_a_fork("patch-1"),
    "draft": draft,
    "reopened": reopened,
    "closed-left": closed_and_left,
    "old-author": old_author_date,
    "regions": two_regions,
    "tags": tags,
    "back-forth": back_and_forth,
    "promoted": promoted,
    "run-again": run_again,
    "two-services": services_of_one_run,
    "skipped": skipped_and_canceled,
    "approved": approved_by_hand,
    "offsets": offsets,
    "delivered-again": delivered_again,
    "master-main": default_branch_renamed,
    "twice-open": opened_and_closed_twice,
    "labelled-later": labelled_later,
    "by-hand": merged_without_a_pull_request,
    "feature-rebased": feature_branch_rebased,
    "not-told": squashed_and_not_told,
    "never-finished": never_finished,
    "by-bot": by_bot,
    "gitea": gitea,
}


@pytest.mark.parametrize("order", ["as sent", "shuffled"])
def test_every_history_of_branches_has_the_values_computed_by_hand(tmp_path, order) -> None:
    (tmp_path / "config.toml").write_text(RULES)

    def differ(server: Server, wanted: dict[str, Wanted]) -> dict[str, tuple[Wanted, Wanted]]:
        printed = json.loads(command(server, "report", "dora", "--by", "project", "--json", *SPAN))
        assert {item["name"]: item for item in printed["items"]} == items(server)
        return differences(server, wanted)

    assert differences_in(order, tmp_path, HISTORIES, differ) == []
