"""Deliveries in the tools' own formats, put through parsing and the store without sockets.

The store is a database in memory, because the tests of arrival orders need hundreds of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.sources import github_payloads as gh
from tests.sources import gitlab_payloads as gl
from tests.sources import jenkins_payloads as jk
from tests.sources import jira_payloads as ji
from tests.sources.webhook_tools import RECEIVED
from tests.store.conftest import LINK_ROWS, SPAN_ROWS
from tests.store.ingesting import fold_anew, ingest
from tests.store.memory import database
from vs_tui.log.delivery import Intake
from vs_tui.model.teams import Teams
from vs_tui.model.vocabulary import Rule
from vs_tui.sources import github, gitlab, jenkins, jira
from vs_tui.sources.base import Inbound, Source
from vs_tui.sources.dispatch import intake_of, read, sources
from vs_tui.store.folding import transaction
from vs_tui.store.folding.span_folding import Context
from vs_tui.traces.correlation import LinkRules


def sent(source: Source, inbound: Inbound) -> Intake:
    """What the writer gets of a proven request."""
    return intake_of(source, inbound, read(source, inbound))


def from_github(event: str, body: Any) -> Intake:
    return sent(github.SOURCE, gh.inbound(event, body))


def from_gitlab(body: Any) -> Intake:
    return sent(gitlab.SOURCE, gl.inbound(body))


def from_jenkins(body: Any) -> Intake:
    return sent(jenkins.SOURCE, jk.inbound(body))


def from_jira(body: Any) -> Intake:
    return sent(jira.SOURCE, ji.inbound(body))


def posted(source: str, body: Any, at: int = RECEIVED or 0, **headers: str) -> Intake:
    """A body of any other source, by the source's name."""
    found = sources()[source]
    inbound = Inbound(found.paths[0], headers, json.dumps(body).encode(), at)
    return sent(found, inbound)


def custom(kind: str, number: object, action: str, clock: str, **more: Any) -> Intake:
    """A custom HTTP event on 2 March 2026."""
    body = {"type": kind, "id": str(number), "action": action, "timestamp": gh.stamp(clock)}
    return posted("customhttp", body | more)


def decided(action: str, child: str, parent: str, second: int = 0) -> Intake:
    """A person's decision about a link."""
    body = {"action": action, "child": child, "parent": parent}
    return posted("user", body, (RECEIVED or 0) + second * 1_000_000)


class World:
    """A store in memory and what it has made of the deliveries so far."""

    def __init__(
        self, disabled: Iterable[Rule] = (), teams: Teams | None = None, **links: Any
    ) -> None:
        self.db = database()
        context = Context(now=RECEIVED or 0, seq=0, teams=teams or Teams())
        self.folding = transaction.Folding(context, links=LinkRules(frozenset(disabled), **links))

    def deliver(self, *groups: Intake | Sequence[Intake]) -> World:
        """Commit deliveries one by one, a list of them in one transaction."""
        for group in groups:
            intakes = [group] if isinstance(group, Intake) else list(group)
            self.db.execute("BEGIN IMMEDIATE")
            ingest(self.db, intakes, self.folding)
            self.db.execute("COMMIT")
        return self

    def rebuild(self) -> World:
        self.db.execute("BEGIN IMMEDIATE")
        fold_anew(self.db, self.folding)
        self.db.execute("COMMIT")
        return self

    def rows(self) -> tuple[list[Any], list[Any]]:
        """Everything derived that has a meaning."""
        return self.db.execute(SPAN_ROWS).fetchall(), self.db.execute(LINK_ROWS).fetchall()

    def parents(self) -> dict[str, str]:
        """Short ref -> its parent's, phases and steps left out."""
        sql = (
            "SELECT s.ref, COALESCE(p.ref, '') FROM spans s LEFT JOIN spans p "
            "ON p.key = s.parent_key WHERE s.operation <> 'stage'"
        )
        return {short(child): short(parent) for child, parent in self.db.execute(sql)}

    def links(self) -> dict[tuple[str, str], str]:
        """(child, other) -> rule, of links that are no parents."""
        sql = (
            "SELECT c.ref, p.ref, l.rule FROM links l JOIN spans c ON c.key = l.child "
            "JOIN spans p ON p.key = l.parent WHERE l.is_primary = 0 AND c.operation <> 'stage'"
        )
        return {(short(c), short(p)): rule for c, p, rule in self.db.execute(sql)}

    def rule(self, child: str) -> str:
        """The rule that gave a span its parent; `` for a root."""
        sql = (
            "SELECT l.rule FROM links l JOIN spans c ON c.key = l.child "
            "WHERE l.is_primary = 1 AND c.ref = ?"
        )
        found = self.db.execute(sql, (f"vstrace-{child}",)).fetchone()
        return found[0] if found else ""

    def why(self, child: str, parent: str) -> str:
        sql = (
            "SELECT l.why FROM links l JOIN spans c ON c.key = l.child "
            "JOIN spans p ON p.key = l.parent WHERE c.ref = ? AND p.ref = ?"
        )
        names = (f"vstrace-{child}", f"vstrace-{parent}")
        found: str = self.db.execute(sql, names).fetchone()[0]
        return found

    def traces(self) -> int:
        """How many traces there are."""
        found: int = self.db.execute("SELECT COUNT(DISTINCT trace_id) FROM spans").fetchone()[0]
        return found


def short(ref: str) -> str:
    """`vstrace-github-issue-api-12` as `github-issue-api-12`."""
    return ref.removeprefix("vstrace-")


@dataclass(frozen=True)
class Scenario:
    """Deliveries, and the tree that they make in whatever order."""

    name: str
    deliveries: Sequence[Intake]
    parents: Mapping[str, str]
    links: Mapping[tuple[str, str], str] = field(default_factory=dict)
    exact: bool = False
    """Whether `links` are all there are."""


def again(intake: Intake, number: int) -> Intake:
    """The same delivery from a second hook: another id, the same events."""
    return intake._replace(dedupe=f"id:copy-{number}")
