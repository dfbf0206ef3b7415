"""Forced pushes, reverts and merge queues, as random histories showed them to be told wrongly."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.ingest.server import nearby
from tests.metrics.http.git import HOSTS, Git
from tests.metrics.http.orders import ORDERS, told_in
from tests.metrics.http.story import Story, command, send
from tests.metrics.http.test_histories_of_flows import Told, begun, shipped, told_by
from tests.metrics.http.test_random_flows import links


def amended(git: Git, name: str, when: str) -> None:
    """Write the last commit of feature/1 anew, with the time of its author."""
    old = git.heads["feature/1"]
    git.heads["feature/1"] = git.parents[old][0]
    git.commit(name, git.written[old][0], "feature/1")
    git.push("feature/1", when)
    git.tell_of_force()


def amended_before_it_was_opened(git: Git) -> Told:
    """The first commit stays."""
    begun(git)
    git.branch("feature/1")
    git.commit("a", "07:00", "feature/1")
    git.commit("b", "07:30", "feature/1")
    git.push("feature/1", "07:30")
    amended(git, "b again", "08:00")
    git.open(1, "feature/1", "08:10")
    git.land(1, "08:30", way="squash")
    git.deploy("09:00")
    return shipped(2, deploys=2)


def forced_pushes_without_a_default_branch(git: Git) -> Told:
    """`next` is the only base, whatever is pushed by force to other branches."""
    begun(git, "next")
    git.branch("feature/1")
    git.commit("a", "07:00", "feature/1")
    git.push("feature/1", "07:00")
    for number in range(3):
        amended(git, f"a {number}", f"07:1{number}")
    git.open(1, "feature/1", "07:30")
    git.land(1, "08:00", way="rebase")
    git.deploy("09:00")
    return shipped(2, deploys=2)


def reverted_after_it_was_deployed_again(git: Git) -> Told:
    """The first deployment of the change failed, not the one that deployed it again."""
    begun(git)
    git.change(1, "a", "07:00", "07:30", way="ff")
    git.deploy("08:00")
    git.deploy("08:20")
    git.commit(f'Revert "a"\n\nThis reverts commit {git.sha("a")}.', "08:30")
    git.push("main", "08:30")
    git.deploy("09:00")
    return shipped(1, 0.5, fail=1, rework=1, deploys=4)


def reverted_before_it_shipped(git: Git) -> Told:
    """Only the title says what it takes back, and both ship together."""
    begun(git)
    git.change(1, "a", "07:00", "07:30")
    git.branch("feature/2")
    git.commit("b", "08:00", "feature/2")
    git.push("feature/2", "08:00")
    git.open(2, "feature/2", "08:00", title='Revert "Change 1"')
    git.land(2, "08:30")
    git.deploy("09:00")
    return shipped(2, 1, deploys=2)


def revert_taken_back_before_it_shipped(git: Git) -> Told:
    begun(git)
    git.change(1, "a", "07:00", "07:30", way="squash")
    git.deploy("08:00")
    back = f'Revert "squash 1"\n\nThis reverts commit {git.sha("squash 1")}.'
    git.commit(back, "08:00")
    git.push("main", "08:00")
    git.commit(f'Revert "Revert "squash 1""\n\nThis reverts commit {git.sha(back)}.', "08:30")
    git.push("main", "08:30")
    git.deploy("09:00")
    return shipped(1, 1, 0.5, deploys=3)


def reverted_commit_of_main(git: Git) -> Told:
    """A pull request had it by a merge of main, and ships with the revert."""
    begun(git)
    git.branch("feature/1")
    git.commit("a", "07:00", "feature/1")
    git.push("feature/1", "07:00")
    git.commit("b", "07:30")
    git.push("main", "07:30")
    git.deploy("08:00")
    git.merge("feature/1", "main", "08:10")
    git.push("feature/1", "08:10")
    git.open(1, "feature/1", "08:10")
    git.land(1, "08:20", way="squash")
    git.commit(f'Revert "b"\n\nThis reverts commit {git.sha("b")}.', "08:30")
    git.push("main", "08:30")
    git.deploy("09:00")
    return shipped(0.5, 2, 0.5, fail=1, rework=1, deploys=3)


def default_branch_with_a_new_name(git: Git) -> Told:
    """`next` is `later` now: what came to it before is deployed from there."""
    begun(git, "next")
    git.commit("a", "07:00", "next")
    git.push("next", "07:00")
    git.branch("later", "next")
    git.push("later", "07:10")
    git.default = "later"
    git.change(1, "b", "07:30", "08:00", "later")
    git.deploy("09:00", ref="later")
    return shipped(2, 1.5, deploys=2)


def queue_by_date(git: Git) -> Told:
    """The commits of both are listed before both merges."""
    begun(git)
    for number, written in ((1, "07:30"), (2, "07:00")):
        git.begin(number, f"a{number}", written, source="c0")
    for number in (1, 2):
        git.merge_locally(number, "08:00", "merge")
    for number in (1, 2):
        git.tell(number, "merged", "08:00")
    git.push("main", "08:00")
    git.deploy("09:00")
    return shipped(1.5, 2, deploys=2)


EVERY = tuple(HOSTS)
FLOWS: dict[str, tuple[Callable[[Git], Told], tuple[str, ...]]] = {
    "amended": (amended_before_it_was_opened, ("hub", "bucket")),
    "forced": (forced_pushes_without_a_default_branch, ("bucket",)),
    "again": (reverted_after_it_was_deployed_again, EVERY),
    "title": (reverted_before_it_shipped, EVERY),
    "restored": (revert_taken_back_before_it_shipped, EVERY),
    "direct": (reverted_commit_of_main, EVERY),
    "renamed": (default_branch_with_a_new_name, ("hub", "lab", "tea")),
    "queue": (queue_by_date, ("hub", "tea")),
}
HISTORIES = {
    f"{name}-{host}": told_by(host, flow, f"habit-{name}")
    for name, (flow, hosts) in FLOWS.items()
    for host in hosts
}


def promoted_twice(git: Git) -> None:
    """develop comes to main three times, squashed."""
    begun(git)
    git.branch("develop")
    git.push("develop", "06:40")
    for number, hour in ((1, "07"), (2, "08"), (3, "09")):
        git.change(number, f"a{number}", f"{hour}:00", f"{hour}:10", "develop", way="squash")
        git.open(number + 10, "develop", f"{hour}:20")
        git.land(number + 10, f"{hour}:30", way="squash")
        git.deploy(f"{hour}:50")


def test_links_are_those_of_a_rebuild_whatever_comes_last(tmp_path) -> None:
    """One post of a story is held back, each of them in its turn."""
    stories = []
    for host in ("hub", "bucket"):
        for late in range(34):
            git = HOSTS[host](Story(), f"acme/late-{host}-{late}")
            promoted_twice(git)
            posts = git.story.posts
            stories.append([*posts[:late], *posts[late + 1 :], *posts[late : late + 1]])
    with nearby(tmp_path) as server:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda posts: send(server, posts), stories))
        linked = links(server.db)
        command(server, "db", "rebuild")
        assert links(server.db) == linked


@pytest.mark.parametrize("order", [*ORDERS, "reverse"])
def test_every_habit_has_the_values_computed_by_hand(tmp_path, order) -> None:
    with nearby(tmp_path) as server:
        assert told_in(order, server, HISTORIES) == {}
    if order == ORDERS[-1]:
        command(server, "db", "rebuild")
        with nearby(tmp_path) as server:
            assert told_in("none", server, HISTORIES) == {}
