"""Histories of release branches, promotions, long pushes and renamed repositories, computed by
hand. A repository that `begun` made has a commit of half an hour in a first deployment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.metrics.http.clock import at, sha
from tests.metrics.http.github import GitHub, user
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.orders import differing
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted, begun, differences_in
from tests.metrics.http.test_histories_of_work import deployer

Tell = Callable[[Story, str], Wanted]


def hotfix_from_a_tag(story: Story, name: str) -> Wanted:
    """The hotfix branch is deployed itself and merged into main later, which then ships."""
    own = begun(GitHub, story, name)
    own.push((f"{name} m2", "07:00"))
    own.push((f"{name} h", "08:00"), ref="hotfix/1", base=f"{name} base")
    own.deploy("08:30", commit=f"{name} h", ref="hotfix/1")  # 0.5 h
    head = {"ref": "hotfix/1", "sha": sha(f"{name} h"), "repo": own._repository()}
    own.pull(3, "08:40", "09:00", head="hotfix/1", pushed=True)
    for post in story.posts[-3:-1]:
        post.body["pull_request"]["head"] = head
    own.deploy("10:00", commit=own.merge_of(3))  # m2: 3 h
    return {"lead": (0.5, 3), "fail": (0, 3), "rework": (1, 3), "changes": 3 / 3}


def older_commit_by_its_sha(story: Story, name: str) -> Wanted:
    """A rollback by a tool that deploys a sha which was never deployed before."""
    own = begun(GitHub, story, name)
    own.push((f"{name} 2", "07:00"))
    own.push((f"{name} 3", "08:00"))
    own.deploy("08:30", commit=f"{name} 3")  # 1.5 and 0.5 h
    own.deploy("09:00", commit=f"{name} 2", ref=sha(f"{name} 2"))
    wanted: Wanted = {"lead": (0.5, 3), "fail": (1, 3), "rework": (1, 3), "recovery": (1.0, 1)}
    return wanted | {"changes": 3 / 3}


def renamed_with_undeployed_commits(tool: type[Any]) -> Tell:
    """master becomes main between two deployments; what came to master before ships from main."""

    def tell(story: Story, name: str) -> Wanted:
        own = tool(story, f"acme/{name}")
        own.push((f"{name} base", "06:00"), ref="master")
        own.deploy("06:30", commit=f"{name} base", ref="master")
        own.push((f"{name} 2", "07:00"), ref="master")
        for post in story.posts:
            for place in ("repository", "project"):
                if place in post.body:
                    post.body[place]["default_branch"] = "master"
        own.push((f"{name} 3", "08:00"), base=f"{name} 2")
        own.deploy("09:00", commit=f"{name} 3")  # 2 and 1 h
        return {"lead": (1.0, 3), "fail": (0, 2), "changes": 3 / 2}

    return tell


def release_branch_is_cut(tool: type[Any]) -> Tell:
    """release/1 is cut from main without a push and gets a fix before its first deployment."""

    def tell(story: Story, name: str) -> Wanted:
        own = begun(tool, story, name)
        own.push((f"{name} m1", "07:00"))
        own.push((f"{name} m2", "07:30"))
        own.push((f"{name} m3", "08:00"))
        own.push((f"{name} fix", "08:30"), ref="release/1", base=f"{name} m2")
        own.deploy("09:00", commit=f"{name} fix", ref="release/1")  # 2, 1.5 and 0.5 h
        return {"lead": (1.0, 4), "fail": (0, 2), "changes": 4 / 2}

    return tell


def release_branches_one_after_another(story: Story, name: str) -> Wanted:
    """Each release is cut from main; the first one got a fix that main has by a cherry-pick."""
    own = begun(GitHub, story, name)
    own.push((f"{name} m1", "07:00"))
    own.push((f"{name} fix", "08:00"), ref="release/1", base=f"{name} m1")
    own.deploy("08:30", commit=f"{name} fix", ref="release/1")  # m1: 1.5, fix: 0.5
    own.push((f"{name} fix picked", "08:00"), when="08:40")
    own.push((f"{name} m2", "09:00"))
    own.deploy("10:00", commit=f"{name} m2", ref="release/2")  # picked: 2 h, m2: 1 h
    return {"lead": (1.0, 5), "fail": (0, 3), "rework": (0, 3), "changes": 5 / 3}


def release_branch_is_used_again(story: Story, name: str) -> Wanted:
    """One branch `release` is set to main for each release; once it had a commit of its own."""
    own = begun(GitHub, story, name)
    own.push((f"{name} m1", "07:00"))
    own.push((f"{name} fix", "07:30"), ref="release", base=f"{name} m1")
    own.deploy("08:00", commit=f"{name} fix", ref="release")  # 1 and 0.5 h
    own.push((f"{name} m2", "08:30"))
    own.deploy("09:00", commit=f"{name} m2", ref="release")  # 0.5 h
    return {"lead": (0.5, 4), "fail": (0, 3), "rework": (0, 3), "changes": 4 / 3}


def merged(story: Story, own: Any, number_: int, base: str, head: str, *told: Any) -> None:
    """A pull request of a branch with the commits that it has, oldest first, and its merge."""
    *commits, when = told
    own.pull(number_, when, when, base=base, head=head)
    for post in story.posts[-2:]:
        found = post.body.get("pull_request") or post.body["object_attributes"]
        place, name = ("head", "sha") if "head" in found else ("last_commit", "id")
        found[place][name] = sha(commits[-1][0])
    own.push(*commits, (own.merge_of(number_), when), ref=base, when=when)


def releases_of_develop(tool: type[Any], *, fix: bool, back: bool = False) -> Tell:
    """Twice: a release branch is cut from develop, may get a fix, and comes to main, and `back` to
    develop, by pull requests."""

    def tell(story: Story, name: str) -> Wanted:
        own = begun(tool, story, name)
        for n, hour in enumerate((7, 11)):
            first, head = 10 * n, f"release/{n}"
            change = [(f"{name} c{n}", f"{hour}:00")]
            own.pull(first, f"{hour}:10", f"{hour + 1}:00", base="develop", commits=change,
                     pushed=True)  # fmt: skip
            change.append((own.merge_of(first), f"{hour + 1}:00"))
            if fix:
                change.append((f"{name} d{n}", f"{hour + 1}:30"))
                own.push(change[-1], ref="develop")
                change.append((f"{name} fix{n}", f"{hour + 2}:00"))
                own.push(change[-1], ref=head, base=f"{name} d{n}")
            merged(story, own, first + 1, "main", head, *change, f"{hour + 2}:30")
            own.deploy(f"{hour + 3}:00", commit=own.merge_of(first + 1))  # 3 h, the fix 1 h
            if back:
                merged(story, own, first + 2, "develop", head, change[-1], f"{hour + 2}:40")
        n = 7 if fix else 3  # a commit on develop: 1.5 h
        return {"lead": (1.5 if fix else 3.0, n), "fail": (0, 3), "changes": n / 3}

    return tell


def hotfix_into_both(tool: type[Any]) -> Tell:
    """A hotfix is merged into main and into develop, which comes to main later."""

    def tell(story: Story, name: str) -> Wanted:
        own = begun(tool, story, name)
        own.pull(1, "07:00", "07:30", base="develop", commits=[(f"{name} c", "07:00")], pushed=True)
        own.push((f"{name} fix", "08:00"), ref="hotfix/1")
        merged(story, own, 2, "main", "hotfix/1", (f"{name} fix", "08:00"), "08:30")
        own.deploy("09:00", commit=own.merge_of(2))  # 1 h
        merged(story, own, 3, "develop", "hotfix/1", (f"{name} fix", "08:00"), "08:40")
        carried = [(f"{name} c", "07:00"), (own.merge_of(1), "07:30"), (own.merge_of(3), "08:40")]
        merged(story, own, 4, "main", "develop", *carried, "09:30")
        own.deploy("10:00", commit=own.merge_of(4))  # 3 h
        return {"lead": (1.0, 3), "fail": (0, 3), "rework": (1, 3), "changes": 3 / 3}

    return tell


def production_branch(tool: type[Any], *, way: str) -> Tell:
    """Pull requests into main; main is taken to `production`, which is deployed."""

    def tell(story: Story, name: str) -> Wanted:
        own = tool(story, f"acme/{name}")
        own.push((f"{name} base", "06:00"))
        own.push((f"{name} base", "06:00"), ref="production", when="06:10")
        own.deploy("06:30", commit=f"{name} base", ref="production")
        own.pull(1, "07:00", "07:30", pushed=True)
        own.pull(2, "07:15", "07:45", pushed=True)
        head = own.merge_of(2)
        if way == "push":
            commits = [(own.merge_of(n), "07:45") for n in (1, 2)]
            own.push(*commits, ref="production", when="08:00")
        else:
            own.pull(3, "08:00", "08:10", head="main", base="production", pushed=True)
            head = own.merge_of(3)
        own.deploy("09:00", commit=head, ref="production")  # 2 and 1.75 h
        return {"lead": (1.75, 3), "fail": (0, 2), "changes": 3 / 2}

    return tell


def three_branches(story: Story, name: str) -> Wanted:
    """develop, staging, main: each taken further by a pull request."""
    own = begun(GitHub, story, name)
    own.pull(1, "07:00", "07:30", base="develop", pushed=True)
    own.pull(2, "07:40", "08:00", base="staging", head="develop", pushed=True)
    own.deploy("08:10", commit=own.merge_of(2), ref="staging", environment="staging")
    own.pull(3, "08:30", "09:00", base="develop", pushed=True)
    own.pull(4, "09:10", "09:20", head="staging", pushed=True)
    own.deploy("10:00", commit=own.merge_of(4))  # #1: 3 h
    own.pull(5, "10:10", "10:20", base="staging", head="develop", pushed=True)
    own.pull(6, "10:30", "10:40", head="staging", pushed=True)
    own.deploy("11:00", commit=own.merge_of(6))  # #3: 2.5 h
    return {"lead": (2.5, 3), "fail": (0, 3), "changes": 3 / 3}


def many_commits(tool: type[Any], count: int) -> Tell:
    """One push of many commits to main: GitLab lists the newest 20 of them."""

    def tell(story: Story, name: str) -> Wanted:
        own = begun(tool, story, name)
        own.push(*((f"{name} {n}", "07:30") for n in range(count)), when="07:40")
        body = story.posts[-1].body
        listed = len(body["commits"])
        if tool is GitLab:
            body["commits"] = body["commits"][-20:]
            listed = 20
        own.deploy("08:30", commit=f"{name} {count - 1}")  # 1 h each
        wanted: Wanted = {"lead": (1.0, listed + 1), "unknown": count - listed}
        return wanted | {"changes": (count + 1) / 2}

    return tell


def long_promotion(tool: type[Any]) -> Tell:
    """15 merge requests of develop come to main by one push, of which GitLab lists 20 commits."""

    def tell(story: Story, name: str) -> Wanted:
        own = begun(tool, story, name)
        commits = []
        for n in range(1, 16):
            one = [(f"{name} {n}a", "07:00"), (f"{name} {n}b", "07:00")]
            own.pull(n, "07:00", f"07:{10 + n}", base="develop", commits=one, pushed=True)
            commits += [*one, (own.merge_of(n), f"07:{10 + n}")]
        own.push(*commits, when="08:00")
        if tool is GitLab:
            body = story.posts[-1].body
            body["commits"] = body["commits"][-20:]
        own.deploy("09:00", commit=own.merge_of(15))  # 2 h each
        return {"lead": (2.0, 16), "unknown": 0, "changes": 8.0}

    return tell


def promotion_reverted(tool: type[Any]) -> Tell:
    """The release itself is taken back: the deployment that shipped it failed."""

    def tell(story: Story, name: str) -> Wanted:
        own = begun(tool, story, name)
        own.pull(1, "07:00", "07:30", base="develop", pushed=True)
        own.pull(2, "08:00", "08:10", head="develop", title="Release 2", pushed=True)
        own.deploy("09:00", commit=own.merge_of(2))  # 2 h
        body = f"Reverts {own.full}#2" if tool is GitHub else "This reverts merge request !2"
        own.pull(3, "09:20", "09:30", title="Take it back", body=body, pushed=True)
        own.deploy("10:00", commit=own.merge_of(3))
        return {"fail": (1, 3), "rework": (1, 3), "recovery": (1.0, 1)}

    return tell


def promotion_reverted_by_its_commit(story: Story, name: str) -> Wanted:
    own = begun(GitHub, story, name)
    own.pull(1, "07:00", "07:30", base="develop", pushed=True)
    own.pull(2, "08:00", "08:10", head="develop", title="Release 2", pushed=True)
    own.deploy("09:00", commit=own.merge_of(2))
    words = f"Take it out\n\nThis reverts commit {sha(own.merge_of(2))}, reversing"
    own.push((f"{words}\nchanges made to {sha('x')}.", "09:30"))
    own.deploy("10:00", commit=f"{words}\nchanges made to {sha('x')}.")
    return {"fail": (1, 3), "rework": (1, 3), "recovery": (1.0, 1)}


class Moving(GitHub):
    """A repository that keeps its id when it is renamed or transferred."""

    def _repository(self) -> dict[str, Any]:
        return super()._repository() | {"id": int(sha(self.name)[:7], 16)}


def revert_names_the_former_name(story: Story, name: str) -> Wanted:
    own = Moving(story, f"acme/was-{name}")
    own.push((f"{name} base", "06:00"))
    own.deploy("06:30", commit=f"{name} base")
    own.pull(1, "07:00", "07:30", title="Add x", pushed=True)
    own.deploy("08:00", commit=own.merge_of(1))
    body = f"Reverts {own.full}#1"
    own.full = f"acme/{name}"
    own.pull(2, "08:10", "08:20", title="Take x out", body=body, pushed=True)
    own.deploy("09:00", commit=own.merge_of(2))
    return {"fail": (1, 3), "rework": (1, 3), "recovery": (1.0, 1)}


def transferred(story: Story, name: str) -> Wanted:
    own = Moving(story, f"bob/{name}")
    own.push((f"{name} base", "06:00"))
    own.deploy("06:30", commit=f"{name} base")
    own.pull(1, "07:00", "07:30", pushed=True)
    own.pull(2, "07:10")
    own.full = f"acme/{name}"
    own.hook("repository", action="transferred", changes={"owner": {"from": {"user": user("bob")}}})
    story.posts[-1].body["repository"]["updated_at"] = at("07:40")
    own.pull(2, "07:10", "08:00", pushed=True)
    own.deploy("09:00", commit=own.merge_of(2))  # 2 h and 1 h 50 min
    return {"lead": (1.8333, 3), "fail": (0, 2), "changes": 3 / 2}


def late_push(tool: type[Any]) -> Tell:
    """A commit of Friday is pushed after Monday's first deployment, which did not have it."""

    def tell(story: Story, name: str) -> Wanted:
        own = tool(story, f"acme/{name}")
        deploy = deployer(own, story)
        own.push((f"{name} base", "07:00"))
        deploy("07:30", commit=f"{name} base")  # 0.5 h
        own.push((f"{name} late", "2026-02-27 10:00"), when="09:00")
        deploy("10:00", commit=f"{name} late")  # 72 h
        own.push((f"{name} last", "10:30"))
        deploy("11:00", commit=f"{name} last")  # 0.5 h
        return {"lead": (0.5, 3), "fail": (0, 3), "rework": (0, 3), "changes": 3 / 3}

    return tell


def set_back_without_times(story: Story, name: str) -> Wanted:
    """GitLab: main is set back to the commit before; what was taken away counts as shipped."""
    own = begun(GitLab, story, name)
    own.push((f"{name} a", "07:00"))
    own.deploy("07:30", commit=f"{name} a")  # 0.5 h
    own.push((f"{name} b", "08:00"))
    own.deploy("08:30", commit=f"{name} b")  # 0.5 h
    own.push((f"{name} a", "07:00"))
    own.deploy("09:00", commit=f"{name} a")  # takes b back
    own.push((f"{name} c", "09:30"))
    own.deploy("10:00", commit=f"{name} c")  # 0.5 h
    wanted: Wanted = {"lead": (0.5, 4), "fail": (1, 5), "rework": (1, 5), "recovery": (1.0, 1)}
    return wanted | {"changes": 4 / 5}


def revert_in_a_release_branch(story: Story, name: str) -> Wanted:
    """main is deployed with a revert; a release branch that is cut there repairs nothing again."""
    own = begun(GitHub, story, name)
    own.pull(1, "07:00", "07:20", title="Add x", pushed=True)
    own.deploy("07:30", commit=own.merge_of(1))
    body = f"Reverts {own.full}#1"
    own.pull(2, "07:40", "07:50", title="Take x out", body=body, pushed=True)
    own.deploy("08:00", commit=own.merge_of(2))
    own.push((f"{name} fix", "08:30"), ref="release/1", base=own.merge_of(2))
    own.deploy("09:00", commit=f"{name} fix", ref="release/1")  # 0.5 h
    own.push((f"{name} next", "09:30"))
    own.deploy("10:00", commit=f"{name} next")
    return {"fail": (1, 5), "rework": (1, 5), "changes": 5 / 5}


def develop_by_hand(story: Story, name: str) -> Wanted:
    """GitLab: develop is merged by hand; the list of the push ends before its first changes."""
    own = begun(GitLab, story, name)
    commits = []
    for n in range(25):
        own.push((f"{name} {n}", "07:00"), ref="develop")
        commits.append((f"{name} {n}", "07:00"))
    own.push(*commits, (f"Merge branch 'develop' {name}", "08:00"))
    body = story.posts[-1].body
    body["commits"] = body["commits"][-20:]
    own.deploy("09:00", commit=f"Merge branch 'develop' {name}")  # 2 h each
    return {"lead": (2.0, 26), "unknown": 0, "changes": 26 / 2}


def dated_in_the_future(story: Story, name: str) -> Wanted:
    """A commit of a broken clock: it was not written after it was pushed."""
    own = begun(GitHub, story, name)
    own.push((f"{name} 2", "2030-01-01 10:00"), when="07:00")
    own.deploy("08:00", commit=f"{name} 2")  # 1 h
    return {"lead": (0.75, 2), "changes": 2 / 2}


def picked_to_the_release_and_reverted(story: Story, name: str) -> Wanted:
    """The release branch has the change and its revert as cherry-picks."""
    own = begun(GitHub, story, name)
    own.push((f"{name} x", "07:00"))
    picked = f"{name} x\n\n(cherry picked from commit {sha(f'{name} x')})"
    own.push((picked, "07:00"), ref="release/1", base=f"{name} base", when="07:10")
    own.deploy("08:00", commit=picked, ref="release/1")
    back = f'Revert "{name} x"\n\nThis reverts commit {sha(f"{name} x")}.'
    own.push((back, "08:10"))
    again = f"{back}\n\n(cherry picked from commit {sha(back)})"
    own.push((again, "08:10"), ref="release/1", when="08:20")
    own.deploy("09:00", commit=again, ref="release/1")
    return {"fail": (1, 3), "rework": (1, 3), "recovery": (1.0, 1)}


HISTORIES: dict[str, Tell] = {
    "hotfix-tag": hotfix_from_a_tag,
    "by-sha": older_commit_by_its_sha,
    "main-hub": renamed_with_undeployed_commits(GitHub),
    "main-lab": renamed_with_undeployed_commits(GitLab),
    "cut-hub": release_branch_is_cut(GitHub),
    "cut-lab": release_branch_is_cut(GitLab),
    **{
        f"flow{fix}{back}-{tool.__name__}".lower(): releases_of_develop(tool, fix=fix, back=back)
        for tool in (GitHub, GitLab)
        for fix, back in ((True, False), (False, False), (True, True))
    },
    "hot-hub": hotfix_into_both(GitHub),
    "hot-lab": hotfix_into_both(GitLab),
    "train": release_branches_one_after_another,
    "used-again": release_branch_is_used_again,
    **{
        f"prod-{way}-{tool.__name__}".lower(): production_branch(tool, way=way)
        for tool in (GitHub, GitLab)
        for way in ("push", "pull")
    },
    "three": three_branches,
    "many-hub": many_commits(GitHub, 150),
    "many-lab": many_commits(GitLab, 25),
    "long-hub": long_promotion(GitHub),
    "long-lab": long_promotion(GitLab),
    "back-hub": promotion_reverted(GitHub),
    "back-lab": promotion_reverted(GitLab),
    "back-commit": promotion_reverted_by_its_commit,
    "former": revert_names_the_former_name,
    "moved": transferred,
    "late-hub": late_push(GitHub),
    "late-lab": late_push(GitLab),
    "set-back": set_back_without_times,
    "cut-revert": revert_in_a_release_branch,
    "by-hand": develop_by_hand,
    "future": dated_in_the_future,
    "picked-back": picked_to_the_release_and_reverted,
}


@pytest.mark.parametrize("order", ["reverse", "shuffled"])
def test_every_history_of_releases_has_the_values_computed_by_hand(tmp_path, order) -> None:
    assert differences_in(order, tmp_path, HISTORIES, differing) == []
