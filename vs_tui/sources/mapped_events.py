"""Makes the events of mapped sources from the evaluated fields of a rule."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from vs_tui.model import keys
from vs_tui.model.application_commits import APPLICATION, commit_in
from vs_tui.model.artifacts import offer_version, seek_version
from vs_tui.model.time import Instant, parse_instant
from vs_tui.model.vocabulary import Event, Key, Operation, Scalar, Seek, State
from vs_tui.model.vocabulary import Rule as LinkRule
from vs_tui.sources.base import defaults
from vs_tui.sources.expressions import Evaluation, Expression
from vs_tui.sources.fields import exact, known, web_url

STATES: Final[Mapping[str, State]] = {state.name.lower(): state for state in State}
OPERATIONS: Final = frozenset(operation.value for operation in Operation)
MAX_TAGS: Final = 100
_CUSTOM: Final = re.compile(r"[a-z0-9][a-z0-9_.]{0,49}")
_ISSUE_KEY: Final = re.compile(r"[A-Z][A-Z0-9_]{1,15}-[1-9]\d{0,6}")
_MAKES_VERSIONS: Final = frozenset(
    {Operation.BUILD, Operation.PIPELINE, Operation.RELEASE, Operation.DEPLOY}
)
"""Operations that make or ship a version; tests and incidents only look for one."""


class Rule(NamedTuple):
    """One compiled `events` table."""

    place: str
    when: Expression | None
    each: Expression | None
    operation: str | Expression | None
    state: State | Expression | None
    states: Mapping[str, State]
    """The tool's word in lower case -> its state."""
    fields: Mapping[str, Expression | None]
    tags: Expression | None
    named_tags: Mapping[str, Expression]


class _Read(NamedTuple):
    """Evaluates the fields of one event."""

    run: Evaluation
    rule: Rule
    root: Any

    def value(self, field: str) -> Any:
        return self.run.value(self.rule.fields.get(field), self.root)

    def text(self, field: str, limit: int = 500) -> str:
        return text_of(self.value(field), limit)

    def services(self) -> tuple[str, str]:
        """The service, and if they are a list, all of them, one a line."""
        value = self.value("service")
        if not isinstance(value, list):
            return text_of(value, 200), ""
        named = dict.fromkeys(filter(None, (text_of(each, 200) for each in value[:MAX_TAGS])))
        return next(iter(named), ""), "\n".join(named)

    def time(self, field: str) -> Instant | None:
        return parse_instant(self.value(field))

    def missing(self, field: str) -> str:
        """The reason for a missing field; a leading `!` sends the delivery to quarantine."""
        expression = self.rule.fields.get(field)
        return f"!{self.rule.place}: {field} is missing ({expression.text if expression else ''})"


def event_of(source: str, rule: Rule, run: Evaluation, root: Any) -> tuple[list[Event], str]:
    """The events of a rule: the event, preceded by its default name if it has none. Returns no
    event, and the reason, if the body lacks a required field."""
    read = _Read(run, rule, root)
    state, reason = _state(read)
    if state is None:
        return [], reason
    identifier = read.text("id", 200)
    if not identifier:
        return [], read.missing("id")
    operation = _operation(read)
    if not operation:
        return [], f"!{rule.place}: operation is missing or no plain word"
    return _events(source, operation, state, identifier, read), ""


def text_of(value: Any, limit: int = 500) -> str:
    """A text, or a number as digits; empty for other values. NULs are replaced."""
    if isinstance(value, str):
        return value[:limit].strip().replace("\0", "\ufffd")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    exact(value)
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)[:limit]


def _operation(read: _Read) -> str:
    stated = read.rule.operation
    if isinstance(stated, str):
        return stated
    word = text_of(read.run.value(stated, read.root), 50).lower().replace(" ", "_")
    return word if _CUSTOM.fullmatch(word) else ""


def _state(read: _Read) -> tuple[State | None, str]:
    stated = read.rule.state
    if isinstance(stated, State):
        return stated, ""
    word = text_of(read.run.value(stated, read.root), 100).lower()
    found = (read.rule.states or STATES).get(word)
    if found is not None:
        return found, ""
    if not word:
        text = stated.text if stated else ""
        return None, f"!{read.rule.place}: state is missing ({text})"
    return None, f"{read.rule.place}: the state {word!r} is not in its states"


def _events(source: str, operation: str, state: State, identifier: str, read: _Read) -> list[Event]:
    started, ended, stated = read.time("started_at"), read.time("ended_at"), read.time("at")
    service, services = read.services()
    environment = read.text("environment", 200)
    version, branch = read.text("version", 200), keys.branch_name(read.text("branch", 300))
    place = read.text("repository")
    path = keys.repository_path(place)
    name, sha = read.text("name"), read.text("commit", 64)
    sha = sha if keys.commit(sha) else ""
    if operation == Operation.DEPLOY and not service:
        service = path.rpartition("/")[2]
    project = read.text("project", 200) or path or service
    occurred = (
        (ended if state.terminal else None) or stated or (None if state.terminal else started)
    )
    event = Event(
        key=keys.reference(source, operation, read.text("namespace", 200), identifier),
        source=source,
        operation=operation,
        state=state,
        occurred_at=occurred or read.run.inbound.received_at,
        as_of=max(stated or 0, occurred or 0),
        started_at=started,
        supersedes=read.value("reopens") is True,
        stage="" if state.terminal else read.text("stage", 100),
        name=name,
        project=project,
        service=service,
        environment=environment,
        actor=read.text("actor", 200),
        url=web_url(read.text("url", 2000)),
        attempt=_attempt(read.value("attempt")),
        error=(read.text("error", 200) or "failure") if state is State.ERROR else "",
        attributes={
            **dict(_tags(read)),
            **known(
                service__name=service,
                service__version=version,
                vs__incident__services=services if operation == Operation.INCIDENT else None,
                deployment__environment__name=environment,
                vcs__repository__url__full=place if "://" in place else None,
                vcs__ref__head__name=branch,
                vcs__ref__head__revision=sha,
                vs__version=version,
            ),
        },
        offers=_offers(operation, identifier, sha, path.lower(), service, version),
        seeks=_seeks(source, operation, name, sha, branch, path.lower(), service, version, read),
    )
    if name:
        return [event]
    return [defaults(event, name=_name(operation, service, environment), project=project), event]


def _name(operation: str, service: str, environment: str) -> str:
    if operation == Operation.DEPLOY and service and environment:
        return f"{service} to {environment}"
    return f"{operation} {service}".rstrip()


def _attempt(value: Any) -> int:
    number = keys.whole_number(value) if isinstance(value, str) else value
    is_number = isinstance(number, int) and not isinstance(number, bool)
    return int(number) if is_number and number and 1 <= number <= 10_000 else 1


def _offers(
    operation: str, identifier: str, sha: str, repo: str, service: str, version: str
) -> tuple[Key, ...]:
    """Keys by which other spans find it."""
    found: list[Key | None] = []
    if operation in (Operation.BUILD, Operation.PIPELINE, Operation.RELEASE) and sha:
        found.append(keys.commit(sha, repo, "commit", "built"))
    if operation in _MAKES_VERSIONS:
        found += offer_version(service, version, repo)
    if operation == Operation.ISSUE and _ISSUE_KEY.fullmatch(identifier):
        found.append(Key("issue_key", identifier, "", "ticket"))
    return keys.offers(*found)


def _seeks(
    source: str,
    operation: str,
    name: str,
    sha: str,
    branch: str,
    repo: str,
    service: str,
    version: str,
    read: _Read,
) -> tuple[Seek, ...]:
    parent, retried = (
        f"vstrace-{source}-{said}" if said and not said.startswith("vstrace-") else said
        for said in (read.text("parent", 400), read.text("retry_of", 400))
    )
    # The tag of an image may name the commit of another repository than that of the deploy.
    tagged = commit_in(version) if operation == Operation.DEPLOY else ""
    ships = operation in (Operation.DEPLOY, Operation.INCIDENT)
    return keys.seeks(
        keys.seek_parent(parent, "parent"),
        keys.seek_attempt(retried) if retried else None,
        keys.traceparents(read.text("traceparent", 200)),
        keys.mentions(f"{name} {branch}", "name"),
        keys.issue_keys(branch, "branch", any_case=True),
        keys.issue_keys(name, "name") if operation != Operation.ISSUE else None,
        keys.change_refs(branch, repo) if repo else None,
        keys.seek_commit(LinkRule.COMMIT, sha, repo) if sha else None,
        keys.seek_commit(LinkRule.BUILT, sha, repo) if sha and ships else None,
        keys.seek_branch(branch, repo) if repo else None,
        keys.seek_commit(LinkRule.COMMIT, tagged, via=APPLICATION) if tagged else None,
        keys.seek_commit(LinkRule.BUILT, tagged) if tagged else None,
        seek_version(service, version, repo),
    )


def _tags(read: _Read) -> Iterator[tuple[str, Scalar]]:
    """The named tags, and those of the `tags` expression: an object, a list of `name:value`, or a
    list of objects with `key` (or `name`) and `value`."""
    pairs = [(name, read.run.value(text, read.root)) for name, text in read.rule.named_tags.items()]
    found = read.run.value(read.rule.tags, read.root)
    if isinstance(found, dict):
        pairs += found.items()
    elif isinstance(found, str):
        pairs += [tag.strip().partition(":")[::2] for tag in found.split(",")]
    elif isinstance(found, list):
        pairs += [_pair(tag) for tag in found]
    for name, value in pairs[:MAX_TAGS]:
        scalar = _scalar(value)
        if isinstance(name, str) and name and scalar is not None:
            yield name[:100].replace("\0", "\ufffd"), scalar


def _pair(tag: Any) -> tuple[Any, Any]:
    if isinstance(tag, dict):
        return tag.get("key") or tag.get("name"), tag.get("value")
    name, colon, value = tag.partition(":") if isinstance(tag, str) else ("", "", "")
    return name, value if colon else True


def _scalar(value: Any) -> Scalar | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if abs(value) < 2**63 else None
    return value[:2000].replace("\0", "\ufffd") if isinstance(value, str) and value else None
