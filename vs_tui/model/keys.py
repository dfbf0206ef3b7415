"""Make correlation keys from names and free text. All adapters use these functions.

Each tool writes the same repository, commit, branch or ticket in its own way; these functions bring
them to one form. All are pure, total and linear in the length of their input.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, TypeVar
from urllib.parse import quote, urlsplit

from vs_tui.model.application_commits import MAX_REFERENCES, bumped_commits
from vs_tui.model.vocabulary import Key, Rule, Seek

T = TypeVar("T")

TEXT_LIMIT: Final = 20_000
"""Characters of a title or body that are searched for references."""

DEFAULT_BRANCHES: Final = frozenset(
    {"main", "master", "trunk", "develop", "development", "dev", "integration", "int", "head"}
    | {"acceptance", "qa", "uat", "staging", "stage", "stg", "preprod", "production", "prod", "prd"}
    | {"live", "stable", "canary"}
)
_RELEASE: Final = re.compile(
    r"(releases?|gh-readonly-queue)/.|(rel|rc|support|stable|maintenance)/v?\d|v?\d+(\.\d+)*\.x\Z"
)
"""Names of branches of releases: `release/spring`, `support/1.4`, `1.2.x`. Tags have `v1.2` and
`release-7`, too, so a branch of such a name shows by what it has."""
_SHA: Final = re.compile(r"[0-9a-f]{7,64}\Z")
_REFERENCE: Final = re.compile(r"vstrace-[A-Za-z0-9_./%@+~:-]{3,300}")
_ISSUE_KEY: Final = re.compile(
    r"(?<![A-Za-z0-9])([A-Z][A-Z0-9_]{1,15}-[1-9]\d{0,6})(?![A-Za-z0-9])"
)
_BOARD_KEY: Final = re.compile(r"(?<![A-Za-z0-9])(AB#[1-9]\d{0,8})\b", re.IGNORECASE)
_BRANCH_ISSUE_KEY: Final = re.compile(
    r"(?<![A-Za-z0-9])([A-Za-z][A-Za-z0-9]{1,15}-[1-9]\d{0,6})(?![A-Za-z0-9])"
)
_CLOSES: Final = re.compile(
    r"\b(?:clos(?:e[sd]?|ing)|fix(?:e[sd]|ing)?|resolv(?:e[sd]?|ing)|implement(?:s|ed|ing)?)\b:?\s+"
    r"(?:issues?\s+)?"
    r"(?:(?:https?://[^\s/]+/)?(?P<repo>[\w.-]+(?:/[\w.-]+)+?)(?:/-)?(?:/issues/|#)|\#|GH-)"
    r"(?P<number>\d{1,9})\b",
    re.IGNORECASE,
)
_NUMBER_SIGNS: Final = ("#", "/issues/", "gh-")
"""One of them is in every text that closes an issue; finding none takes a fraction of the time."""
_KEY_DASH: Final = re.compile(r"-[1-9]")
"""In every text that has an issue key."""
_BRANCH_NUMBER: Final = re.compile(
    # Not the year of `hotfix/2026-03` or `2026-03-02`.
    r"(?:^|/)(?:issue[-_/]?)?(\d{1,6})(?![-_]\d{1,2}(?:[-_]\d{1,2})?$)(?:[-_]|$)"
)
_CHANGE_REF: Final = re.compile(
    r"(?:^|/)(?:pull|merge-requests)/(\d{1,9})(?:/|$)|gh-readonly-queue/.+/pr-(\d{1,9})-[0-9a-f]+"
)
_MERGE_MESSAGE: Final = re.compile(
    # Not of `Revert "Merge pull request #7 ..."`: the commit is no merge of it.
    r"(?<!\")Merge pull request #(\d{1,9})|See merge request [\w./-]*!(\d{1,9})|\(#(\d{1,9})\)\s*$",
    re.MULTILINE,
)
_UNQUOTED: Final = re.compile(r"[A-Za-z0-9/._:@+~-]*")
_TRACEPARENT: Final = re.compile(r"\b00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}\b")
_SCP_URL: Final = re.compile(r"^(?:[\w.-]+@)?[\w.-]+:(?!//)(.+)$")


_ALERTS: Final = ("vstrace-alertmanager-incident-", "vstrace-grafana-incident-")
_ALERT: Final = re.compile(r"(vstrace-(?:alertmanager|grafana)-incident-.+)-([1-9]\d{15})")


FORMER: Final = "?"
"""What the reference of a pull request begins with that is named under another repository's name,
which may be a former name of its own."""


def reference(source: str, kind: str, namespace: str, number: object) -> str:
    """`vstrace-{source}-{kind}-{namespace}-{id}` with blanks percent-escaped."""
    tail = f"{namespace}-{number}" if namespace else f"{number}"
    return f"vstrace-{source}-{kind}-{quoted(tail)}"


def quoted(text: str) -> str:
    """A part of a reference with blanks and unusual characters percent-escaped."""
    return text if _UNQUOTED.fullmatch(text) else quote(text, safe="/._:@+~-")


def alert_group(key: str) -> str:
    """The key of an alert's incident without its start; empty for every other key."""
    found = _ALERT.fullmatch(key) if key.startswith(_ALERTS) else None
    return found[1] if found else ""


_SHARED_IDS: Final = tuple(
    f"vstrace-emmetrics-{kind}-" for kind in ("deploy", "incident", "pull_request")
)


def shared_id(key: str) -> str:
    """The key of an id of em-metrics without its project; empty for every other key."""
    return key.partition("=")[0] if key.startswith(_SHARED_IDS) else ""


def of_project(shared: str, project: str) -> str:
    """The key of an id that several projects use, for one of them. No id has a `=` in its key,
    because `quoted` escapes it."""
    return f"{shared}={quoted(project)}" if project else shared


def stable(page: str, identifier: object) -> str:
    """The namespace of keys by id, which survives a rename: `id:github.com/1296269`. `page` is a
    page or clone URL; its host separates equal ids of two servers. Empty without an id or a
    host."""
    host = _host(page)
    return f"id:{host}/{identifier}" if host and identifier else ""


@lru_cache(maxsize=1024)
def _host(page: str) -> str:
    if "://" not in page and (match := _SCP_URL.match(page)):
        page = f"ssh://{page[: match.start(1) - 1]}"
    try:
        return urlsplit(page).hostname or ""
    except ValueError:
        return ""


@lru_cache(maxsize=4096)
def repository(text: str) -> str:
    """`owner/name` in lower case from a clone URL, a web URL or a path; empty if there is none. The
    host is left out: the same repository is `git@host:acme/api.git` to Jenkins and `acme/api` to
    GitHub, and the hosts of API and web pages differ."""
    return repository_path(text).lower()


@lru_cache(maxsize=4096)
def repository_path(text: str) -> str:
    """`Owner/name` as the tool writes it, for display; use `repository` to compare."""
    text = text.strip()
    if not text or len(text) > 500:
        return ""
    if "://" in text:
        try:
            text = urlsplit(text).path
        except ValueError:
            return ""
    elif match := _SCP_URL.match(text):
        text = match[1]
    return text.strip("/").removesuffix(".git").removeprefix("repos/")


def branch_name(ref: str) -> str:
    """A branch without `refs/heads/` or `origin/`; empty for tags and pull-request refs."""
    ref = ref.strip()
    if ref.startswith(("refs/tags/", "refs/pull/", "refs/merge-requests/")):
        return ""
    for prefix in ("refs/heads/", "refs/remotes/", "remotes/", "origin/"):
        ref = ref.removeprefix(prefix)
    return ref


def is_shared_branch(branch: str, default: str = "") -> bool:
    """Whether many changes target this branch, so that its name does not identify one."""
    lowered = branch.lower()
    return (
        not branch
        or lowered in DEFAULT_BRANCHES
        or branch == default
        or _RELEASE.match(lowered) is not None
    )


def commit(sha: object, scope: str = "", via: str = "commit", kind: str = "commit") -> Key | None:
    """A commit key of 7 to 64 hex digits; None for anything else and for an all-zero sha, which
    means a deleted ref."""
    plain = _sha(sha) if isinstance(sha, str) else ""
    return Key(kind, plain, scope, via) if plain else None


@lru_cache(maxsize=1024)
def _sha(text: str) -> str:
    """The hex digits of a commit in lower case; empty for anything else. An event looks at the same
    commit several times."""
    text = text.strip().lower()
    return text if _SHA.match(text) and text.strip("0") else ""


def offers(*keys: Key | None) -> tuple[Key, ...]:
    """The keys that are not None, each once, in order."""
    return _each_once([key for key in keys if key is not None])


def seeks(*wishes: Seek | Iterable[Seek] | None) -> tuple[Seek, ...]:
    """The seeks that are not None, each once, in order; iterables are flattened."""
    flat: list[Seek] = []
    for wish in wishes:
        if isinstance(wish, Seek):
            flat.append(wish)
        elif wish:
            flat.extend(wish)
    return _each_once(flat)


def _each_once(found: list[T]) -> tuple[T, ...]:
    """In order. Most lists have no more than one entry, which is not hashed."""
    return tuple(dict.fromkeys(found)) if len(found) > 1 else tuple(found)


def seek_commit(rule: Rule, sha: object, scope: str = "", via: str = "commit") -> Seek | None:
    """Seek the span that has (COMMIT) or built (BUILT) this commit."""
    key = commit(sha, scope, via, "built" if rule is Rule.BUILT else "commit")
    return Seek(rule, key) if key else None


def seek_branch(ref: str, scope: str, default: str = "") -> Seek | None:
    """Seek the open change of this branch; None for shared branches and tags."""
    branch = branch_name(ref)
    if is_shared_branch(branch, default):
        return None
    return Seek(Rule.BRANCH, Key("branch", branch, scope, "branch"))


def offer_heads(
    shas: Iterable[str], branch: str, scopes: Iterable[str], default: str = ""
) -> list[Key | None]:
    """Keys of a change's head commits, one for each repository that has them. Empty for a change
    from a shared branch of the same repository, such as a back-merge: its commits are merge commits
    of other changes. (`main` of a fork is often the branch of one change.)"""
    found = dict.fromkeys(scopes)
    if len(found) == 1 and branch and is_shared_branch(branch_name(branch), default):
        return []
    return [commit(sha, scope, "head commit") for sha in shas for scope in found]


def offer_branch(ref: str, scope: str, default: str = "") -> Key | None:
    """The key of a change's own branch; None for shared branches."""
    branch = branch_name(ref)
    return None if is_shared_branch(branch, default) else Key("branch", branch, scope, "branch")


def whole_number(text: str) -> int | None:
    """The number that a text of ASCII digits is; None if it is anything else (`²` is a digit to
    Python, too) or exceeds 64 bits."""
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return None
    return value if (value := int(text)) < 2**63 else None


def seek_change(number: object, scope: str, via: str = "") -> Seek | None:
    """Seek change (pull or merge request) `number` of the repository."""
    if isinstance(number, bool) or not isinstance(number, int | str):
        return None
    value = whole_number(str(number))
    return (
        None if value is None else Seek(Rule.CHANGE_NUMBER, Key("change", str(value), scope, via))
    )


def seek_parent(ref: str, via: str = "") -> Seek | None:
    """Seek the span that the sender named as parent."""
    ref = ref.strip()
    return Seek(Rule.EXPLICIT, Key("ref", ref[:400], "", via)) if ref else None


def seek_structure(key: str, via: str = "", link_only: bool = False) -> Seek:
    """Seek the span of the same tool that contains this one."""
    return Seek(Rule.STRUCTURE, Key("ref", key, "", via), link_only)


def seek_attempt(key: str) -> Seek:
    """Link to the attempt before this one, by its key."""
    return Seek(Rule.ATTEMPT, Key("ref", key), link_only=True)


def references(text: str, via: str) -> list[Seek]:
    """Every `vstrace-...` in a text, with all its shorter readings. `..-valuestream-1-fix-typo` may
    name the span `..-valuestream-1`: every prefix that ends at a dash is sought, and the longest
    known one wins. `jiracloud` also means `jira`."""
    found: list[Seek] = []
    for match in list(_REFERENCE.finditer(text[:TEXT_LIMIT]))[:MAX_REFERENCES]:
        parts = match[0].rstrip(".:/-").split("-")
        for length in range(len(parts), max(3, len(parts) - 12), -1):
            value = "-".join(parts[:length])
            for alias in dict.fromkeys((value, value.replace("-jiracloud-", "-jira-", 1))):
                found.append(Seek(Rule.REFERENCE, Key("ref", alias, "", via)))
    return found


def traceparents(text: str, via: str = "traceparent") -> list[Seek]:
    """Every W3C `traceparent` in a text: seeks that span, else its trace."""
    if "00-" not in text:
        return []
    found: list[Seek] = []
    for match in list(_TRACEPARENT.finditer(text[:TEXT_LIMIT]))[:MAX_REFERENCES]:
        trace, span = match.groups()
        found.append(Seek(Rule.TRACEPARENT, Key("w3c", f"{trace}-{span}", "", via)))
        found.append(Seek(Rule.TRACEPARENT, Key("w3c", trace, "", via)))
    return found


def closing_keywords(text: str, scope: str, via: str = "") -> list[Seek]:
    """`Closes #12`, `fixes acme/web#3`, `resolves https://host/acme/api/issues/4`."""
    lowered = text.lower()
    if not any(sign in lowered for sign in _NUMBER_SIGNS):
        return []
    found = []
    for match in list(_CLOSES.finditer(text[:TEXT_LIMIT]))[:MAX_REFERENCES]:
        repo = repository(match["repo"]) if match["repo"] else scope
        via_text = via or match[0].split()[0].lower().rstrip(":")
        found.append(Seek(Rule.CLOSES, Key("issue", str(int(match["number"])), repo, via_text)))
    return found


def issue_keys(text: str, via: str, *, any_case: bool = False) -> list[Seek]:
    """Ticket keys such as TP-3, and AB#12, as Azure Boards is named in other tools. They only link
    to a ticket that exists, so `UTF-8` is harmless."""
    text = text[:TEXT_LIMIT]
    patterns = []
    if _KEY_DASH.search(text):
        patterns.append(_BRANCH_ISSUE_KEY if any_case else _ISSUE_KEY)
    if "#" in text:
        patterns.append(_BOARD_KEY)
    found = [m[1].upper() for p in patterns for m in list(p.finditer(text))[:MAX_REFERENCES]]
    return [Seek(Rule.ISSUE_KEY, Key("issue_key", key, "", via)) for key in dict.fromkeys(found)]


def branch_number(branch: str, scope: str) -> Seek | None:
    """`123-fix-login` (GitLab) or `feature/123-x` names issue 123 of the same repository; that
    of a shared branch (`release/7`) is a version's."""
    name = branch_name(branch)
    match = None if is_shared_branch(name) else _BRANCH_NUMBER.search(name)
    if not match:
        return None
    return Seek(Rule.BRANCH_NUMBER, Key("issue", str(int(match[1])), scope, "branch"))


def change_refs(ref: str, scope: str) -> list[Seek]:
    """`refs/pull/7/merge`, `refs/merge-requests/7/head`, `gh-readonly-queue/main/pr-7-SHA`."""
    match = _CHANGE_REF.search(ref[:500]) if "/" in ref else None
    wish = seek_change(match[1] or match[2], scope, "ref") if match else None
    return [wish] if wish else []


def merge_messages(message: str, scope: str) -> list[Seek]:
    """`Merge pull request #7`, `See merge request g/p!7` and the squash title's `(#7)`."""
    if "#" not in message and "!" not in message:
        return []
    wishes = []
    for match in list(_MERGE_MESSAGE.finditer(message[:TEXT_LIMIT]))[:MAX_REFERENCES]:
        wish = seek_change(match[1] or match[2] or match[3], scope, "commit message")
        if wish:
            wishes.append(wish)
    return wishes


def commit_messages(messages: Iterable[str], scope: str, via: str = "commit message") -> list[Seek]:
    """Seeks from commit messages: merged changes, closed issues, tickets, references."""
    wishes: list[Seek] = []
    for message in messages:
        wishes += merge_messages(message, scope)
        wishes += closing_keywords(message, scope, via)
        wishes += mentions(message, via)
        wishes += issue_keys(message, via)
    return wishes


def proposed(branch: str, title: str, body: str, scope: str, via: str = "body") -> tuple[Seek, ...]:
    """Seeks from a change's branch, title and description; people see the field as `via`."""
    return seeks(
        mentions(branch, "branch"),
        mentions(title, "title"),
        mentions(body, via),
        closing_keywords(title, scope, "title"),
        closing_keywords(body, scope, via),
        issue_keys(branch, "branch", any_case=True),
        issue_keys(title, "title"),
        issue_keys(body, via),
        branch_number(branch, scope),
        bumped_commits(title),
    )


def pushed(
    shas: Iterable[str], branch: str, messages: Iterable[str], scope: str, default: str = ""
) -> tuple[Seek, ...]:
    """Seeks from a push to a branch: the change that it belongs to."""
    commits = (seek_commit(Rule.COMMIT, sha, scope) for sha in shas)
    return seeks(
        (wish for wish in commits if wish is not None),
        seek_branch(branch, scope, default),
        mentions(branch, "branch"),
        issue_keys(branch, "branch", any_case=True),
        branch_number(branch, scope),
        commit_messages(messages, scope),
        *map(bumped_commits, messages),
    )


def mentions(text: str, via: str) -> list[Seek]:
    """Seeks from any free text: references and traceparents."""
    if "vstrace-" not in text and "00-" not in text:
        return []
    return [*references(text, via), *traceparents(text, via)]
