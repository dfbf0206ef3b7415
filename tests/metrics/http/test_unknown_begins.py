"""What only ended has no duration, and what lasts has lasted until its window ends."""

import contextlib
import json
import re
import sqlite3
from datetime import UTC, datetime

import pytest

from tests.metrics.http.clock import moment
from tests.metrics.http.others import Script
from tests.metrics.http.story import FAIL, RECOVERY, Story, command, figure

WEEK = ("--since", "2026-03-02", "--until", "2026-03-09", "--tz", "UTC")
WHO = ("acme/ends",)
TEAMS = '[teams.ends]\nprojects = ["acme/ends"]\n[teams.lasts]\nprojects = ["acme/lasts"]\n'


@pytest.fixture(scope="module")
def told(receiver):
    (receiver.folder / "config.toml").write_text(TEAMS)
    receiver.stop()
    receiver.start()
    story = Story()
    own = Script(story, "acme/ends")
    own.deploy("Tue 10:00", began="Tue 09:50", version="1")
    for n in (2, 3):
        own.deploy(f"Tue {9 + n}:00", version=str(n))
        del story.posts[-2]  # its start
    own.span("incident", "Wed 10:00", "Wed 10:30")
    del story.posts[-2]
    own.span("incident", "Tue 12:20", "Tue 12:50")
    lasts = Script(story, "acme/lasts")
    lasts.deploy("Tue 10:00", ok=False, version="1")
    story.tell(receiver)
    return receiver


def test_a_deployment_or_an_incident_of_unknown_begin_has_no_duration(told) -> None:
    items = json.loads(command(told, "report", "teams", "--json", *WEEK))["items"]
    found = next(item for item in items if item["team"] == "ends")
    assert (found["deployed"], found["deployment_duration_p50"]) == (3, 600)
    counts = [found[name] for name in ("incidents", "incidents_restored", "incidents_finished")]
    assert counts == [2, 2, 2]
    # The one that began 20 minutes after the last deployment and lasted 30.
    assert (found["time_to_restore_p50"], found["time_to_detect_p50"]) == (1800, 1200)
    assert found["time_to_detect_n"] == 1
    _, text = told.call("/metrics")
    counted = dict(re.findall(r'(\S+){.*project_id="acme/ends".*} (\S+)', text))
    assert counted["deployment_frequency_total"] == "3.0"
    took = (counted["deployment_duration_count"], counted["deployment_duration_sum"])
    assert took == ("1.0", "10.0")
    assert (counted["incident_restored_total"], counted["time_to_detect_sum"]) == ("2.0", "20.0")
    behind = told.call("/api/dora/detail?team=ends&metric=deploys&window=0")[1]["behind"]
    assert sorted(row["value"] or 0 for row in behind) == [0, 0, 600]
    assert sum(row["value"] is None for row in behind) == 2


def test_the_views_have_no_duration_of_them(told) -> None:
    views = ("v_deployments", "duration_s"), ("v_incidents", "time_to_detect_s")
    with contextlib.closing(sqlite3.connect(told.db)) as db:
        found = [
            [value for (value,) in db.execute(f"SELECT {name} FROM {view} WHERE project = ?", WHO)]
            for view, name in views
        ]
    assert found[0].count(None) == 2
    assert found[1].count(None) == 1
    assert [{*values} - {None} for values in found] == [{600.0}, {1200.0}]


def test_a_failure_that_lasts_is_as_old_as_its_window_allows(told) -> None:
    """In the week it lasts until Monday; in the dashboard's range of all it lasts until now."""
    found = figure(told, "acme/lasts", RECOVERY)
    assert figure(told, "acme/lasts", FAIL)["hits"] == found["open"] == 1
    assert found["open_for"] == (5 * 24 + 14) * 3600
    behind = told.call("/api/dora/detail?team=lasts&metric=restore&window=0")[1]["behind"]
    assert [row["result"] for row in behind] == ["open"]
    lasted = (datetime.now(UTC) - moment("Tue 10:00")).total_seconds()
    assert abs(lasted - behind[0]["value"]) < 600
