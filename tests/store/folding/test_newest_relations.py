"""What a newer snapshot no longer says is gone: one test for each source that sends snapshots,
in every order of arrival, delivered twice and after a rebuild."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest

from tests.sources import bitbucket_payloads as bb
from tests.sources import deploy_payloads as az
from tests.sources import github_payloads as gh
from tests.sources import gitlab_payloads as gl
from tests.sources import jira_payloads as ji
from tests.sources import ticket_payloads as tk
from tests.store.tracing import (
    World,
    again,
    from_github,
    from_gitlab,
    from_jira,
    posted,
)
from vs_tui.log.delivery import Intake

NAMED = {number: f"vstrace-jira-issue-TP-{number}" for number in (3, 4)}
UUID_1, UUID_2 = (f"0000000{n}-f7c8-44e3-bbf3-2d60b5ea8bc9" for n in (1, 2))


def azure_parent() -> dict[str, Any]:
    body = az.azure_item("created", "09:00:00")
    body["resource"]["id"] = 11
    return body | {"id": "workitem-11"}


def azure_change(kind: str, clock: str, title: str) -> dict[str, Any]:
    more = {"title": title, "description": "", "sourceRefName": "refs/heads/cache"}
    return az.azure_pull(kind, clock, **more)


def ticket(number: int) -> Intake:
    return from_jira(ji.issue("created", "09:00:00", key=f"TP-{number}"))


def pull(action: str, clock: str, title: str, **more: Any) -> Intake:
    return from_github(
        "pull_request", gh.pull(action, title=title, updated_at=gh.stamp(clock), **more)
    )


def parent_url(number: int) -> str:
    return f"https://api.github.com/repos/acme/api/issues/{number}"


def github_issue(number: int, clock: str, **more: Any) -> Intake:
    return from_github("issues", gh.issue("edited", number, updated_at=gh.stamp(clock), **more))


def github_sub_issue(action: str, clock: str) -> Intake:
    issue = gh.issue("edited", 14, updated_at=gh.stamp(clock))["issue"]
    parent = gh.issue("edited", 13)["issue"] | {"url": parent_url(13)}
    return from_github("sub_issues", gh.hook(action, sub_issue=issue, parent_issue=parent))


def merge_request(clock: str, description: str) -> Intake:
    return from_gitlab(
        gl.merge_request(
            "update", clock, title="Cache", source_branch="cache", description=description
        )
    )


def subtask(clock: str, **fields: Any) -> Intake:
    return from_jira(ji.issue("updated", clock, key="TP-9", **fields))


def below(key: str) -> dict[str, Any]:
    return {"parent": {"key": key}, "issuetype": {"name": "Sub-task", "subtask": True}}


def linear(clock: str, uuid: str, identifier: str, **more: Any) -> Intake:
    body = tk.linear("update", clock, id=uuid, identifier=identifier, description="", **more)
    return posted("linear", body)


GITHUB_5 = "github-pull_request-api-34"
CASES: dict[str, tuple[Sequence[Intake], str, str]] = {
    "a GitHub title names another ticket": (
        [
            ticket(3),
            ticket(4),
            pull("opened", "10:00:00", "TP-3 Cache", head={"ref": "cache"}),
            pull("edited", "10:10:00", "TP-4 Cache", head={"ref": "cache"}),
        ],
        GITHUB_5,
        "jira-issue-TP-4",
    ),
    "a GitHub title is corrected in the second of the opening": (
        [
            ticket(3),
            ticket(4),
            pull("opened", "10:00:00", "TP-4 Cache", head={"ref": "cache"}),
            pull("edited", "10:00:00", "TP-3 Cache", head={"ref": "cache"}),
        ],
        GITHUB_5,
        "jira-issue-TP-3",
    ),
    "a GitHub title names no ticket any more": (
        [
            ticket(3),
            pull("opened", "10:00:00", "TP-3 Cache", head={"ref": "cache"}),
            pull("edited", "10:10:00", "Cache", head={"ref": "cache"}),
        ],
        GITHUB_5,
        "",
    ),
    "a GitHub issue loses its parent": (
        [
            github_issue(13, "10:00:00"),
            github_issue(14, "10:01:00", parent_issue_url=parent_url(13)),
            github_issue(14, "10:02:00", parent_issue_url=None),
        ],
        "github-issue-api-14",
        "",
    ),
    "a GitHub sub-issue is added and removed": (
        [
            github_issue(13, "10:00:00"),
            github_sub_issue("sub_issue_added", "10:01:00"),
            github_sub_issue("sub_issue_removed", "10:02:00"),
        ],
        "github-issue-api-14",
        "",
    ),
    "a GitHub sub-issue is added": (
        [
            github_issue(13, "10:00:00"),
            github_sub_issue("parent_issue_added", "10:01:00"),
            github_issue(14, "10:02:00"),  # an older server: says nothing about parents
        ],
        "github-issue-api-14",
        "github-issue-api-13",
    ),
    "a GitLab description names another ticket": (
        [
            ticket(3),
            ticket(4),
            merge_request("10:00:00", "TP-3"),
            merge_request("10:05:00", "TP-4"),
        ],
        "gitlab-pull_request-api-34",
        "jira-issue-TP-4",
    ),
    "a Jira sub-task moves below another issue": (
        [
            ticket(1),
            ticket(2),
            subtask("10:00:00", **below("TP-2")),
            subtask("10:05:00", **below("TP-1")),
        ],
        "jira-issue-TP-9",
        "jira-issue-TP-1",
    ),
    "a Jira sub-task becomes an issue": (
        [ticket(1), subtask("10:00:00", **below("TP-1")), subtask("10:05:00")],
        "jira-issue-TP-9",
        "",
    ),
    "a Linear issue loses its parent": (
        [
            linear("10:00:00", UUID_1, "ENG-1"),
            linear("10:01:00", UUID_2, "ENG-2", parentId=UUID_1),
            linear("10:02:00", UUID_2, "ENG-2"),
        ],
        "linear-issue-ENG-2",
        "",
    ),
    "an Azure work item names another ticket": (
        [
            ticket(3),
            ticket(4),
            posted(
                "azure",
                az.azure_item("created", "10:00:00", System__Title=NAMED[3]),
            ),
            posted(
                "azure",
                az.azure_item("updated", "10:05:00", System__Title=NAMED[4]),
            ),
        ],
        "azure-issue-Shop-12",
        "jira-issue-TP-4",
    ),
    "an Azure work item loses its parent": (
        [
            posted("azure", azure_parent()),
            posted("azure", az.azure_item("created", "10:00:00", System__Parent=11)),
            posted("azure", az.azure_item("updated", "10:05:00")),
        ],
        "azure-issue-Shop-12",
        "",
    ),
    "an Azure pull request names another ticket": (
        [
            ticket(3),
            ticket(4),
            posted("azure", azure_change("created", "10:00:00", "TP-3 Cache")),
            posted("azure", azure_change("updated", "10:05:00", "TP-4 Cache")),
        ],
        "azure-pull_request-cart-34",
        "jira-issue-TP-4",
    ),
    "a Trello card names another ticket": (
        [
            ticket(3),
            ticket(4),
            posted(
                "trello",
                tk.trello("createCard", "10:00:00", card={"name": NAMED[3]}),
            ),
            posted(
                "trello",
                tk.trello("updateCard", "10:05:00", card={"name": NAMED[4]}),
            ),
        ],
        "trello-issue-aBc123",
        "jira-issue-TP-4",
    ),
    "a Trello description names no ticket any more": (
        [
            ticket(3),
            posted("trello", tk.trello("createCard", "10:00:00", card={"desc": "TP-3"})),
            posted("trello", tk.trello("updateCard", "10:05:00", card={"desc": "none"})),
        ],
        "trello-issue-aBc123",
        "",
    ),
    "a Bitbucket title names another ticket": (
        [
            ticket(3),
            ticket(4),
            *(
                posted(
                    "bitbucket",
                    bb.cloud_pull("OPEN", clock, title=title, description=""),
                    **{"x-event-key": "pullrequest:updated"},
                )
                for clock, title in (("10:00:00", "TP-3 Cache"), ("10:05:00", "TP-4 Cache"))
            ),
        ],
        "bitbucket-pull_request-api-34",
        "jira-issue-TP-4",
    ),
}


@pytest.mark.parametrize(("deliveries", "child", "parent"), CASES.values(), ids=CASES)
def test_the_newest_snapshot_says_what_a_thing_belongs_to(deliveries, child, parent) -> None:
    expected = None
    for order in permutations(deliveries):
        world = World().deliver(*order)
        assert world.parents()[child] == parent
        assert not [other for (below, other) in world.links() if below == child]
        expected = expected or world.rows()
        assert world.rows() == expected
        world.deliver([again(intake, n) for n, intake in enumerate(order)])
        assert world.rows() == expected
    assert world.rebuild().rows() == expected
