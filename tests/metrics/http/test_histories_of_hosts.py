"""Histories as the hosts of repositories send them: reverts whose title was edited, pushes of
several pull requests, forced pushes, deployments with several verdicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.ingest.server import nearby
from tests.metrics.http.clock import at, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.others import Script
from tests.metrics.http.story import Post, Story, command, send
from tests.metrics.http.test_histories import Wanted, differences, ordered
from tests.metrics.http.test_histories_of_branches import Gitea
from tests.metrics.http.tools import Azure, Bitbucket, BitbucketServer, OldBitbucketServer

Tell = Callable[[Story], Wanted]
REVERTED: Wanted = {"fail": (1, 2), "rework": (1, 2), "recovery": (1.0, 1)}
"""Deployed, taken back and deployed again in a minute."""


def edited(tool: type[Any], name: str, body: str) -> Tell:
    """Pull request 2 reverts number 1; its title was edited, and its description was not."""

    def tell(story: Story) -> Wanted:
        own = tool(story, name)
        script = Script(story, own.name, service=own.name.rpartition("/")[2])
        pushed = {"pushed": True} if tool in (GitHub, GitLab) else {}
        deploy = own.deploy if pushed else script.deploy
        commit = (lambda n: own.merge_of(n)) if pushed else (lambda n: sha(own.merge_of(n)))
        own.pull(1, "08:00", "09:00", title="Add a cart", **pushed)
        deploy("10:00", commit=commit(1))
        text = body.format(name=own.name, sha=sha(own.merge_of(1)))
        own.pull(2, "10:20", "10:30", title="Take the cart out", body=text, **pushed)
        deploy("11:00", commit=commit(2))
        return REVERTED

    return tell


def message(name: str, text: str, *, merge: bool = False) -> Tell:
    """The pull request says nothing; the message of its squashed or merged commit does."""

    def tell(story: Story) -> Wanted:
        own = GitHub(story, name)
        own.push(("Add a cart (#7)", "08:00"), when="09:00")
        own.deploy("10:00", commit="Add a cart (#7)")
        words = text.format(sha=sha("Add a cart (#7)"))
        if merge:
            own.pull(8, "10:20", "10:30", title="Take the cart out", merge=words)
        own.push((words, "10:30"), when="10:30")
        own.deploy("11:00", commit=words)
        return REVERTED

    return tell


def edited_revert_of_a_revert(story: Story) -> Wanted:
    """No title says so: 2 takes 1 back, and 3 takes 2 back."""
    own = GitHub(story, "acme/back-again")
    for number, title in enumerate(("Add x", "Take x out", "Bring x in again"), 1):
        body = f"Reverts {own.full}#{number - 1}" if number > 1 else ""
        own.pull(number, f"{7 + number}:00", f"{7 + number}:20", title=title, body=body,
                 pushed=True)  # fmt: skip
        own.deploy(f"{7 + number}:40", commit=own.merge_of(number))
    return {"fail": (1, 3), "rework": (1, 3)}


def revert_of_the_first_of_two_alike(story: Story) -> Wanted:
    """The number says which one; its deployment failed."""
    own = GitHub(story, "acme/alike-numbered")
    for number, title in enumerate(("Bump", "Bump", 'Revert "Bump"'), 1):
        body = f"Reverts {own.full}#1" if number == 3 else ""
        own.pull(number, f"{7 + number}:00", f"{7 + number}:20", title=title, body=body,
                 pushed=True)  # fmt: skip
        own.deploy(f"{7 + number}:40", commit=own.merge_of(number))
    own.issue(4, "09:45", "09:50")  # so the second one has failed by itself
    return {"fail": (2, 3), "rework": (1, 3)}


def revert_that_never_left(story: Story) -> Wanted:
    """A change and its revert ship together: production never had the change."""
    own = GitHub(story, "acme/never-live")
    own.pull(1, "08:00", "08:20", title="Add x", pushed=True)
    own.deploy("08:30", commit=own.merge_of(1))
    own.pull(2, "09:00", "09:10", title="Add y", pushed=True)
    own.pull(3, "09:20", "09:30", title='Revert "Add y"', body=f"Reverts {own.full}#2", pushed=True)
    own.deploy("10:00", commit=own.merge_of(3))
    return {"fail": (0, 2), "rework": (0, 2)}


def squash_of_a_branch_with_its_own_revert(story: Story) -> Wanted:
    """The list of the squashed commits has one that reverted another one of them."""
    own = GitHub(story, "acme/squashed-own")
    own.pull(1, "08:00", "08:20", pushed=True)
    own.deploy("08:30", commit=own.merge_of(1))
    words = f'Add y (#2)\n\n* Try z\n\n* Revert "Try z"\n\nThis reverts commit {sha("Try z")}.'
    own.pull(2, "09:00", "09:20", title="Add y", merge=words)
    own.push((words, "09:20"), when="09:20")
    own.deploy("09:40", commit=words)
    return {"fail": (0, 2), "rework": (0, 2)}


def revert_of_another_repository(story: Story) -> Wanted:
    own = GitHub(story, "acme/this-one")
    own.pull(1, "08:00", "08:20", pushed=True)
    own.deploy("08:30", commit=own.merge_of(1))
    own.pull(2, "09:00", "09:10", title="Follow", body="Reverts acme/other#1", pushed=True)
    own.deploy("10:00", commit=own.merge_of(2))
    return {"fail": (0, 2), "rework": (0, 2)}


def no_incident_after_all(name: str, label: str, *, caused: bool) -> Tell:
    """A ticket was an incident while a deployment was made, and then loses its label."""

    def tell(story: Story) -> Wanted:
        own = GitHub(story, name)
        if caused:
            own.deploy("07:50", commit=f"{name} 1")
        own.issue(5, "08:00", "12:00", labels=[label])
        own.deploy("10:00", commit=f"{name} 2")
        issue = next(p.body["issue"] for p in story.posts[::-1] if "issue" in p.body)
        told = {**issue, "labels": [], "updated_at": at("13:00")}
        own.hook("issues", action="unlabeled", label={"name": label}, issue=told)
        return {"fail": (0, 1 + caused), "rework": (0, 1 + caused), "recovery": (None, 0)}

    return tell


def queue_deployed_in_parts(first: str, last: str) -> Tell:
    """One push brings three pull requests; the second is deployed, and then the last one."""

    def tell(story: Story) -> Wanted:
        own = GitHub(story, f"acme/queue-{sha(first + last)[:4]}")
        own.push((f"{own.full} base", "06:00"))
        own.deploy("06:30", commit=f"{own.full} base")
        merges = [f"{own.full} squash {n}" for n in (1, 2, 3)]
        for n, (opened, merged) in enumerate((("08:00", first), ("09:00", last), ("10:00", first))):
            own.pull(n + 1, opened, merged, merge=merges[n])
        own.push(*((name, "11:50") for name in merges), when="12:00")
        own.deploy("13:00", commit=merges[1])  # #1 and #2: 5 and 4 h
        own.deploy("14:00", commit=merges[2])  # #3: 4 h
        return {"lead": (4.0, 4), "fail": (0, 3), "changes": (4, 3)}

    return tell


def rebased_queue(story: Story) -> Wanted:
    """Two pull requests of two commits each are rebased; the deployed commit is the first one of
    the second pull request, which is not complete there."""
    own = GitHub(story, "acme/queue-rebased")
    own.push((f"{own.full} base", "06:00"))
    own.deploy("06:30", commit=f"{own.full} base")
    own.pull(1, "08:00", "12:00", merge="qr 1b")
    own.pull(2, "09:00", "12:00", merge="qr 2b")
    own.push(*((f"qr {name}", "09:30") for name in ("1a", "1b", "2a", "2b")), when="12:00")
    own.deploy("13:00", commit="qr 2a")  # #1: 5 h
    own.deploy("15:00", commit="qr 2b")  # #2: 6 h
    return {"lead": (5.0, 3), "changes": (3, 3)}


def first_deployed(story: Story, own: Any, name: str) -> Callable[..., None]:
    """Its first commit is deployed by a script, whose `deploy` this returns."""
    deploy = Script(story, own.name, service=name.rpartition("/")[2]).deploy
    own.push((f"{name} 1", "06:00"))
    deploy("06:30", commit=sha(f"{name} 1"))
    return deploy


def set_back(tool: type[Any], name: str) -> Tell:
    """Main is set back to the commit before a pushed one, which is never deployed."""

    def tell(story: Story) -> Wanted:
        own = tool(story, *name.split("/")) if tool is Azure else tool(story, name)
        deploy = first_deployed(story, own, name)  # 0.5 h
        own.push((f"{name} 2", "07:00"))
        own.pull(3, "07:10", "07:30")
        if tool in (GitHub, GitLab, Gitea):
            own.push((own.merge_of(3), "07:30"))
        own.reset(f"{name} 1", "08:00")
        own.push((f"{name} 4", "09:00"))
        deploy("11:00", commit=sha(f"{name} 4"))  # 2 h
        return {"lead": (1.25, 2), "fail": (0, 2), "changes": (2, 2)}

    return tell


def set_back_and_restored(tool: type[Any], name: str) -> Tell:
    """By mistake: the same head is pushed again a minute later."""

    def tell(story: Story) -> Wanted:
        own = tool(story, name)
        deploy = first_deployed(story, own, name)  # 0.5 h
        own.push((f"{name} 2", "07:00"))
        own.push((f"{name} 3", "08:00"))
        own.reset(f"{name} 1", "08:10")
        own.push((f"{name} 2", "07:00"), (f"{name} 3", "08:00"), when="08:11")
        own.push((f"{name} 4", "09:00"))
        deploy("11:00", commit=sha(f"{name} 4"))  # 4, 3 and 2 h
        return {"lead": (2.5, 4), "changes": (4, 2)}

    return tell


def set_back_far(tool: type[Any], name: str) -> Tell:
    """Two commits are taken away that are newer than the one that follows; then another one."""

    def tell(story: Story) -> Wanted:
        own = tool(story, name)
        deploy = first_deployed(story, own, name)  # 0.5 h
        for n, clock in ((2, "07:00"), (3, "07:30")):
            own.push((f"{name} {n}", clock))
        own.reset(f"{name} 1", "08:00")
        own.push((f"{name} 4", "06:50"), when="08:10")
        deploy("08:30", commit=sha(f"{name} 4"))  # 1 h 40 min
        own.push((f"{name} 5", "09:00"))
        own.reset(f"{name} 4", "09:10")
        own.push((f"{name} 6", "09:30"))
        deploy("10:00", commit=sha(f"{name} 6"))  # 0.5 h
        return {"lead": (0.5, 3), "fail": (0, 3), "rework": (0, 3), "changes": (3, 3)}

    return tell


def bucket_written_anew(story: Story) -> Wanted:
    """Bitbucket says that the push was forced, and the parents of its commits."""
    own = Bitbucket(story, "acme/bucket-anew")
    deploy = Script(story, own.name, service="bucket-anew").deploy
    for n, clock in ((1, "06:00"), (2, "07:00"), (3, "07:30")):
        own.push((f"ba {n}", clock))
    deploy("06:30", commit=sha("ba 1"))  # 0.5 h
    own.push(("ba 2 again", "07:00"), ("ba 4", "08:00"), onto="ba 1")
    own.push(("ba 5", "09:00"))
    deploy("10:00", commit=sha("ba 5"))  # 3, 2 and 1 h
    return {"lead": (1.5, 4), "changes": (4, 2)}


def written_anew(story: Story) -> Wanted:
    """A rebase of main: one commit is amended, one is left out, one comes after them."""
    own = GitHub(story, "acme/written-anew")
    own.push(("wa 1", "06:00"))
    own.deploy("06:30", commit="wa 1")  # 0.5 h
    own.push(("wa 2", "07:00"), ("wa 3", "07:10"), when="07:15")
    own.push(("wa 2 again", "07:00"), ("wa 4", "08:00"), when="08:10", forced=True)
    own.deploy("10:00", commit="wa 4")  # 3 and 2 h
    return {"lead": (2.0, 3), "changes": (3, 2)}


def set_back_after_its_deployment(story: Story) -> Wanted:
    """The commit was in production: it shipped, and the older one is a rollback of it."""
    own = GitHub(story, "acme/set-back-live")
    own.push(("sl 1", "06:00"))
    own.deploy("06:30", commit="sl 1")
    own.push(("sl 2", "07:00"))
    own.deploy("07:30", commit="sl 2")
    own.reset("sl 1", "07:40")
    own.deploy("08:00", commit="sl 1")
    own.push(("sl 3", "09:00"))
    own.deploy("09:30", commit="sl 3")
    return {"lead": (0.5, 3), "fail": (1, 4), "rework": (1, 4), "changes": (3, 4)}


def unknown_forced_push(story: Story) -> Wanted:
    """What it took away is not known: it stays."""
    own = GitHub(story, "acme/unknown-forced")
    own.push(("uf 1", "06:00"))
    own.deploy("06:30", commit="uf 1")
    own.push(("uf 2", "07:00"))
    own.push(("uf 3", "08:00"), when="08:10", forced=True)
    own.deploy("10:00", commit="uf 3")
    return {"lead": (2.0, 3), "changes": (3, 2)}


def verdicts(name: str, states: str, wanted: Wanted) -> Tell:
    """Statuses of one deployment, one every ten minutes from 10:00 on; its change is of 09:00."""

    def tell(story: Story) -> Wanted:
        own = GitHub(story, name)
        own.push((f"{name} 1", "09:00"))
        own.deploy("10:00", commit=f"{name} 1", began="09:50", state="-")
        last = story.posts[-1]
        for n, state in enumerate(states.split()):
            clock = at(f"10:{n}0")
            told = {"id": n, "state": state, "created_at": clock, "updated_at": clock}
            deployment = {**last.body["deployment"], "updated_at": clock}
            status = {**last.body["deployment_status"], **told}
            body = {**last.body, "deployment": deployment, "deployment_status": status}
            story.add("/github", body, **last.headers)
        return wanted

    return tell


GIT = "Take the cart out\n\nThis reverts commit {sha}."
REVERTS: dict[str, Tell] = {
    "acme/edited-github": edited(GitHub, "acme/edited-github", "Reverts {name}#1\n\nIt is slow."),
    "acme/edited-gitlab": edited(GitLab, "acme/edited-gitlab", "This reverts merge request !1"),
    "acme/edited-commit": edited(GitLab, "acme/edited-commit", "This reverts commit {sha}"),
    "acme/edited-bucket": edited(Bitbucket, "acme/edited-bucket", "This reverts pull request #1."),
    "acme/edited-server": edited(
        BitbucketServer, "acme/edited-server", "This reverts pull request #1."
    ),
    "acme/edited-old-server": edited(
        OldBitbucketServer, "acme/edited-old-server", "This reverts commit {sha}."
    ),
    "edited-azure": edited(Azure, "edited-azure", "Reverts !1"),
    "acme/said-pushed": message("acme/said-pushed", GIT),
    "acme/said-squashed": message("acme/said-squashed", GIT, merge=True),
    "acme/said-merge": message(
        "acme/said-merge", GIT[:-1] + ", reversing\nchanges made to {sha}.", merge=True
    ),
    "acme/back-again": edited_revert_of_a_revert,
    "acme/alike-numbered": revert_of_the_first_of_two_alike,
    "acme/never-live": revert_that_never_left,
    "acme/squashed-own": squash_of_a_branch_with_its_own_revert,
    "acme/this-one": revert_of_another_repository,
}
INCIDENTS: dict[str, Tell] = {
    f"acme/un-{label}-{caused}".lower(): no_incident_after_all(
        f"acme/un-{label}-{caused}".lower(), label, caused=caused
    )
    for label in ("incident", "outage")
    for caused in (False, True)
}
QUEUES: dict[str, Tell] = {
    f"acme/queue-{sha(''.join(clocks))[:4]}": queue_deployed_in_parts(*clocks)
    for clocks in (("12:00", "12:00"), ("12:00", "12:00:03"), ("12:00:03", "12:00"))
} | {"acme/queue-rebased": rebased_queue}
FORCED: dict[str, Tell] = {
    "acme/set-back": set_back(GitHub, "acme/set-back"),
    "set-back/azure": set_back(Azure, "set-back/azure"),
    "acme/set-back-server": set_back(BitbucketServer, "acme/set-back-server"),
    "acme/set-back-lab": set_back(GitLab, "acme/set-back-lab"),
    "acme/set-back-tea": set_back(Gitea, "acme/set-back-tea"),
    "acme/set-back-bucket": set_back(Bitbucket, "acme/set-back-bucket"),
    **{
        f"acme/{how}-{tool.__name__.lower()}": tell(tool, f"acme/{how}-{tool.__name__.lower()}")
        for how, tell in (("restored", set_back_and_restored), ("far", set_back_far))
        for tool in (GitHub, GitLab, Gitea, Bitbucket)
    },
    "acme/bucket-anew": bucket_written_anew,
    "acme/written-anew": written_anew,
    "acme/set-back-live": set_back_after_its_deployment,
    "acme/unknown-forced": unknown_forced_push,
}
_LATER: Wanted = {"lead": (1.1667, 1), "fail": (0, 1), "rework": (0, 1)}
VERDICTS: dict[str, Tell] = {
    f"acme/v-{states.replace(' ', '-').replace('_', '-')}": verdicts(
        f"acme/v-{states.replace(' ', '-').replace('_', '-')}", states, wanted
    )
    for states, wanted in {
        "failure success": _LATER,
        "error success": _LATER,
        "failure success inactive": _LATER,
        "failure inactive success": _LATER | {"lead": (1.3333, 1)},
        "failure in_progress success": _LATER | {"lead": (1.3333, 1)},
        "success failure": {"lead": (None, 0), "fail": (1, 1), "rework": (0, 1)},
        "success inactive": _LATER | {"lead": (1.0, 1)},
        "success success": _LATER | {"lead": (1.0, 1)},
        "success in_progress success": _LATER | {"lead": (1.0, 1)},
    }.items()
}
HISTORIES = {**REVERTS, **INCIDENTS, **QUEUES, **FORCED, **VERDICTS}
RULES = """
[[metrics.incidents]]
filter = 'kind:issue label:outage'
"""


@pytest.mark.parametrize("order", ["twice", "reverse", "shuffled"])
def test_every_history_of_a_host_has_the_values_computed_by_hand(tmp_path, order) -> None:
    wanted = {}
    sent: list[Post] = []
    (tmp_path / "config.toml").write_text(RULES)
    with nearby(tmp_path) as server:
        for name, tell in HISTORIES.items():
            story = Story()
            wanted[name] = tell(story)
            posts = ordered(story.posts, order, name)
            sent += posts
            send(server, posts)
        assert differences(server, wanted) == {}
        if order == "twice":
            send(server, sent)
            assert differences(server, wanted) == {}
    if order == "shuffled":
        command(server, "db", "rebuild")
        with nearby(tmp_path) as server:
            assert differences(server, wanted) == {}
