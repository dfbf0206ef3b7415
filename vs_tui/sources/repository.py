"""A repository as its host names it: keys, refs and attributes for its events, and the events that
hosts have in common: changes, reviews and pushes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

import orjson

from vs_tui.model import keys
from vs_tui.model.time import Instant, iso
from vs_tui.model.vocabulary import RELATIONS, Event, Key, Operation, Rule, Scalar, Seek, State
from vs_tui.sources.fields import dotted, known, obj, text, texts, time_of, web_url
from vs_tui.sources.reverts import REVERTS, reverted


class _Facts(NamedTuple):
    """What follows from a repository's names; computed once for all its deliveries."""

    name: str
    scope: str
    space: str
    prefixes: tuple[str, ...]
    """Escaped beginnings of the ids of keys, refs and full refs."""
    attributes: dict[str, Any]


@lru_cache(maxsize=1024)
def _facts(source: str, path: str, web: str, identifier: object, address: str) -> _Facts:
    name = path.rpartition("/")[2]
    space = keys.stable(web or address, identifier) or path
    spaces = (space, name, path)
    attributes = repository_names(path) | known(
        vcs__provider__name=source, vcs__repository__url__full=web
    )
    prefixes = [keys.quoted(f"{each}-") if each else "" for each in spaces]
    return _Facts(name, keys.repository(path), space, tuple(prefixes), attributes)


class Repository:
    """The facts that all events of one repository share; read once per body."""

    __slots__ = (
        *("_by_id", "_by_name", "_by_path", "_own"),
        *("name", "path", "scope", "source", "space", "web"),
    )

    def __init__(
        self, source: str, path: str, web: str, identifier: object, address: str = ""
    ) -> None:
        """`address` is any URL of the repository, used if the body does not contain its page."""
        self.source = source
        """The source's name; also `vcs.provider.name`."""
        self.path = path
        """`owner/name` as the host writes it; there may be groups between."""
        self.web = web
        """The repository's page."""
        facts = _facts(source, path, web, identifier, address)
        self.name = facts.name
        self.scope = facts.scope
        """The scope of its correlation keys."""
        self.space = facts.space
        """The namespace of its spans' keys: the repository's id, which a rename leaves."""
        self._by_id, self._by_name, self._by_path = facts.prefixes
        self._own = facts.attributes

    @property
    def service(self) -> str:
        """The service name of the deployed repository: in lower case, because images and labels of
        alerts are in lower case, and all three must match."""
        return self.name.lower()

    def key(self, kind: str, number: object) -> str:
        return f"vstrace-{self.source}-{kind}-{self._by_id}{_tail(number)}"

    def ref(self, kind: str, number: object) -> str:
        """ValueStream's short form: the repository without its owner."""
        return f"vstrace-{self.source}-{kind}-{self._by_name}{_tail(number)}"

    def full_ref(self, kind: str, number: object) -> str:
        """The ref with the whole current path."""
        return f"vstrace-{self.source}-{kind}-{self._by_path}{_tail(number)}"

    def identity(self, kind: str, number: object) -> dict[str, Any]:
        """The fields of an Event that identify its span."""
        start, tail = f"vstrace-{self.source}-{kind}-", _tail(number)
        return {
            "key": f"{start}{self._by_id}{tail}",
            "ref": f"{start}{self._by_name}{tail}",
            "full_ref": f"{start}{self._by_path}{tail}",
            "source": self.source,
            "project": self.path,
        }

    def named_identity(self, kind: str, name: str) -> dict[str, Any]:
        """The identity of a span with a name instead of a number, such as a tag."""
        return self.identity(kind, name)

    def attributes(self, **more: object) -> dict[str, Scalar]:
        """`more` (with `__` for dots, without missing values) and the repository's own
        attributes."""
        return self._own | dotted(more)

    def reverts(self, message: str, *, of_commit: bool = False) -> str:
        """See `reverted`."""
        return reverted(message, partial(self.key, "pull_request"), self.scope, of_commit=of_commit)

    def was(self, former: str, at: Instant) -> tuple[Event, ...] | str:
        """Events that record the repository's former path, or the reason why there are none."""
        if "/" not in former or self.path in (former, self.space):
            return "its former name or its id is not told, or the name is the same"
        return renamed(self.source, self.space, former, self.path, at)


def _tail(number: object) -> str:
    """The end of a reference, as `keys.reference` makes it."""
    return str(number) if type(number) is int else keys.quoted(f"{number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A pull request, from a body."""

    repo: Repository
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
                vs__pr__fork=self.fork != self.repo.scope or None,
                vs__pr__draft=self.draft,
                vs__pr__comments=self.comments,
                vs__pr__reviewers=",".join(name for name in self.reviewers if name),
                vs__pr__merged_at=iso(self.at) if merged and self.is_end_stated else None,
                vs__pr__merge_commit=merge,
            )
            | {REVERTS: self.repo.reverts(f"{self.title}\n{self.body}")},
            restates=RELATIONS,
            offers=keys.offers(
                Key("change", str(self.number), self.repo.scope),
                *keys.offer_heads(self.heads, self.branch, scopes),
                keys.commit(merge, self.repo.scope, "merge commit"),
                keys.offer_branch(self.branch, self.fork),
            ),
            seeks=keys.proposed(self.branch, self.title, self.body, self.repo.scope),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """One push to one branch or tag."""

    repo: Repository
    ref: str
    is_tag: bool = False
    before: str = ""
    after: str
    """The newest commit; empty if it is unknown."""
    at: Instant
    actor: str
    url: str = ""
    shas: Iterable[str] = ()
    """All its commits, the newest one first."""
    subject: str = ""
    """First line of the newest commit's message."""
    written: Sequence[Instant] = ()
    """When its commits were written."""
    log: str = ""
    """Its commits, in the format of `push_log`."""
    default_branch: str = ""
    is_forced: bool = False
    """Whether it took commits away from its branch."""
    onto: str = ""
    """The commit to which it set its branch back before its own commits; empty if unknown."""
    is_timed: bool = True
    """Whether its host tells when it was pushed."""
    more: Mapping[str, object] = field(default_factory=dict)
    """Further attributes, with `__` for dots."""
    offers: Sequence[Key] = ()
    """Further keys."""
    seeks: Iterable[Seek] = ()
    """What the messages say."""

    def event(self) -> Event:
        """The event for the push: an instant."""
        scope = self.repo.scope
        if self.is_tag:
            kind, identifier, name, back = "tag", self.ref, f"tag {self.ref}", ""
            offered: Iterable[Key | None] = [Key("tag", self.ref, scope, "tag")]
            first = [keys.seek_commit(Rule.COMMIT, self.after, scope)]
        else:
            # A branch that is set back gets a commit that an earlier push already brought.
            back = f"<{self.before[:12]}" if self.is_forced and not self.log else ""
            kind, identifier = "push", f"{self.ref}@{self.after[:12]}{back}"
            name = self.subject or f"push to {self.ref}"
            offered = [keys.commit(sha, scope, "pushed commit") for sha in self.shas]
            first = []
        return Event(
            **self.repo.named_identity(kind, identifier),
            operation=Operation.PUSH,
            state=State.OK,
            occurred_at=self.at,
            started_at=self.at,
            name=name,
            actor=self.actor,
            url=self.url,
            attributes=self.repo.attributes(
                vcs__ref__head__name=self.ref,
                vcs__ref__head__type="tag" if self.is_tag else "branch",
                vcs__ref__head__revision=self.after,
                vcs__ref__base__revision=self.before,
                **self.more,
                vs__push__forced=self.is_forced or None,
                vs__push__onto=self.onto,
                vs__push__undated=(bool(back) and not self.is_timed) or None,
                vs__commit__first_at=iso(min(self.written)) if self.written else None,
                vs__push__log=self.log,
                vs__default_branch=self.default_branch,
            ),
            offers=keys.offers(*offered, *self.offers),
            seeks=keys.seeks(*first, self.seeks),
        )


def review_outline(repo: Repository, identifier: str, at: Instant) -> Event:
    """The event for a reviewer's verdict without its details."""
    return Event(
        **repo.identity("review", identifier),
        operation=Operation.REVIEW,
        state=State.OK,
        occurred_at=at,
        started_at=at,
    )


def review(
    repo: Repository, change: Event, identifier: str, reviewer: str, verdict: str, at: Instant,
    **more: object,
) -> Event:  # fmt: skip
    """The event for a reviewer's verdict: an instant below the change. `more` are attributes."""
    return review_outline(repo, identifier, at)._replace(
        name=f"{reviewer or 'review'}: {verdict.replace('_', ' ') or 'reviewed'}",
        actor=reviewer,
        url=change.url,
        attributes=repo.attributes(
            vs__review__state=verdict, vcs__change__id=change.attributes["vcs.change.id"], **more
        ),
        seeks=(keys.seek_structure(change.key),),
    )


DELETED_FORK: Final = "-/deleted"
"""The scope of a branch whose fork is gone and not named. Such a branch is no branch of the
repository that the change was proposed to; no repository has this name."""


def renamed(source: str, space: str, former: str, now: str, at: Instant) -> tuple[Event, ...]:
    """Events that record a repository's new name. They make no span; deliveries with the former
    name are then read under the current one."""
    key = f"vstrace-{source}-repository-{space}"
    return tuple(
        Event(key=key, source="", operation="", state=State.NOTE, occurred_at=told_at, project=name)
        for name, told_at in ((former, at - 1), (now, at))
    )


def repository_names(path: str) -> dict[str, Any]:
    """OpenTelemetry's attributes for the repository at `owner/name`; the path may contain
    groups."""
    owner, _, name = path.rpartition("/")
    return known(vcs__owner__name=owner, vcs__repository__name=name)


def is_incident(labels: object, kind: str) -> bool:
    """Whether one of an issue's labels (separated by commas) or its type is `incident`."""
    return "incident" in str(labels).lower().split(",") or kind.lower() == "incident"


def is_set_back(ref: str, default: str, before: str, after: str, commits: object) -> bool:
    """Whether a push, whose body lists no `commits`, took some away from a shared branch: then its
    new head is an ancestor of the old one. A body without a list says nothing."""
    known = keys.commit(before) and keys.commit(after)
    return commits == [] and bool(known) and keys.is_shared_branch(ref, default)


MAX_SUBJECT: Final = 300
"""Most characters of a commit's subject; the title of a change has at most 256 on GitHub."""
MAX_PATHS: Final = 40
"""Most files of one commit that are kept; a commit with more is kept as `*` (any file)."""


MAX_LOG: Final = 400_000
"""Characters of the commits of one push; beyond it their files are not kept."""
MAX_UNLISTED: Final = 5_000
"""Most commits that a push has and does not list, of which each counts as a change."""


def push_log(
    commits: Iterable[Mapping[str, Any]], reverts: Callable[..., str], total: int = 0
) -> str:
    """The commits of a push as JSON, oldest first: `[[sha, authored seconds, subject, [path],
    reverted]]`, the last one only if it reverts something; empty without commits. Reads the fields
    that GitHub, GitLab, Gitea and Azure have in common. `reverts` is `Repository.reverts`.

    A push of `total` commits may list the newest ones only; those before the oldest one in the list
    are named as git names them, `SHA~1`, and nothing more is known of them."""
    found: list[list[Any]] = []
    for commit in commits:
        sha = text(commit, "id") or text(commit, "commitId") or text(commit, "hash")
        at = time_of(commit, "timestamp", "date")
        if at is None:
            at = time_of(obj(commit, "author"), "date")
        message = text(commit, "message", limit=5_000)
        subject = message.partition("\n")[0][:MAX_SUBJECT].strip()
        if sha:
            seconds = None if at is None else at // 1_000_000
            back = reverts(message, of_commit=True)
            found.append([sha.lower(), seconds, subject, _paths(commit), *([back] if back else ())])
    unlisted = min(total - len(found), MAX_UNLISTED) if found else 0
    found[:0] = [[f"{found[0][0]}~{n}", None, "", []] for n in range(unlisted, 0, -1)]
    written = orjson.dumps(found).decode() if found else ""
    if len(written) < MAX_LOG:
        return written
    short = [[sha, at, subject[:60], ["*"], *back] for sha, at, subject, _, *back in found]
    return orjson.dumps(short).decode()


def _paths(commit: Mapping[str, Any]) -> list[str]:
    listed = [
        path
        for name in ("added", "modified", "removed")
        for path in texts(commit, name, most=5000, limit=200)
    ]
    return listed if len(listed) <= MAX_PATHS else ["*"]
