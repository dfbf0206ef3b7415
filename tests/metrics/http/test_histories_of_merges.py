"""Merges whose clocks differ, queues of a monorepo, and pull requests that have commits in common.

Each is told by every host, as its own graph of commits gives it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.ingest.server import nearby
from tests.metrics.http.git import HOSTS, ByScript, Git
from tests.metrics.http.orders import ORDERS, told_in
from tests.metrics.http.story import command
from tests.metrics.http.test_histories_of_flows import Told, begun, shipped, told_by

RULES = """
[services.merge-web]
paths = ["web/**"]
[services.merge-api]
paths = ["api/**"]
"""
LIST_FILES = ("hub", "lab", "tea")
"""The hosts that list the files of a push."""


def opened(git: Git, number: int, written: str, files: tuple[str, ...] = ()) -> None:
    """A branch of the first commit with one commit and a pull request."""
    git.begin(number, f"a{number}", written, files=files, source="c0")


def told_after(seconds: int, way: str) -> Callable[[Git], Told]:
    """Two are merged within four seconds, each told some seconds after its push; the first one is
    deployed alone."""

    def tell(git: Git) -> Told:
        begun(git)
        opened(git, 1, "08:00")
        opened(git, 2, "09:00")
        git.land(1, "10:00:00", way, told=f"10:00:{seconds:02}")
        first = git.heads["main"]
        git.land(2, "10:00:04", way, told=f"10:00:{seconds + 4:02}")
        git.deploy("11:00", first)
        git.deploy("12:00")
        return shipped(3, 3, deploys=3)

    return tell


def pushed_in_one_second(git: Git) -> Told:
    """Two pushes; the first one is deployed alone."""
    begun(git)
    first = git.commit("a", "07:00")
    git.push("main", "07:30")
    git.commit("b", "07:10")
    git.push("main", "07:30")
    git.deploy("08:00", first)
    git.deploy("09:00")
    return shipped(1, 11 / 6, deploys=3)


def opened_anew(git: Git) -> Told:
    """The commits of a pull request come by another one, of a branch with another name."""
    begun(git)
    opened(git, 1, "07:00")
    git.branch("feature/2", "feature/1")
    git.push("feature/2", "07:30")
    git.open(2, "feature/2", "07:30")
    git.land(2, "08:00", way="squash")
    git.deploy("09:00")
    return shipped(2, deploys=2)


def deployed_before_its_release(git: Git) -> Told:
    """Develop is deployed while the pull request that takes it to main is open."""
    begun(git)
    git.branch("develop")
    git.push("develop", "06:30")
    git.change(1, "a", "07:00", "08:00", base="develop")
    git.open(2, "develop", "08:10", base="main")
    git.deploy("09:00", ref="develop")
    git.land(2, "10:00")
    git.deploy("11:00")
    return shipped(2, deploys=3)


def upon_a_squashed_one(git: Git) -> Told:
    """The upper branch has the commit of the lower one, which comes to main squashed."""
    begun(git)
    opened(git, 1, "07:00")
    git.branch("feature/2", "feature/1")
    git.commit("b", "08:30", "feature/2")
    git.push("feature/2", "08:30")
    git.open(2, "feature/2", "08:30", "feature/1")
    git.land(1, "09:00", way="squash")
    git.deploy("09:30")
    git.requests[2]["base"] = "main"
    git.land(2, "10:00", way="squash")
    git.deploy("10:30")
    return shipped(2.5, 2, deploys=3)


def merged_a_colleagues(git: Git) -> Told:
    """A branch merges that of another pull request, which is squashed into main before it."""
    begun(git)
    opened(git, 1, "07:00")
    opened(git, 2, "08:00")
    git.merge("feature/2", "feature/1", "08:10")
    git.push("feature/2", "08:10")
    git.land(1, "08:30", way="squash")
    git.deploy("09:00")
    git.land(2, "09:10", way="squash")
    git.deploy("10:00")
    return shipped(2, 2, deploys=3)


def written_by_a_fast_clock(git: Git) -> Told:
    """The author's clock is two hours ahead, and the push of the commit was before the opening."""
    begun(git)
    git.branch("feature/1")
    git.commit("a", "09:00", "feature/1")
    git.push("feature/1", "07:00")
    git.open(1, "feature/1", "07:10")
    git.land(1, "07:30", way="squash")
    git.deploy("08:00")
    return shipped(1, deploys=2)


def production_merged_back(git: Git) -> Told:
    """develop is the default branch and master is production, which comes back after a fix: what
    was deployed of master did not ship with the pull request that takes it back."""
    begun(git, "develop")
    git.branch("master")
    git.push("master", "06:10")
    git.change(1, "a", "07:00", "07:30", way="squash")
    git.open(2, "develop", "08:00", "master")
    git.land(2, "08:05")
    git.deploy("08:30", ref="master")
    git.change(3, "fix", "09:00", "09:10", "master")
    git.deploy("09:30", ref="master")
    git.open(4, "master", "09:40", "develop")
    git.land(4, "09:41")
    git.change(5, "b", "10:00", "10:10", way="squash")
    git.open(6, "develop", "10:20", "master")
    git.land(6, "10:21")
    git.deploy("11:00", ref="master")
    return shipped(1.5, 0.5, 1, deploys=4)


def reverted_by_its_only_commit(git: Git) -> Told:
    """The pull request says nothing of the revert; the message of its only commit does."""
    begun(git)
    git.change(1, "a", "07:00", "07:30", way="squash")
    git.deploy("08:00")
    words = f"Back out\n\nThis reverts commit {git.sha('squash 1')}."
    git.change(2, words, "08:10", "08:20")
    git.deploy("08:40")
    return shipped(1, 0.5, fail=1, rework=1, deploys=3)


def reverted_and_brought_back(git: Git) -> Told:
    """Nothing but the messages of the commits says that the third brings the first one back."""
    begun(git)
    git.change(1, "a", "07:00", "07:30", way="squash")
    git.deploy("08:00")
    words = f"Back out\n\nThis reverts commit {git.sha('squash 1')}."
    git.change(2, words, "08:10", "08:20")
    git.deploy("08:40")
    words = f"Bring in\n\nThis reverts commit {git.sha('merge 2')}."
    git.change(3, words, "09:10", "09:20")
    git.deploy("09:40")
    return shipped(1, 0.5, 0.5, fail=1, rework=1, deploys=4)


def queue_of_services(way: str) -> Callable[[Git], Told]:
    """One push brings three pull requests of two services; each is deployed by itself."""

    def tell(git: Git) -> Told:
        git.commit("c0", "06:00")
        git.push("main", "06:00")
        for number, part in ((1, "web"), (2, "api"), (3, "web")):
            opened(git, number, f"0{6 + number}:00", (f"{part}/{number}",))
        for number in (1, 2, 3):
            git.land(number, "10:00", way, pushed=False)
        git.push("main", "10:00")
        ByScript.deploy(git, "11:00", service="merge-web")  # c0 of no known files, #1, #3
        ByScript.deploy(git, "12:00", service="merge-api")  # #2
        return {"lead": (4.0, 4), "unknown": 0, "fail": (0, 2), "rework": (0, 2)}  # 5, 4, 2; 4 h

    return tell


def queue_with_a_fork(git: Git) -> Told:
    """One push brings the pull request of a branch and one of a fork, of which only the merge tells
    the commits; they are older than those of the branch."""
    begun(git)
    for number, of_fork, written in ((1, "", "09:00"), (2, "eve/fork", "07:00")):
        head = f"feature/{number}"
        git.branch(head)
        git.commit(f"a{number}", written, head)
        git.commit(f"b{number}", written.replace("00", "20"), head)
        if not of_fork:
            git.push(head, "09:30")
        git.open(number, head, "09:30", fork=of_fork, ref="main" if of_fork else head)
    for number in (1, 2):
        git.land(number, "10:00", pushed=False)
    git.push("main", "10:00")
    git.deploy("11:00")
    return shipped(2, 4, deploys=2)


def updated_with_another_service(git: Git) -> Told:
    """main, with a change of api, is merged into the branch of a change of web."""
    git.commit("c0", "06:00", files=("web/0",))
    git.push("main", "06:00")
    opened(git, 1, "07:00", ("web/1",))
    git.commit("x", "08:00", files=("api/1",))
    git.push("main", "08:00")
    git.merge("feature/1", "main", "08:10")
    git.push("feature/1", "08:10")
    git.land(1, "09:00", way="rebase")
    ByScript.deploy(git, "10:00", service="merge-api")  # x: 2 h
    ByScript.deploy(git, "12:00", service="merge-web")  # c0 and #1: 6 and 5 h
    return {"lead": (5.0, 3), "unknown": 0, "fail": (0, 2), "rework": (0, 2)}


def imported_beside(git: Git) -> Told:
    """A fast-forward of three commits; an import tells a push for each of them, too."""
    begun(git)
    git.branch("feature/1")
    for name, written in (("a", "07:00"), ("b", "07:10"), ("c", "07:20")):
        git.commit(name, written, "feature/1")
    git.push("feature/1", "07:30")
    git.open(1, "feature/1", "07:30")
    git.land(1, "08:00", way="ff")
    git.commit("d", "08:10")
    git.push("main", "08:10")
    git.deploy("09:00")
    for name in ("a", "b", "c"):
        git._push("main", git.parents[name][0], name, [name], git.written[name][0])
    return shipped(2, 5 / 6, deploys=2)


FLOWS: dict[str, tuple[Callable[[Git], Told], tuple[str, ...]]] = {
    **{
        f"told-{way}-{seconds}": (told_after(seconds, way), tuple(HOSTS))
        for way in ("merge", "squash")
        for seconds in (2, 6, 30)
    },
    # GitLab tells when a commit was rebased, which this model of git does not.
    "told-rebase-6": (told_after(6, "rebase"), ("hub", "tea", "bucket", "server")),
    **{
        each.__name__: (each, tuple(HOSTS))
        for each in (
            pushed_in_one_second,
            opened_anew,
            deployed_before_its_release,
            upon_a_squashed_one,
            merged_a_colleagues,
            production_merged_back,
            reverted_by_its_only_commit,
            reverted_and_brought_back,
        )
    },
    "imported": (imported_beside, ("hub", "lab")),
    "fast-clock": (written_by_a_fast_clock, ("hub", "server")),
    "queue-squash": (queue_of_services("squash"), LIST_FILES),
    "queue-merge": (queue_of_services("merge"), LIST_FILES),
    "queue-fork": (queue_with_a_fork, ("hub", "lab", "server")),
    "updated": (updated_with_another_service, LIST_FILES),
}
HISTORIES = {
    f"{name}-{host}": told_by(host, flow, name)
    for name, (flow, hosts) in FLOWS.items()
    for host in hosts
}


@pytest.mark.parametrize("order", [*ORDERS, "reverse"])
def test_every_merge_has_the_values_computed_by_hand(tmp_path, order) -> None:
    (tmp_path / "config.toml").write_text(RULES)
    with nearby(tmp_path) as server:
        assert told_in(order, server, HISTORIES) == {}
    if order == ORDERS[-1]:
        command(server, "db", "rebuild")
        with nearby(tmp_path) as server:
            assert told_in("none", server, HISTORIES) == {}
