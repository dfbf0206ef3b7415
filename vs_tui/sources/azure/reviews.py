"""What people say of a pull request in Azure Repos: votes and comments.

Source: Microsoft's reference of service hook events, "Pull request commented on" (the resource has
`comment` and `pullRequest`; an edit sends the event again), and the type Comment of its REST API.
"""

from __future__ import annotations

from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.vocabulary import Event, Operation, State
from vs_tui.sources.azure.hook import Hook, person
from vs_tui.sources.fields import items, lowered, obj, text, time_of

_OF_CHANGE: Final = (
    *("vcs.provider.name", "vcs.repository.name", "vcs.repository.url.full", "vcs.change.id"),
)


def reviewers(change: dict[str, Any]) -> str:
    people = [r for r in items(change, "reviewers") if isinstance(r, dict)]
    return ",".join(filter(None, (person(r) for r in people)))[:500]


def approvals(change: dict[str, Any]) -> int:
    """Number of votes of 10 (approved) and 5 (approved with suggestions)."""
    votes = [r.get("vote") for r in items(change, "reviewers") if isinstance(r, dict)]
    return sum(1 for vote in votes if vote in (5, 10))


def comment_review(hook: Hook, change: Event) -> Event | None:
    """The event for a comment, an instant below its pull request, when it was published; None if it
    is by the author, by Azure itself (`system`) or by a pipeline, whose identities have a
    `uniqueName` such as `Build\\GUID`."""
    comment = obj(hook.resource, "comment")
    who = person(comment, "author")
    is_build = text(comment, "author", "uniqueName").startswith("Build\\")
    if is_build or lowered(comment, "commentType") == "system" or (who and who == change.actor):
        return None
    at = time_of(comment, "publishedDate") or hook.sent_at
    own = f".{who}.{at // 1_000_000}"
    place = change.key.removeprefix(hook.key("pull_request", ""))
    return Event(
        key=hook.key("review", f"{place}{own}"),
        ref=keys.reference(
            "azure", "review", change.project, f"{change.attributes['vcs.change.id']}{own}"
        ),
        source="azure",
        operation=Operation.REVIEW,
        state=State.OK,
        occurred_at=at,
        started_at=at,
        name=f"{who or 'review'}: commented",
        project=change.project,
        actor=who,
        url=change.url,
        attributes={name: v for name in _OF_CHANGE if (v := change.attributes.get(name))}
        | {"vs.review.state": "commented"},
        seeks=(keys.seek_structure(change.key),),
    )
