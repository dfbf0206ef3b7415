"""Histories that tell whose commits a push brought, and so when each pull request began.

A branch may be pushed several times before its pull request is opened. Hosts squash it on merging,
so the push to the base branch lists none of its commits. Another push lists those of several pull
requests: of a merge queue, of a stack, or of a branch that takes all that main has.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.metrics.http.clock import sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.others import Script
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted, begun, differences, differences_in
from tests.metrics.http.test_histories_of_branches import Gitea
from tests.metrics.http.test_histories_of_work import Tell, deployer
from tests.metrics.http.tools import Azure, Bitbucket


def squashed(own: Any, name: str, when: str, identifier: int = 1) -> str:
    """The commit of a squash on main; the pull request itself is told of with `pull`."""
    squash = f"{name} squash {identifier}"
    own.push((squash, when), ref="main", when=when)
    return squash


def pushed_twice_and_opened(tool: type[Any]) -> Tell:
    def tell(story: Story, name: str) -> Wanted:
        own = tool(story, f"acme/{name}")
        deploy = deployer(own, story)
        own.push((f"{name} base", "06:00"), ref="main")
        deploy("06:30", commit=f"{name} base")  # 0.5 h
        own.push((f"{name} a", "07:00"), ref="feature/1")
        commits = [(f"{name} b", "08:30")]
        own.pull(1, "09:00", "10:00", head="feature/1", commits=commits, merge=f"{name} squash 1")
        deploy("11:00", commit=squashed(own, name, "10:00"))  # 4 h
        return {"lead": (2.25, 2), "changes": (2, 2)}

    return tell


def pushed_twice_to_azure(story: Story, name: str) -> Wanted:
    own = Azure(story, "acme", name)
    deploy = Script(story, own.name, service=name).deploy
    own.push((f"{name} base", "06:00"))
    deploy("06:30", commit=sha(f"{name} base"))  # 0.5 h
    own.push((f"{name} a", "07:00"), ref="feature/1")
    own.push((f"{name} b", "08:30"), ref="feature/1")
    own.pull(1, "09:00", "10:00")
    deploy("11:00", commit=sha(own.merge_of(1)))  # 4 h
    return {"lead": (2.25, 2), "changes": (2, 2)}


def pushed_twice_to_bitbucket(story: Story, name: str) -> Wanted:
    own = Bitbucket(story, f"acme/{name}")
    deploy = deployer(own, story)
    own.push((f"{name} base", "06:00"))
    deploy("06:30", commit=f"{name} base")  # 0.5 h
    own.push((f"{name} a", "07:00"), ref="feature/1")
    own.pull(1, "09:00", "10:00", commits=((f"{name} b", "08:30"),))
    own.story.posts[-1].body["push"]["changes"][0]["commits"].pop()  # squashed
    deploy("11:00", commit=own.merge_of(1))  # 4 h
    return {"lead": (2.25, 2), "changes": (2, 2)}


def opened_again(story: Story, name: str) -> Wanted:
    """A pull request is closed without a merge, and the branch gets another one: its commits are
    those of the second."""
    own = begun(GitHub, story, name)
    own.push((f"{name} a", "07:00"), ref="feature/1")
    own.pull(1, "08:00", closed="08:10", head="feature/1", commits=[(f"{name} b", "07:30")])
    own.pull(2, "09:00", "10:00", head="feature/1", commits=[(f"{name} c", "08:30")],
             merge=f"{name} squash 2")  # fmt: skip
    own.deploy("11:00", commit=squashed(own, name, "10:00", 2))  # 4 h
    return {"lead": (2.25, 2), "changes": (2, 2)}


def branch_that_goes_on(story: Story, name: str) -> Wanted:
    """The branch was squashed into main before; what was pushed until then is shipped."""
    own = begun(GitHub, story, name)
    own.push((f"{name} a", "06:40"), ref="ana")
    own.pull(1, "07:10", "07:30", head="ana", commits=[(f"{name} b", "07:00")],
             merge=f"{name} squash 1")  # fmt: skip
    own.deploy("08:00", commit=squashed(own, name, "07:30"))  # 80 min
    own.push((f"{name} c", "08:20"), ref="ana")
    own.pull(2, "09:00", "09:30", head="ana", commits=[(f"{name} d", "08:40")],
             merge=f"{name} squash 2")  # fmt: skip
    own.deploy("10:00", commit=squashed(own, name, "09:30", 2))  # 100 min
    return {"lead": (1.3333, 3), "changes": (3, 3)}


def forced_before_it_was_opened(story: Story, name: str) -> Wanted:
    """A forced push takes the first commits away before the opening."""
    own = begun(GitHub, story, name)
    own.push((f"{name} a", "06:40"), ref="feature/1")
    own.push((f"{name} b", "08:00"), ref="feature/1", forced=True)
    own.pull(1, "09:00", "10:00", head="feature/1", commits=[(f"{name} c", "08:30")],
             merge=f"{name} squash 1")  # fmt: skip
    own.deploy("11:00", commit=squashed(own, name, "10:00"))  # 3 h
    return {"lead": (1.75, 2), "changes": (2, 2)}


def updated_before_it_was_opened(story: Story, name: str) -> Wanted:
    """main, with a commit of Friday, is merged into the branch before the opening."""
    own = begun(GitHub, story, name)
    old = (f"{name} old", "2026-02-27 12:00")
    own.push(old, ref="main", when="06:40")
    own.deploy("06:50", commit=old[0])
    own.push((f"{name} a", "07:00"), ref="feature/1")
    own.push(old, (f"{name} update", "07:30"), ref="feature/1", when="07:30")
    own.pull(1, "09:00", "10:00", head="feature/1", commits=[(f"{name} c", "08:30")],
             merge=f"{name} squash 1")  # fmt: skip
    own.deploy("11:00", commit=squashed(own, name, "10:00"))  # 0.5, 66.8, 4 h
    return {"lead": (4.0, 3), "changes": (3, 3)}


def one_branch_for_two(story: Story, name: str) -> Wanted:
    """A fix goes to main and to the branch of the release by two pull requests of one branch."""
    own = begun(GitHub, story, name)
    own.push((f"{name} base", "06:00"), ref="release/1", when="06:10")
    own.push((f"{name} a", "07:00"), ref="fix")
    own.pull(1, "09:00", "10:00", head="fix", commits=[(f"{name} b", "08:30")],
             merge=f"{name} squash 1")  # fmt: skip
    own.deploy("10:30", commit=squashed(own, name, "10:00"))  # 3.5 h
    own.pull(2, "09:10", "10:40", head="fix", base="release/1", merge=f"{name} squash 2")
    for post in own.story.posts:
        request = post.body.get("pull_request")
        if request and request["number"] == 2:
            request["head"] = {**request["head"], "sha": own._heads["fix"]}
    own.push((f"{name} squash 2", "10:40"), ref="release/1", when="10:40")
    own.deploy("11:00", commit=f"{name} squash 2", ref="release/1", service=f"{name}-lts")  # 4 h
    return {"lead": (3.5, 3)}


def queue_of_merges(*order: int) -> Tell:
    """A merge queue brings two pull requests with merge commits in one push; the commit of the
    second is older. `order` is that of the commits in the push."""

    def tell(story: Story, name: str) -> Wanted:
        own = begun(GitHub, story, name)
        written = [(f"{name} a", "09:00"), (f"{name} b", "07:00")]
        merges = [(f"Merge pull request #{n} of {name}", f"10:0{n}") for n in (1, 2)]
        for n in (1, 2):
            own.pull(n, "09:30", "10:30", commits=[written[n - 1]], merge=merges[n - 1][0])
        listed = [*written, *merges]
        own.push(*(listed[n] for n in order), when="10:30")
        own.deploy("11:00", commit=merges[1][0])  # 2 and 4 h
        return {"lead": (2.0, 3), "changes": (3, 2)}

    return tell


def brought_to_the_release(story: Story, name: str) -> Wanted:
    """The branch of the release takes the merge of a pull request with older commits of its own."""
    own = begun(GitHub, story, name)
    own.pull(1, "08:10", "09:00", commits=[(f"{name} a", "08:00")], merge=f"{name} merge",
             pushed=True)  # fmt: skip
    own.push((f"{name} old", "06:10"), ref="release/1")
    own.push((f"{name} older", "06:05"), (f"{name} a", "08:00"), (f"{name} merge", "09:00"),
             ref="release/1", when="09:10")  # fmt: skip
    own.deploy("10:00", commit=f"{name} merge")  # 2 h
    return {"lead": (1.25, 2), "changes": (2, 2)}


def release_on_bitbucket(story: Story, name: str) -> Wanted:
    """release/1 is cut from develop and gets a fix; Bitbucket shortens the commits of a request."""
    own = Bitbucket(story, f"acme/{name}")
    deploy = deployer(own, story)
    own.push((f"{name} base", "06:00"))
    deploy("06:30", commit=f"{name} base")  # 0.5 h
    own.pull(1, "07:10", "08:00", base="develop", commits=((f"{name} a", "07:00"),))
    own.pull(2, "09:10", "09:30", head="release/1", commits=((f"{name} fix", "09:00"),),
             brings=((f"{name} a", "07:00"), (own.merge_of(1), "08:00")))  # fmt: skip
    deploy("10:00", commit=own.merge_of(2))  # 3 h and 1 h
    return {"lead": (1.0, 3), "changes": (3, 2)}


def production_goes_forward(tool: type[Any]) -> Tell:
    """`production` is pushed to the head of main, which has a pull request and a commit alone."""

    def tell(story: Story, name: str) -> Wanted:
        own = tool(story, f"acme/{name}")
        own.push((f"{name} base", "06:00"))
        own.push((f"{name} base", "06:00"), ref="production", when="06:10")
        own.deploy("06:30", commit=f"{name} base", ref="production")  # 0.5 h
        own.pull(1, "07:10", "08:00", commits=[(f"{name} a", "07:00")], pushed=True)
        own.push((f"{name} alone", "08:30"))
        listed = [(f"{name} a", "07:00"), (own.merge_of(1), "08:00"), (f"{name} alone", "08:30")]
        own.push(*listed, ref="production", when="09:00")
        own.deploy("10:00", commit=f"{name} alone", ref="production")  # 3 h and 1.5 h
        return {"lead": (1.5, 3), "changes": (3, 2)}

    return tell


def tried_on_staging(tool: type[Any], *, way: str) -> Tell:
    """A branch is merged into staging, goes on, and comes to main: by a merge, squashed, or with
    develop."""

    def tell(story: Story, name: str) -> Wanted:
        own = begun(tool, story, name)
        first, last = (f"{name} a", "07:00"), (f"{name} b", "08:30")
        own.pull(1, "07:10", "08:00", base="staging", head="work", commits=[first], pushed=True)
        base = "develop" if way == "develop" else "main"
        own.pull(2, "08:40", "09:00", base=base, head="work", commits=[last])
        merge = (own.merge_of(2), "09:00")
        listed = [merge] if way == "squash" else [first, last, merge]
        own.push(*listed, ref=base, when="09:00")
        if way == "develop":
            own.pull(3, "09:10", "09:30", head="develop")
            own.push(*listed, (own.merge_of(3), "09:30"), when="09:30")
        own.deploy("10:00", commit=own.merge_of(3 if way == "develop" else 2))  # 3 h
        return {"lead": (1.75, 2), "changes": (2, 2)}

    return tell


HISTORIES: dict[str, Tell] = {
    **{f"opened-{tool.__name__}".lower(): pushed_twice_and_opened(tool)
       for tool in (GitHub, GitLab, Gitea)},
    "opened-azure": pushed_twice_to_azure,
    "opened-bitbucket": pushed_twice_to_bitbucket,
    "opened-again": opened_again,
    "goes-on": branch_that_goes_on,
    "forced-first": forced_before_it_was_opened,
    "updated-first": updated_before_it_was_opened,
    "one-for-two": one_branch_for_two,
    "queue": queue_of_merges(0, 2, 1, 3),
    "queue-by-date": queue_of_merges(1, 0, 2, 3),
    "to-release": brought_to_the_release,
    "release-bitbucket": release_on_bitbucket,
    **{f"forward-{tool.__name__}".lower(): production_goes_forward(tool)
       for tool in (GitHub, GitLab, Gitea)},
    **{f"staging-{way}-{tool.__name__}".lower(): tried_on_staging(tool, way=way)
       for tool in (GitHub, GitLab, Gitea) for way in ("merge", "squash", "develop")},
}  # fmt: skip


@pytest.mark.parametrize("order", ["as sent", "shuffled"])
def test_a_pull_request_begins_with_its_own_first_commit(tmp_path, order) -> None:
    assert differences_in(order, tmp_path, HISTORIES, differences) == []
