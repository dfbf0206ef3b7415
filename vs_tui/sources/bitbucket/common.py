"""The common parts of Cloud and Server: repositories, changes, reviews and pushes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from vs_tui.model import keys
from vs_tui.model.time import Instant, iso
from vs_tui.model.vocabulary import RELATIONS, Event, Key, Operation, Rule, Seek, State
from vs_tui.sources.fields import web_url
from vs_tui.sources.repository import Repository

SOURCE_NAME: Final = "bitbucket"
MAX_COMMITS: Final = 100


class Repo(Repository):
    """A repository: `workspace/slug` on Cloud, `PROJECT/slug` on Server. Its id is Cloud's UUID or
    Server's number."""

    __slots__ = ()

    def __init__(self, path: str, web: str, identifier: str) -> None:
        super().__init__(SOURCE_NAME, path, web, identifier)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A pull request, from a body."""

    repo: Repo
    number: int
    state: State
    """RUNNING while open, OK when merged, CANCELLED when declined."""
    at: Instant
    """When `state` began."""
    is_end_stated: bool
    """Whether `at` is the known time of the end. A later edit only shows that the change has
    ended."""
    as_of: Instant
    created_at: Instant | None
    title: str
    body: str
    draft: bool | None
    author: str
    url: str
    branch: str
    heads: Sequence[str]
    """Head commits, the current one first."""
    base: str
    base_sha: str
    merge_sha: str
    fork: str
    """The scope of the head's repository."""
    reviewers: Sequence[str]
    comments: int | None = None

    def event(self) -> Event:
        merged = self.state is State.OK
        word = "merged" if merged else "closed"
        if not self.state.terminal:
            word = "wip" if self.draft else "open"
        scopes = dict.fromkeys((self.repo.scope, self.fork))
        merge = self.merge_sha if merged else ""
        return Event(
            **self.repo.identity("pull_request", self.number),
            operation=Operation.PULL_REQUEST,
            state=self.state,
            occurred_at=self.at,
            as_of=self.as_of,
            started_at=self.created_at,
            # A body has the change's current state, so it supersedes an earlier end.
            supersedes=self.is_end_stated or not self.state.terminal,
            name=self.title or f"#{self.number}",
            actor=self.author,
            url=web_url(self.url),
            attributes=self.repo.attributes(
                vcs__change__id=str(self.number),
                vcs__change__title=self.title,
                vcs__change__state=word,
                vcs__ref__head__name=self.branch,
                vcs__ref__head__revision=self.heads[0],
                vcs__ref__base__name=self.base,
                vcs__ref__base__revision=self.base_sha,
                vs__pr__draft=self.draft,
                vs__pr__comments=self.comments,
                vs__pr__reviewers=",".join(name for name in self.reviewers if name),
                vs__pr__merged_at=iso(self.at) if merged and self.is_end_stated else None,
                vs__pr__merge_commit=merge,
            ),
            restates=RELATIONS,
            offers=keys.offers(
                Key("change", str(self.number), self.repo.scope),
                *keys.offer_heads(self.heads, self.branch, scopes),
                keys.commit(merge, self.repo.scope, "merge commit"),
                keys.offer_branch(self.branch, self.fork),
            ),
            seeks=keys.proposed(self.branch, self.title, self.body, self.repo.scope),
        )

    def review(self, reviewer: str, verdict: str, at: Instant) -> Event:
        """The event for a reviewer's verdict: an instant below the change."""
        return Event(
            **self.repo.identity("review", f"{self.number}.{reviewer}.{at // 1_000_000}"),
            operation=Operation.REVIEW,
            state=State.OK,
            occurred_at=at,
            started_at=at,
            name=f"{reviewer or 'review'}: {verdict.replace('_', ' ')}",
            actor=reviewer,
            url=web_url(self.url),
            attributes=self.repo.attributes(
                vs__review__state=verdict, vcs__change__id=str(self.number)
            ),
            seeks=(keys.seek_structure(self.repo.identity("pull_request", self.number)["key"]),),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """One push to one branch or tag."""

    repo: Repo
    ref: str
    is_tag: bool
    before: str
    after: str
    at: Instant
    actor: str
    url: str = ""
    shas: Sequence[str] = ()
    messages: Sequence[str] = ()
    """Newest first."""
    written: Sequence[Instant] = field(default_factory=tuple)
    """When its commits were written."""
    log: str = ""
    """Its commits, in the format of `push_log`."""

    def event(self) -> Event:
        shas = list(dict.fromkeys((self.after, *self.shas)))[:MAX_COMMITS]
        scope = self.repo.scope
        if self.is_tag:
            offered = keys.offers(Key("tag", self.ref, scope, "tag"))
            wishes = keys.seeks(keys.seek_commit(Rule.COMMIT, self.after, scope))
        else:
            offered = keys.offers(*(keys.commit(sha, scope, "pushed commit") for sha in shas))
            messages = self.messages[:MAX_COMMITS]
            wishes = keys.seeks(
                keys.pushed(shas, self.ref, messages, scope),
                *(merged_changes(message, scope) for message in messages),
            )
        subject = self.messages[0].partition("\n")[0].strip() if self.messages else ""
        branch_name = subject or f"push to {self.ref}"
        identifier = self.ref if self.is_tag else f"{self.ref}@{self.after[:12]}"
        return Event(
            **self.repo.identity("tag" if self.is_tag else "push", identifier),
            operation=Operation.PUSH,
            state=State.OK,
            occurred_at=self.at,
            started_at=self.at,
            name=f"tag {self.ref}" if self.is_tag else branch_name,
            actor=self.actor,
            url=web_url(self.url),
            attributes=self.repo.attributes(
                vcs__ref__head__name=self.ref,
                vcs__ref__head__type="tag" if self.is_tag else "branch",
                vcs__ref__head__revision=self.after,
                vcs__ref__base__revision=self.before,
                vs__commit__first_at=iso(min(self.written)) if self.written else None,
                vs__push__log=self.log,
            ),
            offers=offered,
            seeks=wishes,
        )


def merged_changes(message: str, scope: str) -> list[Seek]:
    """Seeks for the changes that a merge message names: `Merged in BRANCH (pull request #7)`
    (Cloud) or `Pull request #7: TITLE` (Server)."""
    wishes = keys.merge_messages(message, scope)
    first = message.partition("\n")[0].lower()
    before, found, after = first.partition("pull request #")
    if found and (not before or before.startswith("merge")):
        digits = after[: len(after) - len(after.lstrip("0123456789"))]
        if digits and (wish := keys.seek_change(digits[:9], scope, "commit message")):
            wishes.append(wish)
    return wishes
