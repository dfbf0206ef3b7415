"""Azure DevOps: service hooks of its Web Hooks consumer. Those of Repos and Boards are read here.

Source: the reference of service hook events by Microsoft, and the sample that its Test button
sends. The hook signs nothing: the token is the password of its Basic authentication. Each body has
the name of the event in `eventType`, its object in `resource` and its time in `createdDate`.

Work items are issues whose states are the phases of the span. A body has no category of the state.
An item is done if it has a closing date, which Azure sets in all states of the category Completed.
Without that field the name of the state decides, with the names of the process templates of
Microsoft.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from vs_tui.model import keys
from vs_tui.model.time import Instant, iso
from vs_tui.model.vocabulary import RELATIONS, Event, Key, Operation, Rule, Seek, State
from vs_tui.sources.azure.hook import Hook, Repo, person, web_url
from vs_tui.sources.azure.pipelines import (
    read_build,
    read_deployment,
    read_job,
    read_run,
    read_stage,
)
from vs_tui.sources.azure.reviews import approvals, comment_review, reviewers
from vs_tui.sources.base import BadBody, Form, Inbound, Parsed, Reading, Source, parsed
from vs_tui.sources.fields import (
    items,
    json_object,
    known,
    number,
    obj,
    small_object,
    text,
    time_of,
)
from vs_tui.sources.repository import is_set_back, push_log, renamed
from vs_tui.sources.reverts import REVERTS, reverted

MAX_COMMITS: Final = 100
_STATES: Final = {
    "active": State.RUNNING,
    "completed": State.OK,
    "abandoned": State.CANCELLED,
}
_CHANGE_STATES: Final = {"active": "open", "completed": "merged", "abandoned": "closed"}


def read_push(hook: Hook) -> Reading:
    """One event for each ref that a push moved; each is an instant."""
    repo = Repo.of(obj(hook.resource, "repository"))
    at = time_of(hook.resource, "date") or hook.sent_at
    commits = [entry for entry in items(hook.resource, "commits") if isinstance(entry, dict)]
    found = []
    for update in items(hook.resource, "refUpdates")[:20]:
        ref, after = text(update, "name"), keys.commit(text(update, "newObjectId"))
        if ref and after:
            before = text(update, "oldObjectId")
            found.append(_moved(hook, repo, at, ref, before, after.value, commits[:MAX_COMMITS]))
    return tuple(found) or "a deleted ref brings nothing to deliver"


def _moved(
    hook: Hook,
    repo: Repo,
    at: Instant,
    ref: str,
    before: str,
    sha: str,
    commits: list[dict[str, Any]],
) -> Event:
    tag = ref.removeprefix("refs/tags/") if ref.startswith("refs/tags/") else ""
    branch = keys.branch_name(ref)
    default = keys.branch_name(text(hook.resource, "repository", "defaultBranch"))
    messages = "\n".join(text(commit, "comment", limit=2000) for commit in commits)
    first = min((t for c in commits if (t := time_of(obj(c, "author"), "date"))), default=None)
    title = text(commits[0], "comment").partition("\n")[0] if commits else ""
    listed = hook.resource.get("commits")
    back = bool(branch) and is_set_back(branch, default, before, sha, listed)
    return Event(
        key=hook.key("push", f"{repo.id or repo.scope}/{sha}/{ref}" + (f"<{before}" * back)),
        ref=keys.reference("azure", "push", repo.name, sha[:12]),
        source="azure",
        operation=Operation.PUSH,
        state=State.OK,
        occurred_at=at,
        started_at=at,
        name=f"tag {tag}" if tag else title or f"push to {branch}",
        project=repo.name,
        actor=person(hook.resource, "pushedBy"),
        url=repo.web,
        attributes=known(
            vcs__provider__name="azure",
            vcs__repository__name=repo.service,
            vcs__repository__url__full=repo.web,
            vcs__ref__head__name=tag or branch,
            vcs__ref__head__type="tag" if tag else "branch",
            vcs__ref__head__revision=sha,
            vcs__ref__base__revision=before,
            vs__commit__first_at=iso(first),
            vs__push__log=push_log(
                (
                    {**commit, "message": text(commit, "comment", limit=5_000)}
                    for commit in reversed(commits)
                ),
                partial(reverted, key=partial(_change_key, hook, repo), scope=repo.scope),
            ),
            vs__push__forced=back or None,
            vs__default_branch=default,
        ),
        offers=keys.offers(
            Key("tag", tag, repo.scope, "tag") if tag else None,
            *(keys.commit(text(c, "commitId"), repo.scope) for c in commits if not tag),
            keys.commit(sha, repo.scope) if not tag else None,
        ),
        seeks=keys.seeks(
            keys.seek_commit(Rule.COMMIT, sha, repo.scope),
            keys.seek_branch(branch, repo.scope, default) if branch else None,
            keys.change_refs(ref, repo.scope),
            _merged_numbers(messages, repo.scope),
            keys.mentions(messages, "commit message"),
            keys.issue_keys(messages, "commit message"),
            hook.work_items(messages, "commit message"),
        ),
    )


def _change_key(hook: Hook, repo: Repo, number: object) -> str:
    return hook.key("pull_request", f"{repo.id or repo.scope}/{number}")


def _merged_numbers(messages: str, scope: str) -> list[Seek]:
    """Seeks for the pull requests in merge commits, which begin with `Merged PR 34:`."""
    found = []
    for line in messages.splitlines()[:MAX_COMMITS]:
        number = line.removeprefix("Merged PR ").partition(":")[0]
        wish = keys.seek_change(number, scope, "commit message") if number != line else None
        if wish:
            found.append(wish)
    return found


def read_renamed(hook: Hook) -> Reading:
    """Events that record the repository's new name: as `project/name` for people, and by URL for
    keys."""
    repo = Repo.of(obj(hook.resource, "repository"))
    former = text(hook.resource, "oldName", limit=200)
    space = keys.stable(repo.web, repo.id)
    if not former or not space:
        return "the repository's former name or its id is not told"
    scope = f"{repo.scope.rpartition('/')[0]}/{quote(former).lower()}"
    shown = f"{repo.name.rpartition('/')[0]}/{former}"
    return (
        *renamed("azure", space, scope, repo.scope, hook.sent_at),
        *renamed("azure", space.replace("id:", "id:name.", 1), shown, repo.name, hook.sent_at),
    )


def read_pull_request(hook: Hook) -> Reading:
    """The event for a pull request."""
    return (_pull_request(hook, hook.resource),)


def read_comment(hook: Hook) -> Reading:
    """Events for a comment and for its pull request, which the body has as a whole. A comment on a
    pull request that has ended says nothing of the end if it has no `closedDate`."""
    found = obj(hook.resource, "pullRequest")
    change = _pull_request(hook, found)
    said = comment_review(hook, change)
    if change.state.terminal and time_of(found, "closedDate") is None:
        return (said,) if said else "a comment of its author moves no pull request that has ended"
    return (said, change) if said else (change,)


def _pull_request(hook: Hook, change: dict[str, Any]) -> Event:
    """The event for a pull request. The state of an update supersedes an earlier end (abandoned,
    then reactivated). `merged` only reports a trial merge, which also happens during completion, so
    it reopens nothing."""
    number = hook.required(change, "pullRequestId")
    status = text(change, "status").lower()
    if status not in _STATES:
        raise hook.unreadable(f"the status {status[:40]!r} is not known")
    repo = Repo.of(obj(change, "repository"))
    state = _STATES[status]
    created = time_of(change, "creationDate")
    closed = time_of(change, "closedDate") or hook.sent_at
    updated = hook.kind == "git.pullrequest.updated"
    active_at = hook.sent_at if updated else created or hook.sent_at
    branch = keys.branch_name(text(change, "sourceRefName"))
    default = keys.branch_name(text(change, "repository", "defaultBranch"))
    title = text(change, "title")
    body = text(change, "description", limit=keys.TEXT_LIMIT)
    draft = change.get("isDraft") is True
    web = f"{repo.web}/pullrequest/{number}" if repo.web else ""
    return Event(
        key=_change_key(hook, repo, number),
        full_ref=hook.key("pull_request", f"{repo.scope}/{number}"),
        ref=keys.reference("azure", "pull_request", repo.service, number),
        source="azure",
        operation=Operation.PULL_REQUEST,
        state=state,
        occurred_at=closed if state.terminal else active_at,
        as_of=hook.sent_at,
        started_at=created,
        supersedes=state.terminal or updated,
        name=title or f"!{number}",
        project=repo.name,
        actor=person(change, "createdBy"),
        url=web,
        attributes=known(
            vcs__provider__name="azure",
            vcs__repository__name=repo.service,
            vcs__repository__url__full=repo.web,
            vcs__change__id=number,
            vcs__change__title=title,
            vcs__change__state="wip" if draft and status == "active" else _CHANGE_STATES[status],
            vcs__ref__head__name=branch,
            vcs__ref__head__revision=text(change, "lastMergeSourceCommit", "commitId"),
            vcs__ref__base__name=keys.branch_name(text(change, "targetRefName")),
            vcs__ref__base__revision=text(change, "lastMergeTargetCommit", "commitId"),
            vs__pr__fork=bool(obj(change, "forkSource")) or None,
            vs__pr__draft=draft,
            vs__pr__reviewers=reviewers(change),
            vs__pr__approvals=approvals(change),
            vs__pr__merged_at=iso(closed) if state is State.OK else None,
            vs__pr__merge_commit=text(change, "lastMergeCommit", "commitId")
            if state is State.OK
            else None,
        )
        | {
            REVERTS: reverted(
                f"{text(change, 'title')}\n{body}",
                partial(_change_key, hook, repo),
                repo.scope,
                of_commit=False,
            )
        },
        restates=RELATIONS,
        offers=_offers(change, repo, number, branch, default, state),
        seeks=keys.seeks(
            *(keys.mentions(words, via) for words, via in ((branch, "branch"), (title, "title"))),
            keys.mentions(body, "body"),
            keys.issue_keys(branch, "branch", any_case=True),
            keys.issue_keys(f"{title}\n{body}", "title"),
            hook.work_items(f"{title}\n{body}", "title"),
            keys.branch_number(branch, hook.board),
        ),
    )


def _offers(
    change: dict[str, Any], repo: Repo, number: str, branch: str, default: str, state: State
) -> tuple[Key, ...]:
    commits = [text(c, "commitId") for c in items(change, "commits")[:MAX_COMMITS]]
    heads = [text(change, "lastMergeSourceCommit", "commitId"), *commits]
    # Before completion this is the commit of a trial merge.
    merge = text(change, "lastMergeCommit", "commitId") if state is State.OK else ""
    return keys.offers(
        Key("change", number, repo.scope),
        *keys.offer_heads(heads, branch, (repo.scope,), default),
        keys.commit(merge, repo.scope, "merge commit"),
        keys.offer_branch(branch, repo.scope, default),
    )


_COMMON: Final = "Microsoft.VSTS.Common."
_CLOSED: Final = f"{_COMMON}ClosedDate"
_STATE_CHANGED: Final = f"{_COMMON}StateChangeDate"
_DONE: Final = frozenset({"done", "closed", "completed"})
_REMOVED: Final = frozenset({"removed"})


def read_work_item(hook: Hook) -> Reading:
    """The event for a work item, from the snapshot in its body."""
    item = obj(hook.resource, "revision") or hook.resource
    fields = obj(item, "fields")
    identifier = number(hook.resource, "workItemId") or number(item, "id")
    if not identifier:
        raise hook.unreadable("the work item's id is missing")
    if not fields:
        raise hook.unreadable("fields is missing; set `Resource details to send` to All")
    column = text(fields, "System.State", limit=100)
    state, at, supersedes = _state(hook, fields, column.lower())
    title = text(fields, "System.Title")
    project = text(fields, "System.TeamProject", limit=200)
    words = text(fields, "System.Description", limit=keys.TEXT_LIMIT)
    snapshot = Event(
        key=hook.key("issue", identifier),
        ref=keys.reference("azure", "issue", project, identifier),
        source="azure",
        operation=Operation.ISSUE,
        state=state,
        occurred_at=at,
        as_of=hook.sent_at,
        started_at=time_of(fields, "System.CreatedDate"),
        supersedes=supersedes,
        stage=column if state is State.RUNNING else "",
        name=title or f"{text(fields, 'System.WorkItemType')} {identifier}".strip(),
        project=project,
        actor=person(fields, "System.AssignedTo") or person(fields, "System.CreatedBy"),
        url=web_url(text(obj(item, "_links"), "html", "href")),
        attributes=known(
            vs__issue__id=str(identifier),
            vs__issue__title=title,
            vs__issue__type=text(fields, "System.WorkItemType", limit=100),
            vs__issue__status=column,
            vs__issue__priority=text(fields, f"{_COMMON}Priority", limit=20),
            vs__issue__severity=text(fields, f"{_COMMON}Severity", limit=40),
            vs__issue__labels=",".join(re.split(r"\s*;\s*", text(fields, "System.Tags"))),
            vs__issue__assignees=person(fields, "System.AssignedTo"),
            vs__issue__sprint=text(fields, "System.IterationPath"),
            vs__issue__area=text(fields, "System.AreaPath"),
            vs__issue__reason=text(fields, "System.Reason"),
        ),
        # An update that only lists its changes has no title.
        restates=RELATIONS if title else "",
        offers=keys.offers(
            hook.work_item(identifier), Key("issue_key", f"AB#{identifier}", "", "work item")
        ),
        seeks=keys.seeks(_parent(hook, fields), keys.mentions(f"{title} {words}", "title")),
    )
    return (snapshot,)


def _state(hook: Hook, fields: dict[str, Any], column: str) -> tuple[State, Instant, bool]:
    """State, its start, and whether it supersedes an earlier end."""
    changed = time_of(fields, _STATE_CHANGED)
    if hook.kind == "workitem.deleted":
        return State.CANCELLED, hook.sent_at, True
    if hook.kind == "workitem.restored":
        return State.RUNNING, hook.sent_at, True
    closed = time_of(fields, _CLOSED)
    if column in _REMOVED:
        return State.CANCELLED, changed or closed or _edited(hook, fields), True
    if closed is not None or column in _DONE:
        return State.OK, closed or changed or _edited(hook, fields), True
    if changed is not None:
        return State.RUNNING, changed, True
    if hook.kind == "workitem.created":
        return State.RUNNING, time_of(fields, "System.CreatedDate") or hook.sent_at, False
    if "System.State" in obj(hook.resource, "fields") and hook.kind == "workitem.updated":
        return State.RUNNING, _edited(hook, fields), True
    return State.NOTE, hook.sent_at, False


def _edited(hook: Hook, fields: dict[str, Any]) -> Instant:
    return time_of(fields, "System.ChangedDate") or hook.sent_at


def _parent(hook: Hook, fields: dict[str, Any]) -> Seek | None:
    parent = number(fields, "System.Parent")
    return Seek(Rule.HIERARCHY, hook.work_item(parent, "parent")) if parent else None


_READERS: Final[Mapping[str, Callable[[Hook], Reading]]] = {
    "git.push": read_push,
    "git.repo.renamed": read_renamed,
    "git.pullrequest.created": read_pull_request,
    "git.pullrequest.updated": read_pull_request,
    "git.pullrequest.merged": read_pull_request,
    "ms.vss-code.git-pullrequest-comment-event": read_comment,
    "build.complete": read_build,
    "ms.vss-pipelines.run-state-changed-event": read_run,
    "ms.vss-pipelines.stage-state-changed-event": read_stage,
    "ms.vss-pipelines.job-state-changed-event": read_job,
    "ms.vss-release.deployment-started-event": read_deployment,
    "ms.vss-release.deployment-completed-event": read_deployment,
    "workitem.created": read_work_item,
    "workitem.updated": read_work_item,
    "workitem.restored": read_work_item,
    "workitem.deleted": read_work_item,
}


class Azure(Source):
    """Azure DevOps."""

    name = "azure"
    title = "Azure DevOps"
    form = Form(
        "Project settings, Service hooks, Web Hooks",
        "a subscription for each event that docs/sources/azure.md lists",
        field="",
    )
    token_in_url = True
    stored_headers = ("request-id", "x-vss-activityid")

    def dedupe_key(self, inbound: Inbound) -> str:
        """The event's own id, the same on a retry and for each subscription."""
        return text(small_object(inbound), "id", limit=100)

    def parse(self, inbound: Inbound) -> Parsed:
        body = json_object(inbound)
        kind = text(body, "eventType", limit=100)
        if not kind:
            raise BadBody("eventType", "is missing; send it from a service hook of Azure DevOps")
        reader = _READERS.get(kind)
        if reader is None:
            reason = f"{kind} says nothing about the course of a delivery; delete its subscription"
            return parsed(kind, reason)
        return parsed(kind, reader(Hook(kind, body, inbound.received_at)))


SOURCE: Final = Azure()
