"""A database of spans made from events, with the read models kept or made anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vs_tui.metrics.windows import Window
from vs_tui.model.teams import Environments, Team, Teams
from vs_tui.model.time import MINUTE, Instant
from vs_tui.model.vocabulary import Event, Key, Rule, Seek, State
from vs_tui.store.folding.crowded_keys import is_waiting
from vs_tui.store.folding.span_folding import Context
from vs_tui.store.folding.transaction import Folding, fold_and_link, link_waiting, next_seq
from vs_tui.store.maintenance.retention import prune_traces
from vs_tui.store.metrics.keeper import MetricsKeeper
from vs_tui.store.schema import open_writer

TEAMS = Teams((Team("core", ("acme/api",)), Team("web", ("acme/web",)), Team("idle", ("x",))))


class Database:
    """One file; `tell` folds events as a delivery would."""

    def __init__(self, path: Path, teams: Teams = TEAMS) -> None:
        self.path = path
        self.teams = teams
        self.keeper = MetricsKeeper(Environments(), teams.teams)
        self.db = open_writer(path)
        context = Context(now=1 << 60, seq=0, teams=teams)
        self.folding = Folding(context, after_fold=(self.keeper.after_fold,))
        self.adopt()

    def tell(self, *events: Event, more: bool = False) -> None:
        """Fold events; with `more`, as if other deliveries waited."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            self.folding.context.seq = next_seq(self.db)
            fold_and_link(self.db, events, self.folding, more=more)
        except BaseException:  # else whatever copies into this database next waits for ever
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def settle(self) -> None:
        """Judge what waits for it, as the projector does between deliveries."""
        while is_waiting(self.db):
            self.db.execute("BEGIN IMMEDIATE")
            link_waiting(self.db, self.folding)
            self.db.execute("COMMIT")

    def prune(self, before: Instant) -> None:
        """Delete the traces that ended before, all of them."""
        pruned, after = prune_traces(self.db, before, None)
        while pruned.traces or after is not None:
            pruned, after = prune_traces(self.db, before, after)
        self.folding.cache.clear()

    def adopt(self, keeper: MetricsKeeper | None = None) -> int:
        """Judge what is not judged by this keeper's configuration; in how many steps."""
        self.keeper = keeper or self.keeper
        self.folding.after_fold = (self.keeper.after_fold,)
        steps = 1
        self.db.execute("BEGIN IMMEDIATE")
        while self.keeper.adopt_some(self.db):
            steps += 1
        self.db.execute("COMMIT")
        return steps

    def rebuild(self) -> None:
        """Judge everything again, as after a fault."""
        self.db.execute("UPDATE meta SET value = 'broken' WHERE name = 'dora'")
        self.adopt()

    def kept(self) -> dict[str, list[Any]]:
        """Everything that the read models say; places by name, as ids depend on the order."""
        self.settle()
        places = {
            row[0]: row[1:]
            for row in self.db.execute(
                "SELECT id, team, project, service, environment, product FROM dora_places"
            )
        }
        place = {"dora_deployments": 3, "dora_changes": 5, "dora_signals": 7}
        found = {
            table: sorted(
                (
                    (*row[: place[table]], places[row[place[table]]], *row[place[table] + 1 :])
                    for row in self.db.execute(f"SELECT * FROM {table}")
                ),
                key=repr,
            )
            for table in place
        }
        for table in ("dora_incidents", "dora_work"):
            found[table] = self.db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
        return found


def _span(
    key: str, operation: str, began: Instant | None, ended: Instant | None, ok: bool, **more: Any
) -> list[Event]:
    values = {"key": key, "source": "customhttp", "operation": operation, "name": key, **more}
    events = []
    if began is not None:
        events.append(Event(state=State.RUNNING, occurred_at=began, started_at=began, **values))
    if ended is not None:
        state = State.OK if ok else State.ERROR
        events.append(Event(state=state, occurred_at=ended, **values))
    return events


def deploy(
    number: int,
    ended: Instant,
    ok: bool = True,
    *,
    service: str = "api",
    project: str = "",
    version: str = "",
    retry_of: str = "",
    environment: str = "prod",
    took: int = MINUTE,
    seeks: Sequence[Seek] = (),
    **attributes: Any,
) -> list[Event]:
    if version:
        attributes["vs.version"] = version
    if retry_of:
        seeks = (*seeks, Seek(Rule.ATTEMPT, Key("ref", retry_of), link_only=True))
    return _span(
        f"deploy-{number}",
        "deploy",
        ended - took,
        ended,
        ok,
        project=project or f"acme/{service}",
        service=service,
        environment=environment,
        attributes=attributes,
        seeks=tuple(seeks),
    )


def deploy_again(
    number: int, ended: Instant, ok: bool = True, *, service: str = "api", attempt: int = 1
) -> list[Event]:
    """The same deploy begins anew after its end."""
    again = deploy(number, ended, ok, service=service)
    return [event._replace(supersedes=True, attempt=attempt) for event in again]


def test_run(
    number: int, ended: Instant, ok: bool, *, service: str = "api", environment: str = "prod"
) -> list[Event]:
    return _span(
        f"test-{number}",
        "test",
        ended - MINUTE,
        ended,
        ok,
        project=f"acme/{service}",
        service=service,
        environment=environment,
        attributes={"vs.suite": "smoke"},
    )


test_run.__test__ = False  # type: ignore[attr-defined]


def incident(
    number: int, began: Instant, ended: Instant | None, *, service: str = "api", version: str = ""
) -> list[Event]:
    return _span(
        f"incident-{number}",
        "incident",
        began,
        ended,
        True,
        project=f"acme/{service}",
        service=service,
        environment="prod",
        attributes={"vs.version": version} if version else {},
    )


def build(number: int, began: Instant, *, service: str = "api", version: str = "") -> list[Event]:
    offers = (Key("artifact", f"{service}@{version}", "", "build"),) if version else ()
    return _span(
        f"build-{number}",
        "build",
        began,
        began + MINUTE,
        True,
        project=f"acme/{service}",
        service=service,
        attributes={"vs.version": version} if version else {},
        offers=offers,
    )


def merge(
    number: int, opened: Instant, merged: Instant, *, service: str = "api", actor: str = "ada"
) -> list[Event]:
    return _span(
        f"pr-{number}",
        "pull_request",
        opened,
        merged,
        True,
        project=f"acme/{service}",
        actor=actor,
        attributes={"vcs.change.title": f"change {number}"},
    )


def over(since: Instant, until: Instant) -> Window:
    return Window(since, until, until)
