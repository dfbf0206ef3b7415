"""Histories of real repositories, each with the values that follow from docs/metrics.md by hand."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.server import Server, nearby
from tests.metrics.http.clock import at, hours, minutes, number, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.others import Jenkins, Script, alertmanager
from tests.metrics.http.story import (
    FAIL,
    LEAD,
    RECOVERY,
    REWORK,
    Post,
    Story,
    command,
    items,
    rate,
    send,
)

Wanted = dict[str, Any]
"""`lead`: (median in hours, n); `fail` and `rework`: (hits, n); `recovery`: (median in minutes, n);
`changes`: (shipped, deployments)."""


def begun(tool: type[Any], story: Story, name: str) -> Any:
    """A repository whose first commit was deployed after half an hour."""
    own = tool(story, f"acme/{name}")
    own.push((f"{name} base", "06:00"))
    own.deploy("06:30", commit=f"{name} base")
    return own


def merge_queue(story: Story) -> Wanted:
    own = begun(GitHub, story, "queue")
    own.pull(1, "09:00", "12:00", commits=[("q1", "08:00")], merge="queue squash 1")
    own.pull(2, "09:30", "12:00", commits=[("q2", "10:00")], merge="queue squash 2")
    own.push(("queue squash 1", "11:50"), ("queue squash 2", "11:52"), when="12:00")
    own.deploy("13:00", commit="queue squash 2")
    return {"lead": (3.5, 3), "fail": (0, 2), "rework": (0, 2)}


def rebase_merge(story: Story) -> Wanted:
    own = begun(GitHub, story, "rebased")
    own.pull(1, "09:30", "12:00", commits=[("r1", "08:00"), ("r2", "09:00")], merge="r2 again")
    own.push(("r1 again", "08:00"), ("r2 again", "09:00"), when="12:00")
    own.deploy("13:00", commit="r2 again")
    return {"lead": (2.75, 2)}


def back_merge_of_a_release(story: Story) -> Wanted:
    """The pull request that takes the release branch back to main is no change."""
    own = begun(GitHub, story, "released")
    own.push(("released base", "06:00"), ref="release/1.0", when="07:00")
    own.pull(4, "08:00", "09:30", pushed=True)
    own.pull(5, "09:00", "10:00", base="release/1.0", pushed=True)
    own.deploy("11:00", commit=own.merge_of(5), ref="release/1.0")
    own.pull(6, "11:30", "12:00", head="release/1.0", pushed=True)
    own.deploy("13:00", commit=own.merge_of(6))
    return {"lead": (2.0, 3), "fail": (0, 3), "rework": (0, 3)}


def back_merge_of_main(story: Story) -> Wanted:
    """Neither is the one that takes main into develop."""
    own = begun(GitHub, story, "developed")
    own.pull(1, "07:00", "08:00", base="develop", pushed=True)
    own.pull(2, "08:00", "08:30", head="hotfix/x", pushed=True)
    own.deploy("09:00", commit=own.merge_of(2))
    own.pull(3, "09:05", "09:10", base="develop", head="main", pushed=True)
    own.pull(4, "10:00", "11:00", head="develop", pushed=True)
    own.deploy("12:00", commit=own.merge_of(4))
    return {"lead": (1.0, 3), "rework": (1, 3)}


def cherry_pick(story: Story) -> Wanted:
    own = begun(GitHub, story, "picked")
    own.push(("picked base", "06:00"), ref="release/1.x", when="07:00")
    own.pull(1, "09:00", "10:00", commits=[("p1", "08:00")], pushed=True)
    own.pull(2, "11:00", "12:00", commits=[("p1 picked", "08:00")], base="release/1.x", pushed=True)
    own.deploy("13:00", commit=own.merge_of(2), ref="release/1.x")
    own.deploy("15:00", commit=own.merge_of(1))
    return {"lead": (5.0, 3), "fail": (0, 3), "rework": (0, 3)}


def stacked_pull_requests(story: Story) -> Wanted:
    own = begun(GitHub, story, "stacked")
    own.pull(1, "08:00", commits=[("s1", "07:30")], head="feature/1")
    own.pull(2, "09:00", "10:00", commits=[("s2", "08:30")], base="feature/1", pushed=True)
    own.pull(1, "08:00", "11:00", head="feature/1", merge="stacked squash")
    own.push(("stacked squash", "11:00"), when="11:00")
    own.deploy("12:00", commit="stacked squash")
    return {"lead": (3.5, 3)}


def revert_with_the_number(tool: type[Any]) -> Callable[[Story], Wanted]:
    """`git revert` of a squashed pull request names its number, too."""

    def story_of(story: Story) -> Wanted:
        own = tool(story, f"acme/reverted-{tool.__name__}".lower())
        own.pull(1, "08:00", "09:00", title="Add a cart", pushed=True)
        own.deploy("10:00", commit=own.merge_of(1))
        mark = "#" if tool is GitHub else "!"
        own.pull(2, "10:20", "10:30", title=f'Revert "Add a cart ({mark}1)"', pushed=True)
        own.deploy("11:00", commit=own.merge_of(2))
        return {"fail": (1, 2), "rework": (1, 2), "recovery": (1.0, 1)}

    return story_of


def revert_of_a_squash_commit(story: Story) -> Wanted:
    """The commit is known and the pull request is not; the revert is pushed."""
    own = GitHub(story, "acme/reverted-commit")
    own.push(("Add a list (#7)", "08:00"), when="09:00")
    own.deploy("10:00", commit="Add a list (#7)")
    revert = 'Revert "Add a list"\n\nThis reverts commit 1234567.'
    own.push((revert, "10:20"), when="10:30")
    own.deploy("11:00", commit=revert)
    return {"fail": (1, 2), "rework": (1, 2), "recovery": (1.0, 1)}


def old_run_again(story: Story) -> Wanted:
    """All jobs of the run that deployed the version before are run again."""
    own = GitHub(story, "acme/rerun")
    own.pull(1, "08:00", "09:00", pushed=True)
    own.deploy("10:00", commit=own.merge_of(1), run=(11, 1))
    own.pull(2, "10:30", "11:00", pushed=True)
    own.deploy("12:00", commit=own.merge_of(2), run=(12, 1))
    alertmanager(story, "rerun", "12:10", "12:35")
    own.deploy("12:30", commit=own.merge_of(1), run=(11, 2), key="again")
    return {"lead": (1.75, 2), "fail": (1, 3), "rework": (1, 3), "recovery": (25.0, 1)}


def rollback_to_a_version_from_before(story: Story) -> Wanted:
    """The older commit was never seen deployed, but its push was."""
    own = GitHub(story, "acme/ancestor")
    own.push(("a1", "08:00"))
    own.push(("a2", "09:00"))
    own.deploy("10:00", commit="a2")
    own.deploy("11:00", commit="a1")
    return {"fail": (1, 2), "rework": (1, 2), "recovery": (1.0, 1)}


def slow_rollout_of_an_older_commit(story: Story) -> Wanted:
    """It began before the newer one and ended after it, so it takes nothing back."""
    own = GitHub(story, "acme/slow")
    own.push(("w1", "08:00"))
    own.push(("w2", "09:00"))
    own.deploy("10:20", commit="w1", began="10:00")
    own.deploy("10:15", commit="w2", began="10:10")
    return {"fail": (0, 2), "rework": (0, 2)}


def alert_while_a_deployment_waits(story: Story) -> Wanted:
    """Created at 10:00 and approved at 14:00: the alert at 12:00 is about the one before, and the
    waiting one repairs it."""
    own = GitHub(story, "acme/gated")
    own.deploy("09:00", commit="g1")
    own.deploy("14:05", commit="g2", began="10:00", state="waiting")
    *_, waiting = story.posts
    body = waiting.body
    for word, clock in (("waiting", "10:00"), ("in_progress", "14:00"), ("success", "14:05")):
        told = {"state": word, "id": number(word), "created_at": at(clock), "updated_at": at(clock)}
        deployment = body["deployment"] | {"updated_at": at(clock)}
        status = body["deployment_status"] | told
        story.add("/github", body | {"deployment": deployment, "deployment_status": status},
                  **waiting.headers)  # fmt: skip
    del story.posts[-5:-3]
    alertmanager(story, "gated", "12:00", "14:10")
    return {"fail": (1, 2), "rework": (1, 2), "recovery": (130.0, 1)}


def ticket_of_a_repository_with_two_services(story: Story) -> Wanted:
    own = GitHub(story, "acme/parts")
    own.deploy("10:00", commit="t1", service="parts-a")
    own.deploy("11:00", commit="t2", service="parts-b")
    own.issue(9, "11:30", "12:00")
    return {"fail": (1, 2), "recovery": (30.0, 1)}


def alert_with_a_short_commit(story: Story) -> Wanted:
    own = GitHub(story, "acme/named")
    own.deploy("09:00", commit="n1")
    own.deploy("10:00", commit="n2")
    alertmanager(story, "named", "10:30", "10:50", commit=sha("n1")[:8])
    return {"fail": (1, 2), "recovery": (20.0, 1)}


def jenkins_deploys_a_repository_of_github(story: Story) -> Wanted:
    own, jenkins = GitHub(story, "acme/jobs"), Jenkins(story, "acme/jobs")
    own.pull(1, "08:00", "09:00", commits=[("j1", "07:00")], pushed=True)
    jenkins.deploy("10:00", commit=own.merge_of(1))
    jenkins.deploy("10:30", commit=own.merge_of(1), state="cancelled")
    own.pull(2, "09:30", "10:40", pushed=True)
    jenkins.deploy("11:00", False, commit=own.merge_of(2))
    jenkins.deploy("11:30", commit=own.merge_of(2))
    return {"lead": (2.5, 2), "fail": (1, 3), "rework": (0, 3), "recovery": (30.0, 1)}


def script_with_short_commits(story: Story) -> Wanted:
    own, script = GitHub(story, "acme/brief"), Script(story, "acme/brief", service="brief")
    own.pull(1, "08:00", "09:00", pushed=True)
    own.pull(2, "08:30", "10:30", pushed=True)
    script.deploy("10:00", commit=sha(own.merge_of(1))[:8])
    script.deploy("12:00", commit=sha(own.merge_of(2))[:8])
    return {"lead": (2.75, 2)}


HISTORIES = {
    "queue": merge_queue,
    "rebased": rebase_merge,
    "released": back_merge_of_a_release,
    "developed": back_merge_of_main,
    "picked": cherry_pick,
    "stacked": stacked_pull_requests,
    "reverted-github": revert_with_the_number(GitHub),
    "reverted-gitlab": revert_with_the_number(GitLab),
    "reverted-commit": revert_of_a_squash_commit,
    "rerun": old_run_again,
    "ancestor": rollback_to_a_version_from_before,
    "slow": slow_rollout_of_an_older_commit,
    "gated": alert_while_a_deployment_waits,
    "parts": ticket_of_a_repository_with_two_services,
    "named": alert_with_a_short_commit,
    "jobs": jenkins_deploys_a_repository_of_github,
    "brief": script_with_short_commits,
}


@pytest.mark.parametrize("reverse", [False, True])
def test_every_history_has_the_values_computed_by_hand(configured, reverse) -> None:
    wanted = {}
    server = configured("")
    for name, tell in HISTORIES.items():
        story = Story()
        wanted[name] = tell(story)
        send(server, reversed(story.posts) if reverse else story.posts)
    assert differences(server, {f"acme/{name}": values for name, values in wanted.items()}) == {}
    counted, linked = blamed(server.db)
    assert counted == linked, "the number and the link of the trace say the same"


def ordered(posts: Sequence[Post], order: str, name: str) -> Sequence[Post]:
    """A history's posts `shuffled` (by its name), in `reverse`, or as sent for any other order."""
    if order == "shuffled":
        return random.Random(name).sample(posts, len(posts))
    return posts[::-1] if order == "reverse" else posts


Differ = Callable[[Server, dict[str, Wanted]], dict[str, tuple[Wanted, Wanted]]]


def differences_in(
    order: str,
    folder: Path,
    histories: Mapping[str, Callable[[Story, str], Wanted]],
    differ: Differ,
) -> list[dict[str, tuple[Wanted, Wanted]]]:
    """What differs once all histories are sent in an order and, if `shuffled`, after a rebuild."""
    wanted = {}
    with nearby(folder) as server:
        for name, tell in histories.items():
            story = Story()
            wanted[f"acme/{name}"] = tell(story, name)
            send(server, ordered(story.posts, order, name))
        found = [differ(server, wanted)]
    if order == "shuffled":
        command(server, "db", "rebuild")
        with nearby(folder) as server:
            found.append(differ(server, wanted))
    return [each for each in found if each]


def differences(server: Server, wanted: dict[str, Wanted]) -> dict[str, tuple[Wanted, Wanted]]:
    """Project -> (values wanted, values found), where they are not the same."""
    answered = items(server)
    differing = {}
    for project, values in wanted.items():
        metrics = answered[project]["metrics"]
        lead, recovery = metrics[LEAD], metrics[RECOVERY]
        changes = metrics["changes_per_deployment"]
        found = {
            "lead": (lead["value"] and hours(lead["value"]), lead["n"]),
            "fail": rate(metrics[FAIL]),
            "rework": rate(metrics[REWORK]),
            "recovery": (minutes(recovery["value"]), recovery["n"]),
            "changes": (changes["value"] and round(changes["value"] * changes["n"]), changes["n"]),
        }
        found = {name: found[name] for name in values}
        if found != values:
            differing[project] = (values, found)
    return differing


def blamed(path: Any) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """(incident, deploy) pairs of the metrics and of the links."""
    db = sqlite3.connect(path)
    counted = db.execute(
        "SELECT s.span, d.span FROM dora_signals s JOIN dora_deployments d ON d.key = s.deployment "
        "WHERE s.kind = 'incident' AND d.unit < 2"
    ).fetchall()
    linked = db.execute(
        "SELECT l.child, l.parent FROM links l JOIN spans c ON c.key = l.child "
        "JOIN spans p ON p.key = l.parent WHERE p.operation = 'deploy' AND c.operation = 'incident'"
    ).fetchall()
    db.close()
    return set(counted), set(linked)
