"""Apache DevLake's incoming webhooks (deployments, issues and incidents), at DevLake's own paths,
so that a team only has to change the host.

Source: DevLake's webhook plugin and its documentation. Old bodies have `pipeline_id` and
`commit_sha`, new ones `id` and `deploymentCommits`; both spellings of names are accepted. The path
is `/api/rest/plugins/webhook/connections/ID/deployments`; some versions omit `api`, `rest` or
`connections`, or have `by-name/NAME` or `projects/NAME` instead of the ID.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event, Key, Operation, Rule, Seek, State
from vs_tui.sources.base import BEFORE_ALL, BadBody, Inbound, Parsed, Source, parsed
from vs_tui.sources.fields import items, json_object, known, text, time_of, web_url

MAX_COMMITS: Final = 100
_RESULTS: Final = {
    "": State.OK,  # DevLake's own default
    "success": State.OK,
    "failure": State.ERROR,
    "failed": State.ERROR,
    "abort": State.CANCELLED,
    "manual": State.WAITING,
}
_STATUSES: Final = {
    "todo": State.QUEUED,
    "in_progress": State.RUNNING,
    "done": State.OK,
}


class DevLake(Source):
    """DevLake's webhook plugin."""

    name = "devlake"
    title = "Apache DevLake"
    token_in_url = True
    paths = (
        "/api/rest/plugins/webhook/*",
        "/api/plugins/webhook/*",
        "/rest/plugins/webhook/*",
        "/plugins/webhook/*",
    )

    def parse(self, inbound: Inbound) -> Parsed:
        connection, what = _target(inbound.path)
        match what:
            case ["deployments"]:
                body = _lowered(json_object(inbound))
                return Parsed("deployment", (_deploy(connection, body, inbound.received_at),))
            case ["issues" | "incidents"]:
                return _issue(connection, _lowered(json_object(inbound)), inbound.received_at)
            case ["issue", key, "close"] if key:
                return _closed(connection, key, inbound.received_at)
        return parsed(
            "/".join(what)[:100] or "request",
            "only deployments, issues and issue/KEY/close are read",
        )

    def recognises(self, body: Any) -> bool:
        """Whether a body sent to another path is certainly a DevLake deployment."""
        said = _lowered(body) if isinstance(body, dict) else {}
        return "starteddate" in said and bool(items(said, "deploymentcommits"))


def _target(path: str) -> tuple[str, list[str]]:
    """The connection's id or name, and the rest of the path."""
    parts = [part for part in path.partition("/webhook/")[2].split("/") if part]
    for word in ("connections", "by-name", "projects"):
        if parts[:1] == [word]:
            parts = parts[1:]
    return (parts[0][:100] if parts else "", parts[1:])


def _lowered(body: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by name in lower case without underscores, so that `issue_key` and `issueKey` are
    equal."""
    return {name.replace("_", "").lower(): value for name, value in body.items()}


def _needed(body: Mapping[str, Any], name: str, *fields: str) -> str:
    found = next((value for field in fields if (value := text(body, field))), "")
    if not found:
        raise BadBody(name, "is missing; DevLake needs it, too")
    return found


def _commits(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The commits of a deployment; an old body has one, in its own fields."""
    listed = items(body, "deploymentcommits")[:MAX_COMMITS]
    found = [_lowered(commit) for commit in listed if isinstance(commit, dict)] or [dict(body)]
    return [commit for commit in found if text(commit, "commitsha") or text(commit, "repourl")]


def _deploy(connection: str, body: dict[str, Any], received_at: Instant) -> Event:
    started = time_of(body, "starteddate", "starttime")
    if started is None:
        raise BadBody("startedDate", "is missing or no time; send RFC 3339")
    word = text(body, "result", limit=50).lower()
    state = _RESULTS.get(word)
    if state is None:
        raise BadBody("result", "must be SUCCESS, FAILURE, ABORT or MANUAL")
    commits = _commits(body)
    if not commits:
        raise BadBody("deploymentCommits", "is missing or empty; DevLake needs it, too")
    finished = time_of(body, "finisheddate", "endtime")
    paths = [keys.repository_path(text(commit, "repourl")) for commit in commits]
    repos, shas = (
        [path.lower() for path in paths],
        [text(c, "commitsha", limit=64) for c in commits],
    )
    identifier = text(body, "id", limit=200) or text(body, "pipelineid", limit=200)
    environment = text(body, "environment", limit=100).lower() or "production"
    service = paths[0].rpartition("/")[2]
    titles = [
        text(body, "displaytitle"),
        text(body, "name"),
        *(text(c, "commitmsg") for c in commits),
    ]
    ended = state.terminal
    return Event(
        key=keys.reference(
            "devlake", "deploy", connection, identifier or f"{repos[0]}/{shas[0]}"[:200]
        ),
        source="devlake",
        operation=Operation.DEPLOY,
        state=state,
        occurred_at=(finished or received_at) if ended else started,
        started_at=started,
        # A deployment that is sent again is what was sent last, as in DevLake.
        supersedes=ended,
        name=titles[0] or titles[1] or f"{service} to {environment}".strip(),
        project=paths[0],
        service=service,
        environment=environment,
        error="failure" if state is State.ERROR else "",
        attributes=known(
            service__name=service,
            deployment__environment__name=environment,
            vcs__repository__url__full=text(commits[0], "repourl"),
            vcs__ref__head__name=text(commits[0], "refname"),
            vcs__ref__head__revision=shas[0] if keys.commit(shas[0]) else None,
            vs__devlake__connection=connection,
            vs__devlake__environment=text(body, "originalenvironment"),
        ),
        seeks=keys.seeks(
            *(
                keys.seek_commit(Rule.COMMIT, sha, repo)
                for sha, repo in zip(shas, repos, strict=True)
            ),
            *(
                keys.seek_commit(Rule.BUILT, sha, repo)
                for sha, repo in zip(shas, repos, strict=True)
            ),
            *(keys.issue_keys(title, "title") for title in titles[:20]),
        ),
    )


def _issue(connection: str, body: dict[str, Any], received_at: Instant) -> Parsed:
    key = _needed(body, "issueKey", "issuekey")[:200]
    title = _needed(body, "title", "title")
    status = text(body, "status", limit=50).lower()
    state = _STATUSES.get(status)
    if state is None:
        raise BadBody("status", "must be TODO, IN_PROGRESS or DONE")
    created, updated = time_of(body, "createddate"), time_of(body, "updateddate")
    if created is None:
        raise BadBody("createdDate", "is missing or no time; send RFC 3339")
    is_incident = text(body, "type", limit=50).lower() == "incident"
    if is_incident and state is State.QUEUED:
        state = State.RUNNING  # an incident begins before somebody works on it
    resolved = time_of(body, "resolutiondate") or updated or received_at
    event = Event(
        key=keys.reference("devlake", "issue", connection, key),
        source="devlake",
        operation=Operation.INCIDENT if is_incident else Operation.ISSUE,
        state=state,
        occurred_at=resolved if state.terminal else updated or created,
        as_of=updated or (resolved if state.terminal else created),
        started_at=created,
        supersedes=not state.terminal,
        stage="" if state.terminal else text(body, "originalstatus", limit=100) or status,
        name=title,
        project=connection,
        service=text(body, "component", limit=200),
        actor=text(body, "assigneename", limit=200) or text(body, "creatorname", limit=200),
        url=web_url(text(body, "url", limit=2000)),
        attributes=known(
            vs__issue__type=text(body, "type"),
            vs__issue__priority=text(body, "priority"),
            vs__incident__severity=text(body, "severity"),
        ),
        offers=keys.offers(Key("issue_key", key.upper(), "", "ticket")),
        seeks=keys.seeks(
            _above(text(body, "parentissuekey", limit=80), "parent"),
            _above(text(body, "epickey", limit=80), "epic"),
            keys.mentions(f"{title} {text(body, 'description', limit=20_000)}", "description"),
        ),
    )
    return Parsed(f"{'incident' if is_incident else 'issue'}.{status}", (event,))


def _above(key: str, via: str) -> Seek | None:
    return Seek(Rule.HIERARCHY, Key("issue_key", key.upper(), "", via)) if key else None


def _closed(connection: str, key: str, received_at: Instant) -> Parsed:
    """The end of an issue. The issue must exist, because only an earlier delivery says whether it
    is an incident."""
    ref = keys.reference("devlake", "issue", connection, key[:200])
    event = Event(
        key=ref,
        source="devlake",
        operation=Operation.ISSUE,
        state=State.OK,
        occurred_at=received_at,
        as_of=BEFORE_ALL,
    )
    return Parsed("issue.close", (event,), requires=ref)


SOURCE: Final = DevLake()
