"""Example D1 on hosts whose reviews are comments: the first comment by another person ends the
pickup."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.metrics.http.clock import at, hours, moment, sha
from tests.metrics.http.gitlab import GitLab, _utc
from tests.metrics.http.orders import ordered
from tests.metrics.http.others import Script
from tests.metrics.http.story import Story, send, stages
from tests.metrics.http.tools import Azure, Bitbucket, BitbucketServer

BOB, PIPELINE, CID = "bob", "pipeline", "cid"
COMMENTS = ((BOB, "09:20"), (PIPELINE, "09:30"), (CID, "10:00"), (CID, "12:00"))
"""The author and a pipeline comment before anybody reviews."""
Comment = Callable[[Any, str, str], None]


def opened(story: Story, field: str) -> dict[str, Any]:
    """The pull request of the body that opened it."""
    return next(post.body[field] for post in story.posts if field in post.body)


def cloud(own: Bitbucket, who: str, clock: str) -> None:
    user = {"nickname": who, "type": "app_user" if who == PIPELINE else "user"}
    comment = {"id": 7, "content": {"raw": "Why?"}, "user": user, "created_on": at(clock)}
    pull = opened(own.story, "pullrequest")
    own.hook("pullrequest:comment_created", pullrequest=pull, comment=comment)
    own.story.posts[-1].body["actor"] = user


def server(own: BitbucketServer, who: str, clock: str) -> None:
    user = {"name": who, "type": "SERVICE" if who == PIPELINE else "NORMAL"}
    stamp = int(moment(clock).timestamp() * 1000)
    comment = {"id": 7, "text": "Why?", "author": user, "createdDate": stamp}
    pull = opened(own.story, "pullRequest")
    own.hook("pr:comment:added", clock, pullRequest=pull, comment=comment, actor=user)


def azure(own: Azure, who: str, clock: str) -> None:
    """A comment and an edit of it an hour later."""
    author = {"displayName": who.title(), "uniqueName": f"{who}@acme.example"}
    if who == PIPELINE:
        author |= {"displayName": "Shop Build Service (acme)", "uniqueName": "Build\\0b3c"}
    comment = {"id": 1, "author": author, "content": "Why?", "commentType": "text"}
    comment |= {"publishedDate": at(clock)}
    pull = next(
        post.body["resource"]
        for post in own.story.posts
        if post.body.get("eventType") == "git.pullrequest.created"
    )
    told = {"comment": comment, "pullRequest": pull}
    for sent in (clock, clock.replace("2:00", "2:50")):
        own.event("ms.vss-code.git-pullrequest-comment-event", sent, told)


def gitlab(own: GitLab, who: str, clock: str) -> None:
    """The pipeline's account is that of a project's access token."""
    name = "project_4_bot_1f" if who == PIPELINE else who
    number = 7 if who == BOB else 8
    note = {"id": 3, "note": "Why?", "noteable_type": "MergeRequest", "author_id": number}
    note |= {"system": False, "action": "create", "created_at": _utc(clock)}
    pull = next(
        post.body["object_attributes"]
        for post in own.story.posts
        if post.body["object_kind"] == "merge_request"
    )
    own.hook(
        "note",
        "Note Hook",
        object_attributes=note,
        merge_request={name: value for name, value in pull.items() if name != "action"},
        user={"id": number, "name": name, "username": name},
    )


HOSTS = {
    "Bitbucket Cloud": (Bitbucket, cloud),
    "Bitbucket Data Center": (BitbucketServer, server),
    "Azure DevOps": (Azure, azure),
    "GitLab": (GitLab, gitlab),
}


@pytest.mark.parametrize("order", ["as sent", "reverse", "mixed and twice"])
@pytest.mark.parametrize("host", HOSTS)
def test_d1_a_comment_by_another_person_ends_the_pickup(configured, host, order) -> None:
    """Opened at 09:00, a comment by another person at 10:00, merged 48 h after it, deployed an hour
    later. The author and a pipeline comment before it."""
    tool, comment = HOSTS[host]
    story = Story()
    own = tool(story, "d1" if tool is Azure else "acme/d1")
    own.pull(1, "09:00", "Wed 10:00")
    for who, clock in COMMENTS:
        comment(own, who, clock)
    script = Script(story, own.name, service="d1")
    script.deploy("Wed 11:00", commit=sha(own.merge_of(1)))
    send(receiver := configured(""), ordered(story.posts, order))
    found = stages(receiver)
    assert {name: hours(found[name]["p50"]) for name in ("pickup", "review")} == {
        "pickup": 1,
        "review": 48,
    }
