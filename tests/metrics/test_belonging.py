"""Which deployment a test or an incident is about, told as scripts tell it."""

import orjson
import pytest

from tests.metrics.deliveries import TEAMS, Database, over
from tests.metrics.world import t
from vs_tui.model.time import DAY
from vs_tui.sources import customhttp, emmetrics
from vs_tui.sources.base import Inbound
from vs_tui.store.metrics.scorecards import read_scorecards

BEGIN = t("00:00")
WINDOW = over(BEGIN, BEGIN + DAY)


@pytest.fixture
def base(tmp_path):
    opened = Database(tmp_path / "metrics.db")
    yield opened
    opened.db.close()


def tell(base: Database, kind: str, began: str, ended: str = "", ok: bool = True, **tags) -> None:
    """One span of namespace acme/api from `began` to `ended`."""
    parent = tags.pop("parent", "")
    about = {"service": "api", "environment": "prod", **tags}
    about = {name: value for name, value in about.items() if value}
    told = {"type": kind, "id": f"{kind} {began} {tags}", "namespace": "acme/api", "tags": about}
    for action, clock in (("start", began), ("end", ended)):
        if clock:
            at = f"2026-03-02T{clock}:00Z"
            body = {**told, "action": action, "timestamp": at, "parentid": parent, "error": not ok}
            base.tell(*customhttp.SOURCE.parse(inbound(body)).events)


def inbound(body) -> Inbound:
    return Inbound("/customhttp", {}, orjson.dumps(body), BEGIN)


def figures(base: Database):
    kept = base.kept()
    base.rebuild()
    assert kept == base.kept()
    return read_scorecards(base.db, WINDOW, teams=TEAMS, by="all")[0].figures


def failed(base: Database) -> tuple[int, int]:
    found = figures(base)["fail"]
    return found.hits, found.n


@pytest.mark.parametrize(
    ("environment", "hits"),
    [("staging", 0), ("", 0), ("prod", 1), ("Production", 1), ("prd", 1), ("live", 0)],
)
@pytest.mark.parametrize("first", ["deploy", "test"])
def test_a_test_of_the_version_elsewhere_changes_nothing(base, environment, hits, first) -> None:
    """Its version alone does not make it a test of production."""
    told = {
        "deploy": lambda: tell(base, "deploy", "09:50", "10:00", version="4"),
        "test": lambda: tell(
            base, "test", "10:01", "10:05", False, version="4", environment=environment
        ),
    }
    for kind in (first, *(told.keys() - {first})):
        told[kind]()
    assert failed(base) == (hits, 1)


def test_a_test_below_its_deploy_is_about_it_whatever_it_names(base) -> None:
    deploy = "vstrace-customhttp-deploy-acme/api-1"
    body = {"type": "deploy", "id": "1", "namespace": "acme/api", "action": "end"}
    body |= {"timestamp": "2026-03-02T10:00:00Z", "tags": {"service": "api", "environment": "prod"}}
    base.tell(*customhttp.SOURCE.parse(inbound(body)).events)
    tell(base, "test", "10:01", "10:05", False, parent=deploy, environment="staging")
    assert failed(base) == (0, 1), "a staging test is none of production's wherever it hangs"
    tell(base, "test", "10:01", "10:05", False, parent=deploy, environment="", service="")
    assert failed(base) == (1, 1)


def test_a_test_of_the_version_before_says_nothing_about_the_next_deployment(base) -> None:
    tell(base, "deploy", "09:50", "10:00", version="1")
    tell(base, "deploy", "10:50", "11:00", version="2")
    tell(base, "test", "11:01", "11:05", False, version="1")
    assert failed(base) == (0, 2)


@pytest.mark.parametrize(
    ("environment", "hits"), [("staging", 0), ("", 1), ("prod", 1), ("PRODUCTION", 1), ("live", 1)]
)
def test_an_incident_of_the_version_counts_where_it_is(base, environment, hits) -> None:
    tell(base, "deploy", "09:30", "09:40", version="4", environment="staging")
    tell(base, "deploy", "09:50", "10:00", version="4")
    tell(base, "incident", "10:05", "10:10", version="4", environment=environment)
    assert failed(base) == (hits, 1)
    tell(base, "deploy", "10:20", "10:30", version="5")
    tell(base, "incident", "10:40", "10:50", version="4", environment=environment)
    assert failed(base) == (hits, 2), "by its version, not by its time"


def test_incidents_of_other_environments_are_not_counted(base) -> None:
    tell(base, "deploy", "09:50", "10:00")
    for clock, environment in (("10:10", "prod"), ("10:20", "staging"), ("10:30", "")):
        tell(base, "incident", clock, "11:00", environment=environment)
    beside = read_scorecards(base.db, WINDOW, teams=TEAMS, by="all", beside=True)[0].beside
    assert (beside.incidents, beside.time_to_detect.n) == (2, 2)


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        ([], (0, 0)),
        ([("restored", "10:30")], (1, 0)),
        ([("finished", "10:30")], (1, 1)),
        ([("restored", "10:30"), ("finished", "11:00")], (1, 1)),
        ([("finished", "10:30"), ("restored", "10:30")], (1, 1)),
    ],
)
def test_restored_is_not_finished_where_a_tool_tells_them_apart(base, told, counts) -> None:
    body = {"id": "i", "project_id": "acme/api", "started_at": "2026-03-02T10:00:00Z"}
    calls = [("/incidents", body)]
    calls += [(f"/incidents/i/{verb}", {"date": f"2026-03-02T{at}:00Z"}) for verb, at in told]
    for path, sent in calls:
        base.tell(*emmetrics.SOURCE.parse(Inbound(path, {}, orjson.dumps(sent), BEGIN)).events)
    beside = read_scorecards(base.db, WINDOW, teams=TEAMS, by="all", beside=True)[0].beside
    assert (beside.time_to_restore.n, beside.incidents_finished) == counts


def test_of_a_version_that_was_deployed_twice_the_last_one_before_it_is_meant(base) -> None:
    for clock, version in (("09:00", "1"), ("10:00", "2"), ("11:00", "1")):
        tell(base, "deploy", clock, clock, version=version)
    assert failed(base) == (1, 3), "the one in between was rolled back"
    tell(base, "incident", "11:10", "11:20", version="1")
    assert failed(base) == (2, 3)
    rows = "SELECT ended_at FROM dora_deployments WHERE failed_at IS NOT NULL ORDER BY ended_at"
    assert base.db.execute(rows).fetchall() == [(t("10:00"),), (t("11:00"),)]


@pytest.mark.parametrize(("deployed", "told"), [(40, 40), (40, 8), (8, 40)])
def test_a_commit_is_a_version_too(base, deployed, told) -> None:
    for clock, commit in (("09:00", "a1" * 20), ("10:00", "b2" * 20), ("11:00", "c3" * 20)):
        tell(base, "deploy", clock, clock, commit=commit[:deployed])
    tell(base, "incident", "11:10", "11:20", commit=("a1" * 20)[:told])
    tell(base, "incident", "11:30", "11:40", commit="d4" * 20)
    assert failed(base) == (1, 3)
    rows = "SELECT ended_at FROM dora_deployments WHERE failed_at IS NOT NULL"
    assert base.db.execute(rows).fetchall() == [(t("09:00"),)]


@pytest.mark.parametrize(("version", "hits"), [("", 1), ("2", 0)])
def test_where_deployments_name_no_version_time_decides(base, version, hits) -> None:
    tell(base, "deploy", "09:00", "09:10", version=version)
    tell(base, "incident", "10:00", "10:10", version="1")
    assert failed(base) == (hits, 1)


@pytest.mark.parametrize("first", ["deploy", "incident"])
def test_an_incident_of_a_version_that_is_still_going_out_is_of_that_deployment(
    base, first
) -> None:
    """A canary may raise it before the deploy has ended, with a version or without."""
    tell(base, "deploy", "08:50", "09:00", version="1")
    told = {
        "deploy": lambda: tell(base, "deploy", "10:00", "10:30", version="2"),
        "incident": lambda: tell(base, "incident", "10:10", "10:40", version="2"),
    }
    for kind in (first, *(told.keys() - {first})):
        told[kind]()
    assert failed(base) == (1, 2)
    found = base.db.execute(
        "SELECT version FROM dora_deployments WHERE failed_at IS NOT NULL"
    ).fetchall()
    assert found == [("2",)]
    assert figures(base)["restore"].value == 30 * 60_000_000
    tell(base, "incident", "10:15", "10:20")
    assert failed(base) == (1, 2)
