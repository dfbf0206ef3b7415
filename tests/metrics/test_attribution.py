"""The deployment that an incident is about: its link in the trace and the failure that is counted
are one decision."""

from __future__ import annotations

import sqlite3
from random import Random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.metrics.deliveries import Database, deploy
from vs_tui.metrics.rules import MetricRules
from vs_tui.model.teams import Environments
from vs_tui.model.time import HOUR, MINUTE
from vs_tui.model.vocabulary import CUT_PREFIX, Event, State
from vs_tui.store.maintenance.sweeper import adopt_incidents
from vs_tui.store.metrics.keeper import MetricsKeeper
from vs_tui.traces.correlation import LinkRules

BEGIN = 1_772_438_400_000_000


def at(minute: int) -> int:
    return BEGIN + minute * MINUTE


def alert(name: object, minute: int, **more: object) -> list[Event]:
    values: dict = {"project": "acme/api", "service": "api", "environment": "prod", **more}
    attributes = {key: values.pop(key) for key in list(values) if "." in key}
    began = at(minute)
    return [
        Event(
            key=f"alert-{name}",
            source="customhttp",
            operation="incident",
            name="alert",
            state=State.RUNNING,
            occurred_at=began,
            started_at=began,
            attributes=attributes,
            **values,
        )
    ]


class Incidents(Database):
    """A database that links and judges by one window."""

    def __init__(self, path, window: int = 24 * HOUR) -> None:
        super().__init__(path)
        self.judge_by(window)

    def judge_by(self, window: int) -> None:
        rules = MetricRules(window)
        links = self.folding.links = LinkRules(incident_window=window, metrics=rules)
        self.keeper = MetricsKeeper(Environments(), self.teams.teams, rules, links)
        self.folding.after_fold = (self.keeper.after_fold,)
        self.db.execute("BEGIN")
        while adopt_incidents(self.db, self.folding):
            pass
        while self.keeper.adopt_some(self.db):
            pass
        self.db.execute("COMMIT")

    def linked(self) -> set[tuple[str, str]]:
        """(incident, deploy) of the links by time."""
        sql = "SELECT child, parent FROM links WHERE rule = 'proximity'"
        return set(self.db.execute(sql))

    def counted(self) -> set[tuple[str, str]]:
        """(incident, deployment) of the failures that are counted."""
        sql = (
            "SELECT s.span, d.span FROM dora_signals s JOIN dora_deployments d "
            "ON d.key = s.deployment WHERE s.kind = 'incident'"
        )
        return set(self.db.execute(sql))


@pytest.fixture
def base(tmp_path):
    found = Incidents(tmp_path / "vs.db")
    yield found
    found.db.close()


def test_an_alert_after_a_failed_deploy_is_about_that_one(base) -> None:
    base.tell(*deploy(1, at(0)), *deploy(2, at(60), ok=False), *alert(1, 62))
    assert base.linked() == base.counted() == {("alert-1", "deploy-2")}


def test_an_alert_in_the_middle_of_a_rollout_is_about_the_rollout(base) -> None:
    began, ended = deploy(2, at(90), took=30 * MINUTE)
    base.tell(*deploy(1, at(0)), began, *alert(1, 70))
    assert base.linked() == {("alert-1", "deploy-2")}
    assert base.counted() == set(), "no failure yet, and the one before is innocent"
    base.tell(ended)
    assert base.linked() == base.counted() == {("alert-1", "deploy-2")}


def test_an_incident_that_names_an_unknown_deployment_is_about_none(base) -> None:
    base.tell(*deploy(1, at(0)), *alert(1, 5, **{"deployment.id": "42"}))
    assert base.linked() == base.counted() == set()


def test_an_alert_about_another_version_is_not_about_the_newest_deploy(base) -> None:
    base.tell(*deploy(1, at(0), version="1"), *deploy(2, at(60), version="2"))
    base.tell(*alert(1, 62, **{"vs.version": "3"}))
    assert base.linked() == base.counted() == set()


def test_a_service_of_that_name_in_another_repository_is_innocent(base) -> None:
    base.tell(*deploy(1, at(0)), *deploy(2, at(30), project="acme/web"), *alert(1, 40))
    assert base.linked() == base.counted() == {("alert-1", "deploy-1")}


@pytest.mark.parametrize("by_rebuild", [False, True])
def test_the_window_is_one_for_the_link_and_the_number(base, by_rebuild) -> None:
    base.tell(*deploy(1, at(0)), *alert("a", 60), *alert("b", 5 * 60), *alert("c", 25 * 60))
    names = {24 * HOUR: "ab", 4 * HOUR: "a", 0: "", 26 * HOUR: "abc"}
    for window, about in names.items():
        base.judge_by(window)
        if by_rebuild:
            base.rebuild()
        assert base.linked() == base.counted() == {(f"alert-{n}", "deploy-1") for n in about}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("environment", ["", "live-eu"])
def test_an_attempt_that_never_ended_is_not_linked_beside_its_retry(
    base, environment, reverse
) -> None:
    first = deploy(1, at(23), took=29 * MINUTE, environment="live-eu", version="2")[:1]
    retry = deploy(
        2, at(19), ok=False, took=10 * MINUTE, environment="live-eu", retry_of="deploy-1"
    )
    other = deploy(3, at(3), took=20 * MINUTE, environment="live-us")[:1]
    alerts = [*alert(1, 1, environment=environment), *alert(2, 12, environment="live-us")]
    events = [*first, *retry, *other, *alerts]
    for event in reversed(events) if reverse else events:
        base.tell(event)
    assert base.counted() == {("alert-1", "deploy-2")}
    assert base.linked() == {("alert-1", "deploy-2"), ("alert-2", "deploy-3")}
    base.rebuild()
    assert base.linked() == {("alert-1", "deploy-2"), ("alert-2", "deploy-3")}


@pytest.mark.parametrize("reverse", [False, True])
def test_of_deploys_at_once_the_link_names_the_one_that_the_number_names(base, reverse) -> None:
    """Two deploys of one version that overlap are one deployment; it is named by its last end."""
    rollout = deploy(1, at(30), took=30 * MINUTE, version="1")
    within = deploy(2, at(20), took=5 * MINUTE, version="1")
    alerts = [*alert(1, 5), *alert(2, 17), *alert(3, 40)]
    events = [*rollout, *within, *alerts]
    for event in reversed(events) if reverse else events:
        base.tell(event)
    pairs = {(f"alert-{number}", "deploy-1") for number in (1, 2, 3)}
    assert base.linked() == base.counted() == pairs
    base.rebuild()
    assert base.linked() == base.counted() == pairs
    base.tell(*deploy(3, at(45), took=20 * MINUTE, version="1"))
    pairs = {(alert, "deploy-3") for alert, _ in pairs}
    assert base.linked() == base.counted() == pairs


def decided(child: str, parent: str, value: int) -> Event:
    """What a person decides about a link; 0 undoes a cut."""
    return Event(
        key=child,
        source="",
        operation="",
        state=State.NOTE,
        occurred_at=at(100 if value else 101),
        attributes={f"{CUT_PREFIX}{parent}": value},
    )


def cut_and_undo(base: Incidents) -> None:
    """Cut each incident off the deployment that is blamed, one after the other, and undo it."""
    linked, counted, kept = base.linked(), base.counted(), base.kept()
    for child, parent in sorted(linked | counted):
        base.tell(decided(child, parent, at(100)))
        assert base.linked() == linked - {(child, parent)}
        assert base.counted() == counted - {(child, parent)}, "nor is another one blamed instead"
        base.tell(decided(child, parent, 0))
        assert (base.linked(), base.counted(), base.kept()) == (linked, counted, kept)


DEPLOYS = st.tuples(
    st.integers(1, 40),
    st.integers(0, 9),
    st.sampled_from(("prod", "live-eu", "staging")),
    st.sampled_from(("acme/api", "acme/api", "acme/web", "shop")),
    st.sampled_from(("", "", "1", "2")),
    st.sampled_from((True, False, None)),
)
ALERTS = st.tuples(
    st.integers(1, 50),
    st.sampled_from(("prod", "Production", "live-eu", "", "")),
    st.sampled_from(("acme/api", "shop", "")),
    st.sampled_from(("api", "api", "")),
    st.sampled_from(("", "", "", "2")),
)


class Stories:
    """One database that begins anew for each story, because making one takes most of the time."""

    def __init__(self, path) -> None:
        self.base = Incidents(path, 20 * MINUTE)
        self.base.db.execute("PRAGMA synchronous = OFF")
        self.empty = sqlite3.connect(":memory:")
        self.base.db.backup(self.empty)

    def begin(self) -> Incidents:
        self.empty.backup(self.base.db)
        self.base.folding.cache.clear()
        return self.base


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    found = Stories(tmp_path_factory.mktemp("stories") / "vs.db")
    yield found
    found.base.db.close()


@settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(DEPLOYS, min_size=1, max_size=5, unique_by=lambda d: d[0]),
    st.lists(ALERTS, min_size=1, max_size=3),
    st.randoms(use_true_random=False),
    st.integers(1, 6),
)
@example(
    [(30, 30, "prod", "acme/api", "1", True), (20, 9, "prod", "acme/api", "1", True)],
    [(5, "prod", "acme/api", "api", ""), (31, "prod", "acme/api", "api", "")],
    Random(1),
    1,
)
@example(  # the latest that had begun ended before the last success
    [
        (1, 0, "prod", "acme/api", "", False),
        (24, 0, "prod", "acme/api", "", False),
        (25, 2, "prod", "acme/api", "", True),
    ],
    [(26, "prod", "acme/api", "api", "")],
    Random(0),
    4,
)
@example(
    [
        (1, 0, "prod", "acme/api", "", False),
        (24, 0, "prod", "acme/api", "", False),
        (25, 2, "prod", "acme/api", "", True),
    ],
    [(26, "prod", "acme/api", "api", "")],
    Random(0),
    4,
)
@example(
    [(2, 0, "staging", "acme/api", "", None), (1, 9, "prod", "acme/api", "", None)],
    [(13, "", "acme/api", "api", "")],
    Random(0),
    1,
)
def test_link_and_number_agree_in_any_order(stories, deploys, alerts, random, size) -> None:
    """Whatever was deployed where, and however little an alert says."""
    events: list[Event] = []
    over = set()
    for number, (minute, took, environment, project, version, ok) in enumerate(deploys):
        told = deploy(
            number,
            at(minute),
            bool(ok),
            took=took * MINUTE,
            project=project,
            environment=environment,
            version=version,
        )
        events += told if ok is not None else told[:1]
        if ok is not None and environment != "staging":
            over.add(f"deploy-{number}")
    for number, (minute, environment, project, service, version) in enumerate(alerts):
        more = {"vs.version": version} if version else {}
        places = {"environment": environment, "project": project, "service": service}
        events += alert(number, minute, **places, **more)
    found = []
    for _ in range(2):
        base = stories.begin()
        for begin in range(0, len(events), size):
            base.tell(*events[begin : begin + size])
        found.append((base.linked(), base.counted(), base.kept()))
        cut_and_undo(base)
        random.shuffle(events)
    assert found[0] == found[1]
    linked, counted, _ = found[0]
    by_name = counted - linked  # a link that names the version says more than the time
    assert all(deploys[int(deploy.split("-")[1])][4] for _, deploy in by_name)
    assert {pair for pair in linked if pair[1] in over} == counted - by_name
